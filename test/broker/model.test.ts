import assert from "node:assert/strict";
import { test } from "node:test";
import { givenSeed, runModel } from "./model-run.ts";

const STEPS = 10_000;
const { seed, path } = givenSeed();

const NAME = `in ${STEPS} random steps every client gets what the model demands and nothing that it forbids (MODEL_SEED=${seed})`;

test(NAME, { timeout: 180_000 }, async (t) => {
  const { steps, deliveries } = await runModel({ seed, path, steps: STEPS, shrinkMs: 15_000 });
  t.diagnostic(`${steps} steps, ${deliveries} deliveries`);
  if (path === undefined) assert.ok(steps >= STEPS && deliveries >= STEPS, `${steps} steps, ${deliveries} deliveries`);
});
