import { Box, Button, Group, Stack, Table, Text } from "@mantine/core";
import { Download } from "lucide-react";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import type { components } from "../../hub/schema.d.ts";
import { Empty } from "../../parts/empty.tsx";
import { JsonBlock } from "../../parts/json-block.tsx";
import { Page } from "../../parts/page.tsx";
import { Paged, usePages } from "../../parts/paged.tsx";
import { TypedFilter } from "../../parts/typed-filter.tsx";
import { type UrlFilters, useUrlFilters } from "../../parts/url-filters.ts";
import { WideTable } from "../../parts/wide-table.tsx";
import { Checkpoints } from "./checkpoints.tsx";
import { TimeFilter } from "./time-filter.tsx";
import { Verification } from "./verification.tsx";

type Entry = components["schemas"]["AuditEntry"];
const PAGE = 50;
const TYPED = ["actor_kind", "actor_id", "action", "resource_type", "resource_id"] as const;
/** The hub's own words, in every language. */
const EXAMPLES: Readonly<Record<string, string>> = { actor_kind: "user", action: "device.update", resource_type: "device" };
const NAMES = [...TYPED, "from", "to"] as const;

export function AuditPage() {
  const { t } = useTranslation("audit");
  const url = useUrlFilters();
  const asked = Object.fromEntries(NAMES.flatMap((name) => (url.filters[name] ? [[name, url.filters[name]]] : [])));
  const query = usePages({
    queryKey: ["audit", "list", asked],
    ask: (cursor) => take(hub.GET("/api/v1/audit", { params: { query: { ...asked, ...cursor, limit: PAGE } } })),
  });
  const clear = (): void => url.set(Object.fromEntries(NAMES.map((name) => [name, ""])));
  return (
    <Page title={t("title")} about={t("about")} actions={<Exports asked={asked} />}>
      <Filters {...url} />
      <Paged
        query={query}
        empty={
          <Empty
            title={t("none")}
            action={
              <Button variant="default" onClick={clear}>
                {t("all")}
              </Button>
            }
          >
            {t("none_about")}
          </Empty>
        }
      >
        {(entries) => <EntryTable entries={entries} />}
      </Paged>
      <Verification />
      <Checkpoints />
    </Page>
  );
}

function Filters({ filters, set }: UrlFilters) {
  const { t } = useTranslation("audit");
  return (
    <Group align="flex-end">
      {TYPED.map((name) => (
        <TypedFilter
          key={name}
          label={t(name)}
          placeholder={EXAMPLES[name] ?? ""}
          value={filters[name]}
          onChange={(value) => set({ [name]: value })}
        />
      ))}
      <TimeFilter label={t("from")} value={filters["from"]} onChange={(from) => set({ from })} />
      <TimeFilter label={t("to")} value={filters["to"]} onChange={(to) => set({ to })} />
    </Group>
  );
}

/** The browser fetches them: the file may be longer than a page can hold. */
function Exports({ asked }: { readonly asked: Readonly<Record<string, string>> }) {
  const { t } = useTranslation("audit");
  return (["csv", "ndjson"] as const).map((format) => (
    <Button
      key={format}
      component="a"
      variant="default"
      leftSection={<Download size={16} aria-hidden />}
      href={`/api/v1/audit/export?${new URLSearchParams({ ...asked, format })}`}
      download
    >
      {t("export", { format: format.toUpperCase() })}
    </Button>
  ));
}

function EntryTable({ entries }: { readonly entries: readonly Entry[] }) {
  const { t } = useTranslation("audit");
  const formats = useFormats();
  return (
    <WideTable minWidth={800} label={t("title")}>
      <Table verticalSpacing="xs">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("when")}</Table.Th>
            <Table.Th>{t("actor")}</Table.Th>
            <Table.Th>{t("action")}</Table.Th>
            <Table.Th>{t("resource")}</Table.Th>
            <Table.Th>{t("details")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {entries.map((entry) => (
            <Table.Tr key={entry.id}>
              <Table.Td>{formats.dateTime(entry.created_at)}</Table.Td>
              <Table.Td>
                <Named name={entry.actor.kind} id={entry.actor.id} />
              </Table.Td>
              <Table.Td>{entry.action}</Table.Td>
              <Table.Td>
                <Named name={entry.resource_type} id={entry.resource_id} />
              </Table.Td>
              <Table.Td>
                <Details entry={entry} />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}

function Named({ name, id }: { readonly name: string; readonly id: string | null }) {
  return (
    <Stack gap={0}>
      <Text size="sm">{name}</Text>
      {id !== null && (
        <Text size="xs" maw={160} truncate title={id}>
          {id}
        </Text>
      )}
    </Stack>
  );
}

function Details({ entry }: { readonly entry: Entry }) {
  const { t } = useTranslation("audit");
  const { id, details, request_id: request, correlation_id: correlation, chain_seq: seq, chain_hash: hash } = entry;
  return (
    <details>
      <summary>{t("show")}</summary>
      <Box maw={360}>
        <JsonBlock value={{ id, details, request_id: request, correlation_id: correlation, chain_seq: seq, chain_hash: hash }} />
      </Box>
    </details>
  );
}
