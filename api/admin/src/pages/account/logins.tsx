import { Badge, Group, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { Asked } from "../../parts/asked.tsx";
import { UndoableButton } from "../../parts/undoable.tsx";
import { WideTable } from "../../parts/wide-table.tsx";

export function Logins() {
  const { t } = useTranslation("account");
  const formats = useFormats();
  const query = useQuery({ queryKey: ["logins"], queryFn: () => take(hub.GET("/api/v1/auth/logins")), refetchInterval: 30_000 });
  return (
    <Asked query={query}>
      {({ data }) => (
        <WideTable minWidth={560} label={t("logins")}>
          <Table>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>{t("where")}</Table.Th>
                <Table.Th>{t("since")}</Table.Th>
                <Table.Th>{t("used")}</Table.Th>
                <Table.Th>{t("actions")}</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {data.map((login) => (
                <Table.Tr key={login.id}>
                  <Table.Td style={{ overflowWrap: "anywhere" }}>
                    <Group gap="xs">
                      <Text size="sm" fw={600}>
                        {login.client_id ?? browserOf(login.user_agent) ?? t("shell:unknown")}
                      </Text>
                      {login.is_current && <Badge color="dark">{t("here")}</Badge>}
                    </Group>
                    <Text size="xs" c="dimmed">
                      {login.address}
                    </Text>
                  </Table.Td>
                  <Table.Td>{formats.dateTime(login.created_at)}</Table.Td>
                  <Table.Td>{formats.ago(login.last_used_at)}</Table.Td>
                  <Table.Td>
                    {!login.is_current && (
                      <UndoableButton
                        id={`logins/${login.id}`}
                        queryKey={["logins"]}
                        label={t("log_out")}
                        what={browserOf(login.user_agent) ?? login.address ?? ""}
                        about={t("log_out_about")}
                        send={(client) => take(client.DELETE("/api/v1/auth/logins/{id}", { params: { path: { id: login.id } } }))}
                      />
                    )}
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </WideTable>
      )}
    </Asked>
  );
}

const BROWSERS = [
  [/Edg\//, "Edge"],
  [/Firefox\//, "Firefox"],
  [/Chrom(?:e|ium)\//, "Chrome"],
  [/Safari\//, "Safari"],
] as const;
const SYSTEMS = [
  [/iPhone|iPad/, "iOS"],
  [/Android/, "Android"],
  [/Windows/, "Windows"],
  [/Mac OS/, "macOS"],
  [/Linux/, "Linux"],
] as const;

/** "Firefox, Linux"; what is no browser says itself what it is. */
function browserOf(agent: string | null): string | undefined {
  if (agent === null) return undefined;
  const names = [BROWSERS, SYSTEMS].map((known) => known.find(([pattern]) => pattern.test(agent))?.[1]);
  return names.every((name) => name === undefined) ? agent : names.filter((name) => name !== undefined).join(", ");
}
