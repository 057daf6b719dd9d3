import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";
import { clusterMissing, startPair } from "./cluster-hubs.ts";

const PATH = "/api/v1/risk-policy";

test("what needs approval changes at one node, and within a second the other judges by it", { skip: clusterMissing() }, async () => {
  await using pair = await startPair();
  const { a, b } = pair;
  const { uid } = await a.api.addDevice({ name: "Garage" });
  const judgedBy = async ({ api }: TestHub): Promise<unknown[]> => {
    const { status, body } = await api.call("POST", `${PATH}/assess`, { device: uid, actions: [{ command: "restart" }] });
    return status === 200 ? [body["policy_version"], body["threshold"]] : [status];
  };
  assert.deepEqual(await judgedBy(b), [0, 70]);
  for (let round = 1; round <= 6; round++) {
    const [one, other] = round % 2 === 0 ? [a, b] : [b, a];
    const { status, body } = await one.api.call("PUT", PATH, { threshold: round }, { "if-match": "*" });
    assert.equal(status, 200, JSON.stringify(body));
    assert.deepEqual(await judgedBy(one), [round, round]);
    await until(async () => (await judgedBy(other))[0] === round, { what: `version ${round} at the other node`, timeoutMs: 1_000 });
    assert.deepEqual(await judgedBy(other), [round, round]);
  }
});
