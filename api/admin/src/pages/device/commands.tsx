import { Badge, Card, Table, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { Asked } from "../../parts/asked.tsx";
import { WideTable } from "../../parts/wide-table.tsx";

const SHOWN = 10;

export function Commands({ uid }: { readonly uid: string }) {
  const { t } = useTranslation("device");
  const formats = useFormats();
  const query = useQuery({
    queryKey: ["devices", "one", uid, "commands"],
    queryFn: () => take(hub.GET("/api/v1/devices/{id}/commands", { params: { path: { id: uid }, query: { limit: SHOWN } } })),
  });
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {t("commands")}
      </Title>
      <Asked query={query}>
        {({ data }) =>
          data.length === 0 ? (
            <Text c="dimmed" size="sm">
              {t("no_commands")}
            </Text>
          ) : (
            <WideTable minWidth={420} label={t("commands")}>
              <Table>
                <Table.Tbody>
                  {data.map((one) => (
                    <Table.Tr key={one.id}>
                      <Table.Td>{formats.dateTime(one.created_at)}</Table.Td>
                      <Table.Td>{one.command.command}</Table.Td>
                      <Table.Td>{one.source}</Table.Td>
                      <Table.Td>
                        <Badge variant="light" color={one.status === "ok" ? "teal" : one.status === "error" ? "red" : "gray"}>
                          {one.status}
                        </Badge>
                      </Table.Td>
                      <Table.Td>{one.latency_ms === null ? "" : t("took", { ms: formats.number(one.latency_ms, 0) })}</Table.Td>
                    </Table.Tr>
                  ))}
                </Table.Tbody>
              </Table>
            </WideTable>
          )
        }
      </Asked>
    </Card>
  );
}
