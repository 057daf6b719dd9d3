import { Card, Grid, Group, SimpleGrid, Stack, Table, Tabs, Text, Title, UnstyledButton } from "@mantine/core";
import { useIsMutating, useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Suspense, useEffect } from "react";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { lazyPage } from "../../hub/build.ts";
import { hub, take } from "../../hub/client.ts";
import { useDeviceStates } from "../../hub/device-states.ts";
import { onLiveValue } from "../../hub/live.ts";
import { queries } from "../../hub/queries.ts";
import { rooms } from "../../hub/rooms.ts";
import { sensorsOf } from "../../hub/sensors.ts";
import type { components } from "../../hub/schema.d.ts";
import { Editable } from "../../parts/allowed.tsx";
import { Asked } from "../../parts/asked.tsx";
import { LineChart } from "../../parts/line-chart.tsx";
import { useLiveLine } from "../../parts/live-line.ts";
import { Page } from "../../parts/page.tsx";
import { Waiting } from "../../parts/waiting.tsx";
import { Capabilities } from "./capabilities.tsx";
import { Commands } from "./commands.tsx";
import { DeviceActions } from "./device-actions.tsx";
import { Outputs } from "./outputs.tsx";
import { LEAVING } from "./leaving.ts";

type Detail = components["schemas"]["DeviceDetail"];
type Device = components["schemas"]["Device"];

// Most come for what it shows and does now.
const Access = lazyPage(() => import("./access.tsx"), "Access");
const History = lazyPage(() => import("./history.tsx"), "History");
const Infrared = lazyPage(() => import("./infrared.tsx"), "Infrared");
const Settings = lazyPage(() => import("./settings.tsx"), "Settings");
const Units = lazyPage(() => import("./units.tsx"), "Units");

export function DevicePage() {
  const { id } = useParams({ from: "/shell/devices/$id" });
  const key = ["devices", "one", id];
  const isRemoved = useIsMutating({ mutationKey: LEAVING }) > 0;
  const query = useQuery({
    enabled: !isRemoved,
    queryKey: key,
    queryFn: () => take(hub.GET("/api/v1/devices/{id}", { params: { path: { id } } })),
  });
  useDeviceStates(id);
  // Values come by themselves; the rest is asked for when an event says that it changed.
  useEffect(
    () =>
      onLiveValue((live) => {
        if (live.uid !== id) return;
        queries.setQueryData<Detail>(["devices", "one", id], (before) => before && withValue(before, live));
      }),
    [id],
  );
  return <Asked query={query}>{(detail) => <Shown detail={detail} />}</Asked>;
}

function withValue(
  detail: Detail,
  { key, value, ts }: { readonly key: string; readonly value: number | string | boolean; readonly ts: string },
): Detail {
  const others = detail.sensors.filter((sensor) => sensor.key !== key);
  const sensors = [...others, { key, value, ts, received_at: ts }].toSorted((one, other) => one.key.localeCompare(other.key));
  return { ...detail, sensors };
}

const TABS = ["overview", "units", "infrared", "access", "history", "settings"] as const;

function Shown({ detail }: { readonly detail: Detail }) {
  const { t } = useTranslation("device");
  const { tab } = useSearch({ from: "/shell/devices/$id" });
  const navigate = useNavigate({ from: "/devices/$id" });
  const { device } = detail;
  const tabs = TABS.filter((one) => one !== "infrared" || device.capabilities.ir === true);
  const parts = {
    overview: <Overview detail={detail} />,
    units: <Units device={device} />,
    infrared: <Infrared device={device} />,
    access: <Access device={device} />,
    history: <History device={device} />,
    settings: (
      <Editable need="device.manage" on={device.id}>
        <Settings device={device} />
      </Editable>
    ),
  };
  return (
    <Page title={device.name} about={device.uid} actions={<DeviceActions device={device} />}>
      <Tabs
        keepMounted={false}
        value={tabs.find((one) => one === tab) ?? "overview"}
        onChange={(next) => void navigate({ search: next === "overview" ? {} : { tab: next ?? undefined }, replace: true })}
      >
        <Tabs.List mb="md" aria-label={t("parts")}>
          {tabs.map((one) => (
            <Tabs.Tab key={one} value={one}>
              {t(`tabs.${one}`)}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {tabs.map((one) => (
          <Tabs.Panel key={one} value={one}>
            <Suspense fallback={<Waiting />}>{parts[one]}</Suspense>
          </Tabs.Panel>
        ))}
      </Tabs>
    </Page>
  );
}

function Overview({ detail }: { readonly detail: Detail }) {
  const { t } = useTranslation("device");
  const { device } = detail;
  return (
    <Grid>
      <Grid.Col span={{ base: 12, md: 8 }}>
        <Stack>
          <Editable need="device.control" on={device.id}>
            <Outputs detail={detail} />
          </Editable>
          <Sensors detail={detail} />
          <Commands uid={device.uid} />
        </Stack>
      </Grid.Col>
      <Grid.Col span={{ base: 12, md: 4 }}>
        <Stack>
          <Card withBorder>
            <Title order={2} size="h4" mb="sm">
              {t("about")}
            </Title>
            <Facts device={device} />
          </Card>
          <Capabilities capabilities={device.capabilities} />
        </Stack>
      </Grid.Col>
    </Grid>
  );
}

function Sensors({ detail: { device, sensors } }: { readonly detail: Detail }) {
  const { t } = useTranslation("device");
  const formats = useFormats();
  const { key: wanted } = useSearch({ from: "/shell/devices/$id" });
  const navigate = useNavigate({ from: "/devices/$id" });
  const described = useQuery(sensorsOf(device.uid));
  const shown = sensors.find(({ key }) => key === wanted) ?? sensors.find(({ value }) => typeof value === "number");
  const line = useLiveLine(shown && typeof shown.value === "number" ? { uid: device.uid, key: shown.key } : undefined, 24);
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {t("sensors")}
      </Title>
      {sensors.length === 0 && (
        <Text c="dimmed" size="sm">
          {t("no_sensors")}
        </Text>
      )}
      <SimpleGrid cols={{ base: 2, sm: 3, lg: 4 }} mb="md">
        {sensors.map(({ key, value, ts }) => {
          const sensor = described.data?.data.find((one) => one.key === key);
          return (
            <UnstyledButton key={key} aria-pressed={key === shown?.key} onClick={() => void navigate({ search: { key }, replace: true })}>
              <Text size="sm" c="dimmed">
                {sensor?.name ?? key}
              </Text>
              <Text fw={600} size="lg" td={key === shown?.key ? "underline" : undefined}>
                {typeof value === "number" ? formats.number(value, sensor?.display_precision ?? 2) : String(value)}{" "}
                {sensor?.unit_of_measurement}
              </Text>
              <Text size="xs" c="dimmed">
                {formats.time(ts)}
              </Text>
            </UnstyledButton>
          );
        })}
      </SimpleGrid>
      {line && <LineChart lines={[line]} label={t("chart", { key: line.label })} />}
    </Card>
  );
}

function Facts({ device }: { readonly device: Device }) {
  const { t } = useTranslation("device");
  const formats = useFormats();
  const places = useQuery(rooms).data?.data;
  const facts = [
    ["class", t(`shell:device_class.${device.device_class}`)],
    ["model", device.model],
    ["serial", device.serial_number],
    ["firmware", device.firmware_version],
    ["room", places?.find(({ id }) => id === device.room_id)?.name],
    ["address", device.last_ip],
    ["seen", device.last_seen_at && formats.ago(device.last_seen_at)],
    ["added", formats.dateTime(device.created_at)],
  ] as const;
  return (
    <>
      <Table variant="vertical" layout="fixed">
        <Table.Tbody>
          {facts.map(([name, value]) =>
            value ? (
              <Table.Tr key={name}>
                <Table.Th w="45%">{t(name)}</Table.Th>
                <Table.Td style={{ overflowWrap: "anywhere" }}>{value}</Table.Td>
              </Table.Tr>
            ) : null,
          )}
        </Table.Tbody>
      </Table>
      {device.clock_error && (
        <Group mt="sm">
          <Text size="sm">{t("clock", { seconds: formats.number(device.clock_error.offset_ms / 1_000, 0) })}</Text>
        </Group>
      )}
    </>
  );
}
