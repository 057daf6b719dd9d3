import assert from "node:assert/strict";
import { test } from "node:test";
import { loadBrokerState } from "../../store/broker-state.ts";
import { openStore } from "../../store/open.ts";
import type { Received } from "../support/raw-client.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { ADMINISTRATOR, limitScene } from "./limits-scene.ts";

const topicsOf = (packets: readonly Received[]): string[] => packets.flatMap((packet) => (packet.cmd === "publish" ? [packet.topic] : []));

test("an administrator of the platform reads the broker's statistics, retained, by mosquitto's names", async () => {
  await using scene = await limitScene();
  const admin = await scene.connect(ADMINISTRATOR, { clientId: "admin" });
  assert.deepEqual((await admin.subscribe("$SYS/#")).granted, [0]);
  const names = ["clients/connected", "messages/received", "bytes/sent", "retained messages/count", "subscriptions/count", "uptime"];
  for (const name of names) {
    const { topic, retain } = await admin.pick("publish", (packet) => packet.topic === `$SYS/broker/${name}`);
    assert.ok(retain, topic);
  }
  const { payload } = await admin.pick("publish", (packet) => packet.topic === "$SYS/broker/version");
  assert.match(String(payload), /^hexahub version \d+\.\d+/);
});

test("the statistics are published again and again, with the numbers of the time", async (context) => {
  context.mock.timers.enable({ apis: ["setInterval"] });
  await using scene = await limitScene();
  const admin = await scene.connect(ADMINISTRATOR, { clientId: "admin" });
  await admin.subscribe("$SYS/broker/+/connected");
  assert.equal(String((await admin.take("publish")).payload), "0");
  context.mock.timers.tick(10_000);
  const again = await admin.take("publish");
  assert.deepEqual([String(again.payload), again.retain], ["1", false]);
});

test("nobody else may name $SYS, in a shared subscription neither, and nobody at all may publish there", async () => {
  await using scene = await limitScene();
  const service = await scene.connect(await scene.service());
  const device = await scene.connect(await scene.device());
  const admin = await scene.connect(ADMINISTRATOR, { clientId: "admin" });
  for (const client of [service, device])
    assert.deepEqual(
      (await client.subscribe(["$SYS/#", "$SYS/broker/uptime", "$share/g/$SYS/#", "$SYS"])).granted,
      [0x87, 0x87, 0x87, 0x87],
    );
  for (const client of [service, device, admin])
    assert.equal((await client.publish("$SYS/broker/uptime", "x", { qos: 1, retain: true }))?.reasonCode, 0x87);
});

test("a wildcard in the first level does not reach into $SYS [MQTT-4.7.2-1], an administrator's neither", async () => {
  await using scene = await limitScene();
  const admin = await scene.connect(ADMINISTRATOR, { clientId: "admin" });
  await admin.subscribe(["#", "+/#", "+/broker/uptime"]);
  await admin.subscribe(`${scene.bus}end`);
  await admin.publish(`${scene.bus}end`, "x");
  await admin.pick("publish", ({ topic }) => topic === `${scene.bus}end`);
  assert.deepEqual(
    topicsOf(admin.takeAll()).filter((topic) => topic.startsWith("$")),
    [],
  );
});

test("the statistics count for no limit and are no rows", async () => {
  await using folder = temporaryFolder();
  const dataDir = folder.path;
  let topic = "";
  {
    await using scene = await limitScene({ HEXA_MQTT_RETAINED_TOPICS: "1" }, { dataDir });
    topic = `${scene.bus}mine`;
    const admin = await scene.connect(ADMINISTRATOR, { clientId: "admin" });
    assert.equal((await admin.publish(topic, "x", { qos: 1, retain: true }))?.reasonCode ?? 0, 0);
  }
  await using store = await openStore({ dataDir, databaseUrl: undefined });
  const keys: string[] = [];
  for await (const { kind, key } of loadBrokerState(store.db)) if (kind === "retained") keys.push(key);
  assert.deepEqual(keys, [topic]);
});

test("/metrics has what the broker counts, counters as counters", async () => {
  await using scene = await limitScene();
  const client = await scene.connect(await scene.service());
  await client.subscribe({ topic: `${scene.bus}a`, qos: 1 });
  for (const qos of [0, 1, 2] as const) await client.publish(`${scene.bus}a`, "x", { qos });
  await until(async () => (await scene.metric("hexahub_mqtt_queued")) === 0, { what: "the acknowledgements" });
  const text = await (await fetch(new URL("/metrics", scene.hub.http))).text();
  for (const line of [
    "# TYPE hexahub_mqtt_received_total counter",
    'hexahub_mqtt_received_total{qos="0"} 1',
    'hexahub_mqtt_received_total{qos="2"} 1',
    'hexahub_mqtt_sent_total{qos="0"} 1',
    'hexahub_mqtt_sent_total{qos="1"} 2',
    'hexahub_mqtt_accepted_total{topic="bus"} 3',
    'hexahub_mqtt_dropped_total{reason="slow"} 0',
    "hexahub_mqtt_throttled_total 0",
    "hexahub_mqtt_slow_closed_total 0",
    "# TYPE hexahub_mqtt_connections gauge",
    "hexahub_mqtt_connections 1",
    "hexahub_mqtt_sessions_away 0",
    "hexahub_mqtt_sessions_durable 0",
    "hexahub_mqtt_subscriptions 1",
    "# TYPE hexahub_event_loop_delay_seconds gauge",
  ])
    assert.ok(text.split("\n").includes(line), `${line} in ${text.replace(/^(?!.*hexahub_mqtt).*\n/gm, "")}`);
  assert.match(text, /^hexahub_event_loop_delay_seconds\{quantile="0.99"\} \d/m);
  assert.ok((await scene.metric("hexahub_mqtt_bytes_received_total")) > 50);
  assert.ok((await scene.metric("hexahub_mqtt_bytes_sent_total")) > 50);
  await client.drop();
  await until(async () => (await scene.metric("hexahub_mqtt_connections")) === 0, { what: "the end of the connection" });
});
