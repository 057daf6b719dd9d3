/**
 * How often values of which size were seen: enough for every quantile to 5 per cent, whatever is put together with what. The pairs are
 * [index, count] by index; values of index i are at most GROWTH ** i, and larger than GROWTH ** (i - 1). After Masson, Rim and Lee, DDSketch (2019).
 */
export type QuantileSketch = readonly (readonly [number, number])[];

const GROWTH = 1.1;
/** Smaller ones are not told apart; larger ones than GROWTH ** 300, which is 10 ** 12, neither. */
const SMALLEST = 0;
const LARGEST = 300;

const indexOf = (value: number): number =>
  value <= 1 ? SMALLEST : Math.min(LARGEST, Math.ceil(Math.log(value) / Math.log(GROWTH) - 1e-9));
/** The middle of a step, so that it is as far from both ends. */
const valueAt = (index: number): number => (index === SMALLEST ? 1 : (2 * GROWTH ** index) / (1 + GROWTH));

/** Of values that are not negative. */
export function sketchOf(values: readonly number[]): QuantileSketch {
  return sorted(values.map((value): [number, number] => [indexOf(value), 1]));
}

export function mergeSketches(sketches: readonly QuantileSketch[]): QuantileSketch {
  return sorted(sketches.flat());
}

/** The value that a share `q` of all is not above; undefined where there are none. */
export function quantileOf(sketch: QuantileSketch, q: number): number | undefined {
  const total = sketch.reduce((sum, [, count]) => sum + count, 0);
  if (total === 0) return undefined;
  const rank = Math.max(1, Math.ceil(q * total));
  let seen = 0;
  for (const [index, count] of sketch) {
    seen += count;
    if (seen >= rank) return valueAt(index);
  }
  return undefined;
}

function sorted(pairs: readonly (readonly [number, number])[]): QuantileSketch {
  const counts = new Map<number, number>();
  for (const [index, count] of pairs) counts.set(index, (counts.get(index) ?? 0) + count);
  return [...counts].toSorted(([a], [b]) => a - b);
}
