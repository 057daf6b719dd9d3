import assert from "node:assert/strict";
import { globSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import mqtt from "mqtt";
import { startVirtualDevice } from "../../../firmware/virtual/device.ts";
import { type ApiClient, startHub, type TestHub } from "../../support/hub.ts";
import { startPacketLine } from "../../support/packet-line.ts";
import { mosquittoMissing, type Service, startMosquitto } from "../../support/services.ts";
import { temporaryFolder, until } from "../../support/wait.ts";

interface BridgeView {
  readonly status: string;
  readonly last_error: { readonly code: string; readonly message: string } | null;
}

const skip = mosquittoMissing();
const SMALL = { name: "Lamp", device_class: "hybrid", capabilities: { relays: 1 } };
/** What is said of it takes more than 4,000 bytes. */
const LARGE = { name: "Board", device_class: "hybrid", capabilities: { relays: 32 } };

const discoveryOf = (uid: string): string => `homeassistant/device/hexa_${uid}/config`;

const isTold = (api: ApiClient, status: string, code: string): Promise<string> =>
  until(
    async () => {
      const { bridge } = (await api.call<{ bridge: BridgeView }>("GET", "/api/v1/bridges/home_assistant")).body;
      return (
        bridge.status === status && (status === "connected" || bridge.last_error?.code === code) && (bridge.last_error?.message ?? " ")
      );
    },
    { what: `the bridge to be ${status} (${code})`, timeoutMs: 15_000 },
  );

const startWith = async (port: number): Promise<TestHub> => {
  const hub = await startHub({ env: { HA_MQTT_ENABLED: "true", HA_MQTT_URL: `mqtt://127.0.0.1:${port}`, HA_MQTT_USERNAME: "hub" } });
  await hub.api.login();
  return hub;
};

/** What the broker retains, as another one sees it. */
async function look(
  { url }: Service,
  account: { username?: string } = { username: "observer" },
): Promise<AsyncDisposable & { readonly retained: ReadonlyMap<string, string> }> {
  const client = mqtt.connect(url, { ...account, reconnectPeriod: 0 });
  const retained = new Map<string, string>();
  client.on("message", (topic, payload) => void (payload.length === 0 ? retained.delete(topic) : retained.set(topic, payload.toString())));
  await client.subscribeAsync("#", { qos: 1 });
  return { retained, [Symbol.asyncDispose]: () => client.endAsync(true) };
}

const aclOf = (...hub: string[]): string => ["user observer", "topic readwrite #", "user hub", ...hub, ""].join("\n");

test("a topic that the broker lets nobody write is named; everything else is told, and that too once it may be", {
  skip,
  timeout: 60_000,
}, async () => {
  await using folder = temporaryFolder();
  const file = join(folder.path, "acl");
  // Whatever stands first counts.
  await writeFile(file, aclOf("topic deny homeassistant/#", "topic deny hexa/+/sensor/#", "topic readwrite #"));
  await using broker = await startMosquitto([`acl_file ${file}`]);
  await using there = await look(broker);
  await using hub = await startWith(broker.port);
  const capabilities = { relays: 1, sensors: [{ key: "power", device_class: "power", unit: "W" }] };
  const { uid, token } = await hub.api.addDevice({ ...SMALL, capabilities });
  await using device = await startVirtualDevice({ url: hub.mqtt, uid, password: token, deviceClass: "hybrid", capabilities });
  const message = await isTold(hub.api, "failed", "write_refused");
  assert.match(message, /homeassistant\/device\/hexa_|hexa\/.+\/sensor/);
  assert.match(message, /HA_MQTT_USERNAME/);

  // More of them than may be unanswered at once: they hold up nobody.
  await Promise.all(Array.from({ length: 250 }, (_, value) => device.sendTelemetry({ power: value })));
  await device.setRelayLocally(0, "ON");
  await until(() => there.retained.get(`hexa/${uid}/relay/0/state`) === "ON", { what: "a state that may be told" });
  assert.equal(there.retained.has(discoveryOf(uid)), false);

  await writeFile(file, aclOf("topic readwrite #"));
  process.kill(broker.pid, "SIGHUP");
  await isTold(hub.api, "connected", "");
  await until(() => there.retained.has(discoveryOf(uid)) && there.retained.has(`hexa/${uid}/sensor/power/state`), {
    what: "what was refused",
  });
});

test("what the broker does not let the hub take back is taken back once it may be", { skip, timeout: 60_000 }, async () => {
  await using folder = temporaryFolder();
  const file = join(folder.path, "acl");
  await writeFile(file, aclOf("topic readwrite #"));
  await using broker = await startMosquitto([`acl_file ${file}`]);
  await using there = await look(broker);
  await using hub = await startWith(broker.port);
  const { uid } = await hub.api.addDevice(SMALL);
  await until(() => there.retained.has(discoveryOf(uid)), { what: "the discovery" });

  await writeFile(file, aclOf("topic deny homeassistant/#", "topic readwrite #"));
  process.kill(broker.pid, "SIGHUP");
  assert.equal((await hub.api.call("DELETE", `/api/v1/devices/${uid}`)).status, 204);
  await isTold(hub.api, "failed", "write_refused");
  assert.ok(there.retained.has(discoveryOf(uid)));

  await writeFile(file, aclOf("topic readwrite #"));
  process.kill(broker.pid, "SIGHUP");
  await until(() => !there.retained.has(discoveryOf(uid)), { what: "it to be taken back", timeoutMs: 20_000 });
  await isTold(hub.api, "connected", "");
});

const [plugin] = globSync("/usr/lib/*/mosquitto_dynamic_security.so");

test("commands that the broker does not let the hub read are told of, and what the hub says is there", {
  skip: skip ?? (plugin === undefined ? "mosquitto has no dynamic security here" : undefined),
  timeout: 60_000,
}, async () => {
  await using folder = temporaryFolder();
  const file = join(folder.path, "security.json");
  const acls = [{ acltype: "subscribePattern", topic: "hexa/+/relay/+/set", priority: 1, allow: false }];
  const defaultACLAccess = { publishClientSend: true, publishClientReceive: true, subscribe: true, unsubscribe: true };
  const security = {
    defaultACLAccess,
    anonymousGroup: "all",
    groups: [{ groupname: "all", roles: [{ rolename: "some" }] }],
    roles: [{ rolename: "some", acls }],
  };
  await writeFile(file, JSON.stringify(security));
  await using broker = await startMosquitto([`plugin ${plugin}`, `plugin_opt_config_file ${file}`]);
  await using there = await look(broker, {});
  await using hub = await startHub({ env: { HA_MQTT_ENABLED: "true", HA_MQTT_URL: broker.url } });
  await hub.api.login();
  const { uid } = await hub.api.addDevice(SMALL);
  assert.match(await isTold(hub.api, "failed", "read_refused"), /does not let the hub read hexa\/\+\/relay\/\+\/set, so/);
  await until(() => there.retained.has(discoveryOf(uid)), { what: "the device there" });
});

test("a message that is larger than the broker takes is left out and told of; nothing else waits for it", {
  skip,
  timeout: 60_000,
}, async () => {
  await using broker = await startMosquitto(["max_packet_size 4000"]);
  await using there = await look(broker);
  // One connection, which does not end of it, and one behind which the broker never says how much it takes.
  for (const isSaid of [true, false]) {
    await using line = await startPacketLine(broker.port, (packet) => {
      if (packet.cmd === "connack" && !isSaid) delete packet.properties?.maximumPacketSize;
      return packet;
    });
    await using hub = await startWith(line.port);
    const large = await hub.api.addDevice(LARGE);
    const small = await hub.api.addDevice(SMALL);
    const message = await isTold(hub.api, "failed", "too_large");
    assert.ok(message.includes(discoveryOf(large.uid)), message);
    assert.match(message, isSaid ? /4000 bytes at most/ : /ended the connection 3 times/);
    await until(() => there.retained.has(discoveryOf(small.uid)), { what: "the other device" });
    assert.equal(there.retained.has(discoveryOf(large.uid)), false);
    const { opened } = line;
    assert.ok(isSaid ? opened === 1 : opened <= 5, `${opened} connections`);
    const another = await hub.api.addDevice(SMALL);
    await until(() => there.retained.has(discoveryOf(another.uid)), { what: "one that came later" });
    assert.equal(line.opened, opened);
    assert.equal((await hub.api.call("DELETE", `/api/v1/devices/${large.uid}`)).status, 204);
    await isTold(hub.api, "connected", "");
  }
});

test("a broker that retains nothing is told of", { skip, timeout: 60_000 }, async () => {
  await using broker = await startMosquitto(["retain_available false"]);
  await using hub = await startWith(broker.port);
  assert.match(await isTold(hub.api, "failed", "refused"), /retains no messages/);
});
