import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createMetrics } from "../../api/metrics.ts";
import type { Log, SharedCache } from "../../core/bus.ts";
import { newId } from "../../core/id.ts";
import { SYSTEM } from "../../core/principal.ts";
import { createOrganization } from "../../store/organizations.ts";
import { putSetting, removeSetting, SETTINGS } from "../../store/service-settings.ts";
import type { Db } from "../../store/open.ts";
import { inTransaction } from "../../store/transaction.ts";
import { documentKey, TwoLevelCache, type TwoLevelCacheOptions } from "../../store/two-level-cache.ts";
import { openRealBus, type RealBus } from "../broker/real-bus.ts";
import { SILENT, startNode } from "../broker/cluster-nodes.ts";
import { askRedis, killService, redisMissing, startRedis } from "../support/services.ts";
import { until } from "../support/wait.ts";

const skip = redisMissing();

interface Node extends AsyncDisposable {
  readonly cache: TwoLevelCache;
  readonly shared: SharedCache | undefined;
  /** As after a loss of messages. */
  reload(): void;
  /** What the value of `one.key` is for this node. */
  value(organizationId: string): Promise<unknown>;
  /** Sets it, as the API does. */
  set(organizationId: string, value: unknown): Promise<void>;
  /** How many reads were answered by each level. */
  levels(): Promise<Record<string, number>>;
  failures(): Promise<number>;
}

interface NodeOptions extends Partial<TwoLevelCacheOptions> {
  readonly redisUrl?: string;
  /** Hears of changes of the others; true unless told otherwise. */
  readonly isToldOfChanges?: boolean;
}

/** A cache as a node has it, over the real bus of the process and a connection to Redis of its own. */
async function nodeOf(real: RealBus, { redisUrl, isToldOfChanges = true, ...options }: NodeOptions = {}): Promise<Node> {
  await using stack = new AsyncDisposableStack();
  const shared = redisUrl === undefined ? undefined : stack.use(await startNode(redisUrl)).cluster.cache;
  const metrics = createMetrics();
  const { db } = real.store;
  const cache = stack.use(new TwoLevelCache({ db, shared, metrics, log: SILENT, ...options }));
  const sharing = cache.share({ bus: real.bus, log: SILENT });
  if (isToldOfChanges) stack.use(sharing);
  else sharing[Symbol.dispose]();
  const sum = async (pattern: RegExp): Promise<number> =>
    [...(await metrics.text()).matchAll(pattern)].reduce((all, match) => all + Number(match[1]), 0);
  const running = stack.move();
  return {
    cache,
    shared,
    reload: () => sharing.reload(),
    async value(organizationId) {
      return (await cache.read(SETTINGS, organizationId)).find(({ key }) => key === "one.value")?.value;
    },
    async set(organizationId, value) {
      const { document, revision } = await change(db, organizationId, value);
      await cache.changed(document, revision);
    },
    async levels() {
      const level = (name: string) => sum(new RegExp(`hexahub_cache_reads_total{cache="settings",level="${name}"} (\\d+)`, "g"));
      return { memory: await level("memory"), shared: await level("shared"), database: await level("database") };
    },
    failures: () => sum(/hexahub_cache_shared_failures_total (\d+)/g),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** Commits, and tells nobody. */
async function change(db: Db, organizationId: string, value: unknown) {
  const wanted = { key: "one.value", value, actor: SYSTEM, now: Date.now() };
  return await inTransaction(db, (trx) => putSetting(trx, organizationId, wanted, () => undefined));
}

const place = async ({ store }: RealBus): Promise<string> => (await createOrganization(store.db, { name: newId() })).id;

/** Reads as {@link SETTINGS} does, and keeps what it has read until it is let go on. */
function heldReads() {
  const [reached, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let reads = 0;
  const document: typeof SETTINGS = {
    ...SETTINGS,
    async read(db, id) {
      reads++;
      const found = await SETTINGS.read(db, id);
      reached.resolve();
      await goOn.promise;
      return found;
    },
  };
  return { document, reached: reached.promise, goOn: () => goOn.resolve(), reads: () => reads };
}

describe("a cache of one node", () => {
  test("reads the database once for all who ask at once, and then memory", async () => {
    await using real = await openRealBus();
    await using node = await nodeOf(real);
    const id = await place(real);
    await change(real.store.db, id, 1);
    const { document, goOn, reads, reached } = heldReads();
    const asked = Array.from({ length: 50 }, () => node.cache.read(document, id));
    await reached;
    goOn();
    for (const found of await Promise.all(asked)) assert.equal(found[0]?.value, 1);
    assert.equal(reads(), 1);
    assert.equal(await node.value(id), 1);
    assert.deepEqual(await node.levels(), { memory: 1, shared: 0, database: 1 });
  });

  test("a read that fails is everybody's failure once, and the next one reads again", async () => {
    await using real = await openRealBus();
    await using node = await nodeOf(real);
    const id = await place(real);
    const failing: typeof SETTINGS = { ...SETTINGS, read: () => Promise.reject(new Error("no database")) };
    const results = await Promise.allSettled([node.cache.read(failing, id), node.cache.read(failing, id)]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ["rejected", "rejected"],
    );
    assert.deepEqual(await node.cache.read(SETTINGS, id), []);
  });

  test("keeps no more entries, and no more bytes, than it may", async () => {
    await using real = await openRealBus();
    const ids = await Promise.all(Array.from({ length: 12 }, () => place(real)));
    for (const id of ids) await change(real.store.db, id, "x".repeat(1_000));
    for (const limit of [{ maxEntries: 10 }, { maxBytes: 11_500 }]) {
      await using node = await nodeOf(real, limit);
      for (const id of ids) await node.value(id);
      const kept = await node.levels();
      for (const id of ids.toReversed()) await node.value(id);
      const { memory, database } = await node.levels();
      assert.ok(kept["database"] === 12 && kept["memory"] === 0);
      assert.ok((memory as number) > 0 && (memory as number) <= 10, `${memory} of memory`);
      assert.equal((memory as number) + (database as number), 24);
    }
  });

  test("what nobody has told of is read again when its time is over", async () => {
    await using real = await openRealBus();
    await using node = await nodeOf(real, { memoryTtlMs: 200 });
    const id = await place(real);
    assert.equal(await node.value(id), undefined);
    // As of a node that died right behind its commit.
    await change(real.store.db, id, "new");
    await until(async () => (await node.value(id)) === "new", { what: "the end of its time", timeoutMs: 5_000 });
  });

  test("who asks after a change does not get what is still being read from before it", async () => {
    await using real = await openRealBus();
    await using node = await nodeOf(real);
    const id = await place(real);
    await change(real.store.db, id, "old");
    const { document, reached, goOn } = heldReads();
    const before = node.cache.read(document, id);
    await reached;
    await node.set(id, "new");
    assert.equal(await node.value(id), "new");
    goOn();
    assert.equal((await before)[0]?.value, "old");
    assert.equal(await node.value(id), "new");
  });
});

test("after a loss of messages nothing holds any more that was read before, nor what is being read", async () => {
  await using real = await openRealBus();
  await using node = await nodeOf(real);
  const [id, other] = [await place(real), await place(real)];
  for (const one of [id, other]) await change(real.store.db, one, "old");
  assert.equal(await node.value(other), "old");
  const { document, reached, goOn } = heldReads();
  const before = node.cache.read(document, id);
  await reached;
  // Another node does so, and is not heard.
  for (const one of [id, other]) await change(real.store.db, one, "new");
  node.reload();
  assert.equal(await node.value(other), "new");
  goOn();
  assert.equal((await before)[0]?.value, "old");
  assert.equal(await node.value(id), "new");
});

describe("caches of several nodes over Redis", { skip }, () => {
  test("memory is filled by what another node has left in Redis", async () => {
    await using real = await openRealBus();
    await using redis = await startRedis();
    await using a = await nodeOf(real, { redisUrl: redis.url });
    await using b = await nodeOf(real, { redisUrl: redis.url });
    const id = await place(real);
    await change(real.store.db, id, { any: ["value", 1, null] });
    for (const node of [a, a, b, b]) assert.deepEqual(await node.value(id), { any: ["value", 1, null] });
    assert.deepEqual(await a.levels(), { memory: 1, shared: 0, database: 1 });
    assert.deepEqual(await b.levels(), { memory: 1, shared: 1, database: 0 });
  });

  test("a change, and a removal, hold on the other node at once", async () => {
    await using real = await openRealBus();
    await using redis = await startRedis();
    await using a = await nodeOf(real, { redisUrl: redis.url });
    await using b = await nodeOf(real, { redisUrl: redis.url });
    const id = await place(real);
    for (let round = 0; round < 20; round++) {
      const [one, other] = round % 2 === 0 ? [a, b] : [b, a];
      await one.set(id, round);
      assert.equal(await one.value(id), round);
      await until(async () => (await other.value(id)) === round, { what: `round ${round} at the other node`, timeoutMs: 1_000 });
    }
    const { document, revision } = await inTransaction(real.store.db, (trx) => removeSetting(trx, id, "one.value", () => undefined));
    await a.cache.changed(document, revision);
    await until(async () => (await b.value(id)) === undefined, { what: "the removal at the other node", timeoutMs: 1_000 });
  });

  for (const isToldOfChanges of [true, false])
    test(`what was read before another node's change is not left behind it, ${isToldOfChanges ? "told" : "not told"} of it`, async () => {
      await using real = await openRealBus();
      await using redis = await startRedis();
      await using slow = await nodeOf(real, { redisUrl: redis.url, isToldOfChanges });
      await using quick = await nodeOf(real, { redisUrl: redis.url });
      const id = await place(real);
      await change(real.store.db, id, "old");
      const { document, reached, goOn } = heldReads();
      const reading = slow.cache.read(document, id);
      await reached;
      await quick.set(id, "new");
      goOn();
      assert.equal((await reading)[0]?.value, "old");
      // Whoever knows of Redis alone.
      await using third = await nodeOf(real, { redisUrl: redis.url });
      assert.equal(await third.value(id), "new");
      if (isToldOfChanges) assert.equal(await slow.value(id), "new");
      await using fourth = await nodeOf(real, { redisUrl: redis.url });
      assert.equal(await fourth.value(id), "new");
      assert.deepEqual(await fourth.levels(), { memory: 0, shared: 1, database: 0 });
    });

  test("nodes that read and change at once never go back behind their own change, and agree in the end", async () => {
    await using real = await openRealBus();
    await using redis = await startRedis();
    await using a = await nodeOf(real, { redisUrl: redis.url });
    await using b = await nodeOf(real, { redisUrl: redis.url });
    const ids = await Promise.all([0, 1, 2].map(() => place(real)));
    const revisionOf = async (node: Node, id: string) => (await node.cache.read(SETTINGS, id))[0]?.version ?? 0;
    const worker = async (node: Node, index: number): Promise<void> => {
      for (let round = 0; round < 40; round++) {
        const id = ids[(round + index) % ids.length] as string;
        if (round % 3 === index % 3) {
          const { after, document, revision } = await change(real.store.db, id, `${index}.${round}`);
          await node.cache.changed(document, revision);
          assert.ok((await revisionOf(node, id)) >= (after?.version as number), "it went back behind its own change");
        } else await revisionOf(node, id);
      }
    };
    await Promise.all([a, b, a, b, a, b].map((node, index) => worker(node, index)));
    for (const id of ids) {
      const [stored] = await SETTINGS.read(real.store.db, id);
      for (const node of [a, b])
        await until(async () => (await revisionOf(node, id)) === stored?.version, { what: "both to say what is stored", timeoutMs: 1_000 });
    }
  });

  test("Redis that stands still costs one wait, and nothing of what was changed meanwhile", async () => {
    await using real = await openRealBus();
    await using redis = await startRedis();
    await using a = await nodeOf(real, { redisUrl: redis.url });
    await using b = await nodeOf(real, { redisUrl: redis.url });
    const ids = await Promise.all(Array.from({ length: 20 }, () => place(real)));
    const [id] = ids as [string];
    await a.set(id, "old");
    assert.equal(await b.value(id), "old");
    process.kill(redis.pid, "SIGSTOP");
    try {
      const since = performance.now();
      for (const other of ids) assert.equal(await a.value(other), other === id ? "old" : undefined);
      const ms = performance.now() - since;
      const failures = await a.failures();
      // One each second at most, however many ask.
      assert.ok(failures >= 1 && failures <= 1 + Math.floor(ms / 1_000), `${ms} ms, ${failures} waits`);
      await a.set(id, "new");
      assert.equal(await a.value(id), "new");
      await until(async () => (await b.value(id)) === "new", { what: "the other node to hear of it", timeoutMs: 1_000 });
    } finally {
      process.kill(redis.pid, "SIGCONT");
    }
    const key = `hexa:cache:${documentKey(SETTINGS, id)}`;
    await until(async () => (await askRedis(redis, `HGET ${key} revision`)).startsWith("$1\r\n2"), { what: "Redis to hear of the change" });
    await using third = await nodeOf(real, { redisUrl: redis.url });
    assert.equal(await third.value(id), "new");
  });

  test("without Redis the database answers", async () => {
    await using real = await openRealBus();
    await using redis = await startRedis();
    await using a = await nodeOf(real, { redisUrl: redis.url });
    const id = await place(real);
    await a.set(id, 1);
    assert.equal(await a.value(id), 1);
    await killService(redis);
    const other = await place(real);
    assert.equal(await a.value(other), undefined);
    await a.set(id, 2);
    assert.equal(await a.value(id), 2);
  });

  test("what cannot be read in Redis is read from the database, and put right", async () => {
    await using real = await openRealBus();
    await using redis = await startRedis();
    const warnings: string[] = [];
    const log: Log = { ...SILENT, warn: (_data, message) => void warnings.push(message) };
    const id = await place(real);
    await change(real.store.db, id, "right");
    const key = `hexa:cache:${documentKey(SETTINGS, id)}`;
    await askRedis(redis, `HSET ${key} revision 1 text [1]`);
    await using a = await nodeOf(real, { redisUrl: redis.url, log });
    assert.equal(await a.value(id), "right");
    assert.deepEqual(warnings, ["what another node cached cannot be read"]);
    await using b = await nodeOf(real, { redisUrl: redis.url });
    assert.equal(await b.value(id), "right");
    assert.deepEqual(await b.levels(), { memory: 0, shared: 1, database: 0 });
  });

  test("Redis keeps the newest revision, and forgets it in time", async () => {
    await using redis = await startRedis();
    await using node = await startNode(redis.url);
    const { cache } = node.cluster;
    const put = (revision: number, ttlMs = 60_000) => cache.put("k", { revision, text: `text ${revision}` }, ttlMs);
    assert.equal(await cache.find("k"), undefined);
    await put(5);
    await put(4);
    assert.deepEqual(await cache.find("k"), { revision: 5, text: "text 5" });
    await cache.outdate("k", 5, 60_000);
    assert.deepEqual(await cache.find("k"), { revision: 5, text: "text 5" });
    await cache.outdate("k", 10, 60_000);
    await put(9);
    assert.equal(await cache.find("k"), undefined);
    await put(10, 100);
    assert.deepEqual(await cache.find("k"), { revision: 10, text: "text 10" });
    await until(async () => (await cache.find("k")) === undefined, { what: "the end of its time" });
  });
});
