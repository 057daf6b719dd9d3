import { wallTime } from "./wall-clock.ts";

export interface HourOfWeek {
  /** 0 is Monday. */
  readonly day: number;
  readonly hour: number;
  readonly commands: number;
  readonly by_hand: number;
}

/** Hours of UTC put where the clocks of the zone show them; those with any, in their order. `ts` in ms since 1970. */
export function hoursOfWeek(
  counts: readonly { readonly ts: number; readonly type: "command.success" | "command.by_hand"; readonly n: number }[],
  timeZone: string,
): HourOfWeek[] {
  const placed = counts.map((one) => {
    const { day, minute } = wallTime(timeZone, one.ts);
    return { ...one, place: day * 24 + Math.floor(minute / 60) };
  });
  const sum = (of: typeof placed, type: string): number => of.reduce((total, one) => total + (one.type === type ? one.n : 0), 0);
  return [...Map.groupBy(placed, ({ place }) => place)]
    .toSorted(([a], [b]) => a - b)
    .map(([place, group]) => ({
      day: Math.floor(place / 24),
      hour: place % 24,
      commands: sum(group, "command.success"),
      by_hand: sum(group, "command.by_hand"),
    }));
}
