import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startVirtualDevice } from "../../firmware/virtual/device.ts";
import { type Code, HomeController, idOf, Neighbourhood, NO_RESPONSE } from "../support/home-controller.ts";
import { codesOf, startHome, stateOf } from "../support/homekit-hub.ts";
import type { TestHub } from "../support/hub.ts";
import { isInOwnNetwork } from "../support/own-network.ts";
import { temporaryFolder, until } from "../support/wait.ts";

const CAPABILITIES = { relays: 2, lights: 1, inputs: 1, sensors: [{ key: "temperature", device_class: "temperature", unit: "°F" }] };

async function deviceOf(hub: TestHub, { uid, token }: { uid: string; token: string }) {
  return await startVirtualDevice({ url: hub.mqtt, uid, password: token, deviceClass: "hybrid", capabilities: CAPABILITIES });
}

describe("a device in HomeKit", { timeout: 120_000 }, () => {
  test("is paired with the hub's code, read, written and heard of; without its device it does not respond", async (t) => {
    t.diagnostic(isInOwnNetwork ? "in a network of its own, found by mDNS" : "on loopback, by address: no network of its own here");
    await using hub = await startHome();
    const made = await hub.api.addDevice({ name: "Hall", device_class: "hybrid", capabilities: CAPABILITIES });
    await using device = await deviceOf(hub, made);
    await device.send("telemetry", { values: { temperature: 68 } });
    const [code] = await codesOf(hub.api, 1);
    assert.match(code?.setup_uri ?? "", /^X-HM:\/\/00[0-9A-Z]{11}$/);
    await using home = await HomeController.pair(code as Code);
    const [seen] = await home.accessoriesOnce(1);
    assert.ok(seen);
    assert.deepEqual([seen.name, seen.uid], ["Hall", made.uid]);
    assert.deepEqual(seen.services.map(({ kind }) => kind).toSorted(), [
      "AccessoryInformation",
      "Lightbulb",
      "StatelessProgrammableSwitch",
      "Switch",
      "Switch",
      "TemperatureSensor",
    ]);
    const on = idOf(seen, "Switch", "On", 1);
    const light = { on: idOf(seen, "Lightbulb", "On"), brightness: idOf(seen, "Lightbulb", "Brightness") };
    const press = idOf(seen, "StatelessProgrammableSwitch", "ProgrammableSwitchEvent");
    await home.subscribe([on, light.brightness, press]);

    assert.deepEqual(await home.write({ [on]: true }), []);
    await until(() => device.state.relays[1]?.state === "ON", { what: "the relay" });
    const { data } = (await hub.api.call<{ data: { source: string }[] }>("GET", `/api/v1/devices/${made.uid}/commands`)).body;
    assert.equal(data[0]?.source, "homekit");

    const told = home.heard(on, 0);
    await hub.api.call("POST", `/api/v1/devices/${made.uid}/commands`, { command: "set_relay", relay: 1, state: "OFF" });
    await told;
    assert.ok(Math.abs(Number(await home.read(idOf(seen, "TemperatureSensor", "CurrentTemperature"))) - 20) < 0.1);

    const pressed = home.heard(press, 1);
    await device.send("input_event", { input: 0, event: "double_click" });
    await pressed;

    assert.deepEqual(await home.write({ [light.on]: true, [light.brightness]: 40 }), []);
    await until(() => device.state.lights[0]?.brightness === 40, { what: "the light" });
    assert.equal(device.executed.filter(({ command }) => command.command === "set_light").length, 1, "one tap is one command");

    await device.disconnect();
    await until(async () => (await home.read(on)) === NO_RESPONSE, { what: "No Response", timeoutMs: 2_000 });
    assert.deepEqual(await home.write({ [on]: true }), [NO_RESPONSE]);
    await device.reconnect();
    await until(async () => (await home.read(on)) === 0, { what: "an answer", timeoutMs: 2_000 });

    await hub.api.call("DELETE", `/api/v1/devices/${made.uid}`);
    await home.accessoriesOnce(0);
  });

  test("a slider that is dragged sends few commands, and is not moved back by echoes of what it said before", async () => {
    await using hub = await startHome();
    const made = await hub.api.addDevice({ name: "Lamp", device_class: "hybrid", capabilities: { lights: 1 } });
    await using device = await startVirtualDevice({
      url: hub.mqtt,
      uid: made.uid,
      password: made.token,
      deviceClass: "hybrid",
      capabilities: { lights: 1 },
      faults: { slowMs: 120 },
    });
    const [code] = await codesOf(hub.api, 1);
    await using home = await HomeController.pair(code as Code);
    const [seen] = await home.accessoriesOnce(1);
    assert.ok(seen);
    const brightness = idOf(seen, "Lightbulb", "Brightness");
    await home.write({ [brightness]: 1 });
    await until(() => device.state.lights[0]?.brightness === 1, { what: "the start of the drag" });
    const shown: unknown[] = [];
    home.events.on("event", (id, value) => id === brightness && shown.push(value));
    await home.subscribe([brightness]);
    const before = device.executed.length;
    const began = performance.now();
    for (let value = 5; value <= 100; value += 5) assert.deepEqual(await home.write({ [brightness]: value }), []);
    const tookMs = performance.now() - began;
    await until(() => device.state.lights[0]?.brightness === 100, { what: "the end of the drag" });
    await until(async () => (await home.read(brightness)) === 100, { what: "what is shown" });
    assert.deepEqual(
      shown,
      shown.toSorted((a, b) => Number(a) - Number(b)),
      "the slider moves forward only",
    );
    assert.ok(device.executed.length - before <= tookMs / 150 + 2, `${device.executed.length - before} commands in ${tookMs} ms`);

    // Somebody else moves it: that is shown at once.
    await hub.api.call("POST", `/api/v1/devices/${made.uid}/commands`, { command: "set_light", light: 0, brightness: 7 });
    await until(() => shown.at(-1) === 7, { what: "another one's change", timeoutMs: 1_000 });
  });

  test("is the business of one organisation; where it is not known which, that is said in words", async () => {
    await using folder = temporaryFolder();
    let own = "";
    {
      await using hub = await startHome({ dataDir: folder.path });
      own = (await hub.api.call<{ organization_id: string }>("GET", "/api/v1/auth/me")).body.organization_id;
      assert.equal((await hub.api.call("POST", "/api/v1/organizations", { name: "Neighbours" })).status, 201);
    }
    {
      await using hub = await startHome({ dataDir: folder.path });
      const state = await until(async () => (await stateOf(hub.api)).last_error && (await stateOf(hub.api)), { what: "what is wrong" });
      assert.deepEqual([state.status, state.last_error?.code], ["failed", "homekit_organization"]);
      assert.deepEqual((await hub.api.call("GET", "/api/v1/bridges/homekit/pairings")).body, { data: [] });
    }
    await using hub = await startHome({ dataDir: folder.path, env: { HEXA_HOMEKIT_ORGANIZATION: own, HEXA_HOMEKIT: "external" } });
    await until(async () => (await hub.api.call("POST", "/api/v1/bridges/homekit/resend")).status === 202, { what: "its own list" });
  });
});

if (isInOwnNetwork)
  test("a bridge is announced to phones: whether it can be added, what changes on it, and that it goes", { timeout: 60_000 }, async () => {
    using around = new Neighbourhood();
    let username = "";
    {
      await using hub = await startHome();
      await hub.api.addDevice({ name: "Hall" });
      const [code] = await codesOf(hub.api, 1);
      assert.ok(code);
      ({ username } = code);
      const found = await until(() => around.find(username), { what: "the bridge to be announced" });
      assert.deepEqual([found.port, found.availableToPair], [code.port, true]);
      assert.match(found.name, /^Hexahub 1\b/);
      await using home = await HomeController.pair(code);
      await until(() => around.find(username)?.availableToPair === false, { what: "that it is added" });
      const before = around.find(username)?.["c#"] ?? assert.fail();
      await hub.api.addDevice({ name: "Attic" });
      await home.accessoriesOnce(2);
      await until(() => Number(around.find(username)?.["c#"]) > before, { what: "that there is something new" });

      const { pid = 0 } = (await stateOf(hub.api)).details.bridges[0] ?? {};
      process.kill(pid, "SIGKILL");
      await until(async () => (await stateOf(hub.api)).details.bridges[0]?.restarts === 1, { what: "the restart" });
      await codesOf(hub.api, 2);
      // Phones keep where it is and what they know of it.
      const after = await until(() => around.find(username), { what: "it to be announced again" });
      assert.deepEqual([after.port, after.availableToPair], [code.port, false]);
    }
    await until(() => around.find(username) === undefined, { what: "its goodbye" });
  });
