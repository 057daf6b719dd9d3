import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { valueOfCell, valueToCell } from "../../core/csv-value.ts";
import { readingValues } from "./reading-values.ts";

describe("a value as a cell", () => {
  test("is read as what it was, whatever it is", () => {
    fc.assert(
      fc.property(readingValues, (value) => {
        assert.deepEqual(valueOfCell(valueToCell(value)), Object.is(value, -0) ? 0 : value);
      }),
      { numRuns: 2_000 },
    );
  });

  for (const [cell, value] of [
    ["12", 12],
    ["-0.5e3", -500],
    ["TRUE", true],
    ["false", false],
    ["", undefined],
    ["'", ""],
    ["'12", "12"],
    ["'hello", "'hello"],
    ["''=1", "'=1"],
    ["1,5", "1,5"],
    [" 12", " 12"],
    ["NaN", "NaN"],
  ] as const)
    test(`${JSON.stringify(cell)} is ${JSON.stringify(value)}`, () => assert.equal(valueOfCell(cell), value));
});
