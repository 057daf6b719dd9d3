import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startRedisCluster } from "../support/redis-cluster.ts";
import { askRedis, killService, redisMissing, type Service } from "../support/services.ts";
import { until } from "../support/wait.ts";
import { acquainted, allConnected, assertNobodyDied, numbered, passed, say, startNode, textsOf } from "./cluster-nodes.ts";

const options = { skip: redisMissing() ?? false, timeout: 90_000 };

// Each has servers of its own, and waits.
describe("a Redis Cluster whose masters fail", { concurrency: true }, () => {
  test("all masters of a Redis Cluster stand still for 4 s: messages arrive, nobody is taken for dead", options, async () => {
    await using redis = await startRedisCluster();
    await using a = await startNode(redis.url);
    await using b = await startNode(redis.url);
    await acquainted(a, b);
    for (const master of redis.masters) process.kill(master.pid, "SIGSTOP");
    for (const text of numbered(1_000)) say(a, b, text);
    await passed(4_000);
    for (const master of redis.masters) process.kill(master.pid, "SIGCONT");
    await until(() => textsOf(b).length >= 1_000, { what: "the messages", timeoutMs: 30_000 });
    assert.deepEqual(textsOf(b), numbered(1_000));
    await passed(4_000);
    assertNobodyDied(a, b);
  });

  test(
    "a master of a Redis Cluster is killed: after its replica has taken over, everything that was sent has arrived",
    options,
    async () => {
      await using redis = await startRedisCluster({ replicated: true });
      await using a = await startNode(redis.url);
      await using b = await startNode(redis.url);
      await acquainted(a, b);
      await killService(await ownerOf(redis.masters, `hexa:inbox:${b.cluster.nodeId}`));
      for (const text of numbered(1_000)) say(a, b, text);
      await a.cluster.delivered();
      await until(() => textsOf(b).length >= 1_000, { what: "the messages", timeoutMs: 30_000 });
      assert.deepEqual(textsOf(b), numbered(1_000));
      await until(() => allConnected(a, b), { what: "both to be members", timeoutMs: 20_000 });
      await passed(4_000);
      assertNobodyDied(a, b);
    },
  );
});

async function ownerOf(masters: readonly Service[], key: string): Promise<Service> {
  for (const master of masters) if ((await askRedis(master, `EXISTS ${key}`)).startsWith(":1")) return master;
  throw new Error(`nobody has ${key}`);
}
