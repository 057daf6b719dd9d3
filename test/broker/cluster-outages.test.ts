import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BacklogFull } from "../../broker/cluster-peer-queue.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { askRedis, killService, redisMissing, type Service, startRedis } from "../support/services.ts";
import { until } from "../support/wait.ts";
import {
  acquainted,
  allConnected,
  assertNobodyDied,
  KIND,
  noneConnected,
  numbered,
  passed,
  say,
  startNode,
  textsOf,
} from "./cluster-nodes.ts";

const options = { skip: redisMissing() ?? false, timeout: 90_000 };

const stop = (redis: Service) => process.kill(redis.pid, "SIGSTOP");
const go = (redis: Service) => process.kill(redis.pid, "SIGCONT");
// What takes long is waiting; those that send much or measure are beside the ones that wait, and not beside each other.
describe("a cluster whose Redis fails", { concurrency: true }, () => {
  describe("while much is sent", { concurrency: 1 }, () => {
    test(
      "Redis is killed and comes back empty: what was sent meanwhile arrives, in order, and both are told to load again",
      options,
      async () => {
        await using redis = await startRedis();
        await using a = await startNode(redis.url);
        await using b = await startNode(redis.url);
        await acquainted(a, b);
        b.cluster.interest.add("wanted/before");
        await b.cluster.interest.announced("wanted/before");
        await killService(redis);
        await until(() => noneConnected(a, b), { what: "the outage to be seen" });
        for (const text of numbered(1_000)) say(a, b, text);
        let isDelivered = false;
        const delivered = a.cluster.delivered().then(() => (isDelivered = true));
        b.cluster.interest.add("wanted/meanwhile");
        const startedAt = performance.now();
        await b.cluster.interest.announced("wanted/meanwhile");
        assert.ok(performance.now() - startedAt < 1_500, "nobody waits longer for an announcement than a second");
        assert.equal(isDelivered, false);
        await using again = await startRedis([], redis.port);
        assert.ok(again);
        await delivered;
        await until(() => textsOf(b).length >= 1_000, { what: "what was sent meanwhile" });
        assert.deepEqual(textsOf(b), numbered(1_000));
        await until(() => a.told.resyncs > 0 && b.told.resyncs > 0, { what: "both to be told to load again" });
        await acquainted(a, b);
        for (const topic of ["wanted/before", "wanted/meanwhile"]) assert.deepEqual(a.cluster.interest.peersFor(topic), [b.cluster.nodeId]);
        await passed(4_000);
        assertNobodyDied(a, b);
      },
    );

    test("Redis stands still for 4 s: nobody is taken for dead, nothing is lost or doubled, only delivered() waits", options, async () => {
      await using redis = await startRedis();
      await using a = await startNode(redis.url);
      await using b = await startNode(redis.url);
      await acquainted(a, b);
      stop(redis);
      let slowestMs = 0;
      let sent = 0;
      const end = performance.now() + 4_000;
      await until(
        () => {
          const startedAt = performance.now();
          for (let count = 0; count < 10; count += 1) say(a, b, `m${sent++}`);
          slowestMs = Math.max(slowestMs, performance.now() - startedAt);
          return performance.now() > end;
        },
        { what: "four seconds" },
      );
      let isDelivered = false;
      const delivered = a.cluster.delivered().then(() => (isDelivered = true));
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(isDelivered, false);
      go(redis);
      await delivered;
      await until(() => textsOf(b).length >= sent, { what: "the messages" });
      await passed(4_000);
      assert.deepEqual(textsOf(b), numbered(sent));
      assert.ok(slowestMs < 50, `a send took ${slowestMs} ms`);
      assertNobodyDied(a, b);
    });

    test("what Redis holds for a node that handles nothing is bounded, and nothing of it is lost", options, async () => {
      await using redis = await startRedis();
      const gate = Promise.withResolvers<void>();
      let handled = 0;
      await using a = await startNode(redis.url);
      await using b = await startNode(redis.url, {
        message: async () => {
          await gate.promise;
          handled += 1;
        },
      });
      await acquainted(a, b);
      const bytes = Buffer.alloc(10_000);
      const count = 4_000;
      for (let number = 0; number < count; number += 1) a.cluster.send(b.cluster.nodeId, { kind: KIND, bytes, droppable: false });
      const inbox = `hexa:inbox:${b.cluster.nodeId}`;
      const inRedis = async () => Number(/:(\d+)/.exec(await askRedis(redis, `MEMORY USAGE ${inbox} SAMPLES 0`))?.[1] ?? 0);
      await until(async () => (await inRedis()) > 15e6, { what: "the inbox to fill" });
      await passed(2_500);
      const heldBytes = await inRedis();
      assert.ok(heldBytes < 20e6, `Redis holds ${heldBytes} bytes`);
      assert.ok(a.cluster.stats.backlogBytes > 18e6, "the rest waits at the sender");
      gate.resolve();
      const openedAt = performance.now();
      await a.cluster.delivered();
      await until(() => handled === count, { what: "all messages" });
      assert.ok(performance.now() - openedAt < 2_000, "the reader's confirmations, and not the probes, let the rest go");
      assert.equal(b.told.resyncs, 0);
    });

    test("a slow line to Redis slows the delivery and nobody else", options, async () => {
      await using redis = await startRedis();
      await using proxy = await startFaultProxy(redis);
      await using a = await startNode(`redis://127.0.0.1:${proxy.port}`);
      await using b = await startNode(redis.url);
      await acquainted(a, b);
      proxy.slow({ delayMs: 300 });
      const startedAt = performance.now();
      for (const text of numbered(20_000)) say(a, b, text);
      const sendingMs = performance.now() - startedAt;
      await a.cluster.delivered();
      await until(() => textsOf(b).length >= 20_000, { what: "all messages", timeoutMs: 20_000 });
      assert.ok(sendingMs < 500, `sending took ${sendingMs} ms`);
      assertNobodyDied(a, b);
    });

    test(
      "without Redis a node starts alone, keeps to the bound of its backlog, drops QoS 0 first, and joins when Redis is there",
      options,
      async () => {
        await using redis = await startRedis();
        await using b = await startNode(redis.url);
        await using a = await startNode(redis.url, { maxBacklogBytes: 1_000_000 });
        await acquainted(a, b);
        await killService(redis);
        await until(() => noneConnected(a), { what: "the outage to be seen" });
        await using alone = await startNode(redis.url, { joinWithinMs: 200 });
        assert.deepEqual([...alone.cluster.peers], []);
        // 400 of 1,000 bytes that may not be dropped among 4,000 that may.
        for (let number = 0; number < 4_400; number += 1) {
          const bytes = Buffer.alloc(1_000, `${number % 11 === 0 ? "kept" : "drop"} ${number} `);
          a.cluster.send(b.cluster.nodeId, { kind: KIND, bytes, droppable: number % 11 !== 0 });
          assert.ok(a.cluster.stats.backlogBytes <= 1_000_000);
        }
        assert.equal(a.cluster.stats.droppedOthers, 0);
        assert.ok(a.cluster.stats.droppedQos0 > 3_000);
        await using again = await startRedis([], redis.port);
        assert.ok(again);
        await a.cluster.delivered();
        await acquainted(a, b, alone);
        const kept = textsOf(b).filter((text) => text.startsWith("kept"));
        assert.deepEqual(
          kept.map((text) => Number(text.split(" ")[1])),
          Array.from({ length: 400 }, (_, index) => index * 11),
        );
      },
    );

    test("when nothing may be dropped the oldest go, delivered() says so, and the peer loads again", options, async () => {
      await using redis = await startRedis();
      await using b = await startNode(redis.url);
      await using a = await startNode(redis.url, { maxBacklogBytes: 300_000 });
      await acquainted(a, b);
      await killService(redis);
      await until(() => noneConnected(a, b), { what: "the outage to be seen" });
      say(a, b, "x".repeat(1_000));
      const first = a.cluster.delivered();
      for (let number = 0; number < 1_000; number += 1) say(a, b, "x".repeat(1_000));
      await assert.rejects(first, BacklogFull);
      assert.ok(a.cluster.stats.backlogBytes <= 300_000);
      assert.ok(a.cluster.stats.droppedOthers > 500);
      const { resyncs } = b.told;
      await using again = await startRedis([], redis.port);
      assert.ok(again);
      await a.cluster.delivered();
      await until(() => b.told.resyncs > resyncs, { what: "b to be told to load again" });
    });
  });

  test("Redis stands still for 6 s more than a membership lives: the same, over new connections", options, async () => {
    await using redis = await startRedis();
    await using a = await startNode(redis.url);
    await using b = await startNode(redis.url);
    await acquainted(a, b);
    stop(redis);
    await until(() => noneConnected(a, b), { what: "the outage to be seen" });
    for (const text of numbered(100)) say(a, b, text);
    await passed(6_000);
    go(redis);
    await a.cluster.delivered();
    await until(() => textsOf(b).length >= 100, { what: "the messages" });
    await until(() => allConnected(a, b), { what: "both to be members" });
    await passed(4_000);
    assert.deepEqual(textsOf(b), numbered(100));
    assertNobodyDied(a, b);
  });

  test(
    "all keys are flushed: nodes and inboxes are there again within two seconds, nobody is taken for dead, all load again",
    options,
    async () => {
      await using redis = await startRedis();
      await using a = await startNode(redis.url);
      await using b = await startNode(redis.url);
      await acquainted(a, b);
      const claim = await a.cluster.claims.claim("lamp");
      for (let round = 1; round <= 3; round += 1) {
        // Long after the start, so that nobody is spared for being new.
        await passed(3_500);
        const resyncs = [a.told.resyncs, b.told.resyncs] as const;
        await askRedis(redis, "FLUSHALL");
        const flushedAt = performance.now();
        say(a, b, `after ${round}`);
        say(b, a, `after ${round}`);
        await until(() => textsOf(a).includes(`after ${round}`) && textsOf(b).includes(`after ${round}`), { what: "messages both ways" });
        assert.ok(performance.now() - flushedAt < 2_000);
        await until(() => a.told.resyncs > resyncs[0] && b.told.resyncs > resyncs[1], { what: "both to be told to load again" });
        await until(async () => (await askRedis(redis, "GET hexa:session:lamp")).includes(a.cluster.nodeId), { what: "the claim" });
      }
      await acquainted(a, b);
      assert.equal(claim.isCurrent, true);
      assertNobodyDied(a, b);
    },
  );

  test("a line to Redis that is dead without a word is replaced within ten seconds", options, async () => {
    await using redis = await startRedis();
    await using proxy = await startFaultProxy(redis);
    await using a = await startNode(`redis://127.0.0.1:${proxy.port}`);
    await using b = await startNode(redis.url);
    await acquainted(a, b);
    proxy.halfOpen("server");
    say(a, b, "through the new line");
    await until(() => textsOf(b).includes("through the new line"), { what: "the message", timeoutMs: 10_000 });
    await until(() => allConnected(a), { what: "a to be a member again" });
  });

  test("a node that comes back to Redis two seconds after the others is not taken for dead", options, async () => {
    await using redis = await startRedis();
    await using proxy = await startFaultProxy(redis);
    await using a = await startNode(redis.url);
    await using b = await startNode(`redis://127.0.0.1:${proxy.port}`);
    await acquainted(a, b);
    await killService(redis);
    await until(() => noneConnected(a, b), { what: "the outage to be seen" });
    proxy.refuse();
    await using again = await startRedis([], redis.port);
    assert.ok(again);
    await until(() => allConnected(a), { what: "a to be back" });
    await passed(2_000);
    proxy.accept();
    await until(() => allConnected(b), { what: "b to be back" });
    await passed(4_000);
    assertNobodyDied(a, b);
  });
});
