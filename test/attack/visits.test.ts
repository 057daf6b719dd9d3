import assert from "node:assert/strict";
import { test } from "node:test";
import { visits } from "./storms.ts";

test("30,000 connects leave nothing behind", { timeout: 240_000 }, async (context) => {
  const { memoriesMib } = await visits(30_000, 100_000);
  context.diagnostic(`MiB after each tenth: ${memoriesMib.join(", ")}`);
  const [start, end] = [memoriesMib[6] as number, memoriesMib[9] as number];
  // The heap takes its size with the first 20,000. A kilobyte that stays behind for each of the last 9,000 would be 9 MiB.
  assert.ok(end - start < 9, `from ${start} to ${end} MiB`);
});
