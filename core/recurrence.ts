import { createHash } from "node:crypto";
import Type, { type Static } from "typebox";
import { nextCronRun } from "./cron-runs.ts";
import { parseCron } from "./cron.ts";
import { HubError } from "./errors.ts";
import { isTimeZone } from "./place.ts";
import { type Coordinates, nextSunEvent, SUN_EVENTS } from "./sun.ts";
import { parserFor } from "./validate.ts";
import { firstShowing, type Wall, zoneOf } from "./zone.ts";

const WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] as const;
const YEAR_TO_MINUTE = String.raw`[1-9]\d{3}-\d\d-\d\dT\d\d:\d\d`;
const OFFSET = String.raw`Z|[+-]\d\d:\d\d`;
const TimeZone = Type.String({
  minLength: 1,
  maxLength: 64,
  description: "A name of the IANA's time zone database. Without it the site's or the organisation's",
});

const CronRecurrence = Type.Object(
  {
    kind: Type.Literal("cron"),
    expression: Type.String({
      minLength: 1,
      maxLength: 200,
      description:
        "Minute, hour, day of month, month, day of week, with seconds before them if there are six; names, L and # as in `0 8 * * MON#1`; or @daily and the like",
    }),
    time_zone: Type.Optional(TimeZone),
    jitter_s: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 3_600, description: "Each run is late by up to so many seconds; by how many is fixed for each" }),
    ),
  },
  { additionalProperties: false, title: "CronRecurrence" },
);
const OnceRecurrence = Type.Object(
  {
    kind: Type.Literal("once"),
    at: Type.String({
      maxLength: 40,
      pattern: `^${YEAR_TO_MINUTE}(:\\d\\d(\\.\\d{1,3})?)?(${OFFSET})?$`,
      description: "ISO 8601; without Z or an offset it is what the clocks of the time zone show",
    }),
    time_zone: Type.Optional(TimeZone),
  },
  { additionalProperties: false, title: "OnceRecurrence" },
);
const IntervalRecurrence = Type.Object(
  {
    kind: Type.Literal("interval"),
    every_s: Type.Integer({ minimum: 1, maximum: 366 * 86_400 }),
    starting_at: Type.Optional(
      Type.String({
        maxLength: 40,
        pattern: `^${YEAR_TO_MINUTE}:\\d\\d(\\.\\d{1,3})?(${OFFSET})$`,
        description: "The first run, from which all are counted; without it, when the schedule was made",
      }),
    ),
  },
  { additionalProperties: false, title: "IntervalRecurrence" },
);
const SunRecurrence = Type.Object(
  {
    kind: Type.Literal("sun"),
    event: Type.Enum([...SUN_EVENTS], { description: "Dawn and dusk are civil: the sun is 6° below the horizon" }),
    offset_s: Type.Optional(Type.Integer({ minimum: -43_200, maximum: 43_200, description: "So much later than the event" })),
    latitude: Type.Optional(Type.Number({ minimum: -90, maximum: 90, description: "Degrees. Without coordinates the site's" })),
    longitude: Type.Optional(Type.Number({ minimum: -180, maximum: 180 })),
    days: Type.Optional(
      Type.Array(Type.Enum([...WEEKDAYS]), { minItems: 1, maxItems: 7, uniqueItems: true, description: "On which the event has to be" }),
    ),
    time_zone: Type.Optional(TimeZone),
  },
  {
    additionalProperties: false,
    title: "SunRecurrence",
    dependentRequired: { latitude: ["longitude"], longitude: ["latitude"] },
  },
);

const KINDS = [CronRecurrence, OnceRecurrence, IntervalRecurrence, SunRecurrence] as const;
/** When something comes again; `kind` says how that is told. */
export const Recurrence = Type.Unsafe<Static<(typeof KINDS)[number]>>({
  type: "object",
  title: "Recurrence",
  discriminator: { propertyName: "kind" },
  oneOf: [...KINDS],
});
export type Recurrence = Static<typeof Recurrence>;
type Of<K extends Recurrence["kind"]> = Extract<Recurrence, { kind: K }>;

/** What a recurrence leaves open. */
export interface RecurrenceContext {
  readonly timeZone: string;
  /** Degrees; both or neither. */
  readonly latitude?: number | null | undefined;
  readonly longitude?: number | null | undefined;
  /** From which an interval without `starting_at` is counted. In milliseconds, as all instants here. */
  readonly anchor: number;
}

const parseShape = parserFor(Recurrence);

/** Throws `validation_error` for all that {@link nextRun} could not go by; `path` is where `input` stands in the body. */
export function parseRecurrence(input: unknown, path: string): Recurrence {
  const recurrence = within(path, () => parseShape(input));
  if ("time_zone" in recurrence && !isTimeZone(recurrence.time_zone ?? "UTC"))
    throw wrong(`${path}/time_zone`, `there is no time zone ${recurrence.time_zone}`);
  switch (recurrence.kind) {
    case "cron":
      parseCron(recurrence.expression, `${path}/expression`);
      break;
    case "once": {
      const { isInstant } = parseTime(recurrence.at, `${path}/at`);
      if (isInstant && recurrence.time_zone !== undefined) throw wrong(`${path}/time_zone`, "is of no use to a time that has its offset");
      break;
    }
    case "interval":
      if (recurrence.starting_at !== undefined) parseTime(recurrence.starting_at, `${path}/starting_at`);
      break;
    case "sun":
      break;
  }
  return recurrence;
}

/** Whether it never comes unless the context has coordinates. */
export function needsCoordinates(recurrence: Recurrence): boolean {
  return recurrence.kind === "sun" && recurrence.latitude === undefined;
}

/** The first run strictly after an instant, without its jitter; undefined if there is none. Throws for what {@link parseRecurrence} refuses. */
export function nextRun(recurrence: Recurrence, after: number, context: RecurrenceContext): number | undefined {
  return runsAfter(recurrence, after, context).next().value ?? undefined;
}

export function nextRuns(recurrence: Recurrence, after: number, context: RecurrenceContext, count: number): number[] {
  return runsAfter(recurrence, after, context).take(count).toArray();
}

/** After `from` and not after `to`, the earliest `limit` of them. */
export function runsBetween(
  recurrence: Recurrence,
  { from, to, limit }: { readonly from: number; readonly to: number; readonly limit: number },
  context: RecurrenceContext,
): number[] {
  const runs: number[] = [];
  for (const run of runsAfter(recurrence, from, context).take(limit)) {
    if (run > to) break;
    runs.push(run);
  }
  return runs;
}

/**
 * How late a run is, of 0 to `jitterS` seconds, in milliseconds: SHA-256 of `<id>:<runAt>`, so that each node comes to the same.
 */
export function jitterMs(id: string, runAt: number, jitterS: number): number {
  const digest = createHash("sha256").update(`${id}:${runAt}`).digest();
  return digest.readUIntBE(0, 6) % (jitterS * 1_000 + 1);
}

/** The years that ISO 8601 writes with four digits, and `at` with a first that is no nought. */
const [EARLIEST, LATEST] = [Date.UTC(1000, 0, 1), Date.UTC(10_000, 0, 1) - 1];

function* runsAfter(recurrence: Recurrence, after: number, context: RecurrenceContext): Generator<number, undefined> {
  const next = stepOf(recurrence, context);
  if (!(after < LATEST)) return;
  for (let run = next(Math.max(after, EARLIEST)); run !== undefined && run <= LATEST; run = next(run)) yield run;
}

/** From an instant to the first run after it. */
function stepOf(recurrence: Recurrence, context: RecurrenceContext): (after: number) => number | undefined {
  switch (recurrence.kind) {
    case "cron": {
      const cron = parseCron(recurrence.expression, "/expression");
      const zone = zoneOf(recurrence.time_zone ?? context.timeZone);
      return (after) => nextCronRun(cron, zone, after);
    }
    case "once": {
      const { wall, instant, isInstant } = parseTime(recurrence.at, "/at");
      const at = isInstant ? instant : firstShowing(zoneOf(recurrence.time_zone ?? context.timeZone), wall);
      return (after) => (at > after ? at : undefined);
    }
    case "interval": {
      const { every_s: everyS, starting_at: startingAt } = recurrence;
      const anchor = startingAt === undefined ? context.anchor : parseTime(startingAt, "/starting_at").instant;
      const every = everyS * 1_000;
      return (after) => (after < anchor ? anchor : anchor + (Math.floor((after - anchor) / every) + 1) * every);
    }
    case "sun":
      return sunStepOf(recurrence, context);
  }
}

function sunStepOf(recurrence: Of<"sun">, context: RecurrenceContext): (after: number) => number | undefined {
  const { event, days, offset_s: offsetS = 0 } = recurrence;
  const coordinates = coordinatesOf(recurrence) ?? coordinatesOf(context);
  if (!coordinates) return () => undefined;
  const zone = zoneOf(recurrence.time_zone ?? context.timeZone);
  const isWanted = (instant: number): boolean => {
    const weekday = WEEKDAYS[new Date(instant + zone.stretchAt(instant).offset).getUTCDay()];
    return days === undefined || (weekday !== undefined && days.includes(weekday));
  };
  return (after) => {
    const at = nextSunEvent(event, coordinates, after - offsetS * 1_000, isWanted);
    return at === undefined ? undefined : at + offsetS * 1_000;
  };
}

function coordinatesOf({ latitude, longitude }: Partial<Pick<RecurrenceContext, keyof Coordinates>>): Coordinates | undefined {
  return latitude == null || longitude == null ? undefined : { latitude, longitude };
}

const TIME = new RegExp(`^(${YEAR_TO_MINUTE})(?::(\\d\\d)(?:\\.(\\d{1,3}))?)?(${OFFSET})?$`);

/** `instant` is right if `isInstant`. Throws `validation_error` for what no calendar or clock shows. */
export function parseTime(text: string, path: string): { readonly wall: Wall; readonly instant: number; readonly isInstant: boolean } {
  const [, minute, second = "00", fraction = "", offset] = TIME.exec(text) ?? [];
  const iso = `${minute}:${second}.${fraction.padEnd(3, "0")}Z`;
  const wall = Date.parse(iso);
  // Date.parse takes the 31st of any month.
  if (Number.isNaN(wall) || new Date(wall).toISOString() !== iso) throw wrong(path, `there is no time ${text}`);
  const instant = offset === undefined || offset === "Z" ? wall : Date.parse(`${iso.slice(0, -1)}${offset}`);
  if (Number.isNaN(instant)) throw wrong(path, `there is no offset ${offset}`);
  return { wall, instant, isInstant: offset !== undefined };
}

function within<T>(path: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof HubError) || !Array.isArray(error.details)) throw error;
    const details = (error.details as { readonly path: string; readonly message: string }[]).map((problem) => ({
      ...problem,
      path: problem.path === "/" ? path : `${path}${problem.path}`,
    }));
    throw new HubError(error.code, `${details[0]?.path} ${details[0]?.message}`, { cause: error, details });
  }
}

function wrong(path: string, message: string): HubError {
  return new HubError("validation_error", `${path} ${message}`, { details: [{ path, message }] });
}
