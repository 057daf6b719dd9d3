import type { components } from "../../hub/schema.d.ts";

export type Recurrence = components["schemas"]["Recurrence"];
export const WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
export type Weekday = (typeof WEEKDAYS)[number];

/** A time of day, on some days of the week; all of them when none is named. */
export interface Daily {
  readonly time: string;
  readonly days: readonly Weekday[];
}

const DAILY = /^(\d{1,2}) (\d{1,2}) \* \* (\*|[a-z]{3}(?:,[a-z]{3})*)$/i;

/** undefined of a cron that says something else. */
export function dailyOf(recurrence: Recurrence): Daily | undefined {
  const [, minute, hour, days = "*"] = (recurrence.kind === "cron" && DAILY.exec(recurrence.expression)) || [];
  if (minute === undefined || hour === undefined) return undefined;
  const named = days.toLowerCase().split(",");
  return { time: `${hour.padStart(2, "0")}:${minute.padStart(2, "0")}`, days: WEEKDAYS.filter((day) => named.includes(day)) };
}

export function cronOf({ time, days }: Daily): string {
  const [hour, minute] = time.split(":").map(Number);
  const isEvery = days.length === 0 || days.length === WEEKDAYS.length;
  return `${minute} ${hour} * * ${isEvery ? "*" : days.join(",").toUpperCase()}`;
}

/** The weekday's name, in the language. */
export function weekdayName(language: string, day: Weekday): string {
  // 1 January 2024 was a Monday.
  const date = new Date(Date.UTC(2024, 0, 1 + WEEKDAYS.indexOf(day)));
  return new Intl.DateTimeFormat(language, { weekday: "short", timeZone: "UTC" }).format(date);
}
