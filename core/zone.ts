import { LRUCache } from "lru-cache";
import { HubError } from "./errors.ts";
import { isTimeZone } from "./place.ts";

/**
 * What a clock on the wall shows, as the milliseconds since 1970 at which a clock in UTC shows the same. Where instants go on
 * evenly, it jumps: some of it is never shown in a zone, and some of it twice.
 */
export type Wall = number;

/** From `from` on and before `until`, the clocks of a zone show the instant plus `offset`. All in milliseconds. */
export interface Stretch {
  readonly from: number;
  readonly until: number;
  readonly offset: number;
}

export interface Zone {
  /** The stretch around an instant. Two in a row may have one offset. */
  readonly stretchAt: (instant: number) => Stretch;
}

const SECOND = 1_000;
export const DAY = 86_400_000;
/** No zone was ever farther from UTC than 16 hours, and none was set back by more than 24. */
const MOST_APART = 16 * 3_600_000;
const LONGEST_REPEAT = DAY;

// A formatter costs 50 µs, a year of a zone 200 of its answers: both are asked for again and again.
const zones = new LRUCache<string, Zone>({ max: 500 });
const YEARS_KEPT = 50;

/** Throws `validation_error` for what is no zone of the IANA's database. */
export function zoneOf(name: string): Zone {
  const key = name.toLowerCase();
  const known = zones.get(key);
  if (known) return known;
  if (!isTimeZone(name)) throw new HubError("validation_error", `there is no time zone ${name}`);
  const zone = zoneWith(offsetsOf(name));
  zones.set(key, zone);
  return zone;
}

/** The first moment at which the zone's clocks show `wall`, or something later, because they go forward past it. */
export function firstShowing(zone: Zone, wall: Wall): number {
  let stretch = zone.stretchAt(wall - MOST_APART);
  while (stretch.until + stretch.offset <= wall) stretch = zone.stretchAt(stretch.until);
  return Math.max(stretch.from, wall - stretch.offset);
}

/** The earliest that the zone's clocks have neither shown nor gone past until `instant`, and at that instant. */
export function firstUnshown(zone: Zone, instant: number): Wall {
  let unshown = -Infinity;
  let stretch = zone.stretchAt(instant - LONGEST_REPEAT);
  while (stretch.until <= instant) {
    unshown = Math.max(unshown, stretch.until + stretch.offset);
    stretch = zone.stretchAt(stretch.until);
  }
  return Math.max(unshown, instant + stretch.offset + 1);
}

function zoneWith(offsetAt: (instant: number) => number): Zone {
  const years = new LRUCache<number, readonly Stretch[]>({ max: YEARS_KEPT });
  return {
    stretchAt: (instant) => {
      const year = new Date(instant).getUTCFullYear();
      let stretches = years.get(year);
      if (!stretches) years.set(year, (stretches = stretchesOf(year, offsetAt)));
      return stretches.find(({ until }) => instant < until) as Stretch;
    },
  };
}

/** No zone changes twice within two days: the closest pair of the 20th and 21st century are four apart (Freetown, 1939). */
const SAMPLE = 2 * DAY;

function stretchesOf(year: number, offsetAt: (instant: number) => number): readonly Stretch[] {
  const stretches: Stretch[] = [];
  const end = Date.UTC(year + 1, 0, 1);
  let from = Date.UTC(year, 0, 1);
  let offset = offsetAt(from);
  for (let at = from; at < end; at += SAMPLE) {
    const next = Math.min(at + SAMPLE, end);
    const nextOffset = offsetAt(next);
    if (nextOffset === offset) continue;
    const change = changeBetween(at, next, offsetAt);
    stretches.push({ from, until: change, offset });
    [from, offset] = [change, nextOffset];
  }
  if (from < end) stretches.push({ from, until: end, offset });
  return stretches;
}

/** The first second that has another offset than `before`. */
function changeBetween(before: number, after: number, offsetAt: (instant: number) => number): number {
  const offset = offsetAt(before);
  let [same, other] = [before / SECOND, after / SECOND];
  while (other - same > 1) {
    const middle = Math.floor((same + other) / 2);
    if (offsetAt(middle * SECOND) === offset) same = middle;
    else other = middle;
  }
  return other * SECOND;
}

/** To the second: before there were zones, towns had the time of their longitude. */
function offsetsOf(timeZone: string): (instant: number) => number {
  const numeric = { month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" } as const;
  const format = new Intl.DateTimeFormat("en-US", { timeZone, calendar: "gregory", hourCycle: "h23", year: "numeric", ...numeric });
  return (instant) => {
    const [month = 0, day, year = 0, hour, minute, second] = (format.format(instant).match(/\d+/g) ?? []).map(Number);
    return Date.UTC(year, month - 1, day, hour, minute, second) - instant;
  };
}
