import { Anchor, Button, Group, Select, Stack, Table, Text, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Plus, Search } from "lucide-react";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { Empty } from "../../parts/empty.tsx";
import { Failed } from "../../parts/failed.tsx";
import { LinkButton } from "../../parts/link-button.tsx";
import { Page } from "../../parts/page.tsx";
import { Waiting } from "../../parts/waiting.tsx";
import type { Node } from "../definition/nodes.ts";
import { useNodeWords } from "../definition/words.ts";
import type { Automation } from "./automation.ts";
import { EnabledSwitch } from "./enabled-switch.tsx";

const STATES = ["on", "off"] as const;
const PAGE = 50;
const TYPING_MS = 250;
/** Events tell when one fires; of one that somebody else has changed none does. */
const EVERY_MS = 30_000;

export function AutomationsPage() {
  const { t } = useTranslation(["automations", "definition"]);
  const { search, state } = useSearch({ from: "/shell/automations" });
  const asked = { ...(search ? { search } : {}), ...(state === "on" || state === "off" ? { is_enabled: state === "on" } : {}) };
  const query = useInfiniteQuery({
    queryKey: ["automations", "list", asked],
    queryFn: ({ pageParam }) =>
      take(
        hub.GET("/api/v1/automations", {
          params: { query: { ...asked, ...(pageParam === "" ? {} : { cursor: pageParam }), limit: PAGE } },
        }),
      ),
    initialPageParam: "",
    getNextPageParam: ({ next_cursor: cursor }) => cursor,
    refetchInterval: EVERY_MS,
  });
  const automations = query.data?.pages.flatMap(({ data }) => data);
  return (
    <Page title={t("title")} about={t("about")} actions={<NewButton />}>
      <Filters />
      {query.isError && <Failed error={query.error} onRetry={() => void query.refetch()} />}
      {query.isPending && <Waiting />}
      {automations?.length === 0 && <Nothing isFiltered={Object.keys(asked).length > 0} />}
      {automations && automations.length > 0 && (
        <Stack>
          <AutomationTable automations={automations} />
          <Group justify="space-between">
            <Text size="sm" c="dimmed" role="status">
              {t("count", { count: automations.length })}
            </Text>
            {query.hasNextPage && (
              <Button variant="default" loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
                {t("shell:more")}
              </Button>
            )}
          </Group>
        </Stack>
      )}
    </Page>
  );
}

function NewButton() {
  const { t } = useTranslation("automations");
  return (
    <LinkButton to="/automations/new" leftSection={<Plus size={16} aria-hidden />}>
      {t("new")}
    </LinkButton>
  );
}

function Nothing({ isFiltered }: { readonly isFiltered: boolean }) {
  const { t } = useTranslation("automations");
  if (isFiltered) return <Empty title={t("no_match")}>{t("no_match_about")}</Empty>;
  return (
    <Empty title={t("empty")} action={<NewButton />}>
      {t("empty_about")}
    </Empty>
  );
}

function Filters() {
  const { t } = useTranslation("automations");
  const { search, state } = useSearch({ from: "/shell/automations" });
  const navigate = useNavigate({ from: "/automations" });
  const set = (change: Record<string, string | undefined>) =>
    void navigate({ search: (before) => ({ ...before, ...change }), replace: true });
  const type = useDebouncedCallback((text: string) => set({ search: text === "" ? undefined : text }), TYPING_MS);
  return (
    <Group align="flex-end">
      <TextInput
        label={t("shell:search")}
        placeholder={t("search")}
        leftSection={<Search size={16} aria-hidden />}
        defaultValue={search ?? ""}
        onChange={({ currentTarget }) => type(currentTarget.value)}
        style={{ flex: "1 1 220px" }}
      />
      <Select
        label={t("state")}
        placeholder={t("all")}
        clearable
        clearButtonProps={{ "aria-label": t("all") }}
        data={STATES.map((value) => ({ value, label: t(value) }))}
        value={STATES.find((one) => one === state) ?? null}
        onChange={(value) => set({ state: value ?? undefined })}
      />
    </Group>
  );
}

function AutomationTable({ automations }: { readonly automations: readonly Automation[] }) {
  const { t } = useTranslation("automations");
  const formats = useFormats();
  const words = useNodeWords();
  return (
    <Table.ScrollContainer minWidth={640} type="native" role="region" aria-label={t("title")} tabIndex={0}>
      <Table highlightOnHover>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("name")}</Table.Th>
            <Table.Th>{t("set_off_by")}</Table.Th>
            <Table.Th>{t("fired")}</Table.Th>
            <Table.Th>{t("state")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {automations.map((automation) => (
            <Table.Tr key={automation.id}>
              <Table.Td>
                <Anchor component={Link} to="/automations/$id" params={{ id: automation.id } as never}>
                  {automation.name}
                </Anchor>
              </Table.Td>
              <Table.Td>
                {(automation.triggers as readonly unknown[] as readonly Node[]).map((trigger) => (
                  <Text size="sm" key={JSON.stringify(trigger)}>
                    {words("trigger", trigger)}
                  </Text>
                ))}
              </Table.Td>
              <Table.Td>
                {automation.last_fired_at === null
                  ? t("never")
                  : t("fired_times", { when: formats.ago(automation.last_fired_at), count: automation.fire_count })}
              </Table.Td>
              <Table.Td>
                <EnabledSwitch automation={automation} />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}
