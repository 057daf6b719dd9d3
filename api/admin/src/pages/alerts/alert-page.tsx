import { Card, Code, Grid, List, Stack, Table, Text, Timeline, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import type { components } from "../../hub/schema.d.ts";
import { Allowed } from "../../parts/allowed.tsx";
import { Asked } from "../../parts/asked.tsx";
import { JsonBlock } from "../../parts/json-block.tsx";
import { Page } from "../../parts/page.tsx";
import { TextLink } from "../../parts/text-link.tsx";
import { useDeviceName } from "../definition/devices.tsx";
import { AlertActions } from "./alert-actions.tsx";
import { SeverityBadge } from "./severity.tsx";

type Alert = components["schemas"]["Alert"];
type Entry = components["schemas"]["AlertEntry"];
const MOST_BELOW = 50;

export function AlertPage() {
  const { id } = useParams({ from: "/shell/alerts/$id" });
  const query = useQuery({
    queryKey: ["alerts", "one", id],
    queryFn: () => take(hub.GET("/api/v1/alerts/{id}", { params: { path: { id } } })),
  });
  return <Asked query={query}>{({ alert, history }) => <Shown alert={alert} history={history} />}</Asked>;
}

function Shown({ alert, history }: { readonly alert: Alert; readonly history: readonly Entry[] }) {
  const { t } = useTranslation("alerts");
  return (
    <Page
      title={alert.title}
      about={alert.description ?? undefined}
      actions={
        <Allowed need="alert.handle">
          <AlertActions alert={alert} />
        </Allowed>
      }
    >
      <Grid>
        <Grid.Col span={{ base: 12, md: 6 }}>
          <Card withBorder>
            <Title order={2} size="h4" mb="sm">
              {t("facts")}
            </Title>
            <Facts alert={alert} />
          </Card>
        </Grid.Col>
        <Grid.Col span={{ base: 12, md: 6 }}>
          <Stack>
            <Card withBorder>
              <Title order={2} size="h4" mb="sm">
                {t("history")}
              </Title>
              <History entries={history} />
            </Card>
            <Gathered id={alert.id} />
          </Stack>
        </Grid.Col>
      </Grid>
    </Page>
  );
}

function Facts({ alert }: { readonly alert: Alert }) {
  const { t } = useTranslation("alerts");
  const nameOf = useDeviceName();
  const formats = useFormats();
  const when = (iso: string | null): string | null => iso && formats.dateTime(iso);
  const facts: readonly (readonly [string, ReactNode])[] = [
    ["severity", <SeverityBadge key="severity" severity={alert.severity} />],
    ["status", t(`statuses.${alert.status}`)],
    ["device", alert.uid && <TextLink to="/devices/$id" params={{ id: alert.uid }} children={nameOf(alert.uid)} />],
    ["rule", alert.rule_id && <TextLink to="/alerts/rules/$id" params={{ id: alert.rule_id }} children={t("open_rule")} />],
    ["part_of", alert.parent_id && <TextLink to="/alerts/$id" params={{ id: alert.parent_id }} children={t("open_alert")} />],
    ["values", Object.keys(alert.values).length > 0 && <JsonBlock value={alert.values} />],
    ["started", when(alert.started_at)],
    ["raised", when(alert.raised_at)],
    ["acknowledged", when(alert.acknowledged_at)],
    ["silenced_until", when(alert.silenced_until)],
    ["resolved", when(alert.resolved_at)],
    ["resolution", alert.resolution],
  ];
  return (
    <Table variant="vertical" layout="fixed">
      <Table.Tbody>
        {facts.map(([name, value]) =>
          value ? (
            <Table.Tr key={name}>
              <Table.Th w="40%">{t(name)}</Table.Th>
              <Table.Td style={{ overflowWrap: "anywhere" }}>{value}</Table.Td>
            </Table.Tr>
          ) : null,
        )}
      </Table.Tbody>
    </Table>
  );
}

/** An action that the console has no word for is shown as the hub calls it. */
function History({ entries }: { readonly entries: readonly Entry[] }) {
  const { t } = useTranslation("alerts");
  const formats = useFormats();
  if (entries.length === 0) return <Text size="sm">{t("no_history")}</Text>;
  return (
    <Timeline active={entries.length} bulletSize={14} lineWidth={2}>
      {entries.map(({ at, what, by, details }) => (
        <Timeline.Item key={at + what} title={t(`happened.${what}`, { defaultValue: what })}>
          <Text size="sm">
            {formats.dateTime(at)} · {by.kind}
          </Text>
          {Object.keys(details).length > 0 && <Code style={{ overflowWrap: "anywhere" }}>{JSON.stringify(details)}</Code>}
        </Timeline.Item>
      ))}
    </Timeline>
  );
}

/** Several devices that go together are one alert, which holds those of each. */
function Gathered({ id }: { readonly id: string }) {
  const { t } = useTranslation("alerts");
  const { data } = useQuery({
    queryKey: ["alerts", "below", id],
    queryFn: () => take(hub.GET("/api/v1/alerts", { params: { query: { parent_id: id, limit: MOST_BELOW } } })),
  });
  if (!data || data.data.length === 0) return null;
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {t("gathered")}
      </Title>
      <List size="sm">
        {data.data.map((alert) => (
          <List.Item key={alert.id}>
            <TextLink to="/alerts/$id" params={{ id: alert.id }} size="sm">
              {alert.uid ?? alert.title}
            </TextLink>{" "}
            {t(`statuses.${alert.status}`)}
          </List.Item>
        ))}
      </List>
    </Card>
  );
}
