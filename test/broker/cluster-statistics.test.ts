import assert from "node:assert/strict";
import { test } from "node:test";
import { clusterReadings } from "../../broker/cluster-statistics.ts";
import { redisMissing, startRedis } from "../support/services.ts";
import { until } from "../support/wait.ts";
import { acquainted, say, startNode, type TestNode } from "./cluster-nodes.ts";

const skip = redisMissing() ?? false;

test("a node that is alone has no figures of others", () => {
  assert.deepEqual(clusterReadings(undefined), []);
});

test("the figures follow Redis and the others: peers, whether it answers and how fast, what waits, what was dropped", {
  skip,
}, async () => {
  await using redis = await startRedis();
  await using a = await startNode(redis.url, { maxBacklogBytes: 100_000 });
  const b = await startNode(redis.url);
  await acquainted(a, b);
  const waiting = (name: string) => read(a, name, { node: b.cluster.nodeId });
  assert.deepEqual([read(a, "peers"), read(a, "redis_up")], [1, 1]);
  await until(() => waiting("waiting") === 0, { what: "nothing to wait" });
  const fastS = read(a, "redis_round_trip_seconds");
  assert.ok(fastS > 0 && fastS < 0.5, `${fastS} s`);

  process.kill(redis.pid, "SIGSTOP");
  try {
    for (let number = 0; number < 10; number += 1) say(a, b, "x".repeat(1_000), true);
    assert.ok(waiting("waiting") >= 10);
    assert.ok(waiting("waiting_bytes") >= 10_000 && waiting("waiting_bytes") < 20_000);
    await until(() => read(a, "redis_up") === 0, { what: "the outage to be seen" });
    assert.ok(read(a, "redis_round_trip_seconds") > 2, "it grows while nothing is answered");
    for (let number = 0; number < 200; number += 1) say(a, b, "x".repeat(1_000), true);
    assert.ok(read(a, "dropped_total", { kind: "qos0" }) >= 100);
    assert.equal(read(a, "dropped_total", { kind: "others" }), 0);
  } finally {
    process.kill(redis.pid, "SIGCONT");
  }
  await until(() => read(a, "redis_up") === 1 && waiting("waiting") === 0 && waiting("waiting_bytes") === 0, {
    what: "everything to be sent",
  });
  await b[Symbol.asyncDispose]();
  await until(() => read(a, "peers") === 0, { what: "the other to have left" });
  const lines = () =>
    clusterReadings(a.cluster)
      .find(({ name }) => name.endsWith("_waiting"))
      ?.read() as unknown[];
  // What is sent to it still reaches whoever has what it had, until all know who that is.
  await until(() => lines().length === 0, { what: "nothing to be kept for it" });
});

function read({ cluster }: TestNode, name: string, labels?: Readonly<Record<string, string>>): number {
  const reading = clusterReadings(cluster).find((one) => one.name === `hexahub_cluster_${name}`);
  const value = reading?.read();
  if (typeof value === "number") return value;
  const wanted = JSON.stringify(labels);
  return value?.find((one) => JSON.stringify(one.labels) === wanted)?.value ?? Number.NaN;
}
