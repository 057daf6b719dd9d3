import { Anchor, Card, Group, Stack, Table, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import type { components } from "../../hub/schema.d.ts";
import { Allowed } from "../../parts/allowed.tsx";
import { Asked } from "../../parts/asked.tsx";
import { WideTable } from "../../parts/wide-table.tsx";

type Device = components["schemas"]["Device"];
const SHOWN = 25;
const TAIL_MS = 2_000;

/** What happens to it, as it happens, and who changed what of it. */
export function History({ device }: { readonly device: Device }) {
  return (
    <Stack>
      <Log device={device} />
      <Allowed need="audit.read">
        <Audit device={device} />
      </Allowed>
    </Stack>
  );
}

function Log({ device }: { readonly device: Device }) {
  const { t } = useTranslation("device");
  const formats = useFormats();
  const query = useQuery({
    queryKey: ["devices", "one", device.uid, "events"],
    queryFn: () => take(hub.GET("/api/v1/events", { params: { query: { entity_id: device.id, limit: SHOWN } } })),
    refetchInterval: TAIL_MS,
  });
  return (
    <Card withBorder>
      <Group justify="space-between" mb="sm">
        <Title order={2} size="h4">
          {t("log")}
        </Title>
        <Anchor component={Link} to="/events" search={{ device: device.id } as never} size="sm">
          {t("all_events")}
        </Anchor>
      </Group>
      <Asked query={query}>
        {({ data }) => (
          <Rows
            label={t("log")}
            empty={t("no_events")}
            heads={[t("when"), t("what"), t("who")]}
            rows={data.map((event) => ({
              id: event.id,
              cells: [
                formats.dateTime(event.timestamp),
                <Anchor key="type" component={Link} to="/events/$id" params={{ id: event.id } as never}>
                  {event.type}
                </Anchor>,
                event.actor.kind,
              ],
            }))}
          />
        )}
      </Asked>
    </Card>
  );
}

function Audit({ device }: { readonly device: Device }) {
  const { t } = useTranslation("device");
  const formats = useFormats();
  const query = useQuery({
    queryKey: ["devices", "one", device.uid, "audit"],
    queryFn: () => take(hub.GET("/api/v1/audit", { params: { query: { resource_id: device.id, limit: SHOWN } } })),
  });
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {t("audit")}
      </Title>
      <Asked query={query}>
        {({ data }) => (
          <Rows
            label={t("audit")}
            empty={t("no_audit")}
            heads={[t("when"), t("what"), t("who")]}
            rows={data.map((entry) => ({
              id: entry.id,
              cells: [formats.dateTime(entry.created_at), entry.action, `${entry.actor.kind} ${entry.actor.id}`],
            }))}
          />
        )}
      </Asked>
    </Card>
  );
}

interface RowsProps {
  readonly label: string;
  readonly empty: string;
  readonly heads: readonly string[];
  readonly rows: readonly { readonly id: string; readonly cells: readonly React.ReactNode[] }[];
}

function Rows({ label, empty, heads, rows }: RowsProps) {
  if (rows.length === 0)
    return (
      <Text c="dimmed" size="sm">
        {empty}
      </Text>
    );
  return (
    <WideTable minWidth={420} label={label}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            {heads.map((head) => (
              <Table.Th key={head}>{head}</Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map(({ id, cells }) => (
            <Table.Tr key={id}>
              {cells.map((cell, column) => (
                <Table.Td key={heads[column]} style={{ overflowWrap: "anywhere" }}>
                  {cell}
                </Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}
