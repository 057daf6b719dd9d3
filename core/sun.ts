import { getTimes, type SunTimes } from "suncalc";
import { DAY } from "./zone.ts";

export const SUN_EVENTS = ["sunrise", "sunset", "dawn", "dusk", "solar_noon"] as const;
export type SunEvent = (typeof SUN_EVENTS)[number];

/** Degrees. */
export interface Coordinates {
  readonly latitude: number;
  readonly longitude: number;
}

/** Polar day and night last half a year at most. */
const MOST_DAYS = 400;

/**
 * The first time after an instant that the sun does this and `isWanted` says yes to it, in whole seconds; undefined if not within
 * 400 days. Days on which it does not rise, set or reach the twilight are passed over. Dawn and dusk are civil (6° below the horizon).
 */
export function nextSunEvent(
  event: SunEvent,
  { latitude, longitude }: Coordinates,
  after: number,
  isWanted: (instant: number) => boolean,
): number | undefined {
  // Each day's events are within twelve hours of its noon, and its noon within hardly more of what is asked with.
  for (let day = -1; day <= MOST_DAYS + 1; day += 1) {
    const instant = timeOf(event, getTimes(new Date(after + day * DAY), latitude, longitude));
    if (instant !== undefined && instant > after + MOST_DAYS * DAY) return undefined;
    if (instant !== undefined && instant > after && isWanted(instant)) return instant;
  }
  return undefined;
}

/**
 * Where the sun only just reaches the horizon, at noon or at midnight, suncalc's last step can go hours astray. What is no longer in
 * its half of the day is not that day's event, and the day has none; so two days' events stay in order.
 */
function timeOf(event: SunEvent, times: SunTimes): number | undefined {
  const noon = times.solarNoon.getTime();
  const time = times[event === "solar_noon" ? "solarNoon" : event]?.getTime();
  if (time === undefined) return undefined;
  const sinceNoon = event === "sunrise" || event === "dawn" ? noon - time : time - noon;
  return sinceNoon < 0 || sinceNoon > DAY / 2 ? undefined : Math.floor(time / 1_000) * 1_000;
}
