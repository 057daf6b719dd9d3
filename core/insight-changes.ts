import type { TestedFinding } from "./insight.ts";
import { type ChangeLimits, risenSince } from "./statistics.ts";

/** What one day (UTC) amounts to. */
export interface DayValue {
  /** ms since 1970 */
  readonly day: number;
  readonly value: number;
  /** Of how many single values. */
  readonly n: number;
}

/** A change is looked for in the last two weeks of the six that are compared. */
const ROW: Omit<ChangeLimits, "isEnough"> = { leastBefore: 10, leastAfter: 3, mostAfter: 14 };
export const COMPARED_DAYS = 42;
/** At most such a share of the changes of a kind that are told to an organisation on a day is chance (discoveries of core/statistics.ts). */
export const FALSE_SHARE = 0.001;
/** Of single values; a day with fewer says nothing. */
const LEAST_A_DAY = 3;
const SLOWER = 1.5;
const LEAST_SLOWER_MS = 20;
const LEAST_DROP = 0.1;
const LEAST_DISCONNECTS = 3;

const one = (value: number): number => Math.round(value * 10) / 10;

/** `days`: the median of the answers of each. */
export function latencyRise(days: readonly DayValue[], channel: string): TestedFinding | undefined {
  const row = days.filter(({ n }) => n >= LEAST_A_DAY);
  const change = risenSince(
    row.map(({ value }) => value),
    { ...ROW, isEnough: (before, after) => after >= before * SLOWER && after - before >= LEAST_SLOWER_MS },
  );
  const first = change && row[change.index];
  if (!first) return undefined;
  const ratio = change.after / Math.max(1, change.before);
  return {
    kind: "latency_rise",
    subject: channel,
    severity: ratio >= 3 ? "warning" : "info",
    message: `${channel === "" ? "it" : channel} answers in ${one(change.after)} ms, ${one(ratio)} times as long as before (${one(change.before)} ms)`,
    evidence: {
      before_ms: one(change.before),
      after_ms: one(change.after),
      ratio: one(ratio),
      days_after: row.length - change.index,
      p: change.p,
    },
    since: first.day,
    p: change.p,
  };
}

/** `days`: the share of the commands of each that were done. */
export function successDrop(days: readonly DayValue[]): TestedFinding | undefined {
  const row = days.filter(({ n }) => n >= LEAST_A_DAY);
  const change = risenSince(
    row.map(({ value }) => 1 - value),
    { ...ROW, isEnough: (before, after) => after - before >= LEAST_DROP },
  );
  const first = change && row[change.index];
  if (!first) return undefined;
  const [before, after] = [one((1 - change.before) * 100), one((1 - change.after) * 100)];
  return {
    kind: "success_drop",
    subject: "",
    severity: after < 50 ? "critical" : "warning",
    message: `${after} % of its commands succeed a day, before it were ${before} %`,
    evidence: { before_percent: before, after_percent: after, days_after: row.length - change.index, p: change.p },
    since: first.day,
    p: change.p,
  };
}

/** `days`: how often it went offline on each day on which it was connected at all; `n` the hours of that. */
export function disconnectsRise(days: readonly DayValue[]): TestedFinding | undefined {
  const row = days.filter(({ n }) => n >= LEAST_A_DAY);
  const change = risenSince(
    row.map(({ value }) => value),
    { ...ROW, isEnough: (before, after) => after >= before * 2 && after - before >= LEAST_DISCONNECTS },
  );
  const first = change && row[change.index];
  if (!first) return undefined;
  return {
    kind: "disconnects_rise",
    subject: "",
    severity: "warning",
    message: `it loses its connection ${one(change.after)} times a day, before it were ${one(change.before)}`,
    evidence: { before_a_day: one(change.before), after_a_day: one(change.after), days_after: row.length - change.index, p: change.p },
    since: first.day,
    p: change.p,
  };
}

/** Whether there are days enough for a change to be found. */
export const isComparable = (days: readonly DayValue[]): boolean =>
  days.filter(({ n }) => n >= LEAST_A_DAY).length >= ROW.leastBefore + ROW.leastAfter;
