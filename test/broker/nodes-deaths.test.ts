import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, test } from "node:test";
import { newEvent } from "../../core/event.ts";
import { SYSTEM } from "../../core/principal.ts";
import { insertEvents } from "../../store/events.ts";
import { openStore } from "../../store/open.ts";
import { type HubProcess, spawnHub, startHub, type TestHub } from "../support/hub.ts";
import { askRedis } from "../support/services.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { type Account, addAccount, connectTo, type Ground, LASTING, type NodeClient, startGround } from "./nodes.ts";

interface Pair extends AsyncDisposable {
  readonly ground: Ground;
  readonly a: TestHub;
  /** In a process of its own. */
  readonly b: HubProcess;
  readonly account: Account;
}

async function startPair(): Promise<Pair> {
  await using stack = new AsyncDisposableStack();
  const { env, ...rest } = stack.use(await startGround());
  const ground = { ...rest, env: { ...env, HEXA_MQTT_QUEUE_MESSAGES: "1000000", HEXA_MQTT_QUEUE_BYTES: "1000000000" } };
  const folder = stack.use(temporaryFolder());
  const a = stack.use(await startHub(ground));
  const b = stack.use(await spawnHub({ ...ground, dataDir: folder.path }));
  const account = await addAccount(a);
  const running = stack.move();
  return { ground, a, b, account, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/** Publishes numbers, one after the other, until it is over; resolves to those that were acknowledged. */
async function streamUntil({ client }: NodeClient, topic: string, isOver: () => boolean): Promise<string[]> {
  const acknowledged: string[] = [];
  while (!isOver()) {
    const text = String(acknowledged.length);
    await client.publishAsync(topic, text, { qos: 1 });
    acknowledged.push(text);
  }
  return acknowledged;
}

async function nothingIsMissing(topic: string, wanted: readonly string[], clients: readonly NodeClient[]): Promise<void> {
  assert.ok(wanted.length > 0);
  const missing = (): string[] => {
    const seen = new Set(clients.flatMap((one) => one.seen.filter((each) => each.topic === topic).map(({ text }) => text)));
    return wanted.filter((text) => !seen.has(text));
  };
  await until(() => missing().length === 0, { what: "all that was acknowledged", timeoutMs: 30_000 }).catch((cause: unknown) => {
    throw new Error(`${missing().length} of ${wanted.length} acknowledged on ${topic} are lost: ${missing().slice(0, 10).join(" ")}`, {
      cause,
    });
  });
}

const isBuried = async ({ ground }: Pair): Promise<boolean> => (await askRedis(ground.redis, "SCARD hexa:nodes")).startsWith(":1");

// Each has a database, a Redis and hubs of its own, and waits most of its time for a death to be noticed.
describe("a node that dies", { concurrency: 2 }, () => {
  test("what is acknowledged while a node dies and others take its sessions reaches a session it had, and a group whose members it had", {
    timeout: 90_000,
  }, async () => {
    await using pair = await startPair();
    const { a, b, account } = pair;
    const topics = [`${account.prefix}/stream`, `${account.prefix}/work`] as const;
    const away = await connectTo(b, account, { clientId: "away", ...LASTING });
    await away.client.subscribeAsync([topics[0], `$share/workers/${topics[1]}`], { qos: 1 });
    await away.client.endAsync();
    const sender = await connectTo(a, account, { clientId: "sender" });
    let isOver = false;
    const streams = topics.map((topic) => streamUntil(sender, topic, () => isOver));
    await until(() => isBuried(pair).then((one) => !one), { what: "both nodes to be members" });
    await b.kill9();
    await until(() => isBuried(pair), { what: "the burial", timeoutMs: 30_000 }).finally(() => {
      isOver = true;
    });
    const back = await connectTo(a, account, { clientId: "away", ...LASTING });
    for (const [index, topic] of topics.entries()) await nothingIsMissing(topic, (await streams[index]) as string[], [back]);
    await back.client.endAsync();
    await sender.client.endAsync();
  });

  test("what is published while a session moves from node to node reaches it, as a group's only member too", {
    timeout: 90_000,
  }, async () => {
    await using pair = await startPair();
    const { a, b, account } = pair;
    const topics = [`${account.prefix}/moved`, `${account.prefix}/moved-work`] as const;
    const sender = await connectTo(a, account, { clientId: "sender" });
    let at = await connectTo(b, account, { clientId: "mover", ...LASTING });
    const all = [at];
    await at.client.subscribeAsync([topics[0], `$share/movers/${topics[1]}`], { qos: 1 });
    let isOver = false;
    const streams = topics.map((topic) => streamUntil(sender, topic, () => isOver));
    for (let move = 0; move < 8; move++) {
      const next = await connectTo(move % 2 === 0 ? a : b, account, { clientId: "mover", ...LASTING });
      assert.equal(next.sessionPresent, true);
      all.push(next);
      const { length } = next.seen;
      await until(() => next.seen.length > length + 20, { what: "messages at the new place" });
      at = next;
    }
    isOver = true;
    for (const [index, topic] of topics.entries()) await nothingIsMissing(topic, (await streams[index]) as string[], all);
    await at.client.endAsync();
    await sender.client.endAsync();
  });

  test("what a node committed and told nobody before it died is heard by the sessions of the others", { timeout: 90_000 }, async () => {
    await using pair = await startPair();
    const { ground, a, b, account } = pair;
    const [organizationId = ""] = account.prefix.split("/").slice(1);
    const listener = await connectTo(a, account, { clientId: "listener", ...LASTING });
    await listener.client.subscribeAsync(`hexa-app/${organizationId}/events/#`, { qos: 1 });
    await until(() => isBuried(pair).then((one) => !one), { what: "both nodes to be members" });
    await b.kill9();
    await using folder = temporaryFolder();
    await using store = await openStore({ dataDir: folder.path, databaseUrl: ground.databaseUrl });
    // As it stands when a node dies between its commit and its first word about it.
    const about = { organizationId, entityId: null, actor: SYSTEM, now: Date.now() } as const;
    const event = newEvent("device.input_event", about, { input: 3 });
    await insertEvents(store.db, [event]);
    await until(() => listener.seen.some(({ text }) => text.includes(event.id)), { what: "the event", timeoutMs: 20_000 });
    await listener.client.endAsync();
  });

  test("what waits in a dead node's mail reaches its sessions at a node that is still starting when it gets them", {
    timeout: 60_000,
  }, async () => {
    await using ground = await startGround();
    await using folder = temporaryFolder();
    const { redis } = ground;
    const texts = Array.from({ length: 20 }, (_, number) => String(number));
    let account: Account;
    let topic: string;
    {
      await using a = await startHub(ground);
      await using b = await spawnHub({ ...ground, dataDir: folder.path });
      account = await addAccount(a);
      topic = `${account.prefix}/stream`;
      const away = await connectTo(b, account, { clientId: "away", ...LASTING });
      await away.client.subscribeAsync(topic, { qos: 1 });
      await away.client.endAsync();
      await b.kill9();
      const sender = await connectTo(a, account, { clientId: "sender" });
      for (const text of texts) await sender.client.publishAsync(topic, text, { qos: 1 });
      await sender.client.endAsync();
    }
    // Somebody has seen that they are dead, and somebody is slow to introduce himself: the start waits for him.
    for (const [deadId] of (await askRedis(redis, "SMEMBERS hexa:nodes")).matchAll(/[0-9a-f-]{36}/gu))
      await askRedis(redis, `SET hexa:node:${deadId} dead PX 3600000`);
    const slowId = randomUUID();
    await askRedis(redis, `SADD hexa:nodes ${slowId}`);
    await askRedis(redis, `SET hexa:node:${slowId} ${slowId} PX 60000`);
    await using c = await startHub(ground);
    const back = await connectTo(c, account, { clientId: "away", ...LASTING });
    await nothingIsMissing(topic, texts, [back]);
    await back.client.endAsync();
  });
});
