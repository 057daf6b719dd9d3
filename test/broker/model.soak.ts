import assert from "node:assert/strict";
import { test } from "node:test";
import { postgresMissing, redisMissing } from "../support/services.ts";
import { givenSeed, type ModelReport, runModel } from "./model-run.ts";

const MINUTES = Number(process.env.SOAK_MINUTES ?? 10);
const MIN_STEPS = 100_000;
/** Steps of one round, by the number of nodes. */
const ROUND = [
  { nodes: 1, steps: 8_000 },
  { nodes: 2, steps: 2_000 },
];
/** More seeds than a round takes. */
const ROUND_SEEDS = 10_000;
const { seed, path } = givenSeed();
const NAME = `for ${MINUTES} minutes, ${MIN_STEPS} steps at least, on one node and on two, every client gets what the model demands and nothing that it forbids (MODEL_SEED=${seed})`;

test(NAME, { skip: postgresMissing() ?? redisMissing() }, async (t) => {
  const endsAt = performance.now() + MINUTES * 60_000;
  const total: ModelReport = { steps: 0, deliveries: 0, moves: 0 };
  // Every round has hubs of its own, and seeds that the one before did not reach.
  for (let round = 0; total.steps < MIN_STEPS || performance.now() < endsAt; round++) {
    for (const { nodes, steps } of ROUND) {
      const report = await runModel({ nodes, seed: seed + round * ROUND_SEEDS, path, steps, shrinkMs: 60_000 });
      total.steps += report.steps;
      total.deliveries += report.deliveries;
      total.moves += report.moves;
    }
    t.diagnostic(`${total.steps} steps, ${total.deliveries} deliveries, ${total.moves} sessions moved`);
    if (path !== undefined) return;
  }
  assert.ok(total.deliveries >= MIN_STEPS);
});
