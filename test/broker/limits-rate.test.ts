import assert from "node:assert/strict";
import { test } from "node:test";
import mqttPacket from "mqtt-packet";
import type { ClientInternals } from "../../broker/aedes-internals.ts";
import { createRefusals } from "../../broker/refusals.ts";
import type { BusMessage } from "../../core/bus.ts";
import type { Principal } from "../../core/principal.ts";
import { createTopics } from "../../core/topics.ts";
import type { RawClient } from "../support/raw-client.ts";
import { until } from "../support/wait.ts";
import { type LimitScene, limitScene } from "./limits-scene.ts";

/** The defaults, which the other tests switch off. */
const RATE = { HEXA_MQTT_PUBLISH_RATE: "100", HEXA_MQTT_PUBLISH_BURST: "200" };

const publishes = (topic: string, count: number, payload: (index: number) => string): Buffer =>
  Buffer.concat(
    Array.from({ length: count }, (_, index) =>
      mqttPacket.generate({ cmd: "publish", topic, payload: payload(index), qos: 0, dup: false, retain: false }, { protocolVersion: 5 }),
    ),
  );

async function take(client: RawClient, count: number): Promise<string[]> {
  const got: string[] = [];
  while (got.length < count) got.push(String((await client.pick("publish")).payload));
  return got;
}

/** Two clients, of which the second hears what the first says. */
async function pair(scene: LimitScene): Promise<[RawClient, RawClient, string]> {
  const topic = `${scene.bus}rate`;
  const sender = await scene.connect(await scene.service());
  const reader = await scene.connect(await scene.service());
  await reader.subscribe(topic);
  return [sender, reader, topic];
}

test("of 260 messages at once 200 are read at once, the others at 100 a second, and none is lost", async () => {
  await using scene = await limitScene(RATE);
  const [sender, reader, topic] = await pair(scene);
  const startedAt = performance.now();
  sender.write(publishes(topic, 260, String));
  const burst = await take(reader, 200);
  const rest = await take(reader, 60);
  const tookMs = performance.now() - startedAt;
  assert.deepEqual(
    [...burst, ...rest],
    Array.from({ length: 260 }, (_, index) => String(index)),
  );
  assert.ok(tookMs >= 550, `60 more than the burst came after ${tookMs} ms`);
  assert.ok((await scene.metric("hexahub_mqtt_throttled_total")) >= 5);
});

type Asking = "SUBSCRIBE" | "UNSUBSCRIBE";
function packets(kind: Asking, bus: string, count: number, filters: number): Buffer {
  const packet = (number: number): Buffer => {
    const topics = Array.from({ length: filters }, (_, index) => `${bus}${number % 10}/${index}`);
    const asked =
      kind === "SUBSCRIBE"
        ? { cmd: "subscribe" as const, subscriptions: topics.map((topic) => ({ topic, qos: 0 as const })) }
        : { cmd: "unsubscribe" as const, unsubscriptions: topics };
    return mqttPacket.generate({ ...asked, messageId: number + 1 }, { protocolVersion: 5 });
  };
  return Buffer.concat(Array.from({ length: count }, (_, number) => packet(number)));
}

for (const [kind, answer] of [
  ["SUBSCRIBE", "suback"],
  ["UNSUBSCRIBE", "unsuback"],
] as const)
  for (const [count, filters, leastMs] of [
    [260, 1, 550],
    // The packet that is above the rate is taken, and the next ones wait for what all its filters cost.
    [80, 50, 1_400],
  ] as const)
    test(`${count} ${kind} of ${filters} filters are read at the rate of messages, ten filters for one, and each is answered`, async () => {
      await using scene = await limitScene(RATE);
      const client = await scene.connect(await scene.service());
      const startedAt = performance.now();
      client.write(packets(kind, scene.bus, count, filters));
      for (let packet = 0; packet < count; packet++) {
        const { messageId, granted } = await client.take(answer);
        const wanted = kind === "SUBSCRIBE" ? 0 : 0x11;
        assert.equal(messageId, packet + 1);
        assert.deepEqual(
          granted.map(Number),
          Array.from({ length: filters }, () => wanted),
        );
      }
      const tookMs = performance.now() - startedAt;
      assert.ok(tookMs >= leastMs, `${count * filters} filters took ${tookMs} ms`);
      assert.ok((await scene.metric("hexahub_mqtt_throttled_total")) >= 1);
    });

test("a client that asks for 3,200 filters at once is read again before its keepalive ends", async () => {
  await using scene = await limitScene({ ...RATE, HEXA_MQTT_KEEPALIVE_MIN_S: "2" });
  const client = await scene.connect(await scene.service(), { keepalive: 2 });
  const startedAt = performance.now();
  client.write(packets("SUBSCRIBE", scene.bus, 1, 3_200));
  await client.pick("suback");
  await client.ping();
  const tookMs = performance.now() - startedAt;
  assert.ok(tookMs >= 950 && tookMs < 2_900, `the ping took ${tookMs} ms`);
});

test("the socket of a client that is too fast is not read: what it sends waits on its side", async () => {
  await using scene = await limitScene(RATE);
  const [sender, reader, topic] = await pair(scene);
  const flood = publishes(topic, 20_000, () => "x".repeat(400));
  sender.write(flood);
  await take(reader, 210);
  const readBytes = await scene.metric("hexahub_mqtt_bytes_received_total");
  assert.ok(flood.length > 8_000_000 && readBytes < 1_000_000, `${readBytes} of ${flood.length} bytes were read`);
});

test("others go on as before while five clients are held", async () => {
  await using scene = await limitScene(RATE);
  const [sender, reader, topic] = await pair(scene);
  for (let index = 0; index < 5; index++) {
    const flooder = await scene.connect(await scene.service());
    flooder.write(publishes(`${scene.bus}flood`, 20_000, () => "x"));
  }
  await until(async () => (await scene.metric("hexahub_mqtt_throttled_total")) >= 5, { what: "five clients that are held" });
  const roundsMs: number[] = [];
  for (let index = 0; index < 100; index++) {
    const startedAt = performance.now();
    sender.write(publishes(topic, 1, String));
    await reader.take("publish");
    roundsMs.push(performance.now() - startedAt);
  }
  // Held like the others, it would wait 10 ms and more for each.
  const median = roundsMs.toSorted((a, b) => a - b)[50] as number;
  assert.ok(median < 10, `a message took ${median} ms`);
});

test("no rate holds anybody when it is set to 0", async () => {
  await using scene = await limitScene();
  const [sender, reader, topic] = await pair(scene);
  sender.write(publishes(topic, 1_000, String));
  await take(reader, 1_000);
  assert.equal(await scene.metric("hexahub_mqtt_throttled_total"), 0);
});

test("a device that is too fast hears so on its down/error, once, and none of its messages is refused", async () => {
  await using scene = await limitScene(RATE);
  const device = await scene.device();
  const client = await scene.connect(device);
  await client.subscribe(`hexa/${device.username}/down/error`);
  client.write(publishes(`hexa/${device.username}/up/log`, 240, () => '{"level":"info","message":"x"}'));
  await client.publish(`hexa/${device.username}/up/heartbeat`, "{}", { qos: 1 });
  const told = client.takeAll().flatMap((packet) => (packet.cmd === "publish" ? [JSON.parse(String(packet.payload)) as object] : []));
  assert.deepEqual(told, [
    { code: "rate_limited", message: "more than 100 messages a second: the rest is read later", topic: "", details: { per_second: 100 } },
  ]);
  assert.ok((await scene.metric("hexahub_mqtt_throttled_total")) > 1);
  assert.equal(await scene.metric('hexahub_mqtt_accepted_total{topic="up"}'), 241);
});

test("a device that stays too fast is told once a minute", () => {
  const told: BusMessage[] = [];
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  let now = 1_000_000;
  const refusals = createRefusals({
    announce: (message) => void told.push(message),
    topics: createTopics(),
    log,
    metrics: { count() {}, observe() {} },
    clock: () => now,
  });
  const client = { id: "relay-one" } as ClientInternals;
  const device: Principal = { kind: "device", id: "d", uid: "relay-one", credentialId: "c" };
  const counts = [0, 1_000, 59_999, 60_000, 60_001, 119_999, 120_000].map((atMs) => {
    now = 1_000_000 + atMs;
    refusals.reportRate(client, device, 100);
    return told.length;
  });
  assert.deepEqual(counts, [1, 1, 1, 2, 2, 2, 3]);
  refusals.reportRate({ id: "machine" } as ClientInternals, { ...device, kind: "service", name: "m", organizationId: "o" }, 100);
  assert.equal(told.length, 3, "only devices have a topic for it");
});
