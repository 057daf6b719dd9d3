import { DAY_MS } from "./durations.ts";
import type { Finding } from "./insight.ts";
import { atLeast, medianOf } from "./statistics.ts";
import { wallTime } from "./wall-clock.ts";

export const USAGE_DAYS = 28;
const WINDOW_MINUTES = 30;
/** On so many of the days that it is about. */
const LEAST_SHARE = 0.8;
const LEAST_DAYS = 6;
/** The chance of one device's commands to look so, wherever in the day they fall. */
const SURE = 1e-6;

const DAY_SETS = { "every day": [0, 1, 2, 3, 4, 5, 6], "every weekday": [0, 1, 2, 3, 4], "every weekend day": [5, 6] } as const;

/** A command that a person gave. */
export interface HandCommand {
  /** What of the device, and what: `relay 0 ON`. */
  readonly what: string;
  /** ms since 1970 */
  readonly at: number;
}

/** Of each what the days and times that hold best, by the clocks of the zone. */
export function usagePatterns(
  commands: readonly HandCommand[],
  { timeZone, now }: { readonly timeZone: string; readonly now: number },
): Finding[] {
  const from = now - USAGE_DAYS * DAY_MS;
  const recent = commands.filter(({ at }) => at >= from && at < now);
  return [...Map.groupBy(recent, ({ what }) => what)].flatMap(([what, group]) => patternOf(what, group, { timeZone, from, now }) ?? []);
}

interface Period {
  readonly timeZone: string;
  readonly from: number;
  readonly now: number;
}

function patternOf(what: string, commands: readonly HandCommand[], period: Period): Finding | undefined {
  const given = commands.map(({ at }) => {
    const shown = wallTime(period.timeZone, at);
    // The hour of its midnight is no other day's.
    return { at, date: Math.floor((at / 1_000 - shown.second) / 3_600), ...shown };
  });
  for (const [name, weekdays] of Object.entries(DAY_SETS) as [string, readonly number[]][]) {
    const days = daysIn(period, weekdays);
    const those = given.filter(({ day }) => weekdays.includes(day));
    const best = windowOf(those);
    if (!best || best.days < Math.max(LEAST_DAYS, LEAST_SHARE * days)) continue;
    const perDay = those.length / Math.max(1, days);
    // As many commands at any time of the day would fall into the window on a day with this chance.
    const p = 1 - Math.exp((-perDay * WINDOW_MINUTES) / 1_440);
    const chance = atLeast(best.days, days, p) * Math.max(1, those.length);
    if (chance > SURE) continue;
    return findingOf(what, name, { best, days, chance, since: Math.min(...best.times) });
  }
  return undefined;
}

/** How many such days the period has. */
function daysIn({ timeZone, from, now }: Period, weekdays: readonly number[]): number {
  let days = 0;
  for (let at = from; at < now; at += DAY_MS) if (weekdays.includes(wallTime(timeZone, at).day)) days++;
  return days;
}

/** The half an hour with commands on the most days; around midnight nothing is joined. */
function windowOf(given: readonly { readonly at: number; readonly date: number; readonly minute: number }[]) {
  const sorted = given.toSorted((a, b) => a.minute - b.minute);
  let best: { days: number; minute: number; times: number[] } | undefined;
  for (const [index, first] of sorted.entries()) {
    const within = sorted.slice(index).filter(({ minute }) => minute < first.minute + WINDOW_MINUTES);
    const days = new Set(within.map(({ date }) => date)).size;
    if (days > (best?.days ?? 0))
      best = { days, minute: Math.round(medianOf(within.map(({ minute }) => minute))), times: within.map(({ at }) => at) };
  }
  return best;
}

function findingOf(
  what: string,
  days: string,
  found: {
    readonly best: { readonly days: number; readonly minute: number };
    readonly days: number;
    readonly chance: number;
    readonly since: number;
  },
): Finding {
  const { best } = found;
  const two = (value: number): string => String(value).padStart(2, "0");
  const time = `${two(Math.floor(best.minute / 60))}:${two(best.minute % 60)}`;
  return {
    kind: "usage_pattern",
    subject: what,
    severity: "info",
    message: `${what} is asked for by hand at about ${time} ${days} (on ${best.days} of ${found.days} days): a schedule could do it`,
    evidence: { command: what, days, time, days_with: best.days, days_of: found.days, p: found.chance },
    since: found.since,
  };
}
