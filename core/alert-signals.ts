import type { ConditionOf } from "./alert-rule.ts";
import type { Signal } from "./alert.ts";

/** Whether a value is bad; whoever is in has to come back by the hysteresis. undefined for what is no number. */
export function isBeyond({ above, below, hysteresis = 0 }: ConditionOf<"threshold">, value: unknown, wasBad: boolean): boolean | undefined {
  if (typeof value !== "number") return undefined;
  const slack = wasBad ? hysteresis : 0;
  return value > (above ?? -Infinity) - slack && value < (below ?? Infinity) + slack;
}

export interface Point {
  /** ms since 1970 */
  readonly ts: number;
  readonly value: number;
}

const MOST_POINTS = 256;

/** The points of the window that ends with the newest of all, by time; too many are thinned out, the ends stay. */
export function withPoint(points: readonly Point[], point: Point, windowMs: number): readonly Point[] {
  const newest = Math.max(point.ts, points.at(-1)?.ts ?? point.ts);
  const kept = [...points.filter(({ ts }) => ts !== point.ts), point]
    .filter(({ ts }) => ts >= newest - windowMs)
    .toSorted((a, b) => a.ts - b.ts);
  return kept.length <= MOST_POINTS ? kept : kept.filter((_, index) => index % 2 === 0 || index === kept.length - 1);
}

const PER_MS = { minute: 60_000, hour: 3_600_000 } as const;

/** The change over the window, per minute or hour; undefined before half of the window is there. */
export function rateOf(
  { per, window_s: windowS }: Pick<ConditionOf<"rate">, "per" | "window_s">,
  points: readonly Point[],
): number | undefined {
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last || last.ts - first.ts < (windowS * 1_000) / 2) return undefined;
  return ((last.value - first.value) / (last.ts - first.ts)) * PER_MS[per];
}

export function isTooFast({ more_than: limit, direction = "any" }: ConditionOf<"rate">, rate: number): boolean {
  if (direction === "any") return Math.abs(rate) > limit;
  return (direction === "rise" ? rate : -rate) > limit;
}

/** One event more of those that a rule counts: bad for as long as there are so many in a window. */
export function counted(
  { count = 1, window_s: windowS }: Pick<ConditionOf<"event">, "count" | "window_s">,
  recent: readonly number[],
  now: number,
): { readonly recent: readonly number[]; readonly signal: Signal | undefined } {
  const windowMs = windowS * 1_000;
  const kept = [...recent.filter((at) => at > now - windowMs && at <= now), now].slice(-count);
  const first = kept.length < count ? undefined : kept[0];
  return { recent: kept, signal: first === undefined ? undefined : { kind: "bad", until: first + windowMs } };
}
