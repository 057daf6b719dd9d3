import { Button, Card, Group, MultiSelect, Stack, TagsInput, TextInput } from "@mantine/core";
import { type UseFormReturnType, useForm } from "@mantine/form";
import { useTranslation } from "react-i18next";
import { hub } from "../../hub/client.ts";
import type { components } from "../../hub/schema.d.ts";
import { ifMatch, type Tagged, takeTagged } from "../../hub/tagged.ts";
import { Failed } from "../../parts/failed.tsx";
import { useDeviceChoices } from "../definition/devices.tsx";
import { type FormTerms, useEdited } from "../definition/edited.tsx";
import { isSame, patchBetween } from "../definition/merge-patch.ts";

export type OneWebhook = Tagged<components["schemas"]["OneWebhook"]>;
export type NewWebhook = Pick<components["schemas"]["WebhookRequest"], "name" | "url" | "events" | "devices">;
/** As the fields hold them; no devices: all of them. */
type Values = Required<Pick<NewWebhook, "name" | "url" | "events">> & { readonly devices: string[] };

/** Proposals: the hub knows the rest. */
const PATTERNS = [
  "*",
  "device.*",
  "device.online",
  "device.offline",
  "sensor.*",
  "command.*",
  "command.failed",
  "automation.*",
  "schedule.*",
  "alert.*",
  "alert.raised",
  "alert.resolved",
  "bridge.*",
  "scene.*",
  "task.*",
  "custom.*",
];
const MOST_DEVICES = 100;

export function useWebhookForm({ name, url, events, devices = [] }: NewWebhook): UseFormReturnType<Values> {
  const { t } = useTranslation("webhooks");
  return useForm<Values>({
    initialValues: { name, url, events, devices },
    validate: { events: (chosen) => (chosen.length === 0 ? t("event_needed") : null) },
  });
}

export const writtenOf = ({ devices, ...webhook }: Values): NewWebhook => (devices.length === 0 ? webhook : { ...webhook, devices });

export function WebhookFields({ form }: { readonly form: UseFormReturnType<Values> }) {
  const { t } = useTranslation("webhooks");
  const { devices, onSearch } = useDeviceChoices();
  const names = new Map(form.values.devices.map((id) => [id, id]));
  for (const { id, name } of devices) names.set(id, name);
  return (
    <>
      <TextInput label={t("name")} required maxLength={120} {...form.getInputProps("name")} />
      <TextInput label={t("url")} description={t("url_about")} type="url" required maxLength={2_048} {...form.getInputProps("url")} />
      <TagsInput
        label={t("events")}
        description={t("events_about")}
        withAsterisk
        data={PATTERNS}
        acceptValueOnBlur
        {...form.getInputProps("events")}
      />
      <MultiSelect
        label={t("devices")}
        description={t("devices_about")}
        placeholder={form.values.devices.length === 0 ? t("choose_devices") : ""}
        searchable
        onSearchChange={onSearch}
        maxValues={MOST_DEVICES}
        data={[...names].map(([value, label]) => ({ value, label }))}
        {...form.getInputProps("devices")}
      />
    </>
  );
}

const draftOf = ({ webhook: { name, url, events, devices } }: OneWebhook["data"]): NewWebhook => ({
  name,
  url,
  events,
  ...(devices === null ? {} : { devices }),
});

export const webhookKey = (id: string) => ["webhooks", "one", id];

export function EditedWebhook({ one }: { readonly one: OneWebhook }) {
  const { id } = one.data.webhook;
  const { key, form } = useEdited({
    one,
    queryKey: webhookKey(id),
    draftOf,
    send: (draft, { data, tag }) =>
      takeTagged(
        hub.PATCH("/api/v1/webhooks/{id}", { params: { path: { id }, header: ifMatch(tag) }, body: patchBetween(draftOf(data), draft) }),
      ),
  });
  return <WebhookForm key={key} {...form} />;
}

function WebhookForm({ initial, start = initial, error, isPending, onSubmit, notice }: FormTerms<NewWebhook>) {
  const { t } = useTranslation("webhooks");
  const form = useWebhookForm(start);
  const written = writtenOf(form.values);
  return (
    <Card withBorder maw={560}>
      <form onSubmit={form.onSubmit(() => onSubmit(written))}>
        <Stack gap="sm">
          <WebhookFields form={form} />
          {notice?.(written)}
          {error && <Failed error={error} />}
          <Group>
            <Button type="submit" loading={isPending} disabled={isSame(written, initial)}>
              {t("shell:save")}
            </Button>
          </Group>
        </Stack>
      </form>
    </Card>
  );
}
