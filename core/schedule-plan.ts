import { jitterMs, nextRun, type Recurrence, type RecurrenceContext, runsBetween } from "./recurrence.ts";
import type { Schedule } from "./schedule.ts";

/** When a schedule comes: all that is needed to say it, at any moment and on any node. */
export interface Timetable extends Pick<Schedule, "recurrence" | "startsAt" | "endsAt" | "maxRuns" | "misfire"> {
  readonly id: string;
  readonly runCount: number;
  readonly context: RecurrenceContext;
}

/** What holds where a schedule names no zone or coordinates: its site's. */
export interface Place {
  readonly timeZone: string | null;
  readonly latitude: number | null;
  readonly longitude: number | null;
}

export function contextOf(
  { recurrence, timeZone, startsAt }: Pick<Schedule, "recurrence" | "timeZone" | "startsAt">,
  place: Place,
  createdAt: number,
): RecurrenceContext {
  const { latitude, longitude } = place;
  return { timeZone: timeZone ?? place.timeZone ?? "UTC", latitude, longitude, anchor: startsAt ?? anchorOf(recurrence, createdAt) };
}

/** An interval counts from when it was made, and from long before: a clock that is set back must not make it wait for that again. */
const anchorOf = (recurrence: Recurrence, createdAt: number): number =>
  recurrence.kind === "interval" ? createdAt % (recurrence.every_s * 1_000) : createdAt;

/** The first time strictly after an instant; undefined when it does not come again. */
export function nextTime(timetable: Timetable, after: number): number | undefined {
  const { recurrence, startsAt = Number.NEGATIVE_INFINITY, endsAt = Number.POSITIVE_INFINITY, context } = timetable;
  if (runsLeft(timetable) <= 0) return undefined;
  const at = nextRun(recurrence, Math.max(after, startsAt - 1), context);
  return at === undefined || at > endsAt ? undefined : at;
}

export function nextTimes(timetable: Timetable, after: number, count: number): number[] {
  const times: number[] = [];
  const most = Math.min(count, runsLeft(timetable));
  for (let at = nextTime(timetable, after); at !== undefined && times.length < most; at = nextTime(timetable, at)) times.push(at);
  return times;
}

/**
 * The time that is waited for from `now` on. Of what was before only `awaited`, if it is a time still and its jitter is not over:
 * whoever gives a schedule another name takes away none of its runs.
 */
export function timeToAwait(timetable: Timetable, awaited: number | undefined, now: number): number | undefined {
  const isPending =
    awaited !== undefined && awaited <= now && dueTime(timetable, awaited) > now && nextTime(timetable, awaited - 1) === awaited;
  return isPending ? awaited : nextTime(timetable, now);
}

/** When a time is due: later than it says by the jitter, which is the same on all nodes. */
export function dueTime({ id, recurrence }: Pick<Timetable, "id" | "recurrence">, at: number): number {
  return at + jitterMs(id, at, jitterSOf(recurrence));
}

export interface Plan {
  /** The times that are run now, oldest first: one at most, unless `misfire` says `all`. */
  readonly runs: readonly number[];
  /** The time that is waited for then. */
  readonly next: number | undefined;
}

/**
 * What is to be done at `now` by a schedule that waited for the time `awaited`. Of that and all that were due since:
 *
 * - `skip`: the newest, if it is at most `graceMs` late. What was missed is left out.
 * - `once`: the newest, however late. It stands for all that was missed.
 * - `all`: the newest `limit`.
 *
 * Never more, however long the hub was off and however far the clock was set. A time does not overtake the one before it: where
 * the jitter is longer than the recurrence, several may be due at once, and are treated as if they had been missed.
 */
export function plan(timetable: Timetable, awaited: number, instant: number): Plan {
  const now = Math.floor(instant);
  const next = firstAhead(timetable, awaited, now);
  const { policy, limit, graceMs } = timetable.misfire;
  const left = runsLeft(timetable);
  const most = Math.min(left, policy === "all" ? limit : 1);
  const due = most <= 0 ? [] : newest(timetable, { from: awaited, to: next === undefined ? now : next - 1, limit: most });
  const runs = policy === "skip" ? due.filter((at) => now - dueTime(timetable, at) <= graceMs) : due;
  return { runs, next: runs.length < left ? next : undefined };
}

/** The first time, from the awaited one on, that is not due yet. */
function firstAhead(timetable: Timetable, awaited: number, now: number): number | undefined {
  // What is earlier than this is due whatever its jitter.
  let at = nextTime(timetable, Math.max(awaited - 1, now - jitterSOf(timetable.recurrence) * 1_000));
  while (at !== undefined && dueTime(timetable, at) <= now) at = nextTime(timetable, at);
  return at;
}

/** How many times more than wanted one look may find. */
const SLACK = 4;

/** The last `limit` times from `from` to `to`, both included; it looks at a few hundred, however many there are. */
function newest(
  timetable: Timetable,
  { from, to, limit }: { readonly from: number; readonly to: number; readonly limit: number },
): number[] {
  const { recurrence, startsAt = from, endsAt = to, context } = timetable;
  const last = Math.min(to, endsAt);
  const after = (instant: number, most: number) => runsBetween(recurrence, { from: instant, to: last, limit: most }, context);
  let tooMany = Math.max(from, startsAt) - 1;
  let tooFew = last;
  const all = after(tooMany, limit + 1);
  if (all.length <= limit) return all;
  for (;;) {
    const middle = Math.floor((tooMany + tooFew) / 2);
    const found = after(middle, SLACK * limit + 1);
    if (found.length < limit) tooFew = middle;
    else if (found.length > SLACK * limit) tooMany = middle;
    else return found.slice(-limit);
  }
}

const runsLeft = ({ maxRuns = Number.POSITIVE_INFINITY, runCount }: Timetable): number => maxRuns - runCount;
const jitterSOf = (recurrence: Recurrence): number => (recurrence.kind === "cron" ? (recurrence.jitter_s ?? 0) : 0);
