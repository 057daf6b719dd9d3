import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fc from "fast-check";
import type { Claim } from "../../broker/cluster-claims.ts";
import { OWN_KINDS } from "../../broker/cluster-frame.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { askRedis, killService, redisMissing, type Service, startRedis } from "../support/services.ts";
import { until } from "../support/wait.ts";
import { acquainted, say, startNode, type TestNode } from "./cluster-nodes.ts";

const options = { skip: redisMissing() ?? false };
let redis: Service | undefined;
function running(): Service {
  if (!redis) throw new Error("Redis is not running");
  return redis;
}
const url = () => running().url;
before(async () => {
  if (!redisMissing()) redis = await startRedis();
});
after(async () => {
  await redis?.[Symbol.asyncDispose]();
});

/** A node with connections: one per client id, as a broker has them. */
interface Door extends AsyncDisposable {
  readonly node: TestNode;
  readonly open: Map<string, { claim: Claim; number: number }>;
  /** What happened to each session, for the order between the nodes. */
  connect(clientId: string, number: number): Promise<void>;
}

interface DoorOptions {
  readonly events?: string[];
  readonly onRelease?: () => Promise<void>;
  readonly clock?: () => number;
}

async function startDoor(redisUrl: string, { events = [], onRelease = async () => {}, clock = Date.now }: DoorOptions = {}): Promise<Door> {
  const open: Door["open"] = new Map();
  const node = await startNode(redisUrl, {
    clock,
    release: async (clientId) => {
      const connection = open.get(clientId);
      if (!connection) return;
      open.delete(clientId);
      await onRelease();
      events.push(`stored ${connection.number}`);
    },
  });
  return {
    node,
    open,
    async connect(clientId, number) {
      const claim = await node.cluster.claims.claim(clientId);
      if (!claim.isCurrent) return;
      // As the broker does it: the older connection of the same client on this node ends.
      if (open.has(clientId)) events.push(`stored ${open.get(clientId)?.number}`);
      open.set(clientId, { claim, number });
      events.push(`opened ${number}`);
    },
    [Symbol.asyncDispose]: () => node[Symbol.asyncDispose](),
  };
}

test("the node that had the client has stored its session before the claim resolves", options, async () => {
  const events: string[] = [];
  const slowStore = async () => {
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  await using a = await startDoor(url(), { events, onRelease: slowStore });
  await using b = await startDoor(url(), { events, onRelease: slowStore });
  await acquainted(a.node, b.node);
  for (const number of [1, 2, 3, 4]) await (number % 2 === 1 ? a : b).connect("lamp", number);
  assert.deepEqual(events, ["opened 1", "stored 1", "opened 2", "stored 2", "opened 3", "stored 3", "opened 4"]);
  assert.deepEqual([a.open.size, b.open.size], [0, 1]);
  assert.equal(b.open.get("lamp")?.claim.previous, a.node.cluster.nodeId);
});

test("a client that nobody has is claimed without a question; a claim that ended leaves nothing", options, async () => {
  await using a = await startNode(url());
  await using b = await startNode(url());
  await acquainted(a, b);
  const claim = await a.cluster.claims.claim("alone");
  assert.deepEqual([claim.previous, claim.isCurrent], [undefined, true]);
  claim.end();
  assert.equal(claim.isCurrent, false);
  await until(async () => (await askRedis(running(), "EXISTS hexa:session:alone")).startsWith(":0"), { what: "the key to be gone" });
  const next = await b.cluster.claims.claim("alone");
  assert.equal(next.previous, undefined);
  assert.deepEqual(a.told.released, []);
  claim.end();
  assert.equal(
    (await a.cluster.claims.claim("alone")).previous,
    b.cluster.nodeId,
    "the end of a former claim takes nothing from the new one",
  );
});

test("of connections of one client on two nodes at the same instant exactly one survives, in 100 races", options, async () => {
  await using a = await startDoor(url());
  await using b = await startDoor(url());
  await acquainted(a.node, b.node);
  let race = 0;
  // Which node each of 2–5 connections comes to, and whether it waits for a turn of the event loop.
  const attempts = fc.array(fc.record({ onA: fc.boolean(), later: fc.boolean() }), { minLength: 2, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(attempts, async (connects) => {
      const clientId = `racer-${race++}`;
      await Promise.all(
        connects.map(async ({ onA, later }, number) => {
          if (later) await new Promise((resolve) => setImmediate(resolve));
          await (onA ? a : b).connect(clientId, number);
        }),
      );
      const survivors = () => [a, b].flatMap((door) => door.open.get(clientId) ?? []);
      await until(() => survivors().length === 1, { what: "exactly one survivor", timeoutMs: 3_000 });
      assert.equal(survivors()[0]?.claim.isCurrent, true);
    }),
    { numRuns: 100 },
  );
});

test("a node that does not let go holds a claim up for two seconds and no longer", options, async () => {
  await using a = await startDoor(url(), { onRelease: () => new Promise(() => {}) });
  await using b = await startDoor(url());
  await acquainted(a.node, b.node);
  await a.connect("stuck", 1);
  const askedAt = performance.now();
  await b.connect("stuck", 2);
  const tookMs = performance.now() - askedAt;
  assert.ok(tookMs > 1_900 && tookMs < 3_000, `it took ${tookMs} ms`);
  assert.equal(b.open.has("stuck"), true);
});

test("a claim waits for the one before it also when that is overtaken while it waits", options, async () => {
  const events: string[] = [];
  const gate = Promise.withResolvers<void>();
  await using a = await startDoor(url(), { events });
  await using b = await startDoor(url(), { events });
  await using c = await startDoor(url(), { events, onRelease: () => gate.promise });
  await acquainted(a.node, b.node, c.node);
  await c.connect("chained", 1);
  const second = b.connect("chained", 2);
  await until(() => !c.open.has("chained"), { what: "the first node to be asked" });
  const third = a.connect("chained", 3);
  await until(async () => (await askRedis(running(), "GET hexa:session:chained")).includes(a.node.cluster.nodeId), {
    what: "the third claim",
  });
  const end = performance.now() + 300;
  await until(() => performance.now() > end, { what: "time to do it wrong" });
  gate.resolve();
  await Promise.all([second, third]);
  assert.deepEqual(events, ["opened 1", "stored 1", "opened 3"]);
});

test("a late request for a former connection does not end the present one", options, async () => {
  await using a = await startNode(url());
  await using b = await startNode(url());
  await acquainted(a, b);
  await a.cluster.claims.claim("late");
  const token = (await askRedis(running(), "GET hexa:session:late")).split("\r\n")[1];
  const claim = await a.cluster.claims.claim("late");
  const bytes = Buffer.from(JSON.stringify({ clientId: "late", token }));
  b.cluster.send(a.cluster.nodeId, { kind: OWN_KINDS.release, bytes, droppable: false });
  say(b, a, "after it");
  await until(() => a.told.messages.length === 1, { what: "the message after it" });
  assert.deepEqual([a.told.released, claim.isCurrent], [[], true]);
});

test(
  "when Redis has lost its data, a claim made since then counts more than one from before, whatever the clocks say",
  options,
  async () => {
    await using own = await startRedis();
    await using a = await startDoor(own.url, { clock: () => Date.now() + 3_600_000 });
    await using b = await startDoor(own.url);
    await acquainted(a.node, b.node);
    await a.connect("lost", 1);
    await askRedis(own, "FLUSHALL");
    await b.connect("lost", 2);
    await until(() => !a.open.has("lost"), { what: "the former connection to end" });
    assert.equal(b.open.get("lost")?.claim.isCurrent, true);
  },
);

test("without Redis each node lets its clients in; when it is back, the later of two connections stays", {
  ...options,
  timeout: 90_000,
}, async () => {
  const own = await startRedis();
  let now = Date.now();
  const clock = () => (now += 1);
  await using a = await startDoor(own.url, { clock });
  await using b = await startDoor(own.url, { clock });
  await acquainted(a.node, b.node);
  await a.connect("before", 0);
  await killService(own);
  await until(() => !a.node.cluster.isConnected && !b.node.cluster.isConnected, { what: "the outage to be seen" });
  const startedAt = performance.now();
  await a.connect("wanderer", 1);
  await b.connect("wanderer", 2);
  await b.connect("mover", 3);
  await a.connect("mover", 4);
  await b.connect("before", 5);
  assert.ok(performance.now() - startedAt < 1_000, "nobody waits for a Redis that is away");
  assert.deepEqual([a.open.size, b.open.size], [3, 3], "each on its own");
  await using again = await startRedis([], own.port);
  assert.ok(again);
  await until(() => a.open.size === 1 && b.open.size === 2, { what: "one connection of each client", timeoutMs: 20_000 });
  assert.deepEqual([[...a.open.keys()], [...b.open.keys()].toSorted()], [["mover"], ["before", "wanderer"]]);
  await own[Symbol.asyncDispose]();
});

test("a claim that Redis took and whose answer was lost ends the former connection all the same", options, async () => {
  await using own = await startRedis();
  await using line = await startFaultProxy(own);
  await using a = await startDoor(own.url);
  await using b = await startDoor(`redis://127.0.0.1:${line.port}`);
  await acquainted(a.node, b.node);
  // So many that it takes an hour until each was looked at by itself.
  await Promise.all(Array.from({ length: 4_000 }, (_, number) => a.node.cluster.claims.claim(`other-${number}`)));
  let isLost = false;
  // An answer to something else may have come first, and the claim not have been asked for.
  for (let round = 0; round < 5 && !isLost; round += 1) {
    const clientId = `unheard-${round}`;
    await a.connect(clientId, round);
    // What is asked now is still executed; no byte of an answer comes back.
    line.tear(0);
    const { nodeId } = b.node.cluster;
    // On a machine that is busy for seconds the others declare it dead meanwhile: all that it had claimed is void then.
    const isDead = (): boolean => b.node.cluster.nodeId !== nodeId;
    await b.connect(clientId, round);
    const isTaken = (await askRedis(own, `GET hexa:session:${clientId}`)).includes(nodeId);
    line.mend();
    await until(() => !a.open.has(clientId) || isDead(), { what: "the former connection to end" });
    if (isDead()) continue;
    assert.equal(b.open.get(clientId)?.claim.isCurrent, true);
    isLost = isTaken;
  }
  assert.ok(isLost, "an answer was lost");
});

test("a free session whose taking was not answered is taken when it is tried again", options, async () => {
  await using node = await startNode(url());
  await askRedis(running(), `SET hexa:session:orphan ${node.cluster.nodeId}/1-1`);
  const claim = await node.cluster.claims.claimFree("orphan");
  assert.equal(claim?.isCurrent, true);
  assert.equal(await node.cluster.claims.claimFree("orphan"), undefined, "it has it now");
});
