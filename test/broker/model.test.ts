import assert from "node:assert/strict";
import { test } from "node:test";
import { postgresMissing, redisMissing } from "../support/services.ts";
import { givenSeed, runModel } from "./model-run.ts";

const { seed, path } = givenSeed();

for (const { nodes, where, least, skip } of [
  { nodes: 1, where: "on one node", least: 7_500, skip: undefined },
  { nodes: 2, where: "on two nodes", least: 2_500, skip: postgresMissing() ?? redisMissing() },
]) {
  const name = `in ${least} random steps ${where} every client gets what the model demands and nothing that it forbids (MODEL_SEED=${seed})`;
  test(name, { timeout: 180_000, skip }, async (t) => {
    const { steps, deliveries, moves } = await runModel({ nodes, seed, path, steps: least, shrinkMs: 15_000 });
    t.diagnostic(`${steps} steps, ${deliveries} deliveries, ${moves} sessions moved`);
    if (path !== undefined) return;
    assert.ok(steps >= least && deliveries >= least, `${steps} steps, ${deliveries} deliveries`);
    assert.ok(nodes === 1 || moves > steps / 100, `${moves} sessions moved`);
  });
}
