import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { changesOf, downsample, type Point } from "../../core/downsample.ts";
import { fillGaps } from "../../core/gap-fill.ts";

const line = fc
  .uniqueArray(fc.integer({ min: 0, max: 100_000 }), { maxLength: 400 })
  .chain((times) =>
    fc
      .array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: times.length, maxLength: times.length })
      .map((values) => times.toSorted((a, b) => a - b).map((ts, index): Point<number> => [ts, values[index] ?? 0])),
  );

describe("a line with fewer points", () => {
  test("has as many as asked for, of those that were there, with both ends, by time", () => {
    fc.assert(
      fc.property(line, fc.integer({ min: 3, max: 60 }), (points, most) => {
        const chosen = downsample(points, most);
        assert.equal(chosen.length, Math.min(most, points.length));
        assert.deepEqual([chosen[0], chosen.at(-1)], [points[0], points.at(-1)]);
        assert.ok(chosen.every((point) => points.includes(point)));
        assert.ok(chosen.every(([ts], index) => index === 0 || ts > (chosen[index - 1]?.[0] ?? 0)));
      }),
    );
  });

  test("keeps the only spike of a flat line, wherever it stands", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 999 }), fc.integer({ min: 3, max: 50 }), (place, most) => {
        const points = Array.from({ length: 1_000 }, (_, index): Point<number> => [index * 1_000, index === place ? 5 : 1]);
        assert.ok(downsample(points, most).some(([ts, value]) => ts === place * 1_000 && value === 5));
      }),
      { examples: [[998, 43]] },
    );
  });

  test("takes of each bucket the corner of the largest triangle with the point before and the mean of the bucket after", () => {
    // Two buckets of three: 9 makes the largest triangle with (0, 0) and the mean of 1, 2 and 6, which is (5, 3); then 1 with (2, 9) and (7, 0).
    const values = [0, 4, 9, 5, 1, 2, 6, 0];
    const points = values.map((value, index): Point<number> => [index, value]);
    assert.deepEqual(downsample(points, 4), [
      [0, 0],
      [2, 9],
      [4, 1],
      [7, 0],
    ]);
  });
});

test("of texts and booleans the changes are kept, and of too many the first, the last and some between", () => {
  const points: Point[] = [
    [1, "a"],
    [2, "a"],
    [3, "b"],
    [4, "b"],
    [5, true],
  ];
  assert.deepEqual(changesOf(points, 10), [
    [1, "a"],
    [3, "b"],
    [5, true],
  ]);
  const flapping = Array.from({ length: 1_000 }, (_, ts): Point => [ts, ts % 2 === 0]);
  const few = changesOf(flapping, 7);
  assert.equal(few.length, 7);
  assert.deepEqual([few[0], few.at(-1)], [flapping[0], flapping.at(-1)]);
});

describe("gaps", () => {
  const points: Point[] = [
    [20, 1],
    [50, 4],
    [60, "open"],
  ];
  const filled = (fill: "null" | "previous" | "linear" | "zero") => fillGaps(points, { from: 5, to: 81, bucketMs: 10, fill });
  const at = (values: readonly unknown[]) => values.map((value, index) => [index * 10, value]);

  test("are filled from the first period to the last", () => {
    assert.deepEqual(filled("null"), at([null, null, 1, null, null, 4, "open", null, null]));
    assert.deepEqual(filled("previous"), at([null, null, 1, 1, 1, 4, "open", "open", "open"]));
    assert.deepEqual(filled("linear"), at([null, null, 1, 2, 3, 4, "open", null, null]));
    assert.deepEqual(filled("zero"), at([0, 0, 1, 0, 0, 4, "open", 0, 0]));
  });

  test("are there where nothing was read, and nowhere where there is no time", () => {
    assert.deepEqual(fillGaps([], { from: 0, to: 30, bucketMs: 10, fill: "previous" }), at([null, null, null]));
    assert.deepEqual(fillGaps([], { from: 30, to: 30, bucketMs: 10, fill: "zero" }), []);
  });
});
