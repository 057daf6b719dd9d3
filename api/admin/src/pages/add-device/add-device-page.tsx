import { Alert, Button, Card, Group, Loader, Select, Stack, Text, TextInput, Title } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQuery } from "@tanstack/react-query";
import { CircleCheck } from "lucide-react";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { Copied } from "../../parts/copied.tsx";
import { Failed } from "../../parts/failed.tsx";
import { LinkButton } from "../../parts/link-button.tsx";
import { Page } from "../../parts/page.tsx";
import { QrCode } from "../../parts/qr-code.tsx";

type Enrolled = components["schemas"]["Enrolled"];
const CLASSES = ["relay_controller", "ir_hub", "sensor_hub", "hybrid"] as const;
const EVERY_MS = 1_000;

export function AddDevicePage() {
  const { t } = useTranslation("add-device");
  const form = useForm<{ name: string; device_class: (typeof CLASSES)[number] }>({
    initialValues: { name: "", device_class: "sensor_hub" },
  });
  const enrol = useMutation({
    mutationFn: (body: typeof form.values) => take(hub.POST("/api/v1/devices", { body })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["devices"] }),
  });
  const again = (): void => {
    enrol.reset();
    form.reset();
  };
  return (
    <Page title={t("title")} about={t("about")}>
      {enrol.data ? (
        <Credentials enrolled={enrol.data} onAgain={again} />
      ) : (
        <Card withBorder maw={480}>
          <form onSubmit={form.onSubmit((values) => enrol.mutate(values))}>
            <Stack>
              {enrol.isError && <Failed error={enrol.error} />}
              <TextInput label={t("name")} placeholder={t("name_example")} required maxLength={120} {...form.getInputProps("name")} />
              <Select
                label={t("class")}
                required
                allowDeselect={false}
                data={CLASSES.map((value) => ({ value, label: t(`shell:device_class.${value}`) }))}
                {...form.getInputProps("device_class")}
              />
              <Button type="submit" loading={enrol.isPending}>
                {t("create")}
              </Button>
            </Stack>
          </form>
        </Card>
      )}
    </Page>
  );
}

function Credentials({ enrolled, onAgain }: { readonly enrolled: Enrolled; readonly onAgain: () => void }) {
  const { t } = useTranslation("add-device");
  const { device_uid: uid, device_token: token, mqtts_url: tls, mqtt_url: plain } = enrolled;
  return (
    <Stack>
      <FirstMessage uid={uid} onAgain={onAgain} />
      <Card withBorder>
        <Stack>
          <Alert color="yellow">{t("shown_once")}</Alert>
          <Group align="flex-start" gap="xl">
            <Stack gap="xs" style={{ flex: "1 1 320px" }}>
              <Copied label={t("uid")} value={uid} />
              <Copied label={t("token")} value={token} />
              {tls !== null && <Copied label={t("url")} value={tls} />}
              {plain !== null && <Copied label={t("plain_url")} value={plain} />}
              <Copied label={t("topics")} value={`hexa/${uid}/up/#`} />
            </Stack>
            <QrCode value={JSON.stringify({ uid, token, url: tls ?? plain })} />
          </Group>
        </Stack>
      </Card>
      <Card withBorder>
        <Stack gap="xs">
          <Title order={2} size="h4">
            {t("try")}
          </Title>
          <Text size="sm" c="dimmed">
            {t("try_about")}
          </Text>
          <Copied value={publishLine(enrolled)} />
        </Stack>
      </Card>
    </Stack>
  );
}

/** Turns green by itself. */
function FirstMessage({ uid, onAgain }: { readonly uid: string; readonly onAgain: () => void }) {
  const { t } = useTranslation("add-device");
  const { data } = useQuery({
    queryKey: ["devices", "first-message", uid],
    queryFn: () => take(hub.GET("/api/v1/devices/{id}", { params: { path: { id: uid } } })),
    refetchInterval: ({ state }) => (state.data?.device.last_seen_at ? false : EVERY_MS),
  });
  const isThere = data?.device.last_seen_at != null;
  return (
    <Alert color={isThere ? "teal" : "gray"} role="status" icon={isThere ? <CircleCheck aria-hidden /> : <Loader size="xs" aria-hidden />}>
      <Group justify="space-between">
        <Text>{t(isThere ? "arrived" : "waiting")}</Text>
        {isThere && (
          <Group gap="xs">
            <LinkButton size="xs" to="/devices/$id" params={{ id: uid }}>
              {t("open")}
            </LinkButton>
            <Button size="xs" variant="default" onClick={onAgain}>
              {t("another")}
            </Button>
          </Group>
        )}
      </Group>
    </Alert>
  );
}

function publishLine({ device_uid: uid, device_token: token, mqtts_url: tls, mqtt_url: plain }: Enrolled): string {
  const { hostname, port, protocol } = new URL(plain ?? tls ?? "mqtts://127.0.0.1:8883");
  const trust = protocol === "mqtts:" ? " --cafile data/tls/ca.pem" : "";
  return `mosquitto_pub -V 5 -h ${hostname} -p ${port}${trust} -i ${uid} -u ${uid} -P '${token}' -q 1 -t hexa/${uid}/up/telemetry -m '{"values":{"temperature":21.5}}'`;
}
