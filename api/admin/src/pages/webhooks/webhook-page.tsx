import { Alert, Button, Card, Group, Stack, Switch, Title } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { takeTagged } from "../../hub/tagged.ts";
import { Asked } from "../../parts/asked.tsx";
import { useConfirm } from "../../parts/confirm.tsx";
import { Copied } from "../../parts/copied.tsx";
import { Failed } from "../../parts/failed.tsx";
import { Page } from "../../parts/page.tsx";
import { Removal } from "../../parts/removal.tsx";
import { SecretOnce } from "../../parts/secret-once.tsx";
import { TabViews } from "../../parts/tab-views.tsx";
import { useUrlFilters } from "../../parts/url-filters.ts";
import { Deliveries } from "./deliveries.tsx";
import { WebhookState } from "./outgoing.tsx";
import { EditedWebhook, type OneWebhook, webhookKey } from "./webhook-form.tsx";

type Webhook = components["schemas"]["Webhook"];
const EVERY_MS = 5_000;
/** One field alone is set, whatever the others are by now. */
const WHATEVER = { "if-match": "*" };

export function WebhookPage() {
  const { id } = useParams({ from: "/shell/webhooks/$id" });
  const query = useQuery({
    queryKey: webhookKey(id),
    queryFn: () => takeTagged(hub.GET("/api/v1/webhooks/{id}", { params: { path: { id } } })),
    refetchInterval: EVERY_MS,
  });
  return <Asked query={query}>{(one) => <Shown one={one} />}</Asked>;
}

function Shown({ one }: { readonly one: OneWebhook }) {
  const { t } = useTranslation(["webhooks", "definition"]);
  const formats = useFormats();
  const { filters, set } = useUrlFilters();
  const { webhook } = one.data;
  const views = [
    { name: "deliveries", label: t("deliveries"), content: <Deliveries webhook={webhook} /> },
    { name: "settings", label: t("tab.settings"), content: <EditedWebhook one={one} /> },
  ];
  return (
    <Page title={webhook.name} about={formats.list(webhook.events)} actions={<WebhookState webhook={webhook} />}>
      <Stack>
        <Card withBorder>
          <Stack gap="sm">
            <Title order={2} size="h4">
              {t("sending")}
            </Title>
            <Copied label={t("url")} value={webhook.url} />
            <Troubles webhook={webhook} />
            <Doings webhook={webhook} />
          </Stack>
        </Card>
        <TabViews shown={filters["tab"]} onShow={(tab) => set({ tab })} views={views} />
      </Stack>
    </Page>
  );
}

function Troubles({ webhook }: { readonly webhook: Webhook }) {
  const { t } = useTranslation("webhooks");
  const formats = useFormats();
  const told = [
    webhook.disabled_reason !== null && t(`disabled.${webhook.disabled_reason}`),
    webhook.failing_since !== null && t("failing", { count: webhook.failure_count, when: formats.ago(webhook.failing_since) }),
    webhook.dropped > 0 && t("dropped", { number: formats.number(webhook.dropped) }),
  ].filter((text) => text !== false);
  return told.map((text) => (
    <Alert key={text} color="yellow" role="status">
      {text}
    </Alert>
  ));
}

function Doings({ webhook: { id, name, is_active: isActive } }: { readonly webhook: Webhook }) {
  const { t } = useTranslation("webhooks");
  const navigate = useNavigate();
  const confirm = useConfirm();
  const onSettled = () => queries.invalidateQueries({ queryKey: ["webhooks"] });
  const path = { path: { id } };
  const toggle = useMutation({
    mutationFn: (wanted: boolean) =>
      take(hub.PATCH("/api/v1/webhooks/{id}", { params: { ...path, header: WHATEVER }, body: { is_active: wanted } })),
    onSettled,
  });
  const test = useMutation({ mutationFn: () => take(hub.POST("/api/v1/webhooks/{id}/test", { params: path })), onSettled });
  const rotate = useMutation({ mutationFn: () => take(hub.POST("/api/v1/webhooks/{id}/rotate-secret", { params: path })), onSettled });
  const askRotate = (): void => confirm({ title: t("rotate"), about: t("rotate_about"), onYes: () => rotate.mutate() });
  const leave = async (): Promise<void> => {
    await navigate({ to: "/webhooks" });
    queries.removeQueries({ queryKey: ["webhooks", "one", id] });
    await queries.invalidateQueries({ queryKey: ["webhooks"] });
  };
  const failed = [toggle, test, rotate].find(({ isError }) => isError);
  return (
    <>
      {failed && <Failed error={failed.error} />}
      {rotate.data && (
        <SecretOnce values={[[t("secret"), rotate.data.secret]]} onDone={rotate.reset}>
          {t("both")}
        </SecretOnce>
      )}
      <Group gap="sm">
        <Switch
          label={t("active")}
          checked={toggle.isPending ? toggle.variables : isActive}
          disabled={toggle.isPending}
          onChange={({ currentTarget }) => toggle.mutate(currentTarget.checked)}
        />
        <Button size="xs" loading={test.isPending} disabled={!isActive} onClick={() => test.mutate()}>
          {t("test")}
        </Button>
        <Button size="xs" variant="default" loading={rotate.isPending} onClick={askRotate}>
          {t("rotate")}
        </Button>
        <Removal
          name={name}
          button={{ size: "xs" }}
          remove={() => take(hub.DELETE("/api/v1/webhooks/{id}", { params: { ...path, header: WHATEVER } }))}
          onRemoved={leave}
        >
          {t("remove_about")}
        </Removal>
      </Group>
    </>
  );
}
