import { Anchor, Button, Card, List, Select, Stack, Text, Title } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { Asked } from "../../parts/asked.tsx";
import { useConfirm } from "../../parts/confirm.tsx";
import { Copied } from "../../parts/copied.tsx";
import { Failed } from "../../parts/failed.tsx";
import { Page } from "../../parts/page.tsx";
import { SecretOnce } from "../../parts/secret-once.tsx";
import { type Bridge, BridgeCard, BridgeStatus, Trouble, useBridge } from "./bridge.tsx";

type Form = components["schemas"]["HomeAssistantForm"]["form"];
type Made = components["schemas"]["HomeAssistantAccount"];
const FORMS = ["device", "component"] as const;

/** What `details` of this bridge has (docs/home-assistant.md). */
interface Details {
  readonly form?: Form;
  readonly username?: string | null;
  readonly remote?: {
    readonly status: Bridge["status"];
    readonly since: string | null;
    readonly broker: string;
    readonly node: string | null;
  };
}

export function HomeAssistantPage() {
  const { t } = useTranslation("smart-homes");
  const query = useBridge("home_assistant");
  return (
    <Page title={t("home_assistant.title")} about={t("home_assistant.about")}>
      <Asked query={query}>
        {(bridge) => {
          const details = bridge.details as Details;
          return (
            <Stack>
              <BridgeCard bridge={bridge} />
              <Account details={details} />
              <Remote bridge={bridge} remote={details.remote} />
            </Stack>
          );
        }}
      </Asked>
    </Page>
  );
}

function Account({ details: { username, form } }: { readonly details: Details }) {
  const { t } = useTranslation("smart-homes");
  const confirm = useConfirm();
  const make = useMutation({
    mutationFn: () => take(hub.POST("/api/v1/bridges/home_assistant/account", { body: {} })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["bridges"] }),
  });
  const again = (): void =>
    confirm({ title: t("home_assistant.renew"), about: t("home_assistant.renew_about"), onYes: () => make.mutate() });
  return (
    <Card withBorder>
      <Stack gap="sm" align="stretch">
        <Title order={2} size="h4">
          {t("home_assistant.account")}
        </Title>
        {make.isError && <Failed error={make.error} />}
        {make.data && <Values made={make.data} onDone={make.reset} />}
        {username ? (
          <>
            {!make.data && <Copied label={t("home_assistant.username")} value={username} />}
            {form && <FormChoice form={form} />}
            <Button variant="default" loading={make.isPending} onClick={again} style={{ alignSelf: "flex-start" }}>
              {t("home_assistant.renew")}
            </Button>
          </>
        ) : (
          <>
            <Text size="sm">{t("home_assistant.none")}</Text>
            <Button loading={make.isPending} onClick={() => make.mutate()} style={{ alignSelf: "flex-start" }}>
              {t("home_assistant.create")}
            </Button>
          </>
        )}
      </Stack>
    </Card>
  );
}

function Values({ made, onDone }: { readonly made: Made; readonly onDone: () => void }) {
  const { t } = useTranslation("smart-homes");
  const [first, ...others] = made.listeners;
  return (
    <Stack gap="sm">
      <SecretOnce
        values={[
          [t("home_assistant.broker"), made.broker],
          [t("home_assistant.port"), String(made.port)],
          [t("home_assistant.username"), made.username],
          [t("home_assistant.password"), made.password],
        ]}
        onDone={onDone}
      />
      <List type="ordered" size="sm" style={{ overflowWrap: "anywhere" }}>
        <List.Item>{t("home_assistant.step_add")}</List.Item>
        <List.Item>{t("home_assistant.step_paste")}</List.Item>
        {first?.tls && (
          <List.Item>
            {t("home_assistant.step_ca")}{" "}
            <Anchor inherit href="/ca.pem">
              ca.pem
            </Anchor>
          </List.Item>
        )}
        <List.Item>{t("home_assistant.step_light")}</List.Item>
      </List>
      {others.map(({ host, port, tls }) => (
        <Text key={`${host}:${port}`} size="sm">
          {t(tls ? "home_assistant.also_tls" : "home_assistant.also_plain", { host, port })}
        </Text>
      ))}
      {made.discovery_prefix !== "homeassistant" && <Copied label={t("home_assistant.prefix")} value={made.discovery_prefix} />}
    </Stack>
  );
}

function FormChoice({ form }: { readonly form: Form }) {
  const { t } = useTranslation("smart-homes");
  const change = useMutation({
    mutationFn: (wanted: Form) => take(hub.PATCH("/api/v1/bridges/home_assistant/account", { body: { form: wanted } })),
    onSettled: () => queries.invalidateQueries({ queryKey: ["bridges"] }),
  });
  return (
    <>
      {change.isError && <Failed error={change.error} />}
      <Select
        label={t("home_assistant.form")}
        description={t("home_assistant.form_about")}
        data={FORMS.map((value) => ({ value, label: t(`home_assistant.forms.${value}`) }))}
        value={change.isPending ? change.variables : form}
        allowDeselect={false}
        disabled={change.isPending}
        onChange={(wanted) => wanted !== null && wanted !== form && change.mutate(wanted)}
      />
    </>
  );
}

function Remote({ bridge, remote }: { readonly bridge: Bridge; readonly remote: Details["remote"] }) {
  const { t } = useTranslation("smart-homes");
  return (
    <Card withBorder>
      <Stack gap="sm">
        <Title order={2} size="h4">
          {t("home_assistant.remote")}
        </Title>
        {remote ? (
          <>
            <BridgeStatus status={remote.status} since={remote.since} />
            <Copied label={t("home_assistant.broker")} value={remote.broker} />
            {remote.node !== null && <Text size="sm">{t("home_assistant.node", { node: remote.node })}</Text>}
            {remote.status !== "connected" && <Trouble error={bridge.last_error} />}
          </>
        ) : (
          <Text size="sm" style={{ overflowWrap: "anywhere" }}>
            {t("home_assistant.no_remote")}
          </Text>
        )}
      </Stack>
    </Card>
  );
}
