import type { Point } from "./downsample.ts";

/** null | the value before | on a line between the values beside | 0 */
export const FILLS = ["null", "previous", "linear", "zero"] as const;
export type Fill = (typeof FILLS)[number];

/** Every period from the one of `from` to the one before `to`, in ms since 1970; those without a point get a value, or null where there is none to take it from. */
export function fillGaps(
  points: readonly Point[],
  { from, to, bucketMs, fill }: { readonly from: number; readonly to: number; readonly bucketMs: number; readonly fill: Fill },
): Point[] {
  const filled: Point[] = [];
  let next = 0;
  for (let ts = Math.floor(from / bucketMs) * bucketMs; ts < to; ts += bucketMs) {
    const point = points[next];
    if (point?.[0] === ts) {
      filled.push(point);
      next++;
    } else filled.push([ts, valueBetween(points[next - 1], point, ts, fill)]);
  }
  return filled;
}

function valueBetween(before: Point | undefined, after: Point | undefined, ts: number, fill: Fill): Point[1] {
  if (fill === "zero") return 0;
  if (fill === "previous") return before?.[1] ?? null;
  if (fill === "null" || typeof before?.[1] !== "number" || typeof after?.[1] !== "number") return null;
  return before[1] + ((after[1] - before[1]) * (ts - before[0])) / (after[0] - before[0]);
}
