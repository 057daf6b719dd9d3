import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { atLeast, discoveries, medianOf, risenSince, trendOf, twoSidedP } from "../../core/statistics.ts";

const near = (actual: number, expected: number, relative = 1e-6): void =>
  assert.ok(Math.abs(actual - expected) <= relative * Math.abs(expected), `${actual} for ${expected}`);
const points = (values: readonly number[]) => values.map((y, x) => ({ x, y }));

test("a normal chance is right far out, too", () => {
  // Tables of the normal distribution.
  for (const [z, p] of [
    [0, 1],
    [1.959964, 0.05],
    [-3, 0.002699796],
    [5, 5.733031e-7],
    [10, 1.523971e-23],
  ] as const)
    near(twoSidedP(z), p, 1e-5);
});

test("a binomial chance is that of the table", () => {
  near(atLeast(8, 10, 0.5), 56 / 1_024);
  near(atLeast(1, 3, 0.1), 1 - 0.9 ** 3);
  assert.deepEqual([atLeast(0, 5, 0.2), atLeast(6, 5, 0.2), atLeast(1, 5, 0), atLeast(5, 5, 1)], [1, 0, 0, 1]);
});

test("of many findings those are told that Benjamini and Hochberg tell in their example", () => {
  const ps = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.324, 0.4262, 0.5719, 0.6528, 0.759, 1];
  const found = ps.map((p) => ({ p }));
  assert.deepEqual(
    discoveries(found.toReversed(), 15, 0.05).map(({ p }) => p),
    ps.slice(0, 4),
  );
  assert.equal(discoveries(found.slice(0, 4), 10_000, 0.05).length, 0, "tests that found nothing count, too");
  assert.deepEqual(discoveries([], 0, 0.05), []);
});

test("a trend of five values that rise has the slope and chance of the table", () => {
  const trend = trendOf(points([1, 3, 4, 8, 9]));
  // S = 10, its variance 50 / 3.
  near(trend?.p ?? 0, twoSidedP(9 / Math.sqrt(50 / 3)));
  near(trend?.p ?? 0, 0.02749, 1e-3);
  // The middle of 1, 1, 1.5, 2, 2, 2, 7/3, 2.5, 2.5, 4.
  assert.equal(trend?.slope, 2);
  assert.equal(trendOf(points([1, 2, 3, 4])), undefined);
  assert.equal(trendOf(points([7, 7, 7, 7, 7]))?.p, 1);
});

const rows = fc.array(fc.integer({ min: -1_000, max: 1_000 }), { minLength: 5, maxLength: 30 });

test("a trend turns with what it is of, and its confidence lies around it", () => {
  fc.assert(
    fc.property(rows, fc.integer({ min: -50, max: 50 }), (values, tilt) => {
      const trend = trendOf(points(values));
      const tilted = trendOf(points(values.map((value, x) => value + tilt * x)));
      const mirrored = trendOf(points(values.map((value) => -value)));
      assert.ok(trend && tilted && mirrored);
      assert.ok(Math.abs(tilted.slope - trend.slope - tilt) < 1e-6);
      assert.ok(Math.abs(mirrored.slope + trend.slope) < 1e-9 && Math.abs(mirrored.p - trend.p) < 1e-12);
      assert.ok(trend.slopeLow <= trend.slope && trend.slope <= trend.slopeHigh);
    }),
  );
});

test("one value that is far off does not move a trend", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 29 }), fc.integer({ min: -100_000, max: 100_000 }), (place, off) => {
      const values = Array.from({ length: 30 }, (_, x) => 2 * x + (x === place ? off : 0));
      near(trendOf(points(values))?.slope ?? 0, 2, 1e-9);
    }),
  );
});

/** All ways to choose `taken` of the ranks, one by one. */
function enumerated(values: readonly number[], taken: number): number {
  const rankOf = (value: number): number =>
    values.filter((other) => other < value).length + (values.filter((other) => other === value).length + 1) / 2;
  const ranks = values.map(rankOf);
  const observed = ranks.slice(-taken).reduce((sum, rank) => sum + rank, 0);
  let [all, asLarge] = [0, 0];
  const choose = (from: number, left: number, sum: number): void => {
    if (left === 0) {
      all++;
      if (sum >= observed - 1e-9) asLarge++;
      return;
    }
    for (let index = from; index <= ranks.length - left; index++) choose(index + 1, left - 1, sum + (ranks[index] as number));
  };
  choose(0, taken, 0);
  return asLarge / all;
}

test("the chance of a change is that of counting every order, with equal values too", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 6, maxLength: 12 }),
      fc.integer({ min: 1, max: 4 }),
      (values, taken) => {
        const limits = { leastBefore: 1, leastAfter: taken, mostAfter: taken, isEnough: () => true };
        near(risenSince(values, limits)?.p ?? 0, enumerated(values, taken), 1e-9);
      },
    ),
  );
});

test("a change is found where it is, and every place that was looked at is paid for", () => {
  const limits = { leastBefore: 3, leastAfter: 3, mostAfter: 5, isEnough: (before: number, after: number) => after > before };
  const change = risenSince([4, 1, 7, 2, 6, 3, 5, 20, 21, 22], limits);
  assert.deepEqual([change?.index, change?.before, change?.after], [7, 4, 21]);
  near(change?.p ?? 0, 3 / 120);
  assert.equal(risenSince([9, 9, 9, 9, 9, 9, 9, 9], limits), undefined);
  assert.equal(risenSince([1, 2], limits), undefined);
});

test("chance finds no more changes than it may", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1_000_000 }), (seed) => {
      let [state, found] = [seed, 0];
      const next = (): number => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
      const limits = { leastBefore: 10, leastAfter: 3, mostAfter: 14, isEnough: (before: number, after: number) => after > before };
      for (let row = 0; row < 200; row++) {
        const values = Array.from({ length: 28 }, () => next() + next());
        if ((risenSince(values, limits)?.p ?? 1) <= 0.05) found++;
      }
      // 10 are expected at most; 24 or more come of that once in ten thousand times.
      assert.ok(found < 24, `${found} of 200 at p <= 0.05`);
    }),
    { numRuns: 5, seed: 7 },
  );
});

test("a median is the middle", () => {
  assert.deepEqual([medianOf([3, 1, 2]), medianOf([4, 1, 2, 3])], [2, 2.5]);
});
