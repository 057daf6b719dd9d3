import assert from "node:assert/strict";
import { test } from "node:test";
import { isMet, median, type Row, table } from "./report.ts";

test("a goal is met, missed, or cannot be told", () => {
  const row: Row = { name: "", unit: "" };
  for (const [given, expected] of [
    [{ hub: 300, other: 100, goal: { atLeastRatio: 3 } }, true],
    [{ hub: 299, other: 100, goal: { atLeastRatio: 3 } }, false],
    [{ hub: 200, other: 100, goal: { atMostRatio: 2 } }, true],
    [{ hub: 201, other: 100, goal: { atMostRatio: 2 } }, false],
    [{ hub: 20, goal: { atLeast: 20 } }, true],
    [{ hub: 19, goal: { atLeast: 20 } }, false],
    [{ hub: 20, goal: { atMost: 20 } }, true],
    [{ hub: 21, goal: { atMost: 20 } }, false],
    [{ hub: 300, goal: { atLeastRatio: 3 } }, undefined],
    [{ other: 300, goal: { atLeast: 3 } }, undefined],
    [{ hub: 1, other: 1 }, undefined],
  ] as const)
    assert.equal(isMet({ ...row, ...given }), expected, JSON.stringify(given));
});

test("the table shows ratio, target, verdict, ceiling and the generator's share", () => {
  const text = table(
    [
      {
        name: "fan-in",
        unit: "1/s",
        hub: 3_000,
        other: 1_500,
        goal: { atLeastRatio: 3 },
        sink: 9_000,
        generator: { hub: 0.5, other: 0.25 },
      },
    ],
    "mosquitto",
  );
  assert.match(text, /mosquitto/);
  assert.match(text, /fan-in +1\/s +3,000 +1,500 +2\.00× +≥ 3× +✗ +9,000 +0\.50 \/ 0\.25$/);
});

test("the median of an even number is between the two in the middle", () => {
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([]), undefined);
});
