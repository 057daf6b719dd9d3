import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import mqtt, { type MqttClient } from "mqtt";
import { WebSocket } from "ws";
import { startVirtualDevice } from "../../../firmware/virtual/device.ts";
import { polling } from "../../main/polling-device.ts";
import { CLIENT_USE, makeTestAuthority, SERVER_USE } from "../../support/certificates.ts";
import { blockCommits } from "../../support/databases.ts";
import { startFaultProxy } from "../../support/fault-proxy.ts";
import { type ApiClient, spawnHub, startHub, type TestHub } from "../../support/hub.ts";
import { freePort, mosquittoMissing, startMosquitto, type Service } from "../../support/services.ts";
import { temporaryFolder, until } from "../../support/wait.ts";

interface BridgeView {
  readonly status: string;
  readonly last_error: { readonly code: string; readonly message: string } | null;
  readonly counts: Readonly<Record<string, number>>;
}

const stateOf = async (api: ApiClient): Promise<BridgeView> =>
  (await api.call<{ bridge: BridgeView }>("GET", "/api/v1/bridges/home_assistant")).body.bridge;
const hasStatus = (api: ApiClient, status: string): Promise<unknown> =>
  until(async () => (await stateOf(api)).status === status, { what: `the bridge to be ${status}`, timeoutMs: 15_000 });

/** A broker that asks for client certificates, the hub's and a stranger's files, and a look at what it retains. */
async function scene() {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(temporaryFolder());
  const authority = await makeTestAuthority("broker");
  const server = await authority.issue({
    name: "localhost",
    alternatives: [
      { type: "dns", value: "localhost" },
      { type: "ip", value: "127.0.0.1" },
    ],
    uses: [SERVER_USE],
  });
  const client = await authority.issue({ name: "hub", uses: [CLIENT_USE] });
  const stranger = await (await makeTestAuthority("nobody")).issue({ name: "stranger", uses: [CLIENT_USE] });
  const file = async (name: string, text: string): Promise<string> => {
    await writeFile(join(path, name), text);
    return join(path, name);
  };
  const files = {
    ca: await file("ca.pem", authority.cert),
    serverCert: await file("server.pem", server.cert),
    serverKey: await file("server.key", server.key),
    cert: await file("hub.pem", client.cert),
    key: await file("hub.key", client.key),
    strangerCert: await file("stranger.pem", stranger.cert),
    strangerKey: await file("stranger.key", stranger.key),
    otherCa: await file("other.pem", (await makeTestAuthority("another")).cert),
  };
  const port = await freePort();
  const stored = join(path, "mosquitto.db");
  const start = () =>
    startMosquitto(
      [
        `cafile ${files.ca}`,
        `certfile ${files.serverCert}`,
        `keyfile ${files.serverKey}`,
        "require_certificate true",
        "persistence true",
        `persistence_file ${stored.split("/").at(-1)}`,
        `persistence_location ${path}/`,
        "autosave_interval 1",
        "autosave_on_changes true",
      ],
      port,
    );
  const broker: { service: Service } = { service: await start() };
  stack.defer(() => broker.service[Symbol.asyncDispose]());
  const env = {
    HA_MQTT_ENABLED: "true",
    HA_MQTT_URL: `mqtts://localhost:${port}`,
    HA_MQTT_CA_FILE: files.ca,
    HA_MQTT_CERT_FILE: files.cert,
    HA_MQTT_KEY_FILE: files.key,
  };
  const connect = async (): Promise<{ client: MqttClient; retained: Map<string, string>; heard: string[] }> => {
    const [ca, cert, key] = [authority.cert, client.cert, client.key];
    const there = mqtt.connect(`mqtts://localhost:${port}`, { ca, cert, key, reconnectPeriod: 50 });
    const retained = new Map<string, string>();
    const heard: string[] = [];
    there.on("message", (topic, bytes) => {
      const payload = bytes.toString();
      heard.push(`${topic} ${payload}`);
      if (payload === "") retained.delete(topic);
      else retained.set(topic, payload);
    });
    await new Promise((resolve, reject) => void there.once("connect", resolve).once("error", reject));
    await there.subscribeAsync(["homeassistant/#", "hexa/+/+/+/state", "hexa/+/availability", "hexa-app/#"], { qos: 1 });
    return { client: there, retained, heard };
  };
  const owned = stack.move();
  return {
    files,
    port,
    env,
    connect,
    kill: () => broker.service[Symbol.asyncDispose](),
    revive: async () => void (broker.service = await start()),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function lampOn(hub: TestHub) {
  const lamp = await hub.api.addDevice({ name: "Lamp", capabilities: { relays: 1 } });
  const device = await startVirtualDevice({
    url: hub.mqtt,
    uid: lamp.uid,
    password: lamp.token,
    deviceClass: "relay_controller",
    protocolVersion: 5,
    capabilities: { relays: 1 },
  });
  return { uid: lamp.uid, device };
}

const skip = mosquittoMissing();

test("a broker elsewhere, over TLS with client certificates, has what there is, and its commands are done once", {
  skip,
  timeout: 90_000,
}, async () => {
  await using place = await scene();
  await using hub = await startHub({ env: place.env });
  await hub.api.login();
  const { uid, device } = await lampOn(hub);
  await using _device = device;
  await hasStatus(hub.api, "connected");
  const { client, retained, heard } = await place.connect();
  try {
    const organizationId = (await hub.api.call<{ organization_id: string }>("GET", "/api/v1/auth/me")).body.organization_id;
    const discovery = `homeassistant/device/hexa_${uid}/config`;
    const hubTopic = `hexa-app/${organizationId}/availability`;
    await until(() => retained.has(discovery) && retained.get(`hexa/${uid}/availability`) === "online", { what: "the device there" });
    await until(() => retained.get(hubTopic) === "online", { what: "the hub's availability there" });

    await client.publishAsync(`hexa/${uid}/relay/0/set`, "ON", { qos: 1 });
    await until(() => retained.get(`hexa/${uid}/relay/0/state`) === "ON", { what: "the state there" });
    assert.equal(device.executed.length, 1);
    const { body } = await hub.api.call<{ data: { source: string; actor: { kind: string } }[] }>("GET", `/api/v1/devices/${uid}/commands`);
    assert.deepEqual(
      body.data.map(({ source, actor }) => [source, actor.kind]),
      [["home-assistant", "bridge"]],
    );
    // What is retained is nobody's wish of now.
    await client.publishAsync(`hexa/${uid}/relay/0/set`, "OFF", { qos: 1, retain: true });
    await until(() => device.executed.length === 2, { what: "a set that is live, whatever it leaves behind" });

    // The broker dies: what changes meanwhile is there when it is back, and so is the retained wish, which is refused.
    await place.kill();
    await hasStatus(hub.api, "failed");
    // The first word may be of the connection that ended.
    await until(async () => (await stateOf(hub.api)).last_error?.code === "ECONNREFUSED", { what: "nobody to answer there" });
    for (const state of ["ON", "OFF", "ON"]) {
      const { status } = await hub.api.call("POST", `/api/v1/devices/${uid}/commands`, { command: "set_relay", relay: 0, state });
      assert.equal(status, 200);
    }
    const beside = await hub.api.addDevice({ name: "Beside", capabilities: { relays: 1 } });
    await place.revive();
    const back = performance.now();
    await hasStatus(hub.api, "connected");
    heard.length = 0;
    await until(
      () => retained.get(`hexa/${uid}/relay/0/state`) === "ON" && retained.has(`homeassistant/device/hexa_${beside.uid}/config`),
      {
        what: "what changed while it was away",
        timeoutMs: 5_000 + 1_000,
      },
    );
    assert.ok(performance.now() - back < 6_000);
    assert.equal(device.executed.length, 5, "nothing is repeated");

    // Home Assistant's birth there.
    heard.length = 0;
    await client.publishAsync("homeassistant/status", "online");
    await until(() => heard.some((line) => line.startsWith(discovery)) && heard.includes(`hexa/${uid}/relay/0/state ON`), {
      what: "everything again",
      timeoutMs: 5_000,
    });

    await hub.api.call("DELETE", `/api/v1/devices/${beside.uid}`);
    await until(() => ![...retained.keys()].some((topic) => topic.includes(beside.uid)), { what: "nothing of what was removed" });
    await client.publishAsync(`hexa/${uid}/relay/0/set`, "", { qos: 1, retain: true });
    const gone = await hub.api.call("DELETE", "/api/v1/bridges/home_assistant");
    assert.equal(gone.status, 204, JSON.stringify(gone.body));
    await until(() => [...retained.keys()].filter((topic) => topic !== "homeassistant/status").length === 0, {
      what: "nothing there any more",
    });
  } finally {
    await client.endAsync(true);
  }
});

test("a command that the broker sends again is done once, and none is lost", { skip, timeout: 90_000 }, async () => {
  await using place = await scene();
  await using proxy = await startFaultProxy({ port: place.port });
  await using hub = await startHub({ env: { ...place.env, HA_MQTT_URL: `mqtts://localhost:${proxy.port}` } });
  await hub.api.login();
  const { uid, device } = await lampOn(hub);
  await using _device = device;
  await hasStatus(hub.api, "connected");
  const { client, retained, heard } = await place.connect();
  try {
    await until(() => retained.get(`hexa/${uid}/availability`) === "online", { what: "the device there" });
    await client.subscribeAsync("hexa/+/relay/+/set", { qos: 1 });
    for (const round of [1, 2, 3]) {
      {
        // Not acknowledged, since it is not kept yet, when the connection ends: the broker sends it again.
        using _blocked = await blockCommits(hub.dataDir);
        await client.publishAsync(`hexa/${uid}/relay/0/set`, "TOGGLE", { qos: 1 });
        await until(() => heard.filter((line) => line.endsWith("set TOGGLE")).length === round, { what: "the broker to send it" });
        proxy.cut();
      }
      await until(() => device.executed.length >= round, { what: "the command" });
      await hasStatus(hub.api, "connected");
    }
    await client.publishAsync(`hexa/${uid}/relay/0/set`, "OFF", { qos: 1 });
    await until(() => device.executed.length >= 4 && retained.get(`hexa/${uid}/relay/0/state`) === "OFF", { what: "the one behind them" });
    assert.equal(device.executed.length, 4);
  } finally {
    await client.endAsync(true);
  }
});

test("a hub that dies is offline there by its last will, and what it comes back with is right, without a listener for plain MQTT", {
  skip,
  timeout: 90_000,
}, async () => {
  await using place = await scene();
  await using folder = temporaryFolder();
  const { client, retained } = await place.connect();
  const start = () => spawnHub({ dataDir: folder.path, env: { ...place.env, HEXA_MQTT_PLAIN: "off" } });
  try {
    const before = await start();
    assert.equal(before.mqtt, null);
    await before.api.login();
    const lamp = await before.api.addDevice({ name: "Lamp", capabilities: { relays: 1 } });
    const gone = await before.api.addDevice({ name: "Gone", capabilities: { relays: 1 } });
    const connectLamp = async ({ mqtts: url, ca }: TestHub) =>
      await startVirtualDevice({
        url,
        ca: await readFile(ca, "utf8"),
        uid: lamp.uid,
        password: lamp.token,
        deviceClass: "relay_controller",
        protocolVersion: 5,
        capabilities: { relays: 1 },
      });
    const state = `hexa/${lamp.uid}/relay/0/state`;
    const discoveryOf = (uid: string): string => `homeassistant/device/hexa_${uid}/config`;
    const ofHub = (): string | undefined => [...retained].find(([topic]) => /^hexa-app\/[^/]+\/availability$/.test(topic))?.[1];
    {
      await using _device = await connectLamp(before);
      await until(() => retained.get(`hexa/${lamp.uid}/availability`) === "online" && retained.has(discoveryOf(gone.uid)), {
        what: "both there",
      });
      await client.publishAsync(`hexa/${lamp.uid}/relay/0/set`, "ON", { qos: 1 });
      await until(() => retained.get(state) === "ON" && ofHub() === "online", { what: "the state there" });
      await before.kill9();
    }
    await until(() => ofHub() === "offline", { what: "the last will" });
    await using hub = await start();
    await hub.api.login();
    await until(() => ofHub() === "online", { what: "the hub to be back there" });
    assert.equal(retained.get(state), "ON");
    // It begins with its relay off, and says so.
    await using device = await connectLamp(hub);
    await until(() => retained.get(state) === "OFF" && retained.get(`hexa/${lamp.uid}/availability`) === "online", {
      what: "the lamp's word",
    });
    await client.publishAsync(`hexa/${lamp.uid}/relay/0/set`, "ON", { qos: 1 });
    await until(() => retained.get(state) === "ON", { what: "a command after it" });
    assert.equal(device.executed.length, 1);
    assert.equal((await hub.api.call("DELETE", `/api/v1/devices/${gone.uid}`)).status, 204);
    await until(() => !retained.has(discoveryOf(gone.uid)), { what: "nothing of what was removed" });
    assert.ok(retained.has(discoveryOf(lamp.uid)));
  } finally {
    await client.endAsync(true);
  }
});

for (const [what, change, code, words] of [
  ["an authority that the hub does not know", { HA_MQTT_CA_FILE: "otherCa" }, /SELF_SIGNED|UNABLE_TO/, /HA_MQTT_CA_FILE/],
  [
    "a client certificate that the broker does not take",
    { HA_MQTT_CERT_FILE: "strangerCert", HA_MQTT_KEY_FILE: "strangerKey" },
    /UNKNOWN_CA|ECONNRESET|BAD_CERTIFICATE/,
    /HA_MQTT_CERT_FILE/,
  ],
  ["a key of another certificate", { HA_MQTT_KEY_FILE: "strangerKey" }, /KEY_VALUES_MISMATCH/, /HA_MQTT_KEY_FILE/],
] as const)
  test(`says plainly that it fails because of ${what}`, { skip, timeout: 60_000 }, async () => {
    await using place = await scene();
    const wrong = Object.fromEntries(Object.entries(change).map(([variable, name]) => [variable, place.files[name as "ca"]]));
    await using hub = await startHub({ env: { ...place.env, ...wrong } });
    await hub.api.login();
    await hasStatus(hub.api, "failed");
    const { last_error } = await stateOf(hub.api);
    assert.match(last_error?.code ?? "", code);
    assert.match(last_error?.message ?? "", words);
  });

test("a name that the certificate is not for, and no client certificate at all", { skip, timeout: 60_000 }, async () => {
  await using place = await scene();
  {
    await using hub = await startHub({ env: { ...place.env, HA_MQTT_SNI_SERVERNAME: "another.example" } });
    await hub.api.login();
    await hasStatus(hub.api, "failed");
    assert.equal((await stateOf(hub.api)).last_error?.code, "ERR_TLS_CERT_ALTNAME_INVALID");
  }
  const { HA_MQTT_CERT_FILE: _cert, HA_MQTT_KEY_FILE: _key, ...rest } = place.env;
  await using hub = await startHub({ env: rest });
  await hub.api.login();
  await hasStatus(hub.api, "failed");
  assert.match((await stateOf(hub.api)).last_error?.message ?? "", /HA_MQTT_CERT_FILE/);
});

test("a hub that listens for no MQTT tells it all the same, and takes its commands", { skip }, async () => {
  await using place = await scene();
  const { client, retained } = await place.connect();
  await using _client = { [Symbol.asyncDispose]: () => client.endAsync(true) };
  const env = { ...place.env, HEXA_MQTT_PLAIN: "off", HEXA_MQTT_TLS: "off", HEXA_MQTT_WEBSOCKET: "off" };
  await using folder = temporaryFolder();
  await using hub = await spawnHub({ dataDir: folder.path, env });
  assert.deepEqual([hub.mqtt, hub.mqtts, hub.ws], [null, null, null]);
  const { api } = hub;
  await api.login();
  await hasStatus(api, "connected");
  const lamp = await api.addDevice({ name: "Lamp", capabilities: { relays: 1 } });
  // What is left to devices is HTTP.
  const device = polling(hub, lamp);
  const state = `hexa/${lamp.uid}/relay/0/state`;
  await device.poll();
  await until(
    () => retained.get(`hexa/${lamp.uid}/availability`) === "online" && retained.has(`homeassistant/device/hexa_${lamp.uid}/config`),
    {
      what: "the lamp",
    },
  );
  await client.publishAsync(`hexa/${lamp.uid}/relay/0/set`, "ON", { qos: 1 });
  const [given] = await device.poll(10);
  assert.deepEqual([given?.type, given?.["state"]], ["command", "ON"]);
  assert.equal(await device.answer(given?.command_id as string), 202);
  await until(() => retained.get(state) === "ON", { what: "a command that was done" });

  assert.equal((await api.call("POST", "/api/v1/demo", {})).status, 409);
  assert.deepEqual((await api.call<{ data: unknown[] }>("GET", "/api/v1/devices")).body.data.length, 1);
  assert.equal((await api.call("POST", "/api/v1/bridges/home_assistant/account", {})).status, 409);
  const socket = new WebSocket(new URL("/mqtt", hub.http.replace(/^http/, "ws")), ["mqtt"]);
  const [, refusal] = (await once(socket, "unexpected-response")) as [unknown, IncomingMessage];
  assert.equal(refusal.statusCode, 404);
  refusal.resume();
});
