import Type, { type Static, type TSchema } from "typebox";
import { MINUTE_MS } from "./durations.ts";
import { HubError } from "./errors.ts";
import { NOTIFICATION_SOURCES, type NotificationSource, SEVERITIES, type Severity } from "./notification.ts";
import { isTimeZone } from "./place.ts";
import { parserFor } from "./validate.ts";
import { type WallTime, wallTime } from "./wall-clock.ts";
import { zoneOf } from "./zone.ts";

/** What goes out beside the list, the stream and the topic. */
const CHANNELS = ["email"] as const;
const WEEK = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;

const Channels = Type.Array(Type.Enum([...CHANNELS]), { maxItems: CHANNELS.length, uniqueItems: true });
const TimeOfDay = Type.String({ pattern: "^([01]\\d|2[0-3]):[0-5]\\d$" });

const QuietHours = Type.Object(
  {
    from: TimeOfDay,
    /** On the next day when it is not later than `from`. */
    to: TimeOfDay,
    time_zone: Type.String({ minLength: 1, maxLength: 64 }),
    /** On which they begin; all without it. */
    days: Type.Optional(Type.Array(Type.Enum([...WEEK]), { minItems: 1, maxItems: WEEK.length, uniqueItems: true })),
    /** Critical ones wait too. */
    critical_waits: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);
export type QuietHours = Static<typeof QuietHours>;

const MutedSource = Type.Object(
  {
    kind: Type.Enum([...NOTIFICATION_SOURCES]),
    id: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    /** Without it critical ones are told all the same: whoever mutes what is noisy does not mean the fire. */
    including_critical: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);

/** The members of `notification_settings` that the hub reads. Whatever else stands there is the console's own affair. */
const PARTS = {
  channels: Type.Object(Object.fromEntries(SEVERITIES.map((severity) => [severity, Type.Optional(Channels)])), {
    additionalProperties: false,
  }),
  quiet_hours: QuietHours,
  muted_sources: Type.Array(MutedSource, { maxItems: 200 }),
} satisfies Record<string, TSchema>;
type PartName = keyof typeof PARTS;
const PART_NAMES = Object.keys(PARTS) as PartName[];

export interface NotificationSettings {
  readonly channels: Readonly<Record<Severity, readonly (typeof CHANNELS)[number][]>>;
  readonly quietHours: QuietHours | undefined;
  readonly mutedSources: readonly Static<typeof MutedSource>[];
}

const PRESET_CHANNELS: NotificationSettings["channels"] = { info: [], warning: [], critical: ["email"] };

const parsers = {
  channels: parserFor(PARTS.channels),
  quiet_hours: parserFor(QuietHours),
  muted_sources: parserFor(PARTS.muted_sources),
};

/** Of what stands in the preferences. A member that says nothing sensible, for it was written before there was a schema, is left out. */
export function notificationSettingsOf(content: Readonly<Record<string, unknown>>): NotificationSettings {
  const channels = partOf(content["channels"], parsers.channels);
  return {
    channels: { ...PRESET_CHANNELS, ...channels },
    quietHours: partOf(content["quiet_hours"], (value) => checkedHours(parsers.quiet_hours(value))),
    mutedSources: partOf(content["muted_sources"], parsers.muted_sources) ?? [],
  };
}

function partOf<T>(value: unknown, parse: (value: unknown) => T): T | undefined {
  if (value === undefined) return undefined;
  try {
    return parse(value);
  } catch (error) {
    if (error instanceof HubError) return undefined;
    throw error;
  }
}

const parseSettings = parserFor(
  Type.Object({
    notification_settings: Type.Object(Object.fromEntries(PART_NAMES.map((name) => [name, Type.Optional(PARTS[name])]))),
  }),
);

/**
 * `content` is what `notification_settings` shall be, `changed` names what the caller changes of it: the rest may be older than
 * the schema. Throws `validation_error`.
 */
export function checkNotificationSettings(content: Readonly<Record<string, unknown>>, changed: readonly string[]): void {
  const named = PART_NAMES.filter((name) => changed.includes(name) && content[name] !== undefined);
  parseSettings({ notification_settings: Object.fromEntries(named.map((name) => [name, content[name]])) });
  if (named.includes("quiet_hours")) checkedHours(content["quiet_hours"] as QuietHours);
}

function checkedHours(hours: QuietHours): QuietHours {
  if (!isTimeZone(hours.time_zone)) throw wrong("time_zone", "is no time zone of the IANA database");
  if (hours.from === hours.to) throw wrong("to", "is the same as from: leave quiet_hours out, or end them a minute earlier");
  return hours;
}

function wrong(member: string, message: string): HubError {
  const path = `/notification_settings/quiet_hours/${member}`;
  return new HubError("validation_error", `${path} ${message}`, { details: [{ path, message }] });
}

export function isMuted(
  { mutedSources }: NotificationSettings,
  { source, severity }: { readonly source: NotificationSource; readonly severity: Severity },
): boolean {
  return mutedSources.some(
    ({ kind, id, including_critical: isWhole }) =>
      kind === source.kind && (id === undefined || id === source.id) && (severity !== "critical" || isWhole === true),
  );
}

/** When it goes out by e-mail, in ms since 1970: at once or when the quiet hours end. undefined when it does not. */
export function mailTime({ channels, quietHours }: NotificationSettings, severity: Severity, now: number): number | undefined {
  if (!channels[severity].includes("email")) return undefined;
  if (quietHours === undefined || (severity === "critical" && quietHours.critical_waits !== true)) return now;
  return quietUntil(quietHours, now) ?? now;
}

const DAY_MINUTES = 1_440;

/**
 * The first whole minute that is not quiet any more, in ms since 1970; undefined when it is not quiet now. What the clocks on the
 * wall show counts: hours that they skip are no quiet hours, and those that they show twice are quiet twice.
 */
export function quietUntil(hours: QuietHours, now: number): number | undefined {
  const shownAt = (instant: number): WallTime => wallTime(hours.time_zone, instant);
  const zone = zoneOf(hours.time_zone);
  let at = Math.floor(now / MINUTE_MS) * MINUTE_MS;
  if (!isQuiet(hours, shownAt(at))) return undefined;
  for (;;) {
    const end = at + ((minuteOf(hours.to) - shownAt(at).minute + DAY_MINUTES) % DAY_MINUTES) * MINUTE_MS;
    const { until: change } = zone.stretchAt(at);
    if (end < change) return end;
    // Set back or forward, the clocks may show another hour than the one that ends it, be it quiet or not.
    if (!isQuiet(hours, shownAt(change))) return change;
    at = change;
  }
}

function isQuiet({ from, to, days }: QuietHours, { day, minute }: WallTime): boolean {
  const [begin, end] = [minuteOf(from), minuteOf(to)];
  const beginsOn = (one: number): boolean => days === undefined || days.includes(WEEK[(one + 7) % 7] as (typeof WEEK)[number]);
  if (begin < end) return minute >= begin && minute < end && beginsOn(day);
  return minute >= begin ? beginsOn(day) : minute < end && beginsOn(day - 1);
}

function minuteOf(time: string): number {
  const [hour, minute] = time.split(":").map(Number) as [number, number];
  return hour * 60 + minute;
}
