import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { monitorEventLoopDelay } from "node:perf_hooks";
import mqttPacket, { type ISubscription } from "mqtt-packet";
import { openRawClient, type RawClient, type Version } from "../support/raw-client.ts";
import { leastOf, ADMINISTRATOR, type LimitScene, limitScene } from "./limits-scene.ts";

/** The defaults of docs/configuration.md. */
const LIMITS = {
  subscriptions: 50,
  serviceSubscriptions: 1_000,
  retainedTopics: 200,
  retainedBytes: 262_144,
  topicLevels: 32,
  connectBytes: 16_384,
  packetBytes: 262_144,
};
const versions: readonly (readonly [Version, string, number])[] = [
  [4, "MQTT 3.1.1", 0x80],
  [5, "MQTT 5", 0x97],
];

const filters = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, index) => `${prefix}${index}`);
const hold = async (client: RawClient, topic: string, payload: string | Buffer): Promise<number> =>
  (await client.publish(topic, payload, { qos: 1, retain: true }))?.reasonCode ?? 0;

describe("what one client may have", () => {
  let scene: LimitScene;
  before(async () => {
    scene = await limitScene();
  });
  after(() => scene[Symbol.asyncDispose]());

  for (const [version, name, quota] of versions) {
    test(`a person has 50 subscriptions, a service account 1,000; one more is refused, a known one and others are not (${name})`, async () => {
      for (const [account, most] of [
        [ADMINISTRATOR, LIMITS.subscriptions],
        [await scene.service(), LIMITS.serviceSubscriptions],
      ] as const) {
        const client = await scene.connect(account, { clientId: `many-${most}-${version}`, version });
        const first = await client.subscribe(filters(`${scene.bus}a`, most));
        assert.ok(first.granted.every((code) => code === 0));
        assert.deepEqual((await client.subscribe([`${scene.bus}b`, `${scene.bus}a0`])).granted, [quota, 0]);
        await client.unsubscribe([`${scene.bus}a1`]);
        assert.deepEqual((await client.subscribe([`${scene.bus}b`, `${scene.bus}c`])).granted, [0, quota]);
        const other = await scene.connect(account, { clientId: `other-${most}-${version}`, version });
        assert.deepEqual((await other.subscribe(`${scene.bus}b`)).granted, [0]);
      }
    });

    test(`one packet with 60,000 subscriptions is answered, grants no more than there may be, and holds nobody up (${name})`, async () => {
      const account = await scene.service();
      const packet = mqttPacket.generate(
        {
          cmd: "subscribe",
          messageId: 1,
          subscriptions: Array.from({ length: 60_000 }, (_, index): ISubscription => ({ topic: index % 2 === 0 ? "#" : "+", qos: 0 })),
        },
        { protocolVersion: version },
      );
      assert.ok(packet.length < LIMITS.packetBytes);
      const stoodMs = await leastOf(250, async () => {
        const client = await scene.connect(account, { version });
        const delay = monitorEventLoopDelay({ resolution: 5 });
        delay.enable();
        client.write(packet);
        const { granted } = await client.pick("suback");
        delay.disable();
        assert.equal(granted.length, 60_000);
        assert.equal(granted.filter((code) => Number(code) === 0).length, LIMITS.serviceSubscriptions);
        return delay.max / 1e6;
      });
      assert.ok(stoodMs < 250, `the loop stood for ${stoodMs} ms`);
    });

    test(`a principal retains 200 topics; others retain theirs, what is taken back makes room, a change needs none (${name})`, async () => {
      const [mine, others] = [await scene.service(), await scene.service()];
      const client = await scene.connect(mine, { version });
      const topic = (index: number): string => `${scene.bus}t${version}/${index}`;
      for (let index = 0; index < LIMITS.retainedTopics; index++) assert.equal(await hold(client, topic(index), "x"), 0);
      // MQTT 3.1.1 has no code for it: the message is acknowledged and not kept.
      const refused = version === 5 ? quota : 0;
      assert.equal(await hold(client, topic(200), "one more"), refused);
      assert.equal(await hold(client, topic(0), "changed"), 0);
      const second = await scene.connect(mine, { version, clientId: `second-${version}` });
      assert.equal(await hold(second, topic(201), "of another client of the same account"), refused);
      const other = await scene.connect(others, { version });
      assert.equal(await hold(other, topic(202), "of another account"), 0);
      assert.equal(await hold(client, topic(1), ""), 0);
      assert.equal(await hold(client, topic(203), "in its place"), 0);
      await other.subscribe(`${scene.bus}t${version}/#`);
      const kept = new Map<string, string>();
      for (let count = 0; count < 201; count++) {
        const packet = await other.take("publish");
        kept.set(packet.topic, String(packet.payload));
      }
      assert.equal(kept.size, 201);
      assert.deepEqual(
        [0, 1, 200, 201, 202, 203].map((index) => kept.get(topic(index))),
        ["changed", undefined, undefined, undefined, "of another account", "in its place"],
      );
      for (const taken of kept.keys()) await client.publish(taken, "", { retain: true });
    });
  }

  test("a principal retains 256 KiB, counted by topic and payload; a smaller message in place of a larger one makes room", async () => {
    const client = await scene.connect(await scene.service());
    for (let index = 0; index < 5; index++) assert.equal(await hold(client, `${scene.bus}size/${index}`, Buffer.alloc(50_000, 1)), 0);
    assert.equal(await hold(client, `${scene.bus}size/5`, Buffer.alloc(20_000, 1)), 0x97);
    assert.equal(await hold(client, `${scene.bus}size/0`, Buffer.alloc(70_000, 1)), 0x97);
    assert.equal(await hold(client, `${scene.bus}size/0`, Buffer.alloc(30_000, 1)), 0);
    assert.equal(await hold(client, `${scene.bus}size/5`, Buffer.alloc(20_000, 1)), 0);
    const other = await scene.connect(await scene.service());
    assert.equal(await hold(other, `${scene.bus}size/6`, Buffer.alloc(200_000, 1)), 0);
    // Taken over by the other, it counts for the other.
    assert.equal(await hold(other, `${scene.bus}size/1`, "small"), 0);
    assert.equal(await hold(client, `${scene.bus}size/7`, Buffer.alloc(49_000, 1)), 0);
  });

  for (const [version, name] of versions) {
    test(`a topic has 32 levels at most; one with more ends the connection, in a filter too (${name})`, async () => {
      const account = await scene.service();
      const deep = (levels: number): string => scene.bus + Array.from({ length: levels - 3 }, () => "l").join("/");
      const client = await scene.connect(account, { version });
      assert.equal(deep(LIMITS.topicLevels).split("/").length, LIMITS.topicLevels);
      assert.deepEqual((await client.subscribe(deep(LIMITS.topicLevels))).granted, [0]);
      await client.publish(deep(LIMITS.topicLevels), "x");
      await client.take("publish");
      client.send({ cmd: "publish", topic: deep(LIMITS.topicLevels + 1), payload: "x", qos: 0, dup: false, retain: false });
      if (version === 5) assert.equal((await client.take("disconnect")).reasonCode, 0x90);
      await client.ended();
      const again = await scene.connect(account, { version });
      again.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: deep(LIMITS.topicLevels + 1), qos: 0 }] });
      if (version === 5) assert.ok([0x8f, 0x90].includes((await again.take("disconnect")).reasonCode as number));
      await again.ended();
    });

    test(`a packet has 16 KiB at most before the login and 256 KiB after; a larger one is refused by its announced length (${name})`, async () => {
      const target = { host: "127.0.0.1", port: Number(new URL(scene.hub.mqtt).port) };
      await using early = await openRawClient(target, { version });
      early.write(mqttPacket.generate({ ...bigConnect(version, LIMITS.connectBytes + 100) }).subarray(0, 64));
      const [answer] = await early.ended();
      if (version === 5) assert.deepEqual([answer?.cmd, answer?.cmd === "connack" && answer.reasonCode], ["connack", 0x95]);
      else assert.equal(answer, undefined);
      const client = await scene.connect(await scene.service(), { version });
      client.write(Buffer.from([0x30, 0x80, 0x80, 0x7f, 0, 1, 0x61]));
      if (version === 5) assert.equal((await client.take("disconnect")).reasonCode, 0x95);
      assert.deepEqual(await client.ended(), []);
      const fits = await scene.connect(await scene.service(), { version });
      assert.equal((await fits.publish(`${scene.bus}size`, Buffer.alloc(LIMITS.packetBytes - 200), { qos: 1 }))?.reasonCode ?? 0, 0);
    });
  }

  test("MQTT 5 is told the limits in the CONNACK", async () => {
    const client = await scene.connect(await scene.service(), {
      keepalive: 1,
      clientId: "",
      properties: { sessionExpiryInterval: 4_294_967_295 },
    });
    const { assignedClientIdentifier, ...properties } = client.connack.properties ?? {};
    assert.deepEqual(
      { ...properties },
      { receiveMaximum: 100, maximumPacketSize: 262_144, topicAliasMaximum: 16, serverKeepAlive: 10, sessionExpiryInterval: 604_800 },
    );
    assert.ok(assignedClientIdentifier);
    const modest = await scene.connect(await scene.service(), { keepalive: 60, properties: { sessionExpiryInterval: 30 } });
    assert.deepEqual(
      { ...modest.connack.properties },
      { receiveMaximum: 100, maximumPacketSize: 262_144, topicAliasMaximum: 16 },
      "what the client asked for is not repeated",
    );
  });
});

const bigConnect = (version: Version, bytes: number) => ({
  cmd: "connect" as const,
  protocolId: "MQTT" as const,
  protocolVersion: version,
  clientId: "large",
  clean: true,
  keepalive: 60,
  username: "u",
  password: Buffer.alloc(bytes),
});
