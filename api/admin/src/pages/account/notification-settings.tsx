import { Button, Checkbox, Fieldset, Group, Stack, Switch, Text, TextInput } from "@mantine/core";
import { useForm, type UseFormReturnType } from "@mantine/form";
import { notifications } from "@mantine/notifications";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useZone } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { preferences } from "../../hub/preferences.ts";
import { queries } from "../../hub/queries.ts";
import { Asked } from "../../parts/asked.tsx";
import { Failed } from "../../parts/failed.tsx";
import { Waiting } from "../../parts/waiting.tsx";

const SEVERITIES = ["info", "warning", "critical"] as const;
const WEEK = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
/** A Monday: the days get their names from the browser. */
const MONDAY_MS = Date.UTC(2024, 0, 1);
const DAY_MS = 86_400_000;

/** What the hub reads of `notification_settings`. */
interface Kept {
  readonly channels?: Readonly<Partial<Record<(typeof SEVERITIES)[number], readonly string[]>>>;
  readonly quiet_hours?: {
    readonly from: string;
    readonly to: string;
    readonly time_zone: string;
    readonly days?: readonly string[];
    readonly critical_waits?: boolean;
  };
}

interface Values {
  /** Severities of which a mail goes out. */
  mailed: string[];
  isQuiet: boolean;
  from: string;
  to: string;
  zone: string;
  days: string[];
  criticalWaits: boolean;
}

export function NotificationSettings() {
  const query = useQuery(preferences);
  // What is presumed until the hub answers is nothing to write on.
  if (query.dataUpdatedAt === 0 && !query.isError) return <Waiting />;
  return <Asked query={query}>{({ notification_settings: kept }) => <Settings kept={kept} />}</Asked>;
}

function Settings({ kept }: { readonly kept: Kept }) {
  const { t } = useTranslation("account");
  const form = useForm<Values>({ initialValues: valuesOf(kept, useZone()) });
  const save = useMutation({
    mutationFn: (values: Values) => take(hub.PATCH("/api/v1/preferences", { body: { notification_settings: patchOf(values) } })),
    onSuccess(after) {
      queries.setQueryData(preferences.queryKey, after);
      notifications.show({ message: t("saved") });
    },
  });
  return (
    <form onSubmit={form.onSubmit((values) => save.mutate(values))}>
      <Stack>
        <Checkbox.Group label={t("mails")} description={t("mails_about")} {...form.getInputProps("mailed")}>
          <Group mt="xs">
            {SEVERITIES.map((severity) => (
              <Checkbox key={severity} value={severity} label={t(`severities.${severity}`)} />
            ))}
          </Group>
        </Checkbox.Group>
        <Switch label={t("quiet")} description={t("quiet_about")} {...form.getInputProps("isQuiet", { type: "checkbox" })} />
        {form.values.isQuiet && <QuietHours form={form} />}
        {save.isError && <Failed error={save.error} />}
        <div>
          <Button type="submit" variant="default" loading={save.isPending}>
            {t("save_notifications")}
          </Button>
        </div>
      </Stack>
    </form>
  );
}

function QuietHours({ form }: { readonly form: UseFormReturnType<Values> }) {
  const { t, i18n } = useTranslation("account");
  const names = new Intl.DateTimeFormat(i18n.language === "en-XA" ? "en" : i18n.language, { weekday: "short", timeZone: "UTC" });
  return (
    <Fieldset legend={t("quiet")}>
      <Stack>
        <Group>
          <TextInput label={t("from")} type="time" required {...form.getInputProps("from")} />
          <TextInput label={t("to")} type="time" required {...form.getInputProps("to")} />
        </Group>
        <TextInput label={t("zone")} required maxLength={64} {...form.getInputProps("zone")} />
        <Checkbox.Group label={t("days_begin")} {...form.getInputProps("days")}>
          <Group mt="xs">
            {WEEK.map((day, index) => (
              <Checkbox key={day} value={day} label={names.format(MONDAY_MS + index * DAY_MS)} />
            ))}
          </Group>
        </Checkbox.Group>
        {form.values.days.length === 0 && <Text size="sm">{t("days_all")}</Text>}
        <Switch label={t("critical_waits")} {...form.getInputProps("criticalWaits", { type: "checkbox" })} />
      </Stack>
    </Fieldset>
  );
}

/** Preset is what the hub takes for preset (core/notification-settings.ts). */
function valuesOf({ channels, quiet_hours: quiet }: Kept, zone: string): Values {
  const chosen = { critical: ["email"], ...channels };
  return {
    mailed: SEVERITIES.filter((severity) => (chosen as NonNullable<Kept["channels"]>)[severity]?.includes("email")),
    isQuiet: quiet !== undefined,
    from: quiet?.from ?? "22:00",
    to: quiet?.to ?? "07:00",
    zone: quiet?.time_zone ?? zone,
    days: [...(quiet?.days ?? WEEK)],
    criticalWaits: quiet?.critical_waits ?? false,
  };
}

function patchOf({ mailed, isQuiet, from, to, zone, days, criticalWaits }: Values): Record<string, unknown> {
  const channels = Object.fromEntries(SEVERITIES.map((severity) => [severity, mailed.includes(severity) ? ["email"] : []]));
  const isEveryDay = days.length === 0 || days.length === WEEK.length;
  return {
    channels,
    quiet_hours: isQuiet ? { from, to, time_zone: zone, days: isEveryDay ? null : days, critical_waits: criticalWaits } : null,
  };
}
