import { Anchor, Stack, Table, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { ApiError, hub, take } from "../../hub/client.ts";
import { useRights } from "../../hub/rights.ts";
import type { components } from "../../hub/schema.d.ts";
import { Asked } from "../../parts/asked.tsx";
import { WideTable } from "../../parts/wide-table.tsx";
import { readersOf } from "./tree.ts";

type Rights = components["schemas"]["TopicRights"];

/** What holds for topics of its kind, and whom that comes to. */
export function Who({ topic }: { readonly topic: string }) {
  const { t } = useTranslation("mqtt");
  const readers = readersOf(topic);
  return (
    <Stack gap="xs">
      <Title order={3} size="h5">
        {t("who")}
      </Title>
      <Text size="sm">{t(`readers.${readers.kind}`)}</Text>
      {"uid" in readers && (
        <Anchor size="sm" component={Link} to="/devices/$id" params={{ id: readers.uid } as never}>
          {t("device", { uid: readers.uid })}
        </Anchor>
      )}
      {readers.kind !== "unknown" && <Holders topic={topic} />}
    </Stack>
  );
}

function Holders({ topic }: { readonly topic: string }) {
  const { t } = useTranslation("mqtt");
  const maySee = useRights().may("member.manage");
  const query = useQuery({
    queryKey: ["mqtt", "rights", topic],
    queryFn: () => take(hub.GET("/api/v1/mqtt/topic-rights", { params: { query: { topic } } })),
    enabled: maySee,
  });
  const status = query.error instanceof ApiError ? query.error.status : undefined;
  if (!maySee || status === 403) return <Text size="sm">{t("who_forbidden")}</Text>;
  if (status === 404) return <Text size="sm">{t("who_missing")}</Text>;
  return <Asked query={query}>{(rights) => <HolderTable rights={rights} />}</Asked>;
}

function HolderTable({ rights: { data, is_whole: isWhole } }: { readonly rights: Rights }) {
  const { t } = useTranslation("mqtt");
  if (data.length === 0) return <Text size="sm">{t("who_nobody")}</Text>;
  return (
    <>
      <WideTable minWidth={260} maxHeight={320} label={t("who")}>
        <Table>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t("holder")}</Table.Th>
              <Table.Th>{t("may")}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {data.map(({ id, kind, name, owner, read, write }) => (
              <Table.Tr key={id}>
                <Table.Td style={{ overflowWrap: "anywhere" }}>
                  <Text size="sm">{name}</Text>
                  <Text size="xs">{t(`holders.${kind}`, { owner })}</Text>
                </Table.Td>
                <Table.Td>{[...(read ? [t("reads")] : []), ...(write ? [t("writes")] : [])].join(", ")}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </WideTable>
      {!isWhole && <Text size="sm">{t("who_more")}</Text>}
    </>
  );
}
