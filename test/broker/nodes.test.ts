import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { spawnHub, startHub, type TestHub } from "../support/hub.ts";
import { killService, startRedis } from "../support/services.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { type Account, addAccount, connectTo, type Ground, LASTING, startGround } from "./nodes.ts";

describe("two nodes", () => {
  let ground: Ground;
  let a: TestHub;
  let b: TestHub;
  let account: Account;
  before(async () => {
    ground = await startGround();
    a = await startHub(ground);
    b = await startHub(ground);
    account = await addAccount(a);
  });
  after(async () => {
    await a[Symbol.asyncDispose]();
    await b[Symbol.asyncDispose]();
    await ground[Symbol.asyncDispose]();
  });

  test("a message reaches subscribers on both, once each, from the moment of the SUBACK", async () => {
    const topic = `${account.prefix}/crossing`;
    const here = await connectTo(a, account, { clientId: "crossing-a" });
    const there = await connectTo(b, account, { clientId: "crossing-b" });
    await here.client.subscribeAsync(topic, { qos: 1 });
    await there.client.subscribeAsync(topic, { qos: 1 });
    await there.client.publishAsync(topic, "from b", { qos: 1 });
    await here.client.publishAsync(topic, "from a", { qos: 0 });
    await here.client.publishAsync(topic, "twice from a", { qos: 2 });
    await here.has("from b", "from a", "twice from a");
    await there.has("from b", "from a", "twice from a");
    await here.client.endAsync();
    await there.client.endAsync();
  });

  test("a session goes with its client from node to node, with what was queued meanwhile on either", async () => {
    const topic = `${account.prefix}/moving`;
    const sender = await connectTo(b, account, { clientId: "moving-sender" });
    const first = await connectTo(a, account, { clientId: "moving", ...LASTING });
    await first.client.subscribeAsync(topic, { qos: 1 });
    await first.client.endAsync();
    await sender.client.publishAsync(topic, "1", { qos: 1 });
    const second = await connectTo(b, account, { clientId: "moving", ...LASTING });
    assert.equal(second.sessionPresent, true);
    await second.has("1");
    await second.client.endAsync();
    await sender.client.publishAsync(topic, "2", { qos: 1 });
    const third = await connectTo(a, account, { clientId: "moving", ...LASTING });
    assert.equal(third.sessionPresent, true);
    await third.has("2");
    await third.client.endAsync();
    await sender.client.endAsync();
  });

  test("a client that connects to the other node ends its connection here, and works there", async () => {
    const topic = `${account.prefix}/taken`;
    const first = await connectTo(a, account, { clientId: "taken" });
    const reason = new Promise((resolve) => first.client.once("disconnect", ({ reasonCode }) => resolve(reasonCode)));
    const second = await connectTo(b, account, { clientId: "taken" });
    assert.equal(await reason, 0x8e);
    await second.client.subscribeAsync(topic);
    await second.client.publishAsync(topic, "here", { qos: 1 });
    await second.has("here");
    await second.client.endAsync();
  });

  test("what is retained through one node is retained on the other, and taken back on both", async () => {
    const topic = `${account.prefix}/kept`;
    const writer = await connectTo(a, account, { clientId: "kept-writer" });
    await writer.client.publishAsync(topic, "kept", { qos: 1, retain: true });
    const reader = await connectTo(b, account, { clientId: "kept-reader" });
    await reader.client.subscribeAsync(topic);
    await reader.has("kept");
    assert.equal(reader.seen[0]?.retain, true);
    await writer.client.publishAsync(topic, "", { qos: 1, retain: true });
    await reader.has("kept", "");
    const late = await connectTo(b, account, { clientId: "kept-late" });
    await late.client.subscribeAsync(topic);
    await late.synced();
    assert.deepEqual(late.seen, []);
    for (const { client } of [writer, reader, late]) await client.endAsync();
  });

  test("of a group with members on both nodes one gets each message", async () => {
    const filter = `$share/workers/${account.prefix}/work`;
    const here = await connectTo(a, account, { clientId: "worker-a" });
    const there = await connectTo(b, account, { clientId: "worker-b" });
    await here.client.subscribeAsync(filter, { qos: 1 });
    await there.client.subscribeAsync(filter, { qos: 1 });
    const sent = Array.from({ length: 60 }, (_, index) => String(index));
    for (const [index, text] of sent.entries())
      await (index % 2 ? here : there).client.publishAsync(`${account.prefix}/work`, text, { qos: 1 });
    const all = (): string[] => [...here.seen, ...there.seen].map(({ text }) => text);
    await until(() => all().length >= sent.length, { what: "all work to be given out" });
    assert.deepEqual(all().toSorted(), sent.toSorted());
    assert.ok(here.seen.length > 5 && there.seen.length > 5, `${here.seen.length} and ${there.seen.length}`);
    await here.client.endAsync();
    await there.client.endAsync();
  });
});

// Each has a database, a Redis and hubs of its own, and waits.
describe("a node that loses the other, or Redis", { concurrency: true }, () => {
  test("what a killed node had, the other takes: sessions with their queues, and wills once", async () => {
    await using ground = await startGround();
    await using folder = temporaryFolder();
    await using a = await startHub(ground);
    await using b = await spawnHub({ ...ground, dataDir: folder.path });
    const account = await addAccount(a);
    const queue = `${account.prefix}/left`;
    const last = `${account.prefix}/last-words`;
    const witness = await connectTo(a, account, { clientId: "witness" });
    await witness.client.subscribeAsync(last, { qos: 1 });
    const away = await connectTo(b, account, { clientId: "away", ...LASTING });
    await away.client.subscribeAsync(queue, { qos: 1 });
    await away.client.endAsync();
    const doomed = await connectTo(b, account, {
      clientId: "doomed",
      will: { topic: last, payload: Buffer.from("gone"), qos: 1, retain: false },
    });
    doomed.client.on("error", () => undefined);
    await witness.client.publishAsync(queue, "before", { qos: 1 });
    await b.kill9();
    await witness.client.publishAsync(queue, "meanwhile", { qos: 1 });
    const back = await connectTo(a, account, { clientId: "away", ...LASTING });
    assert.equal(back.sessionPresent, true);
    await until(() => new Set(back.seen.map(({ text }) => text)).size === 2, { what: "both messages", timeoutMs: 20_000 });
    await until(() => witness.seen.length > 0, { what: "the will of the dead node's client", timeoutMs: 30_000 });
    await witness.synced();
    assert.deepEqual(
      witness.seen.map(({ text }) => text),
      ["gone"],
    );
    for (const { client } of [witness, back]) await client.endAsync();
  });

  test("without Redis each node goes on alone, and what waited for the other arrives when it is back", async () => {
    await using ground = await startGround();
    await using a = await startHub(ground);
    await using b = await startHub(ground);
    const account = await addAccount(a);
    const topic = `${account.prefix}/outage`;
    const here = await connectTo(a, account, { clientId: "outage-a" });
    const there = await connectTo(b, account, { clientId: "outage-b" });
    await here.client.subscribeAsync(topic, { qos: 1 });
    await there.client.subscribeAsync(topic, { qos: 1 });
    const port = ground.redis.port;
    await killService(ground.redis);
    await here.client.publishAsync(topic, "alone", { qos: 1 });
    await here.has("alone");
    const fresh = await connectTo(a, account, { clientId: "outage-new" });
    await fresh.client.subscribeAsync(topic, { qos: 1 });
    await fresh.client.publishAsync(topic, "newcomer", { qos: 1 });
    await fresh.has("newcomer");
    await using _redis = await startRedis([], port);
    await until(() => there.seen.length >= 2, { what: "what waited for Redis", timeoutMs: 30_000 });
    await there.has("alone", "newcomer");
    for (const { client } of [here, there, fresh]) await client.endAsync();
  });
});
