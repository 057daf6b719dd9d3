import { List, NumberInput, Select, Stack, Text, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { Asked } from "../../parts/asked.tsx";
import { Failed } from "../../parts/failed.tsx";
import { DaysField } from "./days-field.tsx";
import { cronOf, dailyOf, type Recurrence } from "./recurrence.ts";

interface RecurrenceProps {
  readonly value: Recurrence;
  readonly onChange: (recurrence: Recurrence) => void;
}

const KINDS = ["daily", "interval", "sun", "once", "cron"] as const;
const SUN = ["sunrise", "sunset", "dawn", "dusk", "solar_noon"] as const;
const PRESETS: Readonly<Record<(typeof KINDS)[number], () => Recurrence>> = {
  daily: () => ({ kind: "cron", expression: "0 8 * * *" }),
  interval: () => ({ kind: "interval", every_s: 900 }),
  sun: () => ({ kind: "sun", event: "sunset" }),
  once: () => ({ kind: "once", at: "" }),
  cron: () => ({ kind: "cron", expression: "*/15 * * * *" }),
};

export function RecurrenceFields({ value, onChange }: RecurrenceProps) {
  const { t } = useTranslation("definition");
  // A cron that could be told as a time of day stays a cron for whoever writes one.
  const [isWritten, setWritten] = useState(() => dailyOf(value) === undefined);
  const kind = value.kind === "cron" && !isWritten && dailyOf(value) ? "daily" : value.kind;
  return (
    <>
      <Select
        label={t("field.recurrence")}
        required
        allowDeselect={false}
        data={KINDS.map((one) => ({ value: one, label: t(`recurrence.${one}`) }))}
        value={kind}
        onChange={(one) => {
          const wanted = KINDS.find((known) => known === one);
          if (!wanted || wanted === kind) return;
          setWritten(wanted === "cron");
          onChange(wanted === "cron" && value.kind === "cron" ? value : PRESETS[wanted]());
        }}
      />
      {kind === "daily" ? <DailyFields value={value} onChange={onChange} /> : <OtherFields value={value} onChange={onChange} />}
    </>
  );
}

function DailyFields({ value, onChange }: RecurrenceProps) {
  const { t } = useTranslation("definition");
  const daily = dailyOf(value);
  if (value.kind !== "cron" || !daily) return null;
  return (
    <>
      <TextInput
        type="time"
        label={t("field.time")}
        required
        value={daily.time}
        onChange={({ currentTarget: { value: time } }) => time && onChange({ ...value, expression: cronOf({ ...daily, time }) })}
      />
      <DaysField
        value={daily.days}
        onChange={(days) => onChange({ ...value, expression: cronOf({ ...daily, days }) })}
        description={t("every_day")}
      />
    </>
  );
}

function OtherFields({ value, onChange }: RecurrenceProps) {
  const { t } = useTranslation("definition");
  switch (value.kind) {
    case "cron":
      return (
        <TextInput
          label={t("field.expression")}
          description={t("cron_about")}
          required
          maxLength={200}
          value={value.expression}
          onChange={({ currentTarget }) => onChange({ ...value, expression: currentTarget.value })}
        />
      );
    case "once":
      return (
        <TextInput
          // An instant with its offset is no time on a wall.
          type={/(Z|[+-]\d\d:\d\d)$/.test(value.at) ? "text" : "datetime-local"}
          label={t("field.at")}
          required
          value={value.at}
          onChange={({ currentTarget }) => onChange({ ...value, at: currentTarget.value })}
        />
      );
    case "interval":
      return (
        <NumberInput
          label={t("field.every")}
          required
          hideControls
          min={1 / 60}
          decimalScale={2}
          value={value.every_s / 60}
          onChange={(minutes) => typeof minutes === "number" && onChange({ ...value, every_s: Math.max(1, Math.round(minutes * 60)) })}
        />
      );
    case "sun":
      return <SunFields value={value} onChange={onChange} />;
  }
}

interface SunProps {
  readonly value: Extract<Recurrence, { kind: "sun" }>;
  readonly onChange: (recurrence: Recurrence) => void;
}

function SunFields({ value, onChange }: SunProps) {
  const { t } = useTranslation("definition");
  return (
    <>
      <Select
        label={t("field.sun")}
        required
        allowDeselect={false}
        data={SUN.map((one) => ({ value: one, label: t(`sun.${one}`) }))}
        value={value.event}
        onChange={(one) => onChange({ ...value, event: SUN.find((known) => known === one) ?? "sunset" })}
      />
      <NumberInput
        label={t("field.offset")}
        hideControls
        value={value.offset_s === undefined ? "" : value.offset_s / 60}
        onChange={(minutes) => onChange(withNumber(value, "offset_s", typeof minutes === "number" ? Math.round(minutes * 60) : undefined))}
      />
      {(["latitude", "longitude"] as const).map((name) => (
        <NumberInput
          key={name}
          label={t(`field.${name}`)}
          description={t("of_site")}
          hideControls
          value={value[name] ?? ""}
          onChange={(degrees) => onChange(withNumber(value, name, typeof degrees === "number" ? degrees : undefined))}
        />
      ))}
    </>
  );
}

function withNumber<T extends object>(value: T, name: keyof T, number: number | undefined): T {
  const { [name]: _before, ...rest } = value;
  return (number === undefined ? rest : { ...rest, [name]: number }) as T;
}

const TYPING_MS = 300;
const SHOWN = 5;

/** When it would come, as the hub counts it. */
export function Preview({ recurrence, timeZone }: { readonly recurrence: Recurrence; readonly timeZone: string | undefined }) {
  const { t } = useTranslation("definition");
  const formats = useFormats();
  const [asked] = useDebouncedValue(JSON.stringify({ recurrence, ...(timeZone ? { time_zone: timeZone } : {}), count: SHOWN }), TYPING_MS);
  const query = useQuery({
    queryKey: ["schedules", "preview", asked],
    queryFn: () => take(hub.POST("/api/v1/schedules/preview", { body: JSON.parse(asked) })),
    placeholderData: keepPreviousData,
  });
  if (query.isError) return <Failed error={query.error} />;
  return (
    <Stack gap={4} aria-live="polite">
      <Text size="sm" fw={600}>
        {t("next_runs")}
      </Text>
      <Asked query={query}>
        {({ next_runs: runs }) =>
          runs.length === 0 ? (
            <Text size="sm">{t("never")}</Text>
          ) : (
            <List size="sm">
              {runs.map((at) => (
                <List.Item key={at}>{formats.dateTime(at)}</List.Item>
              ))}
            </List>
          )
        }
      </Asked>
    </Stack>
  );
}
