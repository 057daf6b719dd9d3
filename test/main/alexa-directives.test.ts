import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, test } from "node:test";
import { direct, directive, endpointsIn, errorIn, stateIn } from "../support/alexa-directives.ts";
import { until } from "../support/wait.ts";
import { startAlexaScene } from "./alexa-scene.ts";

const SIGNAL = { format: "protocol", protocol: "NEC", address: 4, command: 8 };

describe("Alexa's directives", () => {
  test("find everything that the hub has, under names that Alexa can say", async () => {
    await using scene = await startAlexaScene();
    const { hub, uid } = scene;
    const code = await hub.api.call("POST", `/api/v1/devices/${uid}/ir-codes`, { name: "TV: power!", ...SIGNAL });
    assert.equal(code.status, 201, JSON.stringify(code.body));
    await hub.api.call("POST", "/api/v1/scenes", {
      name: "Good night",
      commands: [{ device: uid, command: { command: "set_relay", relay: 0, state: "OFF" } }],
    });
    await hub.api.call("PATCH", `/api/v1/devices/${uid}`, { settings: { relay_names: ["Lamp (left)", ""] } });
    const found = await until(
      async () => {
        const endpoints = endpointsIn(await scene.ask("Alexa.Discovery.Discover"));
        return endpoints.length === 10 && endpoints.some(({ friendlyName }) => friendlyName === "Lamp left") && endpoints;
      },
      { what: "all endpoints" },
    );
    const named = Object.fromEntries(found.map(({ endpointId, friendlyName }) => [endpointId.replace(`${uid}:`, ""), friendlyName]));
    const [sceneId = ""] = Object.keys(named).filter((id) => id.startsWith("scene:"));
    assert.deepEqual(named, {
      "relay:0": "Lamp left",
      "relay:1": "Hall 2",
      "light:0": "Hall light",
      relays: "Hall",
      remote: "Hall remote",
      "sensor:door": "Hall door",
      "sensor:humidity": "Hall humidity",
      "sensor:movement": "Hall Movement",
      "sensor:temperature": "Hall temperature",
      [sceneId]: "Good night",
    });
    const modes = found.find(({ endpointId }) => endpointId.endsWith("remote"))?.capabilities[0];
    assert.match(JSON.stringify(modes), /"text":"TV power"/);
    await hub.api.call("PATCH", `/api/v1/devices/${uid}/exposure`, { alexa: false });
    await until(async () => endpointsIn(await scene.ask("Alexa.Discovery.Discover")).length === 1, { what: "only the scene" });
    assert.equal(errorIn(await scene.ask("Alexa.PowerController.TurnOn", { part: "relay:0" })), "NO_SUCH_ENDPOINT");
  });

  test("switch, dim, toggle, press and activate what they name, and answer with its state", async () => {
    await using scene = await startAlexaScene();
    const { hub, uid, device } = scene;
    const relay = (index: number) => device.state.relays.find((one) => one.index === index)?.state;
    const on = await scene.ask("Alexa.PowerController.TurnOn", { part: "relay:0" });
    assert.equal(on.event.header.name, "Response");
    assert.deepEqual(stateIn(on), { "PowerController.powerState": "ON", "EndpointHealth.connectivity": { value: "OK" } });
    assert.equal(relay(0), "ON");
    await scene.ask("Alexa.PowerController.TurnOff", { part: "relay:0" });
    assert.equal(relay(0), "OFF");
    const toggled = await scene.ask("Alexa.ToggleController.TurnOn", { part: "relays", instance: "relay:1" });
    assert.deepEqual(stateIn(toggled), {
      "PowerController.powerState": "ON",
      "ToggleController.toggleState.relay:0": "OFF",
      "ToggleController.toggleState.relay:1": "ON",
      "EndpointHealth.connectivity": { value: "OK" },
    });
    await scene.ask("Alexa.ToggleController.TurnOff", { part: "relays", instance: "relay:1" });
    await scene.ask("Alexa.PowerController.TurnOn", { part: "relays" });
    assert.deepEqual([relay(0), relay(1)], ["ON", "ON"]);

    const light = (what: string, payload: object) => scene.ask(`Alexa.${what}`, { part: "light:0", payload }).then(stateIn);
    assert.equal((await light("BrightnessController.SetBrightness", { brightness: 40 }))["BrightnessController.brightness"], 40);
    assert.equal((await light("BrightnessController.AdjustBrightness", { brightnessDelta: 25 }))["BrightnessController.brightness"], 65);
    assert.equal((await light("PercentageController.SetPercentage", { percentage: 10 }))["BrightnessController.brightness"], 10);
    const out = await light("PercentageController.AdjustPercentage", { percentageDelta: -30 });
    assert.equal(out["PowerController.powerState"], "OFF");
    const white = await light("ColorTemperatureController.SetColorTemperature", { colorTemperatureInKelvin: 2_700 });
    assert.equal(white["ColorTemperatureController.colorTemperatureInKelvin"], 2_700);
    const cooler = await light("ColorTemperatureController.IncreaseColorTemperature", {});
    assert.equal(cooler["ColorTemperatureController.colorTemperatureInKelvin"], 4_000);
    const warmer = await light("ColorTemperatureController.DecreaseColorTemperature", {});
    assert.equal(warmer["ColorTemperatureController.colorTemperatureInKelvin"], 2_700);

    const code = await hub.api.call<{ ir_code: { id: string } }>("POST", `/api/v1/devices/${uid}/ir-codes`, { name: "Power", ...SIGNAL });
    const mode = `code:${code.body.ir_code.id}`;
    const pressed = await until(
      async () => {
        const answer = await scene.ask("Alexa.ModeController.SetMode", { part: "remote", instance: "code", payload: { mode } });
        return answer.event.header.name === "Response" && answer;
      },
      { what: "the remote to be there" },
    );
    assert.equal(stateIn(pressed)["ModeController.mode.code"], mode);
    assert.equal(device.executed.filter(({ command }) => command.command === "ir_send").length, 1);

    const made = await hub.api.call<{ scene: { id: string } }>("POST", "/api/v1/scenes", {
      name: "Night",
      commands: [0, 1].map((index) => ({ device: uid, command: { command: "set_relay", relay: index, state: "OFF" } })),
    });
    const endpointId = `scene:${made.body.scene.id}`;
    const began = await scene.ask("Alexa.SceneController.Activate", { endpointId });
    assert.equal(began.event.header.name, "ActivationStarted");
    await until(() => relay(0) === "OFF" && relay(1) === "OFF", { what: "the scene" });
    assert.equal(errorIn(await scene.ask("Alexa.SceneController.Deactivate", { endpointId })), "INVALID_DIRECTIVE");

    const { body } = await hub.api.call<{ data: { source: string; actor: { kind: string } }[] }>("GET", `/api/v1/devices/${uid}/commands`);
    assert.deepEqual(new Set(body.data.map(({ source, actor }) => `${source} ${actor.kind}`)), new Set(["alexa user"]));
  });

  test("read every kind of sensor, and a device that is away as unreachable with what was known", async () => {
    await using scene = await startAlexaScene();
    const { device } = scene;
    await device.sendTelemetry({ temperature: 21.47, door: true, movement: false, humidity: 55.4 });
    const read = async (part: string) => stateIn(await scene.ask("Alexa.ReportState", { part }));
    await until(async () => "TemperatureSensor.temperature" in (await read("sensor:temperature")), { what: "the readings" });
    const health = { "EndpointHealth.connectivity": { value: "OK" } };
    assert.deepEqual(await read("sensor:temperature"), { "TemperatureSensor.temperature": { value: 21.5, scale: "CELSIUS" }, ...health });
    assert.deepEqual(await read("sensor:door"), { "ContactSensor.detectionState": "DETECTED", ...health });
    assert.deepEqual(await read("sensor:movement"), { "MotionSensor.detectionState": "NOT_DETECTED", ...health });
    assert.deepEqual(await read("sensor:humidity"), { "RangeController.rangeValue.value": 55, ...health });
    const set = { part: "sensor:humidity", instance: "value", payload: { rangeValue: 3 } };
    assert.equal(errorIn(await scene.ask("Alexa.RangeController.SetRangeValue", set)), "INVALID_DIRECTIVE");
    const adjust = { ...set, payload: { rangeValueDelta: 3, rangeValueDeltaDefault: false } };
    assert.equal(errorIn(await scene.ask("Alexa.RangeController.AdjustRangeValue", adjust)), "INVALID_DIRECTIVE");
    await scene.ask("Alexa.PowerController.TurnOn", { part: "relay:0" });
    await device.disconnect();
    await until(
      async () => {
        const { "EndpointHealth.connectivity": connectivity, ...rest } = await read("relay:0");
        return JSON.stringify([connectivity, rest]) === '[{"value":"UNREACHABLE"},{"PowerController.powerState":"ON"}]';
      },
      { what: "the device to be unreachable" },
    );
    assert.equal(errorIn(await scene.ask("Alexa.PowerController.TurnOff", { part: "relay:0" })), "ENDPOINT_UNREACHABLE");
  });

  test("are done once however often Amazon sends them, also one that says how much brighter", async () => {
    await using scene = await startAlexaScene();
    const { device } = scene;
    await scene.ask("Alexa.BrightnessController.SetBrightness", { part: "light:0", payload: { brightness: 20 } });
    const again = { part: "light:0", payload: { brightnessDelta: 10 }, messageId: randomUUID() };
    for (let attempt = 0; attempt < 3; attempt++) {
      const answer = await scene.ask("Alexa.BrightnessController.AdjustBrightness", again);
      assert.equal(stateIn(answer)["BrightnessController.brightness"], 30);
    }
    assert.equal(device.executed.length, 2);
    const other = await scene.ask("Alexa.PowerController.TurnOn", { part: "relay:0", messageId: again.messageId });
    assert.equal(errorIn(other), "INVALID_DIRECTIVE");
  });

  test("get within 5 s that an endpoint is unreachable whose device says nothing, and that it is broken where it says so", async () => {
    await using scene = await startAlexaScene({ env: { HEXA_COMMAND_TIMEOUT_MS: "30000" } });
    const { device } = scene;
    device.faults = { silent: true };
    const began = performance.now();
    assert.equal(errorIn(await scene.ask("Alexa.PowerController.TurnOn", { part: "relay:0" })), "ENDPOINT_UNREACHABLE");
    assert.ok(performance.now() - began < 5_500, `${performance.now() - began} ms`);
    device.faults = { refuse: "the relay is stuck" };
    assert.equal(errorIn(await scene.ask("Alexa.PowerController.TurnOn", { part: "relay:1" })), "HARDWARE_MALFUNCTION");
  });

  test("that make no sense are refused in Alexa's words, each by its own", async () => {
    await using scene = await startAlexaScene();
    const { device } = scene;
    const cases: readonly (readonly [string, Parameters<typeof scene.ask>[1], string])[] = [
      ["Alexa.BrightnessController.SetBrightness", { part: "light:0", payload: { brightness: 101 } }, "VALUE_OUT_OF_RANGE"],
      ["Alexa.BrightnessController.SetBrightness", { part: "light:0", payload: { brightness: "much" } }, "INVALID_VALUE"],
      ["Alexa.BrightnessController.SetBrightness", { part: "light:0", payload: {} }, "INVALID_VALUE"],
      ["Alexa.BrightnessController.SetBrightness", { part: "relay:0", payload: { brightness: 1 } }, "INVALID_DIRECTIVE"],
      ["Alexa.PowerController.TurnOn", { part: "relay:2" }, "NO_SUCH_ENDPOINT"],
      ["Alexa.PowerController.TurnOn", { part: "sensor:door" }, "INVALID_DIRECTIVE"],
      ["Alexa.PowerController.TurnOn", { endpointId: "../../etc" }, "NO_SUCH_ENDPOINT"],
      ["Alexa.PowerController.TurnOn", { endpointId: "scene:nothing" }, "NO_SUCH_ENDPOINT"],
      ["Alexa.SceneController.Activate", { endpointId: `scene:${randomUUID()}` }, "NO_SUCH_ENDPOINT"],
      ["Alexa.PowerController.TurnOn", {}, "INVALID_AUTHORIZATION_CREDENTIAL"],
      ["Alexa.PowerController.Explode", { part: "relay:0" }, "INVALID_DIRECTIVE"],
      ["Alexa.PowerController.TurnOn", { part: "relay:0", payloadVersion: "2" }, "INVALID_DIRECTIVE"],
      ["Alexa.ToggleController.TurnOn", { part: "relays", instance: "relay:99" }, "INVALID_DIRECTIVE"],
      ["Alexa.ModeController.SetMode", { part: "relay:0", instance: "code", payload: { mode: "code:x" } }, "INVALID_DIRECTIVE"],
    ];
    for (const [what, directed, expected] of cases) assert.equal(errorIn(await scene.ask(what, directed)), expected, what);
    assert.equal(device.executed.length, 0);
  });

  test("that are no directives, or too large, are refused before anybody looks at them", async () => {
    await using scene = await startAlexaScene();
    const post = async (body: string) =>
      (await fetch(new URL("/api/v1/alexa", scene.hub.http), { method: "POST", headers: { "content-type": "application/json" }, body }))
        .status;
    assert.equal(await post("{"), 400);
    assert.equal(await post("[]"), 400);
    assert.equal(await post('{"directive":{"header":{},"payload":{}}}'), 400);
    assert.equal(await post(JSON.stringify(directive("Alexa.PowerController.TurnOn", { endpointId: "x".repeat(257) }))), 400);
    assert.equal(await post(JSON.stringify({ directive: "x".repeat(1_100_000) })), 413);
  });

  test("act for whoever the token is of: within its limits, until it is revoked, and never elsewhere", async () => {
    await using scene = await startAlexaScene();
    const { hub, device } = scene;
    const turnOn = (token: string, part = "relay:0") => scene.ask("Alexa.PowerController.TurnOn", { part, token });
    const reader = await scene.tokenWith({ permissions: ["device.read"] });
    const seen = endpointsIn(await scene.ask("Alexa.Discovery.Discover", { token: reader.token }));
    assert.deepEqual(new Set(seen.map(({ endpointId }) => endpointId.split(":")[1])), new Set(["sensor"]));
    assert.equal(errorIn(await turnOn(reader.token)), "INSUFFICIENT_PERMISSIONS");
    const other = await hub.api.addDevice({ name: "Other" });
    const single = await scene.tokenWith({ permissions: ["device.read", "device.control"], devices: [other.uid] });
    assert.equal(errorIn(await turnOn(single.token)), "NO_SUCH_ENDPOINT");
    const ours = await until(
      async () => {
        const endpoints = endpointsIn(await scene.ask("Alexa.Discovery.Discover", { token: single.token }));
        return endpoints.length > 0 && endpoints;
      },
      { what: "the other device" },
    );
    assert.ok(
      ours.every(({ endpointId }) => endpointId.startsWith(other.uid)),
      JSON.stringify(ours),
    );

    assert.equal(errorIn(await turnOn("hxp_nobodys")), "INVALID_AUTHORIZATION_CREDENTIAL");
    const whole = await scene.tokenWith({});
    assert.equal((await turnOn(whole.token)).event.header.name, "Response");
    assert.equal((await hub.api.call("DELETE", `/api/v1/access-tokens/${whole.id}`)).status, 204);
    assert.equal(errorIn(await turnOn(whole.token)), "INVALID_AUTHORIZATION_CREDENTIAL");
    assert.equal(errorIn(await scene.ask("Alexa.Discovery.Discover", { token: whole.token })), "INVALID_AUTHORIZATION_CREDENTIAL");
    const done = device.executed.length;

    const { body } = await hub.api.call<{ organization: { id: string } }>("POST", "/api/v1/organizations", { name: "Elsewhere" });
    const there = await hub.api.call("POST", "/api/v1/auth/organization", { organization_id: body.organization.id });
    assert.ok(there.status < 300, JSON.stringify(there.body));
    const foreign = await scene.tokenWith({});
    assert.equal(errorIn(await turnOn(foreign.token)), "NO_SUCH_ENDPOINT");
    assert.deepEqual(endpointsIn(await scene.ask("Alexa.Discovery.Discover", { token: foreign.token })), []);
    assert.equal(device.executed.length, done);
  });

  test("for what needs an approval are refused, and say so", async () => {
    await using scene = await startAlexaScene();
    const { hub, uid, device } = scene;
    await hub.api.call("PUT", "/api/v1/risk-policy", { threshold: 1 });
    const patched = await hub.api.call("PATCH", `/api/v1/devices/${uid}`, { sensitivity: "critical" });
    assert.equal(patched.status, 200, JSON.stringify(patched.body));
    const answer = await scene.ask("Alexa.PowerController.TurnOn", { part: "relay:0" });
    assert.equal(errorIn(answer), "INSUFFICIENT_PERMISSIONS");
    assert.match(String(answer.event.payload["message"]), /approve/);
    assert.equal(device.executed.length, 0);
  });

  test("are counted for whoever the token is of, like other requests", async () => {
    await using scene = await startAlexaScene({ env: { HEXA_API_RATE: "20" } });
    const errors = [];
    for (let count = 0; count < 20; count++)
      errors.push(await direct(scene.hub.api, directive("Alexa.Discovery.Discover", { token: scene.token })).then(errorIn, String));
    assert.ok(
      errors.some((one) => /RATE_LIMIT_EXCEEDED|429/.test(one)),
      errors.join(),
    );
  });
});
