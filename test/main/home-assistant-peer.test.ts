import assert from "node:assert/strict";
import { describe, test } from "node:test";
import mqtt from "mqtt";
import type { Capabilities } from "../../core/device.ts";
import { SENSOR_CLASS_NAMES } from "../../core/sensor-classes.ts";
import { startVirtualDevice } from "../../firmware/virtual/device.ts";
import { startTwoOrganizations } from "../attack/two-organizations.ts";
import { databases } from "../support/databases.ts";
import { DEVICE_CLASSES, SENSOR_CLASSES } from "../support/home-assistant-classes.ts";
import { ADMIN, startHub } from "../support/hub.ts";
import { freePort } from "../support/services.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { deviceOf, entitiesOf, entityOf, join, makeAccount, must } from "./home-assistant-scene.ts";

const RELAY: Capabilities = { relays: 1 };
const EVERYTHING = {
  relays: 2,
  lights: 2,
  inputs: 2,
  ir: true,
  sensors: [
    { key: "temperature", device_class: "temperature", unit: "°C" },
    { key: "energy", device_class: "energy", unit: "kWh" },
    { key: "pir", device_class: "motion" },
    { key: "mmwave", device_class: "occupancy" },
    { key: "rssi", device_class: "signal_strength", unit: "dBm" },
    { key: "words" },
  ],
} satisfies Capabilities;
/** SPEC's own limit after a birth. */
const BACK_MS = 5_000;

const relayOf = (url: string, { uid, token }: { uid: string; token: string }) =>
  startVirtualDevice({ url, uid, password: token, deviceClass: "relay_controller", capabilities: RELAY });

/** A sensor of every class that the hub knows, in every unit and state class that Home Assistant has for it. */
function sensorsOfEveryClass() {
  const sensors = SENSOR_CLASS_NAMES.flatMap((device_class) => {
    const { units = [], stateClasses = [] } = SENSOR_CLASSES[device_class] ?? {};
    const first = device_class === "monetary" ? "EUR" : units.find((unit) => unit !== "")?.replaceAll("\u03BC", "\u00B5");
    return [undefined, ...stateClasses].map((state_class) => ({
      device_class,
      ...(first === undefined ? {} : { unit: first }),
      ...(state_class === undefined ? {} : { state_class: state_class as "total" }),
    }));
  });
  const binary = (DEVICE_CLASSES.binary_sensor ?? []).map((device_class) => ({ device_class, platform: "binary_sensor" as const }));
  return [...sensors, ...binary].map((sensor, index) => ({ key: `s${index}`, ...sensor }));
}

for (const { name, skip, open } of databases()) {
  describe(`Home Assistant on ${name}`, { skip }, () => {
    for (const protocolVersion of [4, 5] as const)
      test(`is told of every capability by its rules, and what it turns on turns on, on MQTT ${protocolVersion}`, async () => {
        await using database = await open();
        await using hub = await startHub({ databaseUrl: database.url });
        const api = await hub.api.login();
        const { uid, token } = await api.addDevice({ name: "Flur Öst", device_class: "hybrid", capabilities: EVERYTHING });
        await using device = await startVirtualDevice({
          url: hub.mqtt,
          uid,
          password: token,
          deviceClass: "hybrid",
          capabilities: EVERYTHING,
        });
        await using home = await join(hub.mqtt, await makeAccount(api), protocolVersion);
        const relay = await entityOf(home, uid, "switch");
        await until(() => relay.available, { what: "the device to be there", timeoutMs: BACK_MS });
        const platforms = new Set(entitiesOf(home, uid).map(({ platform }) => platform));
        for (const platform of ["switch", "light", "event", "button", "sensor", "binary_sensor", "infrared"])
          assert.ok(platforms.has(platform), `${platform} is missing`);

        await home.shows(relay.entityId, "off");
        await home.turn(relay.entityId, "on");
        await home.shows(relay.entityId, "on");
        assert.equal(device.state.relays[0]?.state, "ON");
        const other = home.find(`hexa_${uid}_relay_1`);
        assert.ok(other);
        await device.setRelayLocally(1, "ON");
        await home.shows(other.entityId, "on");

        const light = await entityOf(home, uid, "light");
        await home.setBrightness(light.entityId, 128);
        await home.shows(light.entityId, "on");
        await until(() => device.state.lights[0]?.brightness === 50, { what: "the light's brightness" });
        await until(() => light.attributes["brightness"] === 128, { what: "the brightness to be shown" });

        await device.press(1, "double_click");
        const pressed = await until(() => entitiesOf(home, uid).find(({ events }) => events.length > 0), { what: "the event" });
        assert.equal(pressed.events[0]?.type, "double_click");

        await device.sendTelemetry({ temperature: 21.5, energy: 3, pir: true, words: "hello" });
        const value = (key: string) => entitiesOf(home, uid).find(({ uniqueId }) => uniqueId.endsWith(`_${key}`))?.state;
        await until(() => value("temperature") === "21.5" && value("pir") === "on" && value("words") === "hello", { what: "the values" });

        const infrared = await entityOf(home, uid, "infrared");
        const executed = device.next("executed");
        await home.sendInfrared(infrared.entityId, { timings: [9000, -4500, 560, -560], modulation: 38_000, repeat_count: 1 });
        const { command } = await executed;
        assert.deepEqual(command, { command: "ir_send", timings: [9000, -4500, 560, -560], carrier_hz: 38_000, repeat: 1 });

        await device.disconnect();
        await home.shows(relay.entityId, "unavailable");
        assert.deepEqual([home.faults, home.refused, home.ghosts(), await home.orphans([`hexa_${uid}`])], [[], [], [], []]);
      });

    test("every class of sensor is told of by the rules, in both forms, which take entities over from each other", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      const api = await hub.api.login();
      const all = sensorsOfEveryClass();
      for (let at = 0; at < all.length; at += 100)
        await api.addDevice({
          name: "x".repeat(120),
          device_class: "sensor_hub",
          capabilities: { sensors: all.slice(at, at + 100).map((sensor) => ({ ...sensor, name: "Ä ".repeat(30).trim() })) },
        });
      await using home = await join(hub.mqtt, await makeAccount(api));
      const isAll = () => [...home.entities.values()].filter(({ platform }) => platform.endsWith("sensor")).length >= all.length;
      await until(isAll, { what: "every sensor" });
      const before = home.registry();
      for (const form of ["component", "device"]) {
        const seen = home.heard.length;
        await must(api, "PATCH", "/api/v1/bridges/home_assistant/account", { form });
        await until(() => home.heard.length > seen && isAll(), { what: `the form ${form}` });
        await until(async () => (await home.orphans(home.devices.keys())).length === 0 && isAll(), { what: "nothing else" });
        assert.deepEqual(home.registry(), before);
      }
      assert.deepEqual([home.faults, home.ghosts()], [[], []]);
    });

    test("all entities are back within 5 s of a birth", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      const api = await hub.api.login();
      const { uid, token } = await api.addDevice({ capabilities: RELAY });
      await using _device = await relayOf(hub.mqtt, { uid, token });
      await using home = await join(hub.mqtt, await makeAccount(api));
      const { entityId } = await entityOf(home, uid, "switch");
      await home.shows(entityId, "off");
      const before = home.registry();
      await home.restart();
      await home.shows(entityId, "off", BACK_MS);
      home.cut();
      await until(() => home.entities.get(entityId)?.state === "unavailable", { what: "the cut" });
      await home.shows(entityId, "off", BACK_MS);
      assert.deepEqual([home.registry(), home.faults], [before, []]);
    });

    test("whatever happens to devices, the hub and Home Assistant, nothing is left over and every id stays", {
      timeout: 120_000,
    }, async () => {
      await using database = await open();
      await using folder = temporaryFolder();
      const env = { HEXA_MQTT_PORT: String(await freePort()) };
      const start = () => startHub({ dataDir: folder.path, databaseUrl: database.url, env });
      let hub = await start();
      await using _end = { [Symbol.asyncDispose]: () => hub[Symbol.asyncDispose]() };
      await hub.api.login();
      await using home = await join(hub.mqtt, await makeAccount(hub.api));
      /** By uid: what Home Assistant shall show. */
      const wanted = new Map<string, { id: string; name: string; isExposed: boolean }>();
      const known = new Map<string, string>();
      const agree = async (what: string): Promise<void> => {
        const differs = (): string | undefined => {
          for (const [uid, { name: shown, isExposed }] of wanted) {
            if (isExposed !== entitiesOf(home, uid).some(({ platform }) => platform === "switch")) return `${uid} exposed: ${isExposed}`;
            if (isExposed && deviceOf(home, uid)?.["name"] !== shown) return `${uid} is not ${shown}`;
          }
          const strange = [...home.entities.values()].find(({ uniqueId }) => ![...wanted.keys()].some((uid) => uniqueId.includes(uid)));
          return strange && `${strange.uniqueId} is still there`;
        };
        await until(() => home.connected && !differs(), { what: `${what}: ${differs() ?? "connected"}` });
        for (const [key, entityId] of Object.entries(home.registry())) {
          assert.equal(known.get(key) ?? entityId, entityId, `${what}: ${key}`);
          known.set(key, entityId);
        }
      };
      const pick = (seed: number) => [...wanted.keys()][seed % Math.max(wanted.size, 1)] ?? "";
      const steps: Record<string, (seed: number) => Promise<void>> = {
        async add() {
          const { uid, id } = await hub.api.addDevice({ name: "Lamp", capabilities: RELAY });
          wanted.set(uid, { id, name: "Lamp", isExposed: true });
        },
        async rename(seed) {
          const one = wanted.get(pick(seed));
          if (!one) return;
          one.name = `Lamp ${seed % 7}`;
          await must(hub.api, "PATCH", `/api/v1/devices/${one.id}`, { name: one.name });
        },
        async remove(seed) {
          const uid = pick(seed);
          const one = wanted.get(uid);
          if (!one) return;
          await must(hub.api, "DELETE", `/api/v1/devices/${one.id}`);
          wanted.delete(uid);
        },
        async expose(seed) {
          const one = wanted.get(pick(seed));
          if (!one) return;
          one.isExposed = !one.isExposed;
          await must(hub.api, "PATCH", `/api/v1/devices/${one.id}/exposure`, { home_assistant: one.isExposed });
        },
        async restartHub() {
          const { token } = hub.api;
          await hub[Symbol.asyncDispose]();
          hub = await start();
          hub.api.token = token;
        },
        restartHomeAssistant: () => home.restart(),
        async cut() {
          home.cut();
          await until(() => !home.connected, { what: "the cut" });
        },
      };
      const names = ["add", "add", "add", "rename", "expose", "restartHub", "expose", "remove", "restartHomeAssistant", "add", "cut"];
      const random = randomFrom(7);
      for (let count = 0; count < 12; count++) names.push(Object.keys(steps)[random(7)] as string);
      for (const [index, step] of names.entries()) {
        await steps[step]?.(random(1_000));
        await agree(`${index}. ${step}`);
      }
      const exposed = [...wanted].filter(([, { isExposed }]) => isExposed).map(([uid]) => `hexa_${uid}`);
      assert.deepEqual(await home.orphans(exposed), []);
      assert.deepEqual([home.ghosts(), home.faults], [[], []]);
    });
  });
}

/** The same numbers below a limit every time. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test("another organisation's Home Assistant sees nothing and reaches nothing", async () => {
  await using two = await startTwoOrganizations(undefined);
  const { hub, alice, mallory } = two;
  const { uid, token } = await alice.api.addDevice({ capabilities: RELAY });
  const own = await mallory.api.addDevice({ capabilities: RELAY });
  await using device = await relayOf(hub.mqtt, { uid, token });
  const account = await makeAccount(mallory.api);
  await using hers = await join(hub.mqtt, await makeAccount(alice.api));
  await using his = await join(hub.mqtt, account);
  const relay = await entityOf(hers, uid, "switch");
  await entityOf(his, own.uid, "switch");
  await hers.shows(relay.entityId, "off");
  const client = await mqtt.connectAsync(hub.mqtt, { ...account, protocolVersion: 5, reconnectPeriod: 0 });
  await using _closing = { [Symbol.asyncDispose]: () => client.endAsync(true) };
  const heard: string[] = [];
  client.on("message", (topic) => void heard.push(topic));
  await client.subscribeAsync("homeassistant/#");
  await client.publishAsync(String(relay.config["command_topic"]), "ON", { qos: 1 }).catch(() => undefined);
  // His birth is nobody else's.
  await his.restart();
  await entityOf(his, own.uid, "switch");
  await hers.turn(relay.entityId, "on");
  await hers.shows(relay.entityId, "on");
  assert.deepEqual(
    device.executed.map(({ command }) => command),
    [{ command: "set_relay", relay: 0, state: "ON" }],
  );
  assert.deepEqual(entitiesOf(his, uid), []);
  assert.deepEqual(
    heard.filter((topic) => topic.includes(uid) || topic.includes(alice.organizationId)),
    [],
  );
});

test("a device that goes to another organisation leaves one Home Assistant and comes to the other, with nothing between them", async () => {
  await using two = await startTwoOrganizations(undefined);
  const { hub, alice, mallory } = two;
  const { uid, id, token } = await alice.api.addDevice({ name: "Hers", capabilities: RELAY });
  await using _device = await relayOf(hub.mqtt, { uid, token });
  await using hers = await join(hub.mqtt, await makeAccount(alice.api));
  await using his = await join(hub.mqtt, await makeAccount(mallory.api));
  const { entityId, config } = await entityOf(hers, uid, "switch");
  await hers.shows(entityId, "off");
  const released = await alice.api.call<{ claim_code: string }>("POST", `/api/v1/devices/${id}/release`);
  assert.equal(released.status, 200, JSON.stringify(released.body));
  await until(() => entitiesOf(hers, uid).length === 0, { what: "it to leave" });
  assert.deepEqual([hers.ghosts(), await hers.orphans([])], [[], []]);
  await must(mallory.api, "POST", "/api/v1/devices/claim", { claim_code: released.body.claim_code });
  const relay = await entityOf(his, uid, "switch");
  await until(() => relay.available, { what: "it to be there" });
  assert.equal(relay.uniqueId, config["unique_id"]);
  await his.turn(relay.entityId, "on");
  await his.shows(relay.entityId, "on");
  await hers.restart();
  assert.deepEqual([entitiesOf(hers, uid), await hers.orphans([]), hers.faults, his.faults], [[], [], [], []]);
});

test("unlinked, it has nothing more, and its account is over", async () => {
  await using hub = await startHub();
  const api = await hub.api.login();
  const { uid, token } = await api.addDevice({ capabilities: RELAY });
  await using _device = await relayOf(hub.mqtt, { uid, token });
  const account = await makeAccount(api);
  await using home = await join(hub.mqtt, account);
  await entityOf(home, uid, "switch");
  await must(api, "DELETE", "/api/v1/bridges/home_assistant");
  await until(() => !home.connected, { what: "it to be disconnected" });
  await assert.rejects(mqtt.connectAsync(hub.mqtt, { ...account, protocolVersion: 5, reconnectPeriod: 0 }), /Bad User Name or Password/);
  const person = await mqtt.connectAsync(hub.mqtt, { username: ADMIN.email, password: ADMIN.password, reconnectPeriod: 0 });
  await using _closing = { [Symbol.asyncDispose]: () => person.endAsync(true) };
  const kept: string[] = [];
  person.on("message", (topic, _payload, { retain }) => void (retain && kept.push(topic)));
  await person.subscribeAsync("homeassistant/#");
  await person.subscribeAsync(`hexa/${uid}/#`);
  await until(() => kept.some((topic) => topic.startsWith(`hexa/${uid}/`)), { what: "what is kept of the device itself" });
  assert.deepEqual(
    kept.filter((topic) => topic.startsWith("homeassistant/")),
    [],
  );
});
