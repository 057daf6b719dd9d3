import { Button, Card, Code, Group, Stack, Table, Text, Title } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { useRights } from "../../hub/rights.ts";
import type { components } from "../../hub/schema.d.ts";
import { useChange } from "../../parts/change.tsx";
import { Paged, usePages } from "../../parts/paged.tsx";
import { WideTable } from "../../parts/wide-table.tsx";

type Checkpoint = components["schemas"]["AuditCheckpoint"];
const PAGE = 10;

/** What is signed cannot be written anew unseen, not even by whoever has the database. */
export function Checkpoints() {
  const { t } = useTranslation("audit");
  const query = usePages({
    queryKey: ["audit", "checkpoints"],
    ask: (cursor) => take(hub.GET("/api/v1/audit/checkpoints", { params: { query: { ...cursor, limit: PAGE } } })),
  });
  const { isHubAdministrator } = useRights();
  const sign = useChange(
    "audit",
    () => take(hub.POST("/api/v1/audit/checkpoints")),
    ({ signed, bad }) =>
      notifications.show({
        color: bad > 0 ? "red" : "teal",
        message: bad > 0 ? t("unsigned", { number: bad }) : t("signed", { number: signed }),
        closeButtonProps: { "aria-label": t("shell:close") },
      }),
  );
  return (
    <Card withBorder>
      <Stack>
        <Group justify="space-between">
          <Title order={2} size="h4">
            {t("checkpoints")}
          </Title>
          {isHubAdministrator && (
            <Button variant="default" loading={sign.isPending} onClick={() => sign.mutate(undefined)}>
              {t("sign")}
            </Button>
          )}
        </Group>
        <Text size="sm">{t("checkpoints_about")}</Text>
        <Paged query={query} empty={<Text size="sm">{t("no_checkpoints")}</Text>}>
          {(checkpoints) => <CheckpointTable checkpoints={checkpoints} />}
        </Paged>
      </Stack>
    </Card>
  );
}

function CheckpointTable({ checkpoints }: { readonly checkpoints: readonly Checkpoint[] }) {
  const { t } = useTranslation("audit");
  const formats = useFormats();
  return (
    <WideTable minWidth={560} label={t("checkpoints")}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("number")}</Table.Th>
            <Table.Th>{t("when")}</Table.Th>
            <Table.Th>{t("entries")}</Table.Th>
            <Table.Th>{t("hash")}</Table.Th>
            <Table.Th>{t("key")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {checkpoints.map(({ statement: { number, ts, count, seq, hash, key_id: key } }) => (
            <Table.Tr key={number}>
              <Table.Td>{formats.number(number)}</Table.Td>
              <Table.Td>{formats.dateTime(ts)}</Table.Td>
              <Table.Td>{t("up_to", { number: formats.number(count), seq: formats.number(seq) })}</Table.Td>
              <Table.Td>
                <Code>{hash.slice(0, 12)}…</Code>
              </Table.Td>
              <Table.Td>
                <Code>{key}</Code>
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}
