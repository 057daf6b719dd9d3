import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { after, before, describe, test } from "node:test";
import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import { startVirtualDevice } from "../../firmware/virtual/device.ts";
import { ADMIN, startHub, type TestHub } from "../support/hub.ts";
import { connectPacket } from "../support/packets.ts";
import { until } from "../support/wait.ts";

describe("sessions", () => {
  let hub: TestHub;
  before(async () => {
    hub = await startHub({ env: { HEXA_MQTT_KEEPALIVE_MIN_S: "1" } });
    await hub.api.login();
  });
  after(() => hub[Symbol.asyncDispose]());

  const person = (clientId: string, options: IClientOptions = {}): Promise<MqttClient> =>
    mqtt.connectAsync(hub.mqtt, { clientId, username: ADMIN.email, password: ADMIN.password, reconnectPeriod: 0, ...options });
  const as = (uid: string, password: string, options: IClientOptions = {}): Promise<MqttClient> =>
    mqtt.connectAsync(hub.mqtt, { clientId: uid, username: uid, password, reconnectPeriod: 0, ...options });
  const refusal = (attempt: Promise<MqttClient>): Promise<number> =>
    attempt.then(
      (client) => client.endAsync(true).then(() => 0),
      (error: { code: number }) => error.code,
    );
  /** The granted QoS or reason of each filter. */
  const granted = async (client: MqttClient, ...filters: string[]): Promise<number[]> =>
    new Promise((resolve, reject) => {
      client.subscribe(filters, { qos: 1 }, (error, grants, packet) => {
        if (packet?.cmd === "suback") resolve(packet.granted as number[]);
        else if (grants) resolve(grants.map(({ qos }) => qos));
        else reject(error ?? new Error("neither an answer nor an error"));
      });
    });
  const connectionStatus = async (uid: string): Promise<string> =>
    (await hub.api.call<{ device: { connection_status: string } }>("GET", `/api/v1/devices/${uid}`)).body.device.connection_status;

  test("a new session of a device ends the old one and the device never counts as offline", async () => {
    const { uid, token } = await hub.api.addDevice();
    const watcher = await person("takeover-watcher");
    const seen: string[] = [];
    watcher.on("message", (_topic, payload, packet) => packet.retain || seen.push(payload.toString()));
    await watcher.subscribeAsync(`hexa/${uid}/availability`);
    const first = await as(uid, token, {
      protocolVersion: 5,
      will: { topic: `hexa/${uid}/availability`, payload: Buffer.from("offline"), retain: true, qos: 1 },
    });
    const reason = new Promise((resolve) => first.once("disconnect", (packet) => resolve(packet.reasonCode)));
    const second = await as(uid, token, { protocolVersion: 5 });
    assert.equal(await reason, 0x8e);
    await second.publishAsync(`hexa/${uid}/up/heartbeat`, "{}", { qos: 1 });
    await until(async () => (await connectionStatus(uid)) === "online", { what: "the device to be online" });
    await second.endAsync();
    await until(() => seen.at(-1) === "offline", { what: "the end of the device's session" });
    assert.deepEqual(seen, ["online", "offline"]);
    await watcher.endAsync();
  });

  test("presence follows the connection: online, offline by a cut, and events for both", async () => {
    const { uid, token } = await hub.api.addDevice();
    const watcher = await person("presence-watcher");
    const events: string[] = [];
    watcher.on("message", (_topic, payload) => {
      const event = JSON.parse(payload.toString()) as { type: string; data: { uid: string } };
      if (event.data.uid === uid) events.push(event.type);
    });
    await watcher.subscribeAsync("hexa-app/+/events/#", { qos: 1 });
    await using device = await startVirtualDevice({
      url: hub.mqtt,
      uid,
      password: token,
      deviceClass: "relay_controller",
      protocolVersion: 4,
    });
    await until(async () => (await connectionStatus(uid)) === "online", { what: "the device to be online" });
    await device.kill();
    await until(async () => (await connectionStatus(uid)) === "offline", { what: "the device to be offline" });
    await until(() => events.includes("device.offline"), { what: "the offline event" });
    assert.deepEqual(
      events.filter((type) => type.endsWith("line")),
      ["device.online", "device.offline"],
    );
    await watcher.endAsync();
  });

  test("a device that falls silent beyond one and a half keepalives is offline [MQTT-3.1.2-24]", async () => {
    const { uid, token } = await hub.api.addDevice();
    const socket = connectTcp(Number(new URL(hub.mqtt).port), "127.0.0.1");
    socket.resume();
    const closed = once(socket, "close");
    socket.write(connectPacket({ username: uid, password: token }, { keepalive: 1 }));
    await until(async () => (await connectionStatus(uid)) === "online", { what: "the device to be online" });
    await closed;
    await until(async () => (await connectionStatus(uid)) === "offline", { what: "the device to be offline" });
  });

  test("a client id belongs to whoever used it first, and a device's uid to the device alone", async () => {
    const { uid, token } = await hub.api.addDevice();
    const other = await hub.api.addDevice();
    assert.equal(await refusal(as(other.uid, token)), 4);
    assert.equal(
      await refusal(mqtt.connectAsync(hub.mqtt, { clientId: "something", username: uid, password: token, reconnectPeriod: 0 })),
      2,
    );
    assert.equal(await refusal(person(uid)), 2);
    const { body } = await hub.api.call<{ token: string; name: string }>("POST", "/api/v1/access-tokens", {
      kind: "service",
      name: "home-assistant",
    });
    const service = await mqtt.connectAsync(hub.mqtt, {
      clientId: "shared-id",
      username: "home-assistant",
      password: body.token,
      clean: false,
      reconnectPeriod: 0,
    });
    await service.subscribeAsync("hexa/#", { qos: 1 });
    assert.equal(await refusal(person("shared-id")), 2);
    await service.endAsync();
    assert.equal(await refusal(person("shared-id")), 2, "a stored session is not inherited either");
  });

  test("a device may subscribe to its own down topics and to nothing else", async () => {
    const { uid, token } = await hub.api.addDevice();
    const other = await hub.api.addDevice();
    const client = await as(uid, token, { protocolVersion: 4, clean: false });
    assert.deepEqual(await granted(client, `hexa/${uid}/down/#`, `hexa/${uid}/down/command`), [1, 1]);
    assert.deepEqual(
      await granted(
        client,
        `hexa/${other.uid}/down/#`,
        "#",
        "hexa/#",
        "hexa/+/down/#",
        `hexa/${uid}/#`,
        "$SYS/#",
        "$hub/#",
        "$share/g/hexa/#",
      ),
      Array(8).fill(128),
    );
    await client.endAsync();
  });

  test("one SUBSCRIBE that mixes allowed and refused filters stores only the allowed ones", async () => {
    const { uid, token } = await hub.api.addDevice();
    const victim = await hub.api.addDevice();
    const options = { protocolVersion: 4, clean: false } as const;
    const client = await as(uid, token, options);
    assert.deepEqual(await granted(client, `hexa/${uid}/down/#`, `hexa/${victim.uid}/up/#`), [1, 128]);
    await client.endAsync();
    const source = await as(victim.uid, victim.token);
    await source.publishAsync(`hexa/${victim.uid}/up/telemetry`, '{"values":{"secret":1}}', { qos: 1 });
    await hub.api.call("PATCH", `/api/v1/devices/${uid}`, { settings: { reading_interval_s: 7 } });
    const received: string[] = [];
    const back = mqtt.connect(hub.mqtt, { clientId: uid, username: uid, password: token, ...options, reconnectPeriod: 0 });
    back.on("message", (topic) => received.push(topic));
    await until(() => received.length > 0, { what: "the message that was queued for the allowed filter" });
    await back.publishAsync(`hexa/${uid}/up/heartbeat`, "{}", { qos: 1 });
    assert.deepEqual(received, [`hexa/${uid}/down/config`]);
    await back.endAsync();
    await source.endAsync();
  });

  test("wildcards deliver only what the account may see, live, retained and queued", async () => {
    const stranger = await hub.api.call<{ device_uid: string; device_token: string }>(
      "POST",
      "/api/v1/provision/register",
      { name: "Unclaimed", device_class: "sensor_hub" },
      { "x-provision-key": "a-provision-key-for-tests" },
    );
    const mine = await hub.api.addDevice({ device_class: "sensor_hub" });
    const { body } = await hub.api.call<{ token: string }>("POST", "/api/v1/access-tokens", { kind: "service", name: "wild" });
    const options: IClientOptions = { clientId: "wild", username: "wild", password: body.token, clean: false, reconnectPeriod: 0 };
    const received: string[] = [];
    const listen = async (): Promise<MqttClient> => {
      const client = mqtt.connect(hub.mqtt, options);
      client.on("message", (topic) => received.push(topic));
      await new Promise((resolve) => client.once("connect", resolve));
      return client;
    };
    const first = await listen();
    assert.deepEqual(await granted(first, "#", "hexa/+/up/#", `hexa/${stranger.body.device_uid}/up/#`), [1, 1, 128]);
    const devices = [await as(mine.uid, mine.token), await as(stranger.body.device_uid, stranger.body.device_token)];
    const speak = async (n: number): Promise<void> => {
      for (const device of devices)
        await device.publishAsync(`hexa/${device.options.clientId}/up/telemetry`, JSON.stringify({ values: { n } }), { qos: 1 });
    };
    await speak(1);
    await until(() => received.includes(`hexa/${mine.uid}/up/telemetry`), { what: "the live message" });
    await first.endAsync();
    await speak(2);
    received.length = 0;
    const second = await listen();
    await until(() => received.includes(`hexa/${mine.uid}/up/telemetry`), { what: "the queued message" });
    assert.deepEqual(await granted(second, "hexa/+/sensor/+/state"), [1]);
    await until(() => received.includes(`hexa/${mine.uid}/sensor/n/state`), { what: "the retained state" });
    assert.deepEqual(
      received.filter((topic) => topic.includes(stranger.body.device_uid)),
      [],
    );
    await second.endAsync();
    for (const device of devices) await device.endAsync();
  });

  test("a will that its owner may not publish is refused at CONNECT", async () => {
    const { uid, token } = await hub.api.addDevice();
    const victim = await hub.api.addDevice();
    const will = (topic: string): IClientOptions => ({ will: { topic, payload: Buffer.from("offline"), qos: 1, retain: true } });
    assert.equal(await refusal(as(uid, token, will(`hexa/${victim.uid}/availability`))), 5);
    assert.equal(await refusal(as(uid, token, { ...will("hexa/#"), protocolVersion: 5 })), 0x90);
    assert.equal(await refusal(person("will", will(`hexa/${victim.uid}/relay/0/set`))), 5);
    assert.equal(await refusal(as(uid, token, will(`hexa/${uid}/availability`))), 0);
  });

  test("rotating and revoking a token ends the live session at once, with close code 4401 on WebSocket", async () => {
    const { uid, token } = await hub.api.addDevice();
    const socket = new WebSocket(hub.ws, "mqtt");
    const code = new Promise<number>((resolve) => socket.addEventListener("close", (event) => resolve(event.code)));
    const connack = new Promise((resolve) => socket.addEventListener("message", resolve, { once: true }));
    socket.addEventListener("open", () => socket.send(connectPacket({ username: uid, password: token })));
    await connack;
    const { status, body } = await hub.api.call<{ device_token: string }>("POST", `/api/v1/devices/${uid}/rotate-token`);
    assert.equal(status, 201);
    assert.equal(await code, 4401);
    assert.equal(await refusal(as(uid, token)), 4);
    const next = await as(uid, body.device_token, { protocolVersion: 5 });
    const reason = new Promise((resolve) => next.once("disconnect", (packet) => resolve(packet.reasonCode)));
    assert.equal((await hub.api.call("POST", `/api/v1/devices/${uid}/revoke`, {})).status, 200);
    assert.equal(await reason, 0x87);
    assert.equal(await refusal(as(uid, body.device_token, { protocolVersion: 5 })), 0x86);
  });

  test("deleting a device ends its session and takes its retained messages back", async () => {
    const { uid, token } = await hub.api.addDevice();
    await using device = await startVirtualDevice({
      url: hub.mqtt,
      uid,
      password: token,
      deviceClass: "relay_controller",
      protocolVersion: 4,
    });
    await device.sendTelemetry({ t: 1 });
    const lost = device.next("lost");
    assert.equal((await hub.api.call("DELETE", `/api/v1/devices/${uid}`)).status, 204);
    await lost;
    const other = await hub.api.addDevice();
    await using witness = await startVirtualDevice({
      url: hub.mqtt,
      uid: other.uid,
      password: other.token,
      deviceClass: "relay_controller",
      protocolVersion: 4,
    });
    const watcher = await person("graveyard");
    const topics: string[] = [];
    watcher.on("message", (topic) => topics.push(topic));
    await watcher.subscribeAsync("hexa/+/availability");
    await until(() => topics.includes(`hexa/${witness.uid}/availability`), { what: "another device's retained message" });
    assert.deepEqual(
      topics.filter((topic) => topic.includes(uid)),
      [],
    );
    await watcher.endAsync();
  });

  test("packets that break the parser end their connection and nobody else's", async () => {
    const witness = await person("parser-witness");
    const truncatedSessionExpiry = Buffer.from("101100044d5154540502003c0211000001610000", "hex");
    const responseTopic = Buffer.from("300a00016105080040", "hex");
    const { port } = new URL(hub.mqtt);
    for (const bytes of [
      truncatedSessionExpiry,
      responseTopic,
      Buffer.from("ffffffffffff", "hex"),
      Buffer.from("f000", "hex"),
      Buffer.from("1000", "hex"),
      Buffer.from("GET / HTTP/1.1\r\n\r\n"),
    ]) {
      const socket = connectTcp(Number(port), "127.0.0.1");
      socket.on("error", () => {}).resume();
      const closed = once(socket, "close");
      socket.end(bytes);
      await closed;
    }
    const { uid, token } = await hub.api.addDevice();
    const device = await as(uid, token, { protocolVersion: 5 });
    const closed = new Promise<void>((resolve) => device.once("close", () => resolve()));
    // A response topic that claims more bytes than the packet has.
    (device.stream as unknown as { write(bytes: Buffer): void }).write(
      Buffer.concat([Buffer.from([0x30, 0x0b, 0x00, 0x01, 0x61, 0x05, 0x08, 0x00, 0x40]), Buffer.from("abcd")]),
    );
    await closed;
    assert.equal(witness.connected, true);
    assert.equal((await fetch(`${hub.http}/health`)).status, 200);
    await witness.endAsync();
  });
});
