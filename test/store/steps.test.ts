import assert from "node:assert/strict";
import { test } from "node:test";
import { inSteps, nextSize } from "../../store/steps.ts";

const PACE = { aimMs: 15, breathMs: 0, most: 100 };

test("a step is as large as fits its time, twice the one before at most, and never nothing", () => {
  const rows: readonly [size: number, tookMs: number, next: number][] = [
    [1, 0, 2],
    [4, 1, 8],
    [10, 15, 10],
    [10, 30, 5],
    [10, 12, 13],
    [80, 1, 100],
    [100, 15, 100],
    [3, 500, 1],
    [1, 60_000, 1],
  ];
  for (const [size, tookMs, next] of rows) assert.equal(nextSize(size, tookMs, PACE), next, `${size} in ${tookMs} ms`);
});

test("steps go on until one says that it was the last, and the next call begins small again", async () => {
  const pace = { ...PACE, aimMs: 60_000 };
  const sizes: number[] = [];
  let left = 300;
  const step = async (most: number): Promise<boolean> => {
    sizes.push(most);
    left -= most;
    return left <= 0;
  };
  await inSteps(pace, undefined, step);
  assert.deepEqual(sizes, [1, 2, 4, 8, 16, 32, 64, 100, 100]);
  left = 5;
  await inSteps(pace, undefined, step);
  assert.deepEqual(sizes.slice(9), [1, 2, 4]);
});

test("nothing is begun behind the end, which does not wait for a breath either, and a step that fails is its caller's", async () => {
  const ending = new AbortController();
  let steps = 0;
  const pace = { ...PACE, breathMs: 3_600_000 };
  await inSteps(pace, ending.signal, async () => {
    steps++;
    setImmediate(() => ending.abort());
    return false;
  });
  await inSteps(pace, ending.signal, async () => {
    steps++;
    return false;
  });
  assert.equal(steps, 1);
  await assert.rejects(
    inSteps(pace, undefined, async () => {
      throw new Error("no");
    }),
    /no/,
  );
});
