import type { SensorValue } from "./payloads.ts";

/** ms since 1970, and what was read then. */
export type Point<V = SensorValue | null> = readonly [ts: number, value: V];

/**
 * At most `most` of the points (3 or more), by time, such that a line through them looks like the line through all: Largest
 * Triangle Three Buckets, of S. Steinarsson's thesis "Downsampling Time Series for Visual Representation" (2013). The first and
 * the last stay.
 */
export function downsample(points: readonly Point<number>[], most: number): Point<number>[] {
  const last = points.length - 1;
  if (points.length <= most) return [...points];
  // Divided last: 41 times the 41st part of a number can be less than the number, and the point before the last one would be in no bucket.
  const startOf = (bucket: number): number => Math.min(last, Math.floor((bucket * (last - 1)) / (most - 2)) + 1);
  let kept = points[0] as Point<number>;
  const chosen = [kept];
  for (let bucket = 0; bucket < most - 2; bucket++) {
    const [from, to] = [startOf(bucket), startOf(bucket + 1)];
    kept = farthest(points.slice(from, to), kept, centre(points, to, Math.max(to + 1, startOf(bucket + 2))));
    chosen.push(kept);
  }
  return [...chosen, points[last] as Point<number>];
}

/** The mean of the points of a bucket. */
function centre(points: readonly Point<number>[], from: number, to: number): Point<number> {
  const end = Math.min(points.length, to);
  let [ts, value] = [0, 0];
  for (let at = from; at < end; at++) {
    const [pointTs, pointValue] = points[at] as Point<number>;
    ts += pointTs / (end - from);
    value += pointValue / (end - from);
  }
  return [ts, value];
}

/** The corner of the largest triangle over `a` and `b`. */
function farthest(points: readonly Point<number>[], [aTs, a]: Point<number>, [bTs, b]: Point<number>): Point<number> {
  let chosen = points[0] as Point<number>;
  let largest = -1;
  for (const point of points) {
    const area = Math.abs((aTs - bTs) * (point[1] - a) - (aTs - point[0]) * (b - a));
    if (area > largest) [largest, chosen] = [area, point];
  }
  return chosen;
}

/** The points at which something else was read than before; of too many every so manieth. */
export function changesOf(points: readonly Point[], most: number): Point[] {
  const changes = points.filter(([, value], index) => index === 0 || value !== points[index - 1]?.[1]);
  if (changes.length <= most) return changes;
  return Array.from({ length: most }, (_, index) => changes[Math.floor((index * (changes.length - 1)) / (most - 1))] as Point);
}
