import Type, { type Static } from "typebox";
import { type Action, parseActions } from "./action.ts";
import { MODES, type Mode } from "./automation.ts";
import { Command } from "./command.ts";
import { checkZone, DeviceUid } from "./condition.ts";
import { isFrequent, parseCron } from "./cron.ts";
import { fault, UuidText } from "./definition.ts";
import { parseRecurrence, parseTime, Recurrence } from "./recurrence.ts";
import { requireSmall } from "./validate.ts";

export const MISFIRE_POLICIES = ["skip", "once", "all"] as const;

/** Of one organisation. */
export const MOST_SCHEDULES = 10_000;
/** Times that are made up for at once. */
export const MOST_MADE_UP = 100;
const MAX_BYTES = 65_536;
const MAX_JSON_DEPTH = 32;
const DEFAULTS = { policy: "skip", limit: 10, grace_s: 3_600 } as const;

const Open = Type.Unsafe<unknown>({ type: "object", description: "docs/automations.md has the kinds" });
const Instant = Type.String({
  maxLength: 40,
  pattern: String.raw`^[1-9]\d{3}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$`,
  description: "ISO 8601 with Z or an offset",
});

const Misfire = Type.Object(
  {
    policy: Type.Optional(
      Type.Enum([...MISFIRE_POLICIES], {
        description:
          "Of times that were missed (the hub was off, or its clock went forward): none is run, one run stands for them all, or each has its own, one after the other; skip without it",
      }),
    ),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: MOST_MADE_UP, description: "Of `all`: the newest so many; 10 without it" })),
    grace_s: Type.Optional(
      Type.Integer({
        minimum: 10,
        maximum: 30 * 86_400,
        description: "Of `skip`: the last time is not missed, and run, while it is at most so late; 3600 without it",
      }),
    ),
  },
  { additionalProperties: false, title: "Misfire" },
);

export const ScheduleDefinition = Type.Object(
  {
    recurrence: Recurrence,
    actions: Type.Optional(Type.Array(Open, { minItems: 1, maxItems: 50, description: "Or `device` and `command`" })),
    device: Type.Optional(DeviceUid),
    command: Type.Optional(Command),
    time_zone: Type.Optional(Type.String({ minLength: 1, maxLength: 64, description: "IANA; the site's without it, or UTC" })),
    site_id: Type.Optional(UuidText),
    misfire: Type.Optional(Misfire),
    overlap: Type.Optional(Type.Enum([...MODES], { description: "When it is due while a run of it goes on; skip without it" })),
    starts_at: Type.Optional(Instant),
    ends_at: Type.Optional(Instant),
    max_runs: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1_000_000_000, description: "After so many, those by hand left out, it does not come again" }),
    ),
  },
  { additionalProperties: false, title: "ScheduleDefinition" },
);
export type ScheduleDefinition = Static<typeof ScheduleDefinition>;

export interface Schedule {
  readonly recurrence: Recurrence;
  readonly actions: readonly Action[];
  readonly timeZone?: string | undefined;
  readonly siteId?: string | undefined;
  readonly misfire: { readonly policy: (typeof MISFIRE_POLICIES)[number]; readonly limit: number; readonly graceMs: number };
  readonly overlap: Mode;
  /** ms since 1970; what comes before or after is none of its times. */
  readonly startsAt?: number | undefined;
  readonly endsAt?: number | undefined;
  readonly maxRuns?: number | undefined;
}

/** Throws `validation_error` with the path of the fault; whether what it names is there is for who knows the organisation. */
export function parseSchedule(input: ScheduleDefinition): Schedule {
  requireSmall(input, "/", { maxBytes: MAX_BYTES, maxDepth: MAX_JSON_DEPTH });
  checkZone(input.time_zone, "");
  const { policy, limit, grace_s: graceS } = { ...DEFAULTS, ...input.misfire };
  return {
    ...parseTimes(input),
    actions: parseDeeds(input),
    timeZone: input.time_zone,
    siteId: input.site_id,
    misfire: { policy, limit, graceMs: graceS * 1_000 },
    overlap: input.overlap ?? "skip",
    maxRuns: input.max_runs,
  };
}

/** When it comes. Throws `validation_error`. */
export function parseTimes(
  input: Pick<ScheduleDefinition, "recurrence" | "starts_at" | "ends_at">,
): Pick<Schedule, "recurrence" | "startsAt" | "endsAt"> {
  const instantOf = (text: string | undefined, path: string) => (text === undefined ? undefined : parseTime(text, path).instant);
  const startsAt = instantOf(input.starts_at, "/starts_at");
  const endsAt = instantOf(input.ends_at, "/ends_at");
  if (startsAt !== undefined && endsAt !== undefined && endsAt < startsAt) throw fault("/ends_at", "is before starts_at");
  return { recurrence: parseRecurrence(input.recurrence, "/recurrence"), startsAt, endsAt };
}

function parseDeeds({ actions, device, command }: ScheduleDefinition): readonly Action[] {
  if (actions !== undefined) {
    if (device !== undefined) throw fault("/device", "stands for actions: one of them");
    if (command !== undefined) throw fault("/command", "stands for actions: one of them");
    return parseActions(actions, "/actions");
  }
  if (device === undefined) throw fault("/actions", "are missing, or device and command");
  if (command === undefined) throw fault("/command", "is missing");
  return [{ kind: "command", device, command }];
}

/**
 * Whether it goes on by the time that goes by, and not by what the clock says: an interval, and a cron of all hours. Such a one does
 * not fall silent when the clock is set back; of the others each time comes once.
 */
export function followsRealTime(recurrence: Recurrence): boolean {
  return recurrence.kind === "interval" || (recurrence.kind === "cron" && isFrequent(parseCron(recurrence.expression, "/expression")));
}
