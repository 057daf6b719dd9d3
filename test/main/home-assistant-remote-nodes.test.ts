import assert from "node:assert/strict";
import { describe, test } from "node:test";
import mqtt from "mqtt";
import type { VirtualDevice } from "../../firmware/virtual/device.ts";
import { type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import { type ApiClient, type HubProcess, spawnHub, startHub, type TestHub } from "../support/hub.ts";
import { mosquittoMissing, startMosquitto } from "../support/services.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { acquaint, clusterMissing, endLease, type Ground, relayAt, startGround } from "./cluster-hubs.ts";
import { must } from "./home-assistant-scene.ts";

const RELAY = { relays: 1 };
/** SPEC's own limit. */
const RIGHT_MS = 5_000;

interface BridgeJson {
  readonly status: string;
  readonly last_error: { readonly code: string } | null;
}

const bridgeAt = async (api: ApiClient): Promise<BridgeJson> =>
  (await api.call<{ bridge: BridgeJson }>("GET", "/api/v1/bridges/home_assistant")).body.bridge;
const isConnected = (api: ApiClient, timeoutMs = 10_000): Promise<unknown> =>
  until(async () => (await bridgeAt(api)).status === "connected", { what: "the bridge to be connected", timeoutMs });

interface Scene extends AsyncDisposable {
  readonly ground: Ground;
  /** It has the connection; each has a line of its own. */
  readonly dying: HubProcess;
  readonly line: FaultProxy;
  readonly hub: TestHub;
  readonly otherLine: FaultProxy;
  readonly lamp: { readonly uid: string; readonly id: string };
  /** At the other node. */
  readonly device: VirtualDevice;
  /** At the broker elsewhere. */
  readonly client: mqtt.MqttClient;
  readonly retained: ReadonlyMap<string, string>;
  /** What the hub has said of itself there, in its order. */
  readonly said: readonly string[];
}

async function startScene(): Promise<Scene> {
  await using stack = new AsyncDisposableStack();
  const broker = stack.use(await startMosquitto());
  const line = stack.use(await startFaultProxy(broker));
  const otherLine = stack.use(await startFaultProxy(broker));
  const ground = stack.use(await startGround());
  const { path } = stack.use(temporaryFolder());
  const optionsOf = ({ port }: FaultProxy) => ({
    databaseUrl: ground.databaseUrl,
    redisUrl: ground.redisUrl,
    env: { HA_MQTT_ENABLED: "true", HA_MQTT_URL: `mqtt://127.0.0.1:${port}` },
  });
  const client = await mqtt.connectAsync(broker.url, { reconnectPeriod: 0 });
  stack.defer(() => client.endAsync(true));
  const retained = new Map<string, string>();
  const said: string[] = [];
  client.on("message", (topic, bytes) => {
    const payload = bytes.toString();
    if (/^hexa-app\/[^/]+\/availability$/.test(topic)) said.push(payload);
    if (payload === "") retained.delete(topic);
    else retained.set(topic, payload);
  });
  await client.subscribeAsync(["homeassistant/#", "hexa/+/+/+/state", "hexa/+/availability", "hexa-app/#"], { qos: 1 });

  const dying = stack.use(await spawnHub({ ...optionsOf(line), dataDir: path }));
  await dying.api.login();
  await isConnected(dying.api);
  const lamp = await dying.api.addDevice({ name: "Lamp", capabilities: RELAY });
  const hub = stack.use(await startHub(optionsOf(otherLine)));
  await hub.api.login();
  await acquaint(hub, dying);
  const device = stack.use(await relayAt(hub, lamp, { capabilities: RELAY }));
  await until(
    () => retained.get(`hexa/${lamp.uid}/relay/0/state`) === "OFF" && retained.get(`hexa/${lamp.uid}/availability`) === "online",
    {
      what: "the lamp there",
    },
  );
  const running = stack.move();
  return { ground, dying, line, hub, otherLine, lamp, device, client, retained, said, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

describe("a broker elsewhere and two nodes", { skip: clusterMissing() ?? mosquittoMissing(), timeout: 120_000 }, () => {
  test("one of them is connected; what it has done without a word is not done again by the next, and states are right", async () => {
    await using scene = await startScene();
    const { ground, dying, line, hub, otherLine, lamp, device, client, retained, said } = scene;
    const state = `hexa/${lamp.uid}/relay/0/state`;
    const set = (payload: string) => client.publishAsync(`hexa/${lamp.uid}/relay/0/set`, payload, { qos: 1 });
    const discoveryOf = (uid: string) => retained.has(`homeassistant/device/hexa_${uid}/config`);
    assert.deepEqual([line.connections, otherLine.connections], [1, 0]);
    assert.deepEqual(await bridgeAt(hub.api), await bridgeAt(dying.api));
    assert.equal((await bridgeAt(hub.api)).status, "connected");
    const gone = await hub.api.addDevice({ name: "Gone", capabilities: RELAY });
    await until(() => discoveryOf(gone.uid) && discoveryOf(lamp.uid), { what: "both told" });

    // Its acknowledgement is on the way when the node dies, and the line with it.
    line.slow({ delayMs: 1_000 });
    await set("TOGGLE");
    await until(() => device.executed.length === 1, { what: "the command" });
    const killed = dying.kill9();
    line.refuse();
    line.cut();
    await killed;
    await until(() => said.at(-1) === "offline", { what: "the last will" });
    const { status, last_error: error } = await bridgeAt(hub.api);
    assert.deepEqual([status, error?.code], ["waiting", "unavailable"]);
    // Meanwhile.
    await must(hub.api, "DELETE", `/api/v1/devices/${gone.id}`);
    await device.setRelayLocally(0, "OFF");
    const added = await hub.api.addDevice({ name: "Added", capabilities: RELAY });
    await set("ON");

    await endLease(ground, "home-assistant-remote");
    await isConnected(hub.api, 20_000);
    const since = performance.now();
    await until(() => retained.get(state) === "ON" && discoveryOf(added.uid) && !discoveryOf(gone.uid) && said.at(-1) === "online", {
      what: "what is by now",
      timeoutMs: RIGHT_MS,
    });
    assert.ok(performance.now() - since < RIGHT_MS);
    assert.equal(otherLine.connections, 1);
    await set("OFF");
    await until(() => retained.get(state) === "OFF", { what: "a command behind them" });
    assert.deepEqual(
      device.executed.map(({ command }) => (command as { state: string }).state),
      // The first was asked for as TOGGLE.
      ["ON", "ON", "OFF"],
    );
    assert.equal(retained.get(`hexa/${lamp.uid}/availability`), "online");
    assert.ok(![...retained.keys()].some((topic) => topic.includes(gone.uid)));
  });

  test("a node whose end the broker has not noticed is replaced, and the last word is the other's", async () => {
    await using scene = await startScene();
    const { ground, dying, line, hub, retained, said } = scene;
    const before = said.length;
    line.freeze();
    await dying.kill9();
    await endLease(ground, "home-assistant-remote");
    await isConnected(hub.api, 20_000);
    await until(() => said.length > before && said.at(-1) === "online", { what: "the word of the other" });
    // What was on its way is nobody's any more.
    line.thaw();
    await must(hub.api, "POST", "/api/v1/bridges/home_assistant/resend");
    const extra = await hub.api.addDevice({ name: "Extra", capabilities: RELAY });
    await until(() => retained.has(`homeassistant/device/hexa_${extra.uid}/config`), { what: "what is new" });
    assert.equal(said.at(-1), "online");
  });

  test("unlinked while no node is connected, all is taken back by the next, which tells nothing any more", async () => {
    await using scene = await startScene();
    const { ground, dying, hub, retained, said, lamp } = scene;
    await dying.kill9();
    await until(() => said.at(-1) === "offline", { what: "the last will" });
    const gone = hub.api.call("DELETE", "/api/v1/bridges/home_assistant");
    await endLease(ground, "home-assistant-remote");
    assert.equal((await gone).status, 204);
    await until(() => ![...retained.keys()].some((topic) => topic.includes(lamp.uid) || topic.startsWith("hexa-app/")), {
      what: "nothing there any more",
    });
  });
});
