import { DAY_MS, HOUR_MS } from "./durations.ts";
import type { Finding } from "./insight.ts";
import { trendOf } from "./statistics.ts";

/** What the readings of a series amount to in an hour that has any. */
export interface SensorHour {
  /** ms since 1970 */
  readonly ts: number;
  readonly min: number;
  readonly max: number;
}

/** A battery that rises by so many per cent was charged, or is another one. */
const CHARGED = 15;
const LEAST_DAYS = 5;
const LEAST_LOSS = 3;
const SOON_DAYS = 30;
const VERY_SOON_DAYS = 7;
/** Chance would say it of one battery in a thousand, if nothing but the trend were asked for. */
const SURE = 0.001;

/** `days`: the mean of each day, in per cent. undefined where the battery lasts, or nobody can tell. */
export function batteryLow(key: string, days: readonly { readonly day: number; readonly value: number }[]): Finding | undefined {
  const since = days.findLastIndex(({ value }, index) => index > 0 && value - (days[index - 1]?.value ?? value) >= CHARGED);
  const row = days.slice(Math.max(0, since)).map(({ day, value }) => ({ x: day / DAY_MS, y: value }));
  const [first, last] = [row[0], row.at(-1)];
  if (!first || !last || last.x - first.x < LEAST_DAYS || first.y - last.y < LEAST_LOSS) return undefined;
  const trend = trendOf(row);
  if (!trend || trend.p > SURE || trend.slopeHigh >= 0 || trend.last <= 0) return undefined;
  const left = (slope: number): number => Math.round(trend.last / -slope);
  const [days_, soonest, latest] = [left(trend.slope), left(trend.slopeLow), left(trend.slopeHigh)];
  if (days_ > SOON_DAYS) return undefined;
  return {
    kind: "battery_low_soon",
    subject: key,
    severity: days_ <= VERY_SOON_DAYS ? "critical" : "warning",
    message: `${key} is at ${Math.round(trend.last)} % and will be empty in about ${days_} days (between ${soonest} and ${latest})`,
    evidence: {
      percent: Math.round(trend.last),
      percent_a_day: Math.round(trend.slope * 100) / 100,
      days_left: days_,
      days_left_least: soonest,
      days_left_most: latest,
      p: trend.p,
    },
    since: first.x * DAY_MS,
  };
}

/** Beside what is usual for the series. */
const TIMES_USUAL = 3;
const LEAST_STUCK_HOURS = 24;
const LEAST_SILENT_HOURS = 6;
/** Before it nobody can say what is usual. */
const LEAST_KNOWN_HOURS = 7 * 24;

/** Hours with readings in their order, of which none is later than `now` (ms since 1970). */
export function sensorStuck(key: string, hours: readonly SensorHour[]): Finding | undefined {
  const runs = runsOf(hours);
  const present = runs.at(-1);
  const [first, last] = [hours[0], hours.at(-1)];
  if (!present || !first || !last || runs.length < 3) return undefined;
  const before = runs.slice(0, -1);
  const usual = Math.max(...before.map(({ from, to }) => to - from)) / HOUR_MS;
  const stuck = (present.to - present.from) / HOUR_MS;
  if (present.from - first.ts < LEAST_KNOWN_HOURS * HOUR_MS || stuck < Math.max(LEAST_STUCK_HOURS, TIMES_USUAL * usual)) return undefined;
  return {
    kind: "sensor_stuck",
    subject: key,
    severity: "warning",
    message: `${key} has said ${present.value} for ${stuck} hours; it never said one value for more than ${usual} hours before`,
    evidence: { value: present.value, hours: stuck, longest_before_hours: usual },
    since: present.from,
  };
}

/** Stretches of one value, in hours: each from the first hour that has no other. */
function runsOf(hours: readonly SensorHour[]): { value: number; from: number; to: number }[] {
  const runs: { value: number; from: number; to: number }[] = [];
  for (const { ts, min, max } of hours) {
    const last = runs.at(-1);
    if (last && min === max && last.value === min) last.to = ts + HOUR_MS;
    // An hour with several values is the beginning of none.
    else runs.push({ value: max, from: min === max ? ts : ts + HOUR_MS, to: ts + HOUR_MS });
  }
  return runs;
}

/** `lastAt`: of the newest reading, in ms since 1970. */
export function sensorSilent(
  key: string,
  hours: readonly SensorHour[],
  { lastAt, now }: { readonly lastAt: number; readonly now: number },
): Finding | undefined {
  const first = hours[0];
  if (!first || lastAt - first.ts < LEAST_KNOWN_HOURS * HOUR_MS) return undefined;
  const gaps = hours.slice(1).map(({ ts }, index) => (ts - (hours[index]?.ts ?? ts)) / HOUR_MS);
  const usual = Math.max(1, ...gaps);
  const silent = Math.floor((now - lastAt) / HOUR_MS);
  if (silent < Math.max(LEAST_SILENT_HOURS, TIMES_USUAL * usual)) return undefined;
  return {
    kind: "sensor_silent",
    subject: key,
    severity: "warning",
    message: `${key} has said nothing for ${silent} hours; it never was silent for more than ${usual} hours before`,
    evidence: { hours: silent, longest_before_hours: usual },
    since: lastAt,
  };
}
