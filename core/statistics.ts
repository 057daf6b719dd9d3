import { medianSorted } from "simple-statistics";

export const medianOf = (values: readonly number[]): number => medianSorted(values.toSorted((a, b) => a - b));

/** The chance that something normal is as far from its mean as z standard deviations, on either side. */
export function twoSidedP(z: number): number {
  // Numerical Recipes' erfc: its error is 10 ** -7 of the value, also far out, where an approximation of erf has no digits left.
  const x = Math.abs(z) / Math.SQRT2;
  const t = 2 / (2 + x);
  const terms = [
    -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587, -0.82215223, 0.17087277,
  ];
  return t * Math.exp(-x * x + terms.toReversed().reduce((sum, term) => sum * t + term, 0));
}

/** 1 for the smallest; equal values share the middle of their ranks. Twice as large, so that they are whole. */
function doubledRanks(values: readonly number[]): number[] {
  const sorted = values.toSorted((a, b) => a - b);
  const [first, last] = [new Map<number, number>(), new Map<number, number>()];
  for (const [index, value] of sorted.entries()) {
    if (!first.has(value)) first.set(value, index + 1);
    last.set(value, index + 1);
  }
  return values.map((value) => (first.get(value) as number) + (last.get(value) as number));
}

export interface Trend {
  /** Per unit of x: the median of the slopes of all pairs (Theil and Sen). */
  readonly slope: number;
  /** Between these with a confidence of 95 per cent. */
  readonly slopeLow: number;
  readonly slopeHigh: number;
  /** What the line says at the last point. */
  readonly last: number;
  /** Of Mann and Kendall: the chance of as much of a trend where there is none. */
  readonly p: number;
}

const Z_95 = 1.959964;

/** A few values that are far off do not move it. undefined for fewer than five points. The work grows with the square of their number. */
export function trendOf(points: readonly { readonly x: number; readonly y: number }[]): Trend | undefined {
  if (points.length < 5) return undefined;
  const slopes: number[] = [];
  let rises = 0;
  for (const [index, a] of points.entries())
    for (const b of points.slice(index + 1)) {
      if (a.x === b.x) continue;
      const slope = (b.y - a.y) / (b.x - a.x);
      slopes.push(slope);
      rises += Math.sign(slope);
    }
  const lastX = points.at(-1)?.x ?? 0;
  if (slopes.length === 0) return undefined;
  slopes.sort((a, b) => a - b);
  const slope = medianSorted(slopes);
  const deviation = Math.sqrt(kendallVariance(points.map(({ y }) => y)));
  const spread = (Z_95 * deviation) / 2;
  const at = (place: number): number => slopes[Math.min(slopes.length - 1, Math.max(0, place))] ?? slope;
  return {
    slope,
    slopeLow: at(Math.floor(slopes.length / 2 - spread)),
    slopeHigh: at(Math.ceil(slopes.length / 2 + spread)),
    last: medianOf(points.map(({ x, y }) => y + slope * (lastX - x))),
    p: deviation === 0 ? 1 : twoSidedP(Math.max(0, Math.abs(rises) - 1) / deviation),
  };
}

/** Of Kendall's sum of signs, less what equal values take away. */
function kendallVariance(values: readonly number[]): number {
  const part = (n: number): number => n * (n - 1) * (2 * n + 5);
  const ties = [...Map.groupBy(values, (value) => value).values()].reduce((sum, group) => sum + part(group.length), 0);
  return (part(values.length) - ties) / 18;
}

export interface ChangeLimits {
  /** Values that have to be there before a change. */
  readonly leastBefore: number;
  /** And after it; a change is looked for among the last `mostAfter`. */
  readonly leastAfter: number;
  readonly mostAfter: number;
  /** Whether it is worth telling, by the medians of both sides. */
  readonly isEnough: (before: number, after: number) => boolean;
}

export interface ChangePoint {
  /** Of the first value after the change. */
  readonly index: number;
  /** Medians. */
  readonly before: number;
  readonly after: number;
  /** The chance of values that are as much in order where they come in any: exact, with equal values, and for having looked at every place. */
  readonly p: number;
}

/**
 * Since when values are larger than before (Wilcoxon's rank sum at each place where the row can be cut); negate them for smaller ones.
 * undefined where no cut is worth telling.
 */
export function risenSince(
  values: readonly number[],
  { leastBefore, leastAfter, mostAfter, isEnough }: ChangeLimits,
): ChangePoint | undefined {
  const cuts: number[] = [];
  for (let after = leastAfter; after <= mostAfter && values.length - after >= leastBefore; after++) cuts.push(values.length - after);
  const worth = cuts.flatMap((index) => {
    const [before, after] = [medianOf(values.slice(0, index)), medianOf(values.slice(index))];
    return isEnough(before, after) ? [{ index, before, after }] : [];
  });
  if (worth.length === 0) return undefined;
  const ranks = doubledRanks(values);
  const chance = rankSumTails(ranks, Math.max(...worth.map(({ index }) => values.length - index)));
  const [best] = worth
    .map((cut) => {
      const sum = ranks.slice(cut.index).reduce((total, rank) => total + rank, 0);
      return { ...cut, p: Math.min(1, cuts.length * chance(values.length - cut.index, sum)) };
    })
    .toSorted((a, b) => a.p - b.p);
  return best;
}

/** The share of the subsets of so many ranks whose sum is not smaller: counted, not approximated. */
function rankSumTails(ranks: readonly number[], mostTaken: number): (taken: number, sum: number) => number {
  const largest = Math.max(...ranks);
  const width = mostTaken * largest + 1;
  // ways[taken * width + sum]
  const ways = new Float64Array((mostTaken + 1) * width);
  ways[0] = 1;
  for (const [index, rank] of ranks.entries())
    for (let taken = Math.min(mostTaken, index + 1); taken >= 1; taken--) {
      const [to, from] = [taken * width, (taken - 1) * width - rank];
      // So many others have no larger sum.
      for (let sum = rank + (taken - 1) * largest; sum >= rank; sum--) ways[to + sum] = (ways[to + sum] ?? 0) + (ways[from + sum] ?? 0);
    }
  return (taken, sum) => {
    const row = ways.subarray(taken * width, (taken + 1) * width);
    const all = row.reduce((total, count) => total + count, 0);
    return row.subarray(sum).reduce((total, count) => total + count, 0) / all;
  };
}

/** The chance of at least `hits` of `tries` that succeed with `p` each. */
export function atLeast(hits: number, tries: number, p: number): number {
  if (hits <= 0) return 1;
  if (p <= 0) return 0;
  if (p >= 1) return 1;
  let logChoose = 0;
  let sum = 0;
  for (let k = 0; k <= tries; k++) {
    if (k > 0) logChoose += Math.log((tries - k + 1) / k);
    if (k >= hits) sum += Math.exp(logChoose + k * Math.log(p) + (tries - k) * Math.log1p(-p));
  }
  return Math.min(1, sum);
}

/**
 * Which of many findings are told, so that at most a share `q` of those told is chance (Benjamini and Hochberg, 1995). `tests`: how many were
 * made, those that found nothing included.
 */
export function discoveries<T extends { readonly p: number }>(found: readonly T[], tests: number, q: number): T[] {
  const sorted = found.toSorted((a, b) => a.p - b.p);
  const last = sorted.findLastIndex(({ p }, index) => p <= (q * (index + 1)) / Math.max(tests, found.length));
  return sorted.slice(0, last + 1);
}
