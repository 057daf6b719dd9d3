import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import { startVirtualDevice, type VirtualDevice } from "../../firmware/virtual/device.ts";
import { until } from "../support/wait.ts";
import { type Person, startTwoOrganizations, type TwoOrganizations } from "./two-organizations.ts";

const MISSING = "relay-doesnotexist";

describe("over MQTT, a member of another organisation", () => {
  let two: TwoOrganizations;
  let device: { uid: string; id: string; token: string };
  let own: { uid: string; id: string; token: string };
  let relay: VirtualDevice;
  let sensor: VirtualDevice;
  before(async () => {
    two = await startTwoOrganizations(undefined);
    device = await two.alice.api.addDevice();
    own = await two.mallory.api.addDevice();
    const start = ({ uid, token }: { uid: string; token: string }) =>
      startVirtualDevice({ url: two.hub.mqtt, uid, password: token, deviceClass: "relay_controller", protocolVersion: 5 });
    [relay, sensor] = [await start(device), await start(own)];
    await relay.sendTelemetry({ secret: 1 });
  });
  after(async () => {
    await relay[Symbol.asyncDispose]();
    await sensor[Symbol.asyncDispose]();
    await two[Symbol.asyncDispose]();
  });

  const connect = ({ email, password }: Person, options: IClientOptions = {}): Promise<MqttClient> =>
    mqtt.connectAsync(two.hub.mqtt, { username: email, password, protocolVersion: 5, reconnectPeriod: 0, ...options });
  const subscribed = async (client: MqttClient, topic: string): Promise<number> => {
    try {
      return (await client.subscribeAsync(topic, { qos: 1 }))[0]?.qos ?? -1;
    } catch (error) {
      return (error as { code?: number }).code ?? 128;
    }
  };
  /** The device of the other one does something, then the own one: what is seen of the second was preceded by the first. */
  async function stir(): Promise<string> {
    const mark = String(Math.round(performance.now() * 1_000));
    await relay.sendTelemetry({ secret: Number(mark) });
    await relay.setRelayLocally(0, relay.state.relays[0]?.state === "ON" ? "OFF" : "ON");
    await relay.send("input_event", { input: 1, event: "press" });
    await sensor.sendTelemetry({ mine: Number(mark) });
    return mark;
  }
  const names = (topic: string): boolean => topic.includes(device.uid) || topic.includes(two.alice.organizationId);

  test("cannot subscribe to a foreign topic more than to a missing one", async () => {
    const client = await connect(two.mallory);
    for (const rest of ["#", "+", "availability", "relay/0/state", "up/telemetry", "down/command", "down/#", "sensor/+/state", ""]) {
      assert.equal(await subscribed(client, `hexa/${device.uid}/${rest}`), await subscribed(client, `hexa/${MISSING}/${rest}`), rest);
      assert.ok((await subscribed(client, `hexa/${device.uid}/${rest}`)) >= 128, rest);
    }
    for (const topic of [
      `hexa-app/${two.alice.organizationId}/#`,
      `hexa-app/${two.alice.organizationId}/users/${two.alice.userId}/notifications`,
    ])
      assert.ok((await subscribed(client, topic)) >= 128, topic);
    for (const topic of [`$share/g/hexa/${device.uid}/#`, "$share/g/$SYS/#", "$SYS/#", "$hub/#"])
      assert.ok((await subscribed(client, topic)) >= 128, topic);
    await client.endAsync(true);
  });

  test("receives nothing foreign through any wildcard, retained, live or queued", async () => {
    const filters = [
      "#",
      "+/#",
      "hexa/#",
      "hexa/+/#",
      "+/+/availability",
      "hexa/+/relay/+/state",
      "hexa/+/up/#",
      "hexa/+/sensor/+/state",
      "hexa-app/#",
      "hexa-app/+/events/#",
      "+/+/+/+",
      "homeassistant/#",
    ];
    const session = { clientId: "mallory-stored", clean: false, properties: { sessionExpiryInterval: 60 } };
    const heard: string[] = [];
    const listen = (client: MqttClient): void =>
      void client.on("message", (topic, payload) => heard.push(`${topic} ${payload.toString()}`));
    const client = await connect(two.mallory, session);
    listen(client);
    for (const filter of filters) assert.ok((await subscribed(client, filter)) <= 2, filter);
    const witness = await connect(two.alice);
    const hers: string[] = [];
    witness.on("message", (topic) => hers.push(topic));
    await subscribed(witness, "hexa/#");
    const mark = await stir();
    await until(() => heard.some((line) => line.endsWith(`/sensor/mine/state ${mark}`)), { what: "the own reading" });
    await until(() => hers.includes(`hexa/${device.uid}/sensor/secret/state`), { what: "the reading at its owner" });
    await client.endAsync();
    await stir();
    const again = mqtt.connect(two.hub.mqtt, {
      username: two.mallory.email,
      password: two.mallory.password,
      protocolVersion: 5,
      reconnectPeriod: 0,
      ...session,
    });
    listen(again);
    await new Promise((resolve) => again.once("connect", resolve));
    const last = await stir();
    await until(() => heard.some((line) => line.endsWith(`/sensor/mine/state ${last}`)), { what: "the own reading after the return" });
    assert.ok(heard.length > 5);
    assert.deepEqual(heard.filter(names), []);
    await again.endAsync(true);
    await witness.endAsync(true);
  });

  test("cannot publish to foreign topics, and is answered as for missing ones", async () => {
    const executed = relay.executed.length;
    const client = await connect(two.mallory);
    const publish = (topic: string, payload: string): Promise<unknown> =>
      client.publishAsync(topic, payload, { qos: 1 }).then(
        (packet) => (packet as { reasonCode?: number } | undefined)?.reasonCode ?? 0,
        (error: { code: unknown }) => error.code,
      );
    for (const [rest, payload] of [
      ["relay/0/set", "TOGGLE"],
      ["light/0/set", '{"state":"ON"}'],
      ["ir/send", '{"timings":[100,-100]}'],
      ["up/telemetry", '{"values":{"secret":666}}'],
      ["up/ack", '{"command_id":"x","status":"ok"}'],
      ["availability", "offline"],
      ["down/command", "{}"],
      ["relay/0/state", "ON"],
    ] as const) {
      assert.equal(await publish(`hexa/${device.uid}/${rest}`, payload), 0x87, rest);
      assert.equal(await publish(`hexa/${MISSING}/${rest}`, payload), 0x87, rest);
    }
    assert.equal(await publish(`hexa-app/${two.alice.organizationId}/events/device.online`, "{}"), 0x87);
    assert.equal(await publish(`hexa/${own.uid}/relay/0/set`, "ON"), 0);
    await until(() => sensor.executed.length > 0, { what: "the own command" });
    assert.equal(relay.executed.length, executed);
    await client.endAsync(true);
  });

  test("cannot leave a will, nor take over another's client id, live or stored", async () => {
    const refused = (options: IClientOptions): Promise<unknown> =>
      connect(two.mallory, options).then(
        async (client) => {
          await client.endAsync(true);
          return "connected";
        },
        (error: { code: unknown }) => error.code,
      );
    const will = (uid: string) => ({
      will: { topic: `hexa/${uid}/availability`, payload: Buffer.from("offline"), qos: 1 as const, retain: true },
    });
    assert.equal(await refused(will(device.uid)), await refused(will(MISSING)));
    assert.notEqual(await refused(will(device.uid)), "connected");
    const stored = { clientId: "alice-stored", clean: false, properties: { sessionExpiryInterval: 60 } };
    const hers = await connect(two.alice, stored);
    await subscribed(hers, `hexa/${device.uid}/#`);
    let losses = 0;
    hers.on("close", () => losses++);
    assert.equal(await refused(stored), 0x85);
    assert.equal(await refused({ ...stored, clean: true }), 0x85);
    assert.equal(losses, 0);
    await hers.endAsync();
    assert.equal(await refused(stored), 0x85);
    assert.equal(await refused({ clientId: device.uid }), 0x85);
    assert.equal(relay.connected, true);
    const back = await connect(two.alice, stored);
    await back.endAsync(true);
  });
});
