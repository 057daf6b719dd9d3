import { Anchor, Badge, Button, Card, Stack, Table, Title } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { Empty } from "../../parts/empty.tsx";
import { Failed } from "../../parts/failed.tsx";
import { Paged, usePages } from "../../parts/paged.tsx";
import { SecretOnce } from "../../parts/secret-once.tsx";
import { WideTable } from "../../parts/wide-table.tsx";
import { type NewWebhook as Wanted, useWebhookForm, WebhookFields, writtenOf } from "./webhook-form.tsx";

type Webhook = components["schemas"]["Webhook"];
const KEY = ["webhooks", "list"];
const PAGE = 50;
const BLANK = { name: "", url: "", events: [] };

/** Where events are sent to. */
export function Outgoing() {
  const { t } = useTranslation("webhooks");
  const query = usePages({
    queryKey: KEY,
    ask: (cursor) => take(hub.GET("/api/v1/webhooks", { params: { query: { limit: PAGE, ...cursor } } })),
  });
  return (
    <Stack>
      <Paged query={query} empty={<Empty title={t("none")}>{t("none_about")}</Empty>}>
        {(webhooks) => <WebhookTable webhooks={webhooks} />}
      </Paged>
      {query.data && <NewWebhook />}
    </Stack>
  );
}

function WebhookTable({ webhooks }: { readonly webhooks: readonly Webhook[] }) {
  const { t } = useTranslation("webhooks");
  const formats = useFormats();
  return (
    <WideTable minWidth={560} label={t("tab.out")}>
      <Table highlightOnHover>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("name")}</Table.Th>
            <Table.Th>{t("goes_to")}</Table.Th>
            <Table.Th>{t("events")}</Table.Th>
            <Table.Th>{t("state")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {webhooks.map((webhook) => (
            <Table.Tr key={webhook.id}>
              <Table.Td>
                <Anchor component={Link} to="/webhooks/$id" params={{ id: webhook.id } as never}>
                  {webhook.name}
                </Anchor>
              </Table.Td>
              <Table.Td>{URL.parse(webhook.url)?.host ?? webhook.url}</Table.Td>
              <Table.Td>{formats.list(webhook.events)}</Table.Td>
              <Table.Td>
                <WebhookState webhook={webhook} />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}

export function WebhookState({ webhook }: { readonly webhook: Webhook }) {
  const { t } = useTranslation("webhooks");
  const state = webhook.is_active ? (webhook.failing_since === null ? "on" : "failing") : "off";
  return (
    <Badge variant="dot" color={{ on: "teal", failing: "red", off: "gray" }[state]}>
      {t(`states.${state}`)}
    </Badge>
  );
}

function NewWebhook() {
  const { t } = useTranslation("webhooks");
  const form = useWebhookForm(BLANK);
  const make = useMutation({
    mutationFn: (body: Wanted) => take(hub.POST("/api/v1/webhooks", { body })),
    async onSuccess() {
      form.reset();
      await queries.invalidateQueries({ queryKey: KEY });
    },
  });
  return (
    <Card withBorder maw={560}>
      <form onSubmit={form.onSubmit((values) => make.mutate(writtenOf(values)))}>
        <Stack gap="sm">
          <Title order={2} size="h4">
            {t("make")}
          </Title>
          {make.isError && <Failed error={make.error} />}
          {make.data && (
            <SecretOnce values={[[t("secret"), make.data.secret]]} onDone={make.reset}>
              {t("secret_about")}
            </SecretOnce>
          )}
          <WebhookFields form={form} />
          <Button type="submit" loading={make.isPending} style={{ alignSelf: "flex-start" }}>
            {t("make")}
          </Button>
        </Stack>
      </form>
    </Card>
  );
}
