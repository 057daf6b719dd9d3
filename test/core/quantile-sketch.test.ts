import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { mergeSketches, quantileOf, sketchOf } from "../../core/quantile-sketch.ts";

const durations = fc.array(fc.oneof(fc.integer({ min: 0, max: 90_000 }), fc.double({ min: 1, max: 1e9, noNaN: true })), {
  minLength: 1,
  maxLength: 200,
});

test("every quantile is that of the values, to 5 per cent", () => {
  fc.assert(
    fc.property(durations, fc.double({ min: 0, max: 1, noNaN: true }), (values, q) => {
      const sorted = values.toSorted((a, b) => a - b);
      const exact = sorted[Math.max(1, Math.ceil(q * sorted.length)) - 1] as number;
      const told = quantileOf(sketchOf(values), q) as number;
      // Below 1 ms nothing is told apart.
      assert.ok(Math.abs(told - Math.max(1, exact)) <= Math.max(1, exact) * 0.05, `${told} for ${exact}`);
    }),
  );
});

test("sketches that are put together are that of all values, whatever the parts", () => {
  fc.assert(
    fc.property(fc.array(durations, { maxLength: 5 }), (parts) => {
      assert.deepEqual(mergeSketches(parts.map(sketchOf)), sketchOf(parts.flat()));
      assert.deepEqual(
        mergeSketches([mergeSketches(parts.slice(0, 2).map(sketchOf)), ...parts.slice(2).map(sketchOf)]),
        sketchOf(parts.flat()),
      );
    }),
  );
});

test("nothing has no quantile", () => {
  assert.equal(quantileOf([], 0.5), undefined);
});
