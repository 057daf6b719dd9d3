import { Anchor, Badge, Button, Card, Group, List, SimpleGrid, Stack, Table, Text } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { health } from "../../hub/health.ts";
import { queries } from "../../hub/queries.ts";
import { useRights } from "../../hub/rights.ts";
import type { components } from "../../hub/schema.d.ts";
import { Allowed } from "../../parts/allowed.tsx";
import { Asked } from "../../parts/asked.tsx";
import { Empty } from "../../parts/empty.tsx";
import { Failed } from "../../parts/failed.tsx";
import { FoldingCard } from "../../parts/folding-card.tsx";
import { LinkButton } from "../../parts/link-button.tsx";
import { Page } from "../../parts/page.tsx";

type Device = components["schemas"]["Device"];
/** Of those that are counted one by one. */
const MOST = 200;

export function DashboardPage() {
  const { t } = useTranslation("dashboard");
  const { maySomewhere } = useRights();
  return (
    <Page title={t("title")}>
      {maySomewhere("device.read") ? <Devices /> : <Empty title={t("no_rights")}>{t("no_rights_about")}</Empty>}
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        <Health />
        <Allowed need="service.manage">
          <Bridges />
        </Allowed>
      </SimpleGrid>
    </Page>
  );
}

function Devices() {
  const devices = useQuery({
    queryKey: ["devices", "overview"],
    queryFn: () => take(hub.GET("/api/v1/devices", { params: { query: { limit: MOST } } })),
    refetchInterval: 30_000,
  });
  return (
    <Asked query={devices}>
      {({ data, next_cursor: more }) =>
        data.length === 0 ? (
          <FirstSteps />
        ) : (
          <Stack gap="lg">
            <Figures devices={data} isMore={more !== null} />
            <Attention devices={data} />
          </Stack>
        )
      }
    </Asked>
  );
}

function FirstSteps() {
  const { t } = useTranslation("dashboard");
  const { may, isHubAdministrator } = useRights();
  const demo = useMutation({
    mutationFn: () => take(hub.POST("/api/v1/demo")),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["devices"] }),
  });
  return (
    <Empty
      title={t("no_devices")}
      action={
        <Stack>
          <Group>
            <LinkButton to="/devices/new">{t("add")}</LinkButton>
            {isHubAdministrator && (
              <Button variant="default" loading={demo.isPending} onClick={() => demo.mutate()}>
                {t("demo")}
              </Button>
            )}
          </Group>
          {demo.isError && <Failed error={demo.error} />}
        </Stack>
      }
    >
      {t(may("device.own") ? "no_devices_about" : "no_rights_about")}
    </Empty>
  );
}

function Figures({ devices, isMore }: { readonly devices: readonly Device[]; readonly isMore: boolean }) {
  const { t } = useTranslation("dashboard");
  const formats = useFormats();
  const { may } = useRights();
  const alerts = useQuery({ ...openAlerts, enabled: may("automation.read") });
  const { data } = useQuery(health);
  const several = (count: number, isAtLeast: boolean) => formats.number(count) + (isAtLeast ? "+" : "");
  const figures = [
    ["devices", several(devices.length, isMore)],
    ["online", several(devices.filter((device) => device.connection_status === "online").length, isMore)],
    ["alerts", alerts.data ? several(alerts.data.data.length, alerts.data.next_cursor !== null) : "–"],
    ["sessions", data ? formats.number(data.sessions) : "–"],
  ] as const;
  return (
    <SimpleGrid cols={{ base: 2, sm: 4 }}>
      {figures.map(([name, value]) => (
        <Card key={name} withBorder>
          <Text size="sm" c="dimmed">
            {t(name)}
          </Text>
          <Text size="xl" fw={700}>
            {value}
          </Text>
        </Card>
      ))}
    </SimpleGrid>
  );
}

const openAlerts = {
  queryKey: ["alerts", "open"],
  queryFn: () => take(hub.GET("/api/v1/alerts", { params: { query: { status: "open", limit: 100 } } })),
} as const;

function Attention({ devices }: { readonly devices: readonly Device[] }) {
  const { t } = useTranslation("dashboard");
  const formats = useFormats();
  const { may } = useRights();
  const alerts = useQuery({ ...openAlerts, enabled: may("automation.read") });
  const away = devices.filter((device) => device.connection_status !== "online");
  const raised = alerts.data?.data ?? [];
  return (
    <FoldingCard name="attention" title={t("attention")}>
      {away.length + raised.length === 0 ? (
        <Text size="sm">{t("calm")}</Text>
      ) : (
        <List spacing="xs" size="sm">
          {raised.map((alert) => (
            <List.Item key={alert.id}>
              <Badge color={alert.severity === "critical" ? "red" : "yellow"} variant="light" mr="xs">
                {alert.severity}
              </Badge>
              {alert.title} ({formats.ago(alert.raised_at)})
            </List.Item>
          ))}
          {away.map((device) => (
            <List.Item key={device.id}>
              <Anchor component={Link} to={`/devices/${device.uid}`} size="sm">
                {device.name}
              </Anchor>{" "}
              {device.last_seen_at ? t("offline_since", { when: formats.ago(device.last_seen_at) }) : t("never")}
            </List.Item>
          ))}
        </List>
      )}
    </FoldingCard>
  );
}

function Health() {
  const { t } = useTranslation("dashboard");
  const query = useQuery(health);
  return (
    <FoldingCard name="health" title={t("health")}>
      <Asked query={query}>
        {({ database, storage, version }) => (
          <Table variant="vertical">
            <Table.Tbody>
              {(
                [
                  ["database", database],
                  ["storage", storage],
                  ["version", version],
                ] as const
              ).map(([name, value]) => (
                <Table.Tr key={name}>
                  <Table.Th>{t(name)}</Table.Th>
                  <Table.Td>{value}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        )}
      </Asked>
    </FoldingCard>
  );
}

const BRIDGE_NAMES = { home_assistant: "Home Assistant", homekit: "HomeKit", alexa: "Alexa" };
const BRIDGE_STATES = { off: "off", waiting: "not_connected", connected: "connected", failed: "not_connected" } as const;

function Bridges() {
  const { t } = useTranslation("dashboard");
  const query = useQuery({ queryKey: ["bridges"], queryFn: () => take(hub.GET("/api/v1/bridges")), refetchInterval: 15_000 });
  return (
    <FoldingCard name="bridges" title={t("bridges")}>
      <Asked query={query}>
        {({ data }) => (
          <Stack gap="xs">
            {data.map(({ bridge, status, last_error: error }) => (
              <div key={bridge}>
                <Group justify="space-between">
                  <Text size="sm">{BRIDGE_NAMES[bridge]}</Text>
                  <Badge variant="dot" color={status === "connected" ? "teal" : status === "failed" ? "red" : "gray"}>
                    {t(BRIDGE_STATES[status])}
                  </Badge>
                </Group>
                {status === "failed" && error && (
                  <Text size="xs" c="dimmed">
                    {error.message}
                  </Text>
                )}
              </div>
            ))}
          </Stack>
        )}
      </Asked>
    </FoldingCard>
  );
}
