import { HubError } from "./errors.ts";
import { DAY, type Wall } from "./zone.ts";

/**
 * When a cron expression comes, by the clock and the calendar on the wall.
 *
 * Five fields, minute hour day-of-month month day-of-week, or six with seconds first; or @hourly, @daily, @weekly, @monthly, @yearly.
 * A field is `*` (or `?`), values, ranges and steps (`*` and ranges with `/n`), separated by commas. Months and weekdays have names
 * (JAN, MON); 0 and 7 are Sunday. Day of month also takes `L`, its last day; day of week `1#2`, the second Monday, and `5L`, the last
 * Friday. When both are restricted, which is anything but `*` and `?`, a day that either of them names is one.
 */
export interface Cron {
  /** All of these ascending, none empty. */
  readonly seconds: readonly number[];
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  /** undefined: every day. A bit for each, the first day of the month's lowest. */
  readonly days: { readonly bits: number; readonly isLast: boolean } | undefined;
  /** 1 to 12. */
  readonly months: readonly number[];
  readonly weekdays: readonly Weekday[] | undefined;
  /** The hours were written as all of them, or as a step over all of them. */
  readonly hasEveryHour: boolean;
}

/** `nth` is 1 to 5 within the month. */
interface Weekday {
  readonly weekday: number;
  readonly nth: number | "every" | "last";
}

/** Whether it runs all day long: its hours are all of them, or a step over all of them, such as `*`, `0-23` or `*` by two. */
export function isFrequent({ hasEveryHour, hours }: Cron): boolean {
  return hasEveryHour || hours.length === 24;
}

const MACROS: ReadonlyMap<string, string> = new Map([
  ["@hourly", "0 * * * *"],
  ["@daily", "0 0 * * *"],
  ["@weekly", "0 0 * * 0"],
  ["@monthly", "0 0 1 * *"],
  ["@yearly", "0 0 1 1 *"],
]);

interface Field {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  /** Of the values from `min` on. */
  readonly names?: readonly string[];
}
const FIELDS = {
  second: { name: "second", min: 0, max: 59 },
  minute: { name: "minute", min: 0, max: 59 },
  hour: { name: "hour", min: 0, max: 23 },
  day: { name: "day of month", min: 1, max: 31 },
  month: { name: "month", min: 1, max: 12, names: ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"] },
  weekday: { name: "day of week", min: 0, max: 7, names: ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"] },
} as const satisfies Record<string, Field>;

/**
 * Throws `validation_error` with one entry in `details` for each wrong field: `path`, `field` (its name, or "expression") and `message`.
 * What never comes, such as a 30th of February, is wrong too.
 */
export function parseCron(expression: string, path: string): Cron {
  const problems: Problem[] = [];
  const parts = (MACROS.get(expression.trim().toLowerCase()) ?? expression).trim().toUpperCase().split(/\s+/);
  if (parts.length !== 5 && parts.length !== 6) {
    const found = parts[0]?.startsWith("@")
      ? `${parts[0].toLowerCase()} is none of ${[...MACROS.keys()].join(", ")}`
      : `has ${parts.length}`;
    throw refusal(path, [{ field: "expression", message: `five fields are needed, or six with seconds first: ${found}` }]);
  }
  if (parts.length === 5) parts.unshift("0");
  const [second = "", minute = "", hour = "", day = "", month = "", weekday = ""] = parts;
  const inField = <T>(field: Field, parse: () => T): T | undefined => {
    try {
      return parse();
    } catch (error) {
      if (!(error instanceof WrongItem)) throw error;
      problems.push({ field: field.name, message: error.message });
    }
  };
  const listed = (field: Field, text: string): readonly number[] => inField(field, () => valuesOf(field, text)) ?? [];
  const cron: Cron = {
    seconds: listed(FIELDS.second, second),
    minutes: listed(FIELDS.minute, minute),
    hours: listed(FIELDS.hour, hour),
    days: isStar(day) ? undefined : inField(FIELDS.day, () => daysOf(day)),
    months: listed(FIELDS.month, month),
    weekdays: isStar(weekday) ? undefined : inField(FIELDS.weekday, () => weekday.split(",").flatMap(weekdaysOf)),
    hasEveryHour: hour.split(",").some((item) => /^([*?]|0?0-23)(\/\d+)?$/.test(item)),
  };
  if (problems.length > 0) throw refusal(path, problems);
  if (nextDay(cron, LEAP_CYCLE.from, LEAP_CYCLE.until) === undefined)
    throw refusal(path, [{ field: FIELDS.day.name, message: "no month that is named has such a day" }]);
  return cron;
}

/** The Gregorian calendar repeats itself, weekdays included, every 400 years. */
const LEAP_CYCLE = { from: Date.UTC(2000, 0, 1), until: Date.UTC(2400, 0, 1) } as const;
const END = Date.UTC(10_000, 0, 1);

/** The first that matches, at or after `wall`; undefined after the year 9999. */
export function nextMatch(cron: Cron, wall: Wall): Wall | undefined {
  const from = Math.ceil(wall / 1_000) * 1_000;
  const midnight = Math.floor(from / DAY) * DAY;
  const today = nextDay(cron, midnight, midnight + DAY);
  const time = today === undefined ? undefined : nextTime(cron, (from - midnight) / 1_000);
  if (time !== undefined) return midnight + time * 1_000;
  const day = nextDay(cron, midnight + DAY, END);
  return day === undefined ? undefined : day + (nextTime(cron, 0) ?? 0) * 1_000;
}

/** In seconds of the day. */
function nextTime({ hours, minutes, seconds }: Cron, from: number): number | undefined {
  const [hour, minute, second] = [Math.floor(from / 3_600), Math.floor(from / 60) % 60, from % 60];
  for (const h of hours) {
    if (h < hour) continue;
    for (const m of minutes) {
      if (h === hour && m < minute) continue;
      const isThisMinute = h === hour && m === minute;
      const s = isThisMinute ? seconds.find((one) => one >= second) : seconds[0];
      if (s !== undefined) return h * 3_600 + m * 60 + s;
    }
  }
  return undefined;
}

/** Midnights, of which the first is looked at and `until` is not. */
function nextDay(cron: Cron, from: Wall, until: Wall): Wall | undefined {
  const start = new Date(from);
  const year = start.getUTCFullYear();
  let skipped = -1 << (start.getUTCDate() - 1);
  for (let month = start.getUTCMonth(); ; month += 1) {
    const first = Date.UTC(year, month, 1);
    if (first >= until) return undefined;
    const bits = cron.months.includes((month % 12) + 1) ? daysIn(cron, first, lengthOf(year, month)) & skipped : 0;
    if (bits !== 0) {
      const day = first + (31 - Math.clz32(bits & -bits)) * DAY;
      return day < until ? day : undefined;
    }
    skipped = -1;
  }
}

const lengthOf = (year: number, month: number): number => new Date(Date.UTC(year, month + 1, 0)).getUTCDate();

/** The days of a month that begins at `first`, as bits. */
function daysIn({ days, weekdays }: Cron, first: Wall, length: number): number {
  const all = 2 ** length - 1;
  if (!days && !weekdays) return all;
  let bits = days?.bits ?? 0;
  if (days?.isLast) bits |= 1 << (length - 1);
  const firstWeekday = new Date(first).getUTCDay();
  for (const { weekday, nth } of weekdays ?? []) {
    const offset = (weekday - firstWeekday + 7) % 7;
    if (nth === "every") bits |= 0x10204081 << offset;
    else bits |= 1 << (nth === "last" ? offset + 7 * Math.floor((length - 1 - offset) / 7) : Math.min(offset + 7 * (nth - 1), 31));
  }
  return bits & all;
}

class WrongItem extends Error {
  override readonly name = "WrongItem";
}

const isStar = (text: string): boolean => text === "*" || text === "?";

function valuesOf(field: Field, text: string): readonly number[] {
  const values = new Set<number>();
  for (const item of text.split(",")) for (const value of rangeOf(field, item)) values.add(value);
  return [...values].toSorted((a, b) => a - b);
}

function daysOf(text: string): NonNullable<Cron["days"]> {
  const items = text.split(",");
  const others = items.filter((item) => item !== "L").join(",");
  const values = others === "" ? [] : valuesOf(FIELDS.day, others);
  return { bits: values.reduce((bits, day) => bits | (1 << (day - 1)), 0), isLast: items.includes("L") };
}

function weekdaysOf(item: string): readonly Weekday[] {
  const [, day, last, nth] = /^([A-Z0-9]+?)(?:(L)|#(.*))$/.exec(item) ?? [];
  if (day === undefined) return rangeOf(FIELDS.weekday, item).map((weekday) => ({ weekday: weekday % 7, nth: "every" }));
  const weekday = valueOf(FIELDS.weekday, day) % 7;
  if (last !== undefined) return [{ weekday, nth: "last" }];
  if (nth === undefined || !/^[1-5]$/.test(nth)) throw new WrongItem(`${item} is no weekday of a month: after # comes 1 to 5`);
  return [{ weekday, nth: Number(nth) }];
}

/** `*`, `5`, `5-7`, and `*` and ranges with a step. */
function rangeOf(field: Field, item: string): readonly number[] {
  const { min, max } = field;
  const [, all, one, other, step] = /^(?:([*?])|([A-Z0-9]+)(?:-([A-Z0-9]+))?)(?:\/(\d+))?$/.exec(item) ?? [];
  if (all === undefined && one === undefined)
    throw new WrongItem(item === "" ? "a value is missing" : `${item} is no value, range or step`);
  const isWeekday = field === FIELDS.weekday;
  const highest = isWeekday ? 6 : max;
  const from = one === undefined ? min : valueOf(field, one);
  // Sunday ends a week that begins on another day: MON-SUN.
  const to = one === undefined ? highest : isWeekday && other === "SUN" ? 7 : valueOf(field, other ?? one);
  if (from > to) throw new WrongItem(`${item} ends before it begins`);
  if (step !== undefined && one !== undefined && other === undefined)
    throw new WrongItem(`${item} has a step, but neither * nor a range: write ${from}-${highest}/${step}`);
  const by = Number(step ?? 1);
  if (by < 1 || by > highest - min) throw new WrongItem(`the step of ${item} is not 1 to ${highest - min}`);
  return Array.from({ length: Math.floor((to - from) / by) + 1 }, (_, index) => from + index * by);
}

function valueOf({ min, max, names = [] }: Field, text: string): number {
  const index = names.indexOf(text);
  if (index !== -1) return min + index;
  if (!/^\d+$/.test(text)) throw new WrongItem(`${text} is no value`);
  const value = Number(text);
  if (value < min || value > max) throw new WrongItem(`${text} is not ${min} to ${max}`);
  return value;
}

interface Problem {
  readonly field: string;
  readonly message: string;
}

function refusal(path: string, problems: readonly Problem[]): HubError {
  const details = problems.map(({ field, message }) => ({ path, field, message: `${field}: ${message}` }));
  return new HubError("validation_error", `${path} ${details.map(({ message }) => message).join("; ")}`, { details });
}
