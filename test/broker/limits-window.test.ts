import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { blockCommits } from "../support/databases.ts";
import type { RawClient } from "../support/raw-client.ts";
import { until } from "../support/wait.ts";
import { type LimitScene, limitScene } from "./limits-scene.ts";

const RECEIVE_MAXIMUM = 5;
const INFLIGHT = 3;

function sendMany(client: RawClient, topic: string, ids: readonly number[], qos: 1 | 2 = 1): void {
  for (const messageId of ids)
    client.send({ cmd: "publish", topic, payload: '{"level":"info","message":"x"}', qos, messageId, dup: false, retain: false });
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
const payloadsOf = (client: RawClient): string[] =>
  client.takeAll().flatMap((packet) => (packet.cmd === "publish" ? [String(packet.payload)] : []));

describe("receive maximum of the hub and window of the client", () => {
  let scene: LimitScene;
  before(async () => {
    scene = await limitScene({ HEXA_MQTT_RECEIVE_MAXIMUM: String(RECEIVE_MAXIMUM), HEXA_MQTT_INFLIGHT: String(INFLIGHT) });
  });
  after(() => scene[Symbol.asyncDispose]());

  test("MQTT 5 is told the receive maximum, and one unanswered QoS 1 message more ends the connection with 0x93", async () => {
    const device = await scene.device();
    const client = await scene.connect(device);
    assert.equal(client.connack.properties?.receiveMaximum, RECEIVE_MAXIMUM);
    {
      using _blocked = await blockCommits(scene.hub.dataDir);
      sendMany(client, `hexa/${device.username}/up/log`, upTo(RECEIVE_MAXIMUM + 1));
      const { reasonCode } = await client.take("disconnect");
      assert.equal(reasonCode, 0x93);
      await client.ended();
    }
    const again = await scene.connect(device);
    sendMany(again, `hexa/${device.username}/up/log`, upTo(RECEIVE_MAXIMUM));
    for (const id of upTo(RECEIVE_MAXIMUM)) assert.equal((await again.take("puback")).messageId, id);
  });

  test("a client of MQTT 3.1.1 is read no further than the receive maximum while nothing is answered, and loses nothing", async () => {
    const device = await scene.device();
    const client = await scene.connect(device, { version: 4 });
    const other = await scene.connect(await scene.device(), { version: 4 });
    const received = () => scene.metric('hexahub_mqtt_accepted_total{topic="up"}');
    const start = await received();
    {
      using _blocked = await blockCommits(scene.hub.dataDir);
      sendMany(client, `hexa/${device.username}/up/log`, upTo(50));
      await until(async () => (await received()) >= start + RECEIVE_MAXIMUM, { what: "the first messages" });
      for (let round = 0; round < 20; round++) await other.ping();
      assert.equal(await received(), start + RECEIVE_MAXIMUM);
      assert.deepEqual(client.takeAll(), []);
    }
    for (const id of upTo(50)) assert.equal((await client.take("puback")).messageId, id);
  });

  for (const version of [4, 5] as const) {
    test(`QoS 2 messages that are not released count too, in MQTT ${version === 4 ? "3.1.1" : "5"}, also after a reconnect`, async () => {
      const account = await scene.service();
      const lasting = { clean: false, version, ...(version === 5 ? { properties: { sessionExpiryInterval: 60 } } : {}) };
      const first = await scene.connect(account, lasting);
      const topic = `${scene.bus}q2`;
      sendMany(first, topic, upTo(RECEIVE_MAXIMUM), 2);
      for (const id of upTo(RECEIVE_MAXIMUM)) assert.equal((await first.take("pubrec")).messageId, id);
      await first.drop();
      const client = await scene.connect(account, lasting);
      // Sent again is not one more.
      sendMany(client, topic, [1], 2);
      await client.take("pubrec");
      client.send({ cmd: "pubrel", messageId: 1 });
      await client.take("pubcomp");
      sendMany(client, topic, [RECEIVE_MAXIMUM + 1], 2);
      await client.take("pubrec");
      sendMany(client, topic, [RECEIVE_MAXIMUM + 2], 2);
      if (version === 5) assert.equal((await client.take("disconnect")).reasonCode, 0x93);
      assert.deepEqual(await client.ended(), []);
    });
  }

  test("no more than the setting are on their way to a client that acknowledges nothing, whatever it asked for", async () => {
    for (const [version, receiveMaximum, expected] of [
      [4, undefined, INFLIGHT],
      [5, undefined, INFLIGHT],
      [5, 1_000, INFLIGHT],
      [5, 2, 2],
    ] as const) {
      const subscriber = await scene.connect(await scene.service(), {
        version,
        acknowledges: false,
        ...(receiveMaximum === undefined ? {} : { properties: { receiveMaximum } }),
      });
      const topic = `${scene.bus}window-${version}-${receiveMaximum}`;
      await subscriber.subscribe({ topic, qos: 1 });
      const publisher = await scene.connect(await scene.service());
      for (const index of upTo(6)) await publisher.publish(topic, String(index), { qos: 1 });
      await subscriber.ping();
      assert.deepEqual(payloadsOf(subscriber), upTo(expected).map(String));
      for (const index of upTo(6).slice(expected)) {
        subscriber.send({ cmd: "puback", messageId: index - expected });
        assert.equal(String((await subscriber.take("publish")).payload), String(index));
      }
    }
  });
});

describe("what waits for a session", () => {
  let scene: LimitScene;
  before(async () => {
    // The defaults: 1,000 messages on their way, 1,000 messages or 1 MiB waiting.
    scene = await limitScene({ HEXA_MQTT_RECEIVE_MAXIMUM: "2000" });
  });
  after(() => scene[Symbol.asyncDispose]());
  const lasting = { clean: false, properties: { sessionExpiryInterval: 60 } };
  const dropped = () => scene.metric('hexahub_mqtt_dropped_total{reason="queue"}');

  test("a session that is away keeps 1,000 messages; the newest beyond are dropped and counted", async () => {
    const account = await scene.service();
    const topic = `${scene.bus}away`;
    const first = await scene.connect(account, lasting);
    await first.subscribe({ topic, qos: 1 });
    await first.drop();
    await until(async () => (await scene.metric("hexahub_mqtt_sessions_away")) >= 1, { what: "the session to be away" });
    const earlier = await dropped();
    const publisher = await scene.connect(await scene.service());
    const sent = Array.from({ length: 1_010 }, (_, index) => publisher.publish(topic, String(index + 1), { qos: 1 }));
    for (const answer of await Promise.all(sent)) assert.equal(answer?.reasonCode ?? 0, 0);
    assert.equal((await dropped()) - earlier, 10);
    const again = await scene.connect(account, lasting);
    for (const index of upTo(1_000)) assert.equal(String((await again.take("publish")).payload), String(index));
    await publisher.publish(topic, "new", { qos: 1 });
    assert.equal(String((await again.take("publish")).payload), "new");
  });

  test("it keeps 1 MiB of them, whichever comes first", async () => {
    const account = await scene.service();
    const topic = `${scene.bus}large`;
    const first = await scene.connect(account, lasting);
    await first.subscribe({ topic, qos: 1 });
    await first.drop();
    const earlier = await dropped();
    const publisher = await scene.connect(await scene.service());
    for (let index = 0; index < 30; index++) await publisher.publish(topic, Buffer.alloc(50_000, index), { qos: 1 });
    assert.equal((await dropped()) - earlier, 10);
    const again = await scene.connect(account, lasting);
    for (let index = 0; index < 20; index++) assert.equal((await again.take("publish")).payload[0], index);
    await again.ping();
    assert.deepEqual(again.takeAll(), []);
  });

  test("a client that reads and acknowledges nothing holds no more than the queue's bytes on their way and as many waiting", async () => {
    const topic = `${scene.bus}unacknowledged`;
    const subscriber = await scene.connect(await scene.service(), { acknowledges: false });
    await subscriber.subscribe({ topic, qos: 1 });
    const publisher = await scene.connect(await scene.service());
    const queued = await scene.metric("hexahub_mqtt_queued");
    for (let index = 0; index < 60; index++) await publisher.publish(topic, Buffer.alloc(100_000, index), { qos: 1 });
    await subscriber.ping();
    const got = subscriber.takeAll().filter(({ cmd }) => cmd === "publish");
    assert.equal(got.length, 11);
    assert.equal((await scene.metric("hexahub_mqtt_queued")) - queued, 11 + 10);
    // Each acknowledgement lets one follow.
    for (const packet of got) if ("messageId" in packet) subscriber.send({ cmd: "puback", messageId: packet.messageId as number });
    for (let index = 0; index < 10; index++) assert.equal((await subscriber.take("publish")).payload[0], 11 + index);
  });
});
