import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import mqtt, { type IPublishPacket, type MqttClient } from "mqtt";
import type { Log } from "../../core/bus.ts";
import { type DownError, UP_PAYLOADS, type UpType } from "../../core/payloads.ts";
import { startHub, type TestHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";

describe("bad input over MQTT", () => {
  let hub: TestHub;
  const logged: { message: string; code?: string; reason?: string }[] = [];
  const note = (data: object, message: string): void => void logged.push({ message, ...data });
  const log: Log = { debug() {}, info: note, warn: note, error: note };
  before(async () => {
    hub = await startHub({ log });
    await hub.api.login();
  });
  after(() => hub[Symbol.asyncDispose]());

  interface Session extends AsyncDisposable {
    uid: string;
    client: MqttClient;
    errors: DownError[];
  }
  async function session(protocolVersion: 4 | 5, known?: { uid: string; token: string }): Promise<Session> {
    const { uid, token } = known ?? (await hub.api.addDevice({ device_class: "sensor_hub" }));
    const client = await mqtt.connectAsync(hub.mqtt, {
      clientId: uid,
      username: uid,
      password: token,
      protocolVersion,
      reconnectPeriod: 0,
    });
    const errors: DownError[] = [];
    client.on("message", (topic, payload) => topic.endsWith("/down/error") && errors.push(JSON.parse(payload.toString()) as DownError));
    await client.subscribeAsync(`hexa/${uid}/down/#`, { qos: 1 });
    return { uid, client, errors, [Symbol.asyncDispose]: () => client.endAsync(true) };
  }
  /** The reason code of a QoS 1 publish under MQTT 5, 0 for a plain acknowledgement. */
  async function publish(client: MqttClient, topic: string, payload: string | Buffer, options: { retain?: boolean } = {}): Promise<number> {
    try {
      const packet = (await client.publishAsync(topic, payload, { qos: 1, ...options })) as
        | (IPublishPacket & { reasonCode?: number })
        | undefined;
      return packet?.reasonCode ?? 0;
    } catch (error) {
      return (error as { code: number }).code;
    }
  }
  async function metric(name: string): Promise<string[]> {
    return (await (await fetch(`${hub.http}/metrics`)).text()).split("\n").filter((line) => line.startsWith(name));
  }

  const wrong: Record<UpType, unknown> = {
    register: { capabilities: { relays: "four" } },
    heartbeat: { uptime_s: "long" },
    state_report: { relays: [{ index: 0, state: "maybe" }] },
    input_event: { input: -1, event: "press" },
    telemetry: { values: { "Bad Key": 1 } },
    ack: { status: "ok" },
    task_result: { results: "none" },
    ir_learned: { timings: [1.5, 2] },
    ota_status: { status: "unheard of" },
    log: { level: "shout", message: "hi" },
  };

  for (const protocolVersion of [4, 5] as const) {
    test(`MQTT ${protocolVersion}: malformed JSON and wrong types on every up topic are answered on down/error and disturb nothing`, async () => {
      for (const type of Object.keys(UP_PAYLOADS) as UpType[]) {
        await using one = await session(protocolVersion);
        const topic = `hexa/${one.uid}/up/${type}`;
        const code = await publish(one.client, topic, '{"broken":');
        assert.equal(code, protocolVersion === 5 ? 0x99 : 0, type);
        await publish(one.client, topic, Buffer.from([0xff, 0xfe, 0x00]));
        await publish(one.client, topic, "");
        await publish(one.client, topic, JSON.stringify(wrong[type]));
        await until(() => one.errors.length === 4, { what: `four errors for ${type}` });
        assert.deepEqual(
          one.errors.map((error) => error.code),
          ["bad_json", "bad_json", "bad_json", "validation_error"],
          type,
        );
        assert.ok(one.errors.every((error) => error.topic === topic && error.message.length > 0));
        assert.equal(await publish(one.client, `hexa/${one.uid}/up/heartbeat`, "{}"), 0);
        assert.equal(one.client.connected, true);
      }
      assert.ok(logged.some((line) => line.message === "publish refused" && line.code === "bad_json"));
      assert.ok((await metric('hexahub_mqtt_refused_total{code="bad_json"}')).length === 1);
    });

    test(`MQTT ${protocolVersion}: foreign topics, unknown topics and retained messages are refused with their code`, async () => {
      await using one = await session(protocolVersion);
      await using other = await session(protocolVersion);
      const cases: [string, boolean, string, number][] = [
        [`hexa/${other.uid}/up/telemetry`, false, "topic_forbidden", 0x87],
        [`hexa/${other.uid}/availability`, false, "topic_forbidden", 0x87],
        [`hexa/${one.uid}/down/command`, false, "topic_forbidden", 0x87],
        [`hexa/${one.uid}/relay/0/state`, false, "topic_forbidden", 0x87],
        [`hexa/${one.uid}/relay/0/set`, false, "topic_forbidden", 0x87],
        [`hexa-app/x/events/device.online`, false, "topic_forbidden", 0x87],
        ["$SYS/x/new/clients", false, "topic_forbidden", 0x87],
        ["$hub/anything", false, "topic_forbidden", 0x87],
        [`hexa/${one.uid}/up/nonsense`, false, "topic_unknown", 0x90],
        [`hexa/${one.uid}/up/telemetry`, true, "retain_refused", 0x83],
      ];
      for (const [topic, retain, code, reason] of cases) {
        const seen = one.errors.length;
        assert.equal(await publish(one.client, topic, '{"values":{"t":1}}', { retain }), protocolVersion === 5 ? reason : 0, topic);
        await until(() => one.errors.length > seen, { what: `an error for ${topic}` });
        assert.deepEqual([one.errors.at(-1)?.code, one.errors.at(-1)?.topic], [code, topic]);
      }
      assert.equal(other.errors.length, 0);
      assert.equal(other.client.connected, true);
    });

    test(`MQTT ${protocolVersion}: a reading from an impossible time is refused, and one that is too large ends only its own connection`, async () => {
      await using one = await session(protocolVersion);
      await using witness = await session(protocolVersion);
      await publish(one.client, `hexa/${one.uid}/up/telemetry`, JSON.stringify({ ts: Date.now() + 86_400_000, values: { t: 1 } }));
      await until(() => one.errors.at(-1)?.code === "clock_out_of_range", { what: "the clock error" });
      const closed = new Promise<void>((resolve) => one.client.once("close", () => resolve()));
      one.client.publish(`hexa/${one.uid}/up/telemetry`, Buffer.alloc(300_000, 0x20), { qos: 1 }, () => {});
      await closed;
      assert.equal(await publish(witness.client, `hexa/${witness.uid}/up/telemetry`, '{"values":{"t":1}}'), 0);
    });

    test(`MQTT ${protocolVersion}: a packet that is too large is told on down/error at the next connect, in the log and in the metrics`, async () => {
      const { uid, token } = await hub.api.addDevice({ device_class: "sensor_hub" });
      const stored = protocolVersion === 5 ? { properties: { sessionExpiryInterval: 600 } } : {};
      const options = { clientId: uid, username: uid, password: token, protocolVersion, clean: false, reconnectPeriod: 0, ...stored };
      const client = await mqtt.connectAsync(hub.mqtt, options);
      await client.subscribeAsync(`hexa/${uid}/down/#`, { qos: 1 });
      const closed = new Promise<void>((resolve) => client.once("close", () => resolve()));
      client.publish(`hexa/${uid}/up/telemetry`, Buffer.alloc(300_000, 0x20), { qos: 1 }, () => {});
      await closed;
      await client.endAsync(true);
      const errors: DownError[] = [];
      const back = mqtt.connect(hub.mqtt, options);
      back.on("message", (_topic, payload) => errors.push(JSON.parse(payload.toString()) as DownError));
      await until(() => errors.length > 0, { what: "the error at the next connect" });
      assert.deepEqual(
        errors.map(({ code }) => code),
        ["payload_too_large"],
      );
      assert.ok(logged.some((line) => line.code === "payload_too_large"));
      assert.equal((await metric('hexahub_mqtt_refused_total{code="payload_too_large"}')).length, 1);
      await back.endAsync();
    });

    test(`MQTT ${protocolVersion}: a wrong token, an unknown device and no credentials are refused alike`, async () => {
      const { uid, token } = await hub.api.addDevice();
      const answers = await Promise.all(
        [
          { username: uid, password: `${token}x` },
          { username: "relay-doesnotexist", password: token },
          { username: "nobody@example.test", password: "x" },
        ].map(({ username, password }) =>
          mqtt.connectAsync(hub.mqtt, { clientId: username, username, password, protocolVersion, reconnectPeriod: 0 }).then(
            () => "connected",
            (error: { code: number }) => error.code,
          ),
        ),
      );
      assert.deepEqual(answers, protocolVersion === 5 ? [0x86, 0x86, 0x86] : [4, 4, 4]);
      assert.ok(logged.some((line) => line.reason === "bad_credentials"));
      assert.ok((await metric("hexahub_mqtt_logins_refused_total")).length > 0);
      const anonymous = await mqtt.connectAsync(hub.mqtt, { protocolVersion, reconnectPeriod: 0 }).then(
        () => 0,
        (error: { code: number }) => error.code,
      );
      assert.equal(anonymous, protocolVersion === 5 ? 0x87 : 5);
    });
  }
});
