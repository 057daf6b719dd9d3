import { zoneOf } from "./zone.ts";

/** What the clocks of a zone show. */
export interface WallTime {
  /** 0 is Monday. */
  readonly day: number;
  /** Since midnight. */
  readonly minute: number;
  /** Since midnight. */
  readonly second: number;
}

/** At an instant in ms since 1970. `timeZone` is one of the IANA's. */
export function wallTime(timeZone: string, instant: number): WallTime {
  const shown = new Date(instant + zoneOf(timeZone).stretchAt(instant).offset);
  const minute = shown.getUTCHours() * 60 + shown.getUTCMinutes();
  return { day: (shown.getUTCDay() + 6) % 7, minute, second: minute * 60 + shown.getUTCSeconds() };
}
