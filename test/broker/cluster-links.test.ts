import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { type RedisCluster, startRedisCluster } from "../support/redis-cluster.ts";
import { redisMissing, type Service, startRedis } from "../support/services.ts";
import { until } from "../support/wait.ts";
import { acquainted, KIND, say, startNode, textsOf } from "./cluster-nodes.ts";

for (const [name, start] of [
  ["on one Redis", () => startRedis()],
  ["on a Redis Cluster of three masters", () => startRedisCluster()],
] as const) {
  describe(name, { skip: redisMissing() ?? false }, () => {
    let redis: Service | RedisCluster | undefined;
    const url = () => redis?.url ?? "";
    before(async () => {
      redis = await start();
    });
    after(async () => {
      await redis?.[Symbol.asyncDispose]();
    });

    test("three nodes get each other's messages, each once and in the sender's order", async () => {
      await using a = await startNode(url());
      await using b = await startNode(url());
      await using c = await startNode(url());
      await acquainted(a, b, c);
      const count = 5_000;
      for (let number = 0; number < count; number += 1) {
        say(a, c, `a${number}`);
        say(b, c, `b${number}`);
        if (number % 100 === 0) await a.cluster.delivered();
      }
      await until(() => textsOf(c).length >= 2 * count, { what: "all messages" });
      for (const [letter, sender] of [
        ["a", a],
        ["b", b],
      ] as const) {
        const from = c.told.messages.filter(({ peerId }) => peerId === sender.cluster.nodeId).map(({ text }) => text);
        assert.deepEqual(
          from,
          Array.from({ length: count }, (_, number) => `${letter}${number}`),
        );
      }
      assert.deepEqual([textsOf(a), textsOf(b)], [[], []]);
    });

    test("an empty message and one of 300 kB arrive as they are", async () => {
      await using a = await startNode(url());
      await using b = await startNode(url());
      await acquainted(a, b);
      const large = "x".repeat(300_000);
      for (const text of ["", large, "end"]) say(a, b, text);
      await until(() => textsOf(b).length === 3, { what: "the messages" });
      assert.deepEqual(textsOf(b), ["", large, "end"]);
    });

    test("a node that takes its time to handle messages gets every one of hundreds of thousands", async () => {
      let handled = 0;
      let atOnce = 0;
      let mostAtOnce = 0;
      await using a = await startNode(url());
      await using b = await startNode(url(), {
        message: async () => {
          handled += 1;
          mostAtOnce = Math.max(mostAtOnce, ++atOnce);
          await new Promise((resolve) => setImmediate(resolve));
          atOnce -= 1;
        },
      });
      await acquainted(a, b);
      const bytes = Buffer.alloc(100);
      for (let number = 0; number < 200_000; number += 1) a.cluster.send(b.cluster.nodeId, { kind: KIND, bytes, droppable: false });
      await until(() => handled >= 200_000, { what: "all messages", timeoutMs: 30_000 });
      assert.equal(handled, 200_000);
      assert.ok(mostAtOnce < 20_000, `${mostAtOnce} messages were being handled at once`);
      assert.equal(b.told.resyncs, 0);
    });

    test("a message goes only to the nodes that want its topic", async () => {
      await using a = await startNode(url());
      await using b = await startNode(url());
      await using c = await startNode(url());
      await acquainted(a, b, c);
      b.cluster.interest.add("hexa/+/up/#");
      b.cluster.interest.add("hexa/+/up/#");
      c.cluster.interest.add("$share/workers/hexa/d1/up/state");
      await Promise.all([b.cluster.interest.announced("hexa/+/up/#"), c.cluster.interest.announced("$share/workers/hexa/d1/up/state")]);
      assert.deepEqual(a.cluster.interest.peersFor("hexa/d1/up/state"), [b.cluster.nodeId]);
      assert.deepEqual([...a.cluster.interest.groupsFor("hexa/d1/up/state")], [["workers", [c.cluster.nodeId]]]);
      assert.deepEqual(a.cluster.interest.peersFor("hexa/d2/up/state"), [b.cluster.nodeId]);
      assert.deepEqual(a.cluster.interest.peersFor("hexa/d1/down/command"), []);
      b.cluster.interest.remove("hexa/+/up/#");
      assert.deepEqual(a.cluster.interest.peersFor("hexa/d2/up/state"), [b.cluster.nodeId], "one of two subscribers is left");
      b.cluster.interest.remove("hexa/+/up/#");
      await until(() => a.cluster.interest.peersFor("hexa/d2/up/state").length === 0, {
        what: "the last subscriber's leaving to be known",
      });
    });

    test("once announced() has resolved, every peer knows the filter", async () => {
      await using a = await startNode(url());
      await using b = await startNode(url());
      await using c = await startNode(url());
      await acquainted(a, b, c);
      for (let number = 0; number < 50; number += 1) {
        const topic = `t/${number}`;
        a.cluster.interest.add(topic);
        const startedAt = performance.now();
        await a.cluster.interest.announced(topic);
        assert.ok(performance.now() - startedAt < 900, "it waited for its limit");
        for (const other of [b, c]) assert.deepEqual(other.cluster.interest.peersFor(topic), [a.cluster.nodeId]);
      }
    });

    test("a node that joins later is told everything that is wanted, also thousands of filters", async () => {
      await using a = await startNode(url());
      for (let number = 0; number < 3_000; number += 1) a.cluster.interest.add(`many/${number}/#`);
      await using b = await startNode(url());
      await acquainted(a, b);
      for (const number of [0, 1, 1_500, 2_999]) assert.deepEqual(b.cluster.interest.peersFor(`many/${number}/x`), [a.cluster.nodeId]);
      assert.deepEqual(b.cluster.interest.peersFor("many/3000/x"), []);
    });

    test("a lease has one holder at a time, and every new one a higher fence", async () => {
      await using a = await startNode(url());
      await using b = await startNode(url());
      const fences: number[] = [];
      let holders = 0;
      const work = async ({ fence, signal }: { fence: number; signal: AbortSignal }) => {
        holders += 1;
        assert.equal(holders, 1);
        fences.push(fence);
        await new Promise((resolve) => setImmediate(resolve));
        assert.equal(signal.aborted, false);
        holders -= 1;
      };
      await using one = a.cluster.leases.withLease("duty", 300, work);
      await using other = b.cluster.leases.withLease("duty", 300, work);
      await until(() => fences.length >= 10, { what: "ten turns" });
      assert.ok(one && other);
      assert.deepEqual(
        fences,
        [...new Set(fences)].toSorted((x, y) => x - y),
      );
    });

    test("a holder that cannot renew its lease knows it before anybody else has it", async () => {
      if (!redis || !("port" in redis)) return;
      await using proxy = await startFaultProxy(redis);
      await using a = await startNode(`redis://127.0.0.1:${proxy.port}`);
      await using b = await startNode(url());
      const startedAt = performance.now();
      const lease = await a.cluster.leases.tryLease("single", 1_000);
      assert.ok(lease);
      assert.equal(await b.cluster.leases.tryLease("single", 1_000), undefined);
      await until(() => performance.now() > startedAt + 2_500, { what: "some renewals" });
      assert.equal(lease.signal.aborted, false);
      proxy.freeze();
      const next = await until(() => b.cluster.leases.tryLease("single", 1_000), { what: "the lease to be free" });
      assert.equal(lease.signal.aborted, true);
      assert.ok(next.fence > lease.fence);
      proxy.thaw();
      await lease[Symbol.asyncDispose]();
      assert.equal(await a.cluster.leases.tryLease("single", 1_000), undefined, "the former holder cannot give back what is another's");
    });

    test("a node that leaves in order is gone for the others at once", async () => {
      await using a = await startNode(url());
      const b = await startNode(url());
      await acquainted(a, b);
      const leftAt = performance.now();
      await b[Symbol.asyncDispose]();
      await until(() => a.told.left.length === 1, { what: "the leaving" });
      assert.ok(performance.now() - leftAt < 2_000);
      assert.deepEqual(a.told.left, [b.cluster.nodeId]);
      await until(() => a.told.adopted.includes(b.cluster.nodeId), { what: "its adoption" });
    });
  });
}

test("a password in the URL opens the door, and without it the node stays alone", { skip: redisMissing() ?? false }, async () => {
  await using redis = await startRedis(["--requirepass", "p@ss/word"]);
  const url = `redis://:${encodeURIComponent("p@ss/word")}@127.0.0.1:${redis.port}`;
  await using a = await startNode(url);
  await using b = await startNode(url);
  await using stranger = await startNode(redis.url, { joinWithinMs: 300 });
  await acquainted(a, b);
  assert.deepEqual([a.cluster.isConnected, stranger.cluster.isConnected, stranger.cluster.peers.size], [true, false, 0]);
});
