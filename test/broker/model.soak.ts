import assert from "node:assert/strict";
import { test } from "node:test";
import { givenSeed, type ModelReport, runModel } from "./model-run.ts";

const MINUTES = Number(process.env.SOAK_MINUTES ?? 10);
const MIN_STEPS = 100_000;
const ROUND_STEPS = 10_000;
const { seed, path } = givenSeed();

test(`for ${MINUTES} minutes, ${MIN_STEPS} steps at least, every client gets what the model demands and nothing that it forbids (MODEL_SEED=${seed})`, async (t) => {
  const endsAt = performance.now() + MINUTES * 60_000;
  const total: ModelReport = { steps: 0, deliveries: 0 };
  // Every round has a hub of its own, and seeds that the one before did not reach.
  for (let round = 0; total.steps < MIN_STEPS || performance.now() < endsAt; round++) {
    const { steps, deliveries } = await runModel({ seed: seed + round * ROUND_STEPS, path, steps: ROUND_STEPS, shrinkMs: 60_000 });
    total.steps += steps;
    total.deliveries += deliveries;
    t.diagnostic(`${total.steps} steps, ${total.deliveries} deliveries`);
    if (path !== undefined) return;
  }
  assert.ok(total.deliveries >= MIN_STEPS);
});
