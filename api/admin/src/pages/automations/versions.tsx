import { Badge, Button, Card, Code, Group, Stack, Table, Text, Title } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useInfiniteQuery, useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { ifMatch } from "../../hub/tagged.ts";
import { Asked } from "../../parts/asked.tsx";
import { useConfirm } from "../../parts/confirm.tsx";
import { Failed, useErrorWords } from "../../parts/failed.tsx";
import { Waiting } from "../../parts/waiting.tsx";
import type { One } from "./automation.ts";

type Version = components["schemas"]["AutomationVersion"];
type Change = components["schemas"]["AutomationDiff"]["changes"][number];
const PAGE = 20;

export function Versions({ one }: { readonly one: One }) {
  const { id, version: present } = one.data.automation;
  const { t } = useTranslation("automations");
  const { version: wanted } = useSearch({ from: "/shell/automations/$id" });
  const query = useInfiniteQuery({
    queryKey: ["automations", "one", id, "versions"],
    queryFn: ({ pageParam }) =>
      take(
        hub.GET("/api/v1/automations/{id}/versions", {
          params: { path: { id }, query: { limit: PAGE, ...(pageParam === "" ? {} : { cursor: Number(pageParam) }) } },
        }),
      ),
    initialPageParam: "",
    getNextPageParam: ({ next_cursor: cursor }) => cursor,
  });
  const versions = query.data?.pages.flatMap(({ data }) => data);
  const compared = Number(wanted);
  return (
    <Stack>
      {query.isError && <Failed error={query.error} onRetry={() => void query.refetch()} />}
      {query.isPending && <Waiting />}
      {versions && <VersionTable id={id} tag={one.tag} versions={versions} present={present} />}
      {query.hasNextPage && (
        <Group justify="flex-end">
          <Button variant="default" loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
            {t("shell:more")}
          </Button>
        </Group>
      )}
      {Number.isInteger(compared) && compared > 0 && compared !== present && <Difference id={id} from={compared} to={present} />}
    </Stack>
  );
}

interface VersionTableProps {
  readonly id: string;
  readonly tag: string;
  readonly versions: readonly Version[];
  readonly present: number;
}

function VersionTable({ id, tag, versions, present }: VersionTableProps) {
  const { t } = useTranslation("automations");
  const formats = useFormats();
  return (
    <Table.ScrollContainer minWidth={560} type="native" role="region" aria-label={t("tabs.versions")} tabIndex={0}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("version")}</Table.Th>
            <Table.Th>{t("changed")}</Table.Th>
            <Table.Th>{t("name")}</Table.Th>
            <Table.Th>{t("note")}</Table.Th>
            <Table.Th>{t("doings")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {versions.map((one) => (
            <Table.Tr key={one.version}>
              <Table.Td>{one.version}</Table.Td>
              <Table.Td>{formats.dateTime(one.changed_at)}</Table.Td>
              <Table.Td>{one.name}</Table.Td>
              <Table.Td>{one.note}</Table.Td>
              <Table.Td>
                {one.version === present ? (
                  <Badge variant="dot" color="teal">
                    {t("present")}
                  </Badge>
                ) : (
                  <VersionDoings id={id} tag={tag} version={one.version} />
                )}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

function VersionDoings({ id, tag, version }: { readonly id: string; readonly tag: string; readonly version: number }) {
  const { t } = useTranslation("automations");
  const words = useErrorWords();
  const confirm = useConfirm();
  const navigate = useNavigate({ from: "/automations/$id" });
  const restore = useMutation({
    mutationFn: () =>
      take(
        hub.POST("/api/v1/automations/{id}/versions/{version}/restore", {
          params: { path: { id, version: String(version) }, header: ifMatch(tag) },
        }),
      ),
    onSuccess: () => notifications.show({ message: t("restored", { version }) }),
    onError: (error) => notifications.show({ color: "red", title: t("refused"), message: words(error) }),
    onSettled: () => queries.invalidateQueries({ queryKey: ["automations"] }),
  });
  const ask = () =>
    confirm({ title: t("restore_version", { version }), about: t("restore_about"), label: t("restore"), onYes: () => restore.mutate() });
  return (
    <Group gap="xs" wrap="nowrap">
      <Button
        size="xs"
        variant="default"
        aria-label={t("compare_version", { version })}
        onClick={() => void navigate({ search: (before) => ({ ...before, version: String(version) }), replace: true })}
      >
        {t("compare")}
      </Button>
      <Button size="xs" variant="default" aria-label={t("restore_version", { version })} loading={restore.isPending} onClick={ask}>
        {t("restore")}
      </Button>
    </Group>
  );
}

function Difference({ id, from, to }: { readonly id: string; readonly from: number; readonly to: number }) {
  const { t } = useTranslation("automations");
  const query = useQuery({
    queryKey: ["automations", "one", id, "diff", from, to],
    queryFn: () =>
      take(
        hub.GET("/api/v1/automations/{id}/versions/{version}/diff", {
          params: { path: { id, version: String(from) }, query: { to: String(to) } },
        }),
      ),
  });
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {t("difference", { from, to })}
      </Title>
      <Asked query={query}>{({ changes }) => (changes.length === 0 ? <Text>{t("same")}</Text> : <Changes changes={changes} />)}</Asked>
    </Card>
  );
}

function Changes({ changes }: { readonly changes: readonly Change[] }) {
  const { t } = useTranslation("automations");
  return (
    <Table.ScrollContainer minWidth={480} type="native" role="region" aria-label={t("changes")} tabIndex={0}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("where")}</Table.Th>
            <Table.Th>{t("before")}</Table.Th>
            <Table.Th>{t("after")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {changes.map(({ path, before, after }) => (
            <Table.Tr key={path}>
              <Table.Td>{path}</Table.Td>
              <Table.Td>{before !== undefined && <Code>{JSON.stringify(before)}</Code>}</Table.Td>
              <Table.Td>{after !== undefined && <Code>{JSON.stringify(after)}</Code>}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}
