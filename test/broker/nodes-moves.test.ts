import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { IClientOptions } from "mqtt";
import { startHub, type TestHub } from "../support/hub.ts";
import { postgresMissing, redisMissing } from "../support/services.ts";
import { until } from "../support/wait.ts";
import { type Account, addAccount, connectTo, type Ground, LASTING, type NodeClient, startGround } from "./nodes.ts";

/** A session that ends with its connection; of MQTT 5. */
const PASSING: IClientOptions = { clean: false, properties: { sessionExpiryInterval: 0 } };

describe("a client that goes from node to node", { skip: postgresMissing() ?? redisMissing() }, () => {
  let ground: Ground;
  let a: TestHub;
  let b: TestHub;
  let account: Account;
  before(async () => {
    ground = await startGround();
    a = await startHub(ground);
    b = await startHub(ground);
    account = await addAccount(a);
    await acquaint();
  });
  after(async () => {
    await a[Symbol.asyncDispose]();
    await b[Symbol.asyncDispose]();
    await ground[Symbol.asyncDispose]();
  });

  /** Until what is said at each is heard at the other. */
  async function acquaint(): Promise<void> {
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      const [speaker, listener] = [await connectTo(from, account), await connectTo(to, account)];
      await listener.client.subscribeAsync(`${account.prefix}/hello`);
      await until(() => speaker.client.publishAsync(`${account.prefix}/hello`, "").then(() => listener.seen.length > 0), {
        what: "a hello",
      });
      for (const { client } of [speaker, listener]) await client.endAsync();
    }
  }

  /** Resolves when both nodes have dealt with what was said at either before. */
  async function fenced(): Promise<void> {
    const topic = `${account.prefix}/fence`;
    const clients = [await connectTo(a, account), await connectTo(b, account)];
    for (const { client } of clients) await client.subscribeAsync(topic, { qos: 1 });
    let count = 0;
    for (let round = 0; round < 3; round++) {
      for (const { client } of clients) await client.publishAsync(topic, "fence", { qos: 1 });
      count += clients.length;
      await until(() => clients.every(({ seen }) => seen.length === count), { what: "the fence" });
    }
    for (const { client } of clients) await client.endAsync();
  }

  const texts = ({ seen }: NodeClient): string[] => seen.map(({ text }) => text);
  const gone = ({ client }: NodeClient): Promise<void> => new Promise((resolve) => void client.once("close", () => resolve()));

  test("leaves a will behind when it takes its own place, as on one node", async () => {
    const topic = `${account.prefix}/place/will`;
    const witness = await connectTo(b, account);
    await witness.client.subscribeAsync(topic, { qos: 1 });
    for (const [index, options] of [LASTING, PASSING].entries()) {
      const clientId = `place-${index}`;
      const will = { topic, payload: Buffer.from(clientId), qos: 1, retain: false } as const;
      const first = await connectTo(a, account, { ...options, clientId, will });
      const second = await connectTo(b, account, { ...options, clientId });
      assert.equal(second.sessionPresent, options === LASTING, "a session without an expiry ends with its connection [MQTT-3.1.2-23]");
      await until(() => texts(witness).includes(clientId), { what: "the will of the connection that ended" });
      for (const { client } of [first, second]) await client.endAsync();
    }
    await witness.client.endAsync();
  });

  test("gets each message once in a session that begins anew", async () => {
    const topic = `${account.prefix}/anew`;
    const clientId = "anew";
    const first = await connectTo(a, account, { ...LASTING, clientId });
    await first.client.subscribeAsync(topic, { qos: 1 });
    const second = await connectTo(b, account, { clientId, clean: true });
    await second.client.subscribeAsync(topic, { qos: 1 });
    const sender = await connectTo(a, account);
    await sender.client.publishAsync(topic, "once", { qos: 1 });
    await fenced();
    await second.synced();
    assert.deepEqual(texts(second), ["once"]);
    for (const { client } of [first, second, sender]) await client.endAsync();
  });

  test("gets each message once in a session that begins anew where it was before", async () => {
    const topic = `${account.prefix}/back`;
    const clientId = "back";
    const first = await connectTo(a, account, { ...LASTING, clientId });
    await first.client.subscribeAsync(topic, { qos: 1 });
    const second = await connectTo(b, account, { ...LASTING, clientId });
    const isOver = gone(second);
    await second.client.endAsync({ properties: { sessionExpiryInterval: 0 } } as never);
    await isOver;
    const third = await connectTo(a, account, { clientId, clean: true });
    await third.client.subscribeAsync(topic, { qos: 0 });
    const sender = await connectTo(b, account);
    await sender.client.publishAsync(topic, "once", { qos: 1 });
    await fenced();
    await third.synced();
    assert.deepEqual(texts(third), ["once"]);
    for (const { client } of [third, sender]) await client.endAsync();
  });

  test("still does not hear itself where it does not want to", async () => {
    const topic = `${account.prefix}/own`;
    const clientId = "own";
    const first = await connectTo(a, account, { ...LASTING, clientId });
    await first.client.subscribeAsync(topic, { qos: 1, nl: true });
    const second = await connectTo(b, account, { ...LASTING, clientId });
    await second.client.publishAsync(topic, "my own", { qos: 1 });
    await fenced();
    await second.synced();
    assert.deepEqual(texts(second), []);
    for (const { client } of [first, second]) await client.endAsync();
  });

  test("finds no session again that has just ended", async () => {
    const clientId = "ended";
    for (let round = 0; round < 10; round++) {
      const first = await connectTo(a, account, { ...LASTING, clientId });
      assert.equal(first.sessionPresent, false);
      const isOver = gone(first);
      await first.client.endAsync({ properties: { sessionExpiryInterval: 0 } } as never);
      await isOver;
    }
  });

  test("is served as a member of its group, beside what it gets for itself", async () => {
    const topic = `${account.prefix}/group`;
    const clientId = "member";
    const first = await connectTo(a, account, { ...LASTING, clientId });
    await first.client.subscribeAsync({ [topic]: { qos: 1 }, [`$share/g/${topic}`]: { qos: 1 } });
    const second = await connectTo(b, account, { ...LASTING, clientId });
    await fenced();
    const senders = [await connectTo(a, account), await connectTo(b, account)];
    for (let number = 0; number < 10; number++) for (const { client } of senders) await client.publishAsync(topic, "work", { qos: 1 });
    await until(() => second.seen.length === 40, { what: "each message twice" });
    for (const { client } of [first, second, ...senders]) await client.endAsync();
  });

  test("gets what its group is sent although somebody at another node hears everything", async () => {
    const topic = `${account.prefix}/everything`;
    const member = await connectTo(b, account);
    const everything = await connectTo(a, account);
    await member.client.subscribeAsync(`$share/g/${topic}`, { qos: 1 });
    await everything.client.subscribeAsync("#", { qos: 1 });
    for (let number = 0; number < 20; number++) await member.client.publishAsync(topic, `${number}`, { qos: 1 });
    await until(() => member.seen.length === 20, { what: "all of it" });
    for (const { client } of [member, everything]) await client.endAsync();
  });

  test("takes back at one node what it retained at the other, for a node that comes later too", async () => {
    const topic = `${account.prefix}/later`;
    const [here, there] = [await connectTo(a, account), await connectTo(b, account)];
    await here.client.publishAsync(topic, "kept", { qos: 1, retain: true });
    await fenced();
    await there.client.publishAsync(topic, "", { qos: 1, retain: true });
    await using late = await startHub(ground);
    const reader = await connectTo(late, account);
    await reader.client.subscribeAsync(topic);
    await reader.synced();
    assert.deepEqual(texts(reader), []);
    for (const { client } of [here, there, reader]) await client.endAsync();
  });
});

test("a node that starts finds everything that is retained, also what the others retain meanwhile", {
  skip: postgresMissing() ?? redisMissing(),
}, async () => {
  await using ground = await startGround();
  await using a = await startHub({ ...ground, env: { ...ground.env, HEXA_MQTT_RETAINED_TOPICS: "100000" } });
  const account = await addAccount(a);
  const writer = await connectTo(a, account);
  const starting = startHub(ground);
  const topics: string[] = [];
  const write = async (): Promise<void> => {
    const topic = `${account.prefix}/meanwhile/${topics.length}`;
    await writer.client.publishAsync(topic, "kept", { qos: 1, retain: true });
    topics.push(topic);
  };
  const state = { isStarted: false };
  void starting.then(() => (state.isStarted = true));
  while (!state.isStarted) await write();
  await using b = await starting;
  // The others see a newcomer within 200 ms.
  for (const endsAt = performance.now() + 400; performance.now() < endsAt; ) await write();
  await until(
    async () => {
      const reader = await connectTo(b, account);
      await reader.client.subscribeAsync(`${account.prefix}/meanwhile/+`);
      // A long list comes in pieces.
      const all = until(() => reader.seen.length === topics.length, { what: "all topics", timeoutMs: 1_000 });
      return all.then(() => true).finally(() => void reader.client.endAsync());
    },
    { what: "everything that is retained", timeoutMs: 5_000 },
  );
  await writer.client.endAsync();
});
