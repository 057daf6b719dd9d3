import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import mqttPacket, { type Packet } from "mqtt-packet";
import type { RawTarget } from "../support/raw-client.ts";
import { until } from "../support/wait.ts";
import { freeze } from "./frozen-client.ts";
import { leastOf, type LimitScene, limitScene } from "./limits-scene.ts";

const MIB = 1_048_576;
/** Far more than the sockets of both sides hold. */
const FLOOD_BYTES = 32 * MIB;

const targetOf = ({ hub }: LimitScene): RawTarget => ({ host: "127.0.0.1", port: Number(new URL(hub.mqtt).port) });
const publishesOf = (packets: readonly Packet[]) => packets.filter((packet) => packet.cmd === "publish");
const numberOf = (packet: { payload: string | Buffer }): number => Number(String(packet.payload).slice(0, 8));
const numbered = (index: number, bytes: number): Buffer => Buffer.alloc(bytes, ".").fill(String(index).padStart(8, "0"), 0, 8);

describe("a subscriber that does not read", () => {
  let scene: LimitScene;
  before(async () => {
    scene = await limitScene({ HEXA_MQTT_QUEUE_BYTES: String(128 * MIB), HEXA_MQTT_QUEUE_MESSAGES: "100000" });
  });
  after(() => scene[Symbol.asyncDispose]());
  const dropped = (reason: string) => scene.metric(`hexahub_mqtt_dropped_total{reason="${reason}"}`);

  test("it misses QoS 0 messages, which are counted, is buffered 256 KiB at most, and goes on when it reads", async () => {
    const topic = `${scene.bus}slow0`;
    await using frozen = await freeze(targetOf(scene), await scene.service(), { filters: [{ topic, qos: 0 }] });
    const publisher = await scene.connect(await scene.service());
    const earlier = await dropped("slow");
    const count = FLOOD_BYTES / 65_536;
    for (let index = 0; index < count; index++) await publisher.publish(topic, numbered(index, 65_000), { qos: 1 });
    const missed = (await dropped("slow")) - earlier;
    assert.ok(missed > count / 4, `${missed} of ${count} messages were left out`);
    const packets = frozen.thaw();
    await until(() => publishesOf(packets).length === count - missed, { what: "what was not left out" });
    await publisher.publish(topic, numbered(count, 100), { qos: 1 });
    const numbers = await until(
      () => {
        const got = publishesOf(packets).map(numberOf);
        return got.includes(count) && got;
      },
      { what: "a message after the thaw" },
    );
    assert.deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
    );
    assert.equal(new Set(numbers).size, count - missed + 1);
  });

  test("QoS 1 messages wait in its queue, none is lost or doubled, and others get theirs meanwhile", async () => {
    const topic = `${scene.bus}slow1`;
    await using frozen = await freeze(targetOf(scene), await scene.service(), { filters: [{ topic, qos: 1 }] });
    const [publisher, reader] = [await scene.connect(await scene.service()), await scene.connect(await scene.service())];
    await reader.subscribe({ topic, qos: 1 });
    const [beforeSlow, beforeQueue] = [await dropped("slow"), await dropped("queue")];
    const count = FLOOD_BYTES / 65_536;
    for (let index = 0; index < count; index++) {
      await publisher.publish(topic, numbered(index, 65_000), { qos: 1 });
      assert.equal(numberOf(await reader.take("publish")), index);
    }
    assert.ok((await scene.metric("hexahub_mqtt_queued")) > count / 4);
    const packets = frozen.thaw();
    await until(() => publishesOf(packets).length >= count, { what: "all messages" });
    assert.deepEqual(
      publishesOf(packets).map(numberOf),
      Array.from({ length: count }, (_, index) => index),
    );
    assert.deepEqual([await dropped("slow"), await dropped("queue")], [beforeSlow, beforeQueue]);
  });

  test("while one is frozen at 2,000 messages a second, the others wait 250 ms at most and miss nothing", async () => {
    const topic = `${scene.bus}frozen`;
    await using _frozen = await freeze(targetOf(scene), await scene.service(), { filters: [{ topic, qos: 0 }] });
    const readers = await Promise.all(
      [0, 1].map(async (qos) => {
        const reader = await scene.connect(await scene.service());
        await reader.subscribe({ topic, qos: qos as 0 | 1 });
        return reader;
      }),
    );
    const publisher = await scene.connect(await scene.service());
    const earlier = await dropped("slow");
    const perTick = 20;
    const tickMs = 10;
    const ticks = 400;
    const payload = Buffer.alloc(4_000);
    const batch = Buffer.concat(
      Array.from({ length: perTick }, () =>
        mqttPacket.generate({ cmd: "publish", topic, payload, qos: 0, dup: false, retain: false }, { protocolVersion: 5 }),
      ),
    );
    async function longestGapMs(): Promise<number> {
      let sent = 0;
      const ticking = setInterval(() => {
        publisher.write(batch);
        if (++sent === ticks) clearInterval(ticking);
      }, tickMs);
      const gapsMs = readers.map(async (reader) => {
        let longestMs = 0;
        let lastAt = performance.now();
        for (let got = 0; got < ticks * perTick; ) {
          await reader.take("publish");
          got += 1 + reader.takeAll().length;
          longestMs = Math.max(longestMs, performance.now() - lastAt);
          lastAt = performance.now();
        }
        return longestMs;
      });
      return Math.max(...(await Promise.all(gapsMs)));
    }
    // Fills what the sockets of the frozen one hold.
    await longestGapMs();
    assert.ok((await dropped("slow")) - earlier > 1_000, "the frozen one was frozen");
    const gapMs = await leastOf(250, longestGapMs);
    assert.ok(gapMs <= 250, `the longest gap was ${Math.round(gapMs)} ms`);
  });

  test("it asks ten thousand times for a large retained message and gets it as often as it reads, not as often as it asked", async () => {
    const topic = `${scene.bus}again`;
    const publisher = await scene.connect(await scene.service());
    await publisher.publish(topic, Buffer.alloc(100_000), { qos: 1, retain: true });
    await using frozen = await freeze(targetOf(scene), await scene.service());
    const asks = 10_000;
    const subscribe = (messageId: number): Buffer =>
      mqttPacket.generate({ cmd: "subscribe", messageId, subscriptions: [{ topic, qos: 0 }] });
    await frozen.write(Buffer.concat(Array.from({ length: asks }, (_, index) => subscribe(index + 1))));
    await frozen.write(mqttPacket.generate({ cmd: "pingreq" }));
    const packets = frozen.thaw();
    await until(() => packets.some(({ cmd }) => cmd === "pingresp"), { what: "the answer to the last packet" });
    await publisher.publish(topic, "end", { qos: 1 });
    await until(() => publishesOf(packets).some((packet) => String(packet.payload) === "end"), { what: "the last message" });
    assert.equal(packets.filter(({ cmd }) => cmd === "suback").length, asks);
    assert.ok(publishesOf(packets).length < asks / 10, `${publishesOf(packets).length} deliveries`);
  });
});

describe("a client that sends and never reads the answers", () => {
  let scene: LimitScene;
  before(async () => {
    scene = await limitScene({ HEXA_MQTT_SLOW_CLOSE_BYTES: String(MIB) });
  });
  after(() => scene[Symbol.asyncDispose]());
  const topic = "of/no/use";
  const unused = { dup: false, retain: false } as const;

  const floods: Readonly<Record<string, Packet>> = {
    PINGREQ: { cmd: "pingreq" },
    "refused QoS 1 messages": { cmd: "publish", topic, payload: "", qos: 1, messageId: 1, ...unused },
    SUBSCRIBE: {
      cmd: "subscribe",
      messageId: 1,
      subscriptions: Array.from({ length: 40 }, () => ({ topic: "x", qos: 0 as const })),
    },
  };
  for (const [name, packet] of Object.entries(floods)) {
    test(`${name}: it is disconnected when 4 MiB, or the setting, are buffered for it`, async () => {
      await using frozen = await freeze(targetOf(scene), await scene.service(), { version: 5 });
      const earlier = await scene.metric("hexahub_mqtt_slow_closed_total");
      const one = mqttPacket.generate(packet, { protocolVersion: 5 });
      const chunk = Buffer.concat(Array.from({ length: Math.ceil(MIB / one.length) }, () => one));
      for (let sent = 0; sent < 400 && !frozen.isClosed && !(await isEnded()); sent++) await Promise.race([frozen.write(chunk), ended()]);
      assert.equal((await scene.metric("hexahub_mqtt_slow_closed_total")) - earlier, 1);
      async function isEnded(): Promise<boolean> {
        return (await scene.metric("hexahub_mqtt_slow_closed_total")) > earlier;
      }
      async function ended(): Promise<void> {
        await until(isEnded, { what: "the end of the connection", timeoutMs: 20_000 });
      }
    });
  }
});
