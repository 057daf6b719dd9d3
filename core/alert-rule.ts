import Type, { type Static } from "typebox";
import { type Action, parseActions } from "./action.ts";
import { checkZone, DeviceUid, SensorKey } from "./condition.ts";
import { fault, UuidText } from "./definition.ts";
import { SEVERITIES, type Severity } from "./notification.ts";
import { nextRun, parseRecurrence, type Recurrence, type RecurrenceContext } from "./recurrence.ts";
import { requireSmall } from "./validate.ts";

const closed = { additionalProperties: false } as const;
const DAY_S = 86_400;
const Seconds = (minimum: number, maximum: number, description: string) => Type.Number({ minimum, maximum, description });
const Users = Type.Array(UuidText, { minItems: 1, maxItems: 100, uniqueItems: true });
const SeverityField = Type.Enum([...SEVERITIES]);
const Time = Type.String({ format: "date-time", maxLength: 40 });

const CONDITIONS = [
  Type.Object(
    {
      kind: Type.Literal("threshold"),
      key: SensorKey,
      above: Type.Optional(Type.Number()),
      below: Type.Optional(Type.Number()),
      hysteresis: Type.Optional(Type.Number({ minimum: 0, description: "How far the value has to come back before it is fine" })),
    },
    { ...closed, title: "ThresholdCondition", description: "A value lies above, below, or between the two" },
  ),
  Type.Object(
    { kind: Type.Literal("absence"), key: Type.Optional(SensorKey) },
    { ...closed, title: "AbsenceCondition", description: "No reading of the key, or without one no message, for for_s" },
  ),
  Type.Object(
    {
      kind: Type.Literal("rate"),
      key: SensorKey,
      more_than: Type.Number({ exclusiveMinimum: 0 }),
      per: Type.Enum(["minute", "hour"]),
      direction: Type.Optional(Type.Enum(["rise", "fall", "any"], { description: "any without it" })),
      window_s: Seconds(0.1, DAY_S, "Over which the change is taken; half of it has to be there"),
    },
    { ...closed, title: "RateCondition", description: "A value changes faster than this" },
  ),
  Type.Object(
    {
      kind: Type.Literal("device_offline"),
      gather_s: Type.Optional(
        Seconds(0, 600, "So long it waits before it tells anybody, to tell the loss of a site or gateway once; 60 without it, 0 for never"),
      ),
    },
    { ...closed, title: "OfflineCondition" },
  ),
  Type.Object(
    {
      kind: Type.Literal("event"),
      type: Type.String({ pattern: "^[a-z][a-z0-9_]*(\\.[a-z0-9_-]+)+$", maxLength: 100 }),
      count: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, description: "So many of one device in the window; 1 without it" })),
      window_s: Seconds(0.1, DAY_S, "It is fine again when there are fewer in a window of so long"),
    },
    { ...closed, title: "EventCondition" },
  ),
] as const;
export type AlertCondition = Static<(typeof CONDITIONS)[number]>;
export type ConditionOf<K extends AlertCondition["kind"]> = Extract<AlertCondition, { kind: K }>;

const SILENCES = [
  Type.Object({ kind: Type.Literal("between"), from: Time, until: Time }, { ...closed, title: "SilenceBetween" }),
  Type.Object(
    {
      kind: Type.Literal("recurring"),
      recurrence: Type.Unsafe<unknown>({ type: "object", description: "A Recurrence: when it begins" }),
      for_s: Seconds(1, 7 * DAY_S, "How long it lasts"),
    },
    { ...closed, title: "SilenceRecurring" },
  ),
] as const;
type SilenceInput = Static<(typeof SILENCES)[number]>;

const tagged = <T>(kinds: readonly object[], title: string) =>
  Type.Unsafe<T>({ type: "object", title, discriminator: { propertyName: "kind" }, oneOf: [...kinds] });

export const AlertRuleDefinition = Type.Object(
  {
    condition: tagged<AlertCondition>(CONDITIONS, "AlertCondition"),
    severity: SeverityField,
    device: Type.Optional(DeviceUid),
    site_id: Type.Optional(UuidText),
    room_id: Type.Optional(UuidText),
    for_s: Type.Optional(Seconds(0.1, 30 * DAY_S, "So long it has to be bad before it fires; of absence the silence itself")),
    resolve_after_s: Type.Optional(Seconds(0, 30 * DAY_S, "So long it has to be fine before it resolves")),
    notify: Type.Optional(
      Type.Object(
        {
          users: Type.Optional(Users),
          resolved: Type.Optional(Type.Boolean({ description: "Also when it is over; true without it" })),
        },
        { ...closed, title: "AlertNotify", description: "Everybody who may see alerts, without users" },
      ),
    ),
    escalate: Type.Optional(
      Type.Array(
        Type.Object(
          {
            after_s: Seconds(0.1, 30 * DAY_S, "After it was raised, unless somebody has acknowledged it"),
            severity: Type.Optional(SeverityField),
            users: Type.Optional(Users),
          },
          { ...closed, title: "AlertEscalation" },
        ),
        { maxItems: 10 },
      ),
    ),
    actions: Type.Optional(
      Type.Array(Type.Unsafe<unknown>({ type: "object" }), {
        minItems: 1,
        maxItems: 50,
        description: "Done when it fires, as of automations",
      }),
    ),
    silences: Type.Optional(
      Type.Array(tagged<SilenceInput>(SILENCES, "AlertSilence"), { maxItems: 20, description: "When nobody is told" }),
    ),
    time_zone: Type.Optional(Type.String({ minLength: 1, maxLength: 64, description: "IANA; of silences" })),
  },
  { ...closed, title: "AlertRuleDefinition" },
);
export type AlertRuleInput = Static<typeof AlertRuleDefinition>;

export type Silence =
  | { readonly kind: "between"; readonly from: number; readonly until: number }
  | { readonly kind: "recurring"; readonly recurrence: Recurrence; readonly forMs: number };

export interface AlertDefinition {
  readonly condition: AlertCondition;
  readonly severity: Severity;
  readonly device?: string | undefined;
  readonly siteId?: string | undefined;
  readonly roomId?: string | undefined;
  readonly forMs: number;
  readonly resolveAfterMs: number;
  readonly users: readonly string[] | undefined;
  readonly tellsResolved: boolean;
  /** The earliest first. */
  readonly escalate: readonly { readonly afterMs: number; readonly severity?: Severity | undefined; readonly users?: readonly string[] }[];
  readonly actions: readonly Action[];
  readonly silences: readonly Silence[];
  readonly timeZone?: string | undefined;
}

/** Of an organisation. */
export const MOST_ALERT_RULES = 2_000;
const GATHER_S = 60;
/** Later years are written with a sign, which no database here reads as a time. */
const LATEST_MS = Date.UTC(10_000, 0, 1) - 1;

/** Throws `validation_error` with the path of the fault. */
export function parseAlertDefinition(input: AlertRuleInput): AlertDefinition {
  requireSmall(input, "/", { maxBytes: 65_536, maxDepth: 32 });
  checkCondition(input);
  checkZone(input.time_zone, "");
  if ([input.device, input.site_id, input.room_id].filter((one) => one !== undefined).length > 1)
    throw fault("/device", "goes without site_id and room_id, and these without each other");
  return {
    condition: input.condition,
    severity: input.severity,
    device: input.device,
    siteId: input.site_id?.toLowerCase(),
    roomId: input.room_id?.toLowerCase(),
    forMs: (input.for_s ?? 0) * 1_000,
    resolveAfterMs: (input.resolve_after_s ?? 0) * 1_000,
    users: input.notify?.users?.map((id) => id.toLowerCase()),
    tellsResolved: input.notify?.resolved ?? true,
    escalate: (input.escalate ?? [])
      .map(({ after_s: afterS, severity, users }) => ({
        afterMs: afterS * 1_000,
        severity,
        ...(users === undefined ? {} : { users: users.map((id) => id.toLowerCase()) }),
      }))
      .toSorted((a, b) => a.afterMs - b.afterMs),
    actions: input.actions === undefined ? [] : parseActions(input.actions, "/actions"),
    silences: (input.silences ?? []).map(parseSilence),
    timeZone: input.time_zone,
  };
}

/** How long the loss of a device waits for others. */
export const gatherMsOf = (condition: AlertCondition): number =>
  condition.kind === "device_offline" ? (condition.gather_s ?? GATHER_S) * 1_000 : 0;

/** The end of the silence in which `at` lies, whichever windows make it up; undefined when there is none. */
export function silenceEnd(silences: readonly Silence[], at: number, context: RecurrenceContext): number | undefined {
  let end = at;
  // One that comes again before it ends never does: so many times it is looked at, and again when it is over.
  for (let round = 0; round <= silences.length; round++) {
    const later = Math.max(...silences.map((silence) => endOf(silence, end, context)), end);
    if (later === end) break;
    end = later;
  }
  return end === at ? undefined : end;
}

function endOf(silence: Silence, at: number, context: RecurrenceContext): number {
  if (silence.kind === "between") return silence.from <= at && at < silence.until ? silence.until : at;
  const begun = nextRun(silence.recurrence, at - silence.forMs, context);
  return begun === undefined || begun > at ? at : begun + silence.forMs;
}

function parseSilence(silence: SilenceInput, index: number): Silence {
  const path = `/silences/${index}`;
  if (silence.kind === "recurring")
    return {
      kind: "recurring",
      recurrence: parseRecurrence(silence.recurrence, `${path}/recurrence`),
      forMs: silence.for_s * 1_000,
    };
  const [from, until] = [Date.parse(silence.from), Date.parse(silence.until)];
  // Date.parse gives no number for the 60th second.
  if (!(until > from)) throw fault(`${path}/until`, "is not after from");
  if (until > LATEST_MS) throw fault(`${path}/until`, "is after the year 9999");
  return { kind: "between", from, until };
}

function checkCondition({ condition, for_s: forS }: AlertRuleInput): void {
  if (condition.kind === "absence" && forS === undefined) throw fault("/for_s", "says how long nothing may come");
  if (condition.kind === "event" && condition.type.startsWith("alert.")) throw fault("/condition/type", "is what alerts make themselves");
  if (condition.kind !== "threshold") return;
  const { above, below } = condition;
  if (above === undefined && below === undefined) throw fault("/condition", "needs above or below");
  if (above !== undefined && below !== undefined && above >= below)
    throw fault("/condition/below", "is not more than above: nothing lies between them");
}
