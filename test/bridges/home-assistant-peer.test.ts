import assert from "node:assert/strict";
import { describe, test } from "node:test";
import mqtt from "mqtt";
import { Entity } from "../support/home-assistant-entity.ts";
import { render } from "../support/home-assistant-template.ts";
import { startHomeAssistant } from "../support/home-assistant.ts";
import { mosquittoMissing, startMosquitto } from "../support/services.ts";
import { until } from "../support/wait.ts";

const ORIGIN = { name: "a hub" };
const TOPIC = "homeassistant/device/d1/config";
const RELAY = { platform: "switch", unique_id: "d1_relay", name: "Relay", command_topic: "d1/set", state_topic: "d1/state", qos: 1 };

const message = (components: object, device: object = {}, root: object = {}): string =>
  JSON.stringify({ device: { identifiers: ["d1"], name: "Hall", ...device }, origin: ORIGIN, components, ...root });

/** Somebody with devices, beside Home Assistant. */
async function startOther(url: string) {
  const client = await mqtt.connectAsync(url, { protocolVersion: 5 });
  const heard: { topic: string; payload: string }[] = [];
  client.on("message", (topic, payload) => void heard.push({ topic, payload: payload.toString() }));
  await client.subscribeAsync(["homeassistant/status", "+/set"]);
  const keep = (topic: string, payload: string) => client.publishAsync(topic, payload, { retain: true, qos: 1 });
  const say = (topic: string, payload: string) => client.publishAsync(topic, payload, { qos: 1 });
  const hears = (topic: string, payload: string, times = 1) =>
    until(() => heard.filter((one) => one.topic === topic && one.payload === payload).length >= times, { what: `${payload} on ${topic}` });
  return { keep, say, hears, heard, [Symbol.asyncDispose]: () => client.endAsync() };
}

for (const protocolVersion of [4, 5] as const) {
  describe(`Home Assistant for tests, MQTT ${protocolVersion}`, { skip: mosquittoMissing() ?? false }, () => {
    test("entities come with discovery, follow their topics, and are told what to do", async () => {
      await using broker = await startMosquitto();
      await using other = await startOther(broker.url);
      await other.keep("d1/state", "ON");
      const availability = [{ topic: "hub" }, { topic: "d1/status", payload_available: "1", payload_not_available: "0" }];
      await other.keep(TOPIC, message({ relay: RELAY }, {}, { availability, availability_mode: "all" }));
      await using home = await startHomeAssistant({ url: broker.url, protocolVersion });
      await other.hears("homeassistant/status", "online");
      const entity = await home.shows("switch.hall_relay", "unavailable");
      await assert.rejects(home.turn(entity.entityId, "off"), /is unavailable/);
      await other.keep("hub", "online");
      await other.keep("d1/status", "1");
      await home.shows("switch.hall_relay", "on");
      await home.turn("switch.hall_relay", "off");
      await other.hears("d1/set", "OFF");
      assert.equal(entity.state, "on");
      await other.keep("d1/state", "OFF");
      await home.shows("switch.hall_relay", "off");
      await other.keep("hub", "offline");
      await home.shows("switch.hall_relay", "unavailable");
      assert.deepEqual([home.faults, home.refused, home.ghosts()], [[], [], []]);
      await other.keep("d1/state", "perhaps");
      await until(() => home.faults.length === 1, { what: "what it could not read" });
    });

    test("an id once given stays over renames, removals and restarts, and a second thing of a name gets a number", async () => {
      await using broker = await startMosquitto();
      await using other = await startOther(broker.url);
      await using home = await startHomeAssistant({ url: broker.url, protocolVersion });
      await other.keep(TOPIC, message({ relay: RELAY, second: { ...RELAY, unique_id: "d1_second" } }, { suggested_area: "Hall" }));
      await home.shows("switch.hall_relay_2", "unknown");
      await other.keep(TOPIC, message({ relay: RELAY, second: { p: "switch" } }, { name: "Attic", suggested_area: "Attic" }));
      await until(() => home.entities.size === 1, { what: "the second to be gone" });
      assert.deepEqual(home.devices.get("d1"), { identifiers: ["d1"], name: "Attic", suggested_area: "Hall" });
      await other.keep(TOPIC, message({ relay: RELAY, second: { ...RELAY, unique_id: "d1_second" } }, { name: "Attic" }));
      await home.shows("switch.hall_relay_2", "unknown");
      const registry = home.registry();
      assert.deepEqual(registry, { "switch d1_relay": "switch.hall_relay", "switch d1_second": "switch.hall_relay_2" });
      await home.restart();
      await other.hears("homeassistant/status", "online", 2);
      await home.shows("switch.hall_relay_2", "unknown");
      assert.deepEqual([home.registry(), home.ghosts()], [registry, []]);
      await other.keep(TOPIC, "");
      await until(() => home.entities.size === 0, { what: "the device to be gone" });
      assert.deepEqual(home.registry(), {});
    });

    test("what the broker keeps of devices that are gone is found, and what came and is not said any more", async () => {
      await using broker = await startMosquitto();
      await using other = await startOther(broker.url);
      await using home = await startHomeAssistant({ url: broker.url, protocolVersion });
      await other.keep(TOPIC, message({ relay: RELAY }));
      await other.keep(
        "homeassistant/switch/d2/config",
        JSON.stringify({ command_topic: "d2/set", unique_id: "d2", device: { ids: "d2" } }),
      );
      await until(() => home.entities.size === 2, { what: "both" });
      assert.deepEqual(await home.orphans(["d1", "d2"]), []);
      assert.deepEqual(await home.orphans(["d1"]), ["homeassistant/switch/d2/config"]);
      await other.say("homeassistant/device/d3/config", message({ relay: { ...RELAY, unique_id: "d3" } }, { identifiers: "d3" }));
      await until(() => home.entities.size === 3, { what: "all of them" });
      await home.restart();
      await until(() => home.entities.size === 2, { what: "those that are kept" });
      assert.deepEqual(home.ghosts(), ["switch.hall_relay_2"]);
    });

    test("a cut connection comes back with a birth, and nobody is available in between", async () => {
      await using broker = await startMosquitto();
      await using other = await startOther(broker.url);
      await using home = await startHomeAssistant({ url: broker.url, protocolVersion });
      await other.keep(TOPIC, message({ relay: RELAY }));
      await other.keep("d1/state", "ON");
      const entity = await home.shows("switch.hall_relay", "on");
      home.cut();
      await until(() => entity.state === "unavailable", { what: "it to be away" });
      await other.hears("homeassistant/status", "offline");
      await other.hears("homeassistant/status", "online", 2);
      await other.keep("d1/state", "OFF");
      await home.shows("switch.hall_relay", "off");
    });

    test("a migration hands entities over to the other form, and takes none away", async () => {
      await using broker = await startMosquitto();
      await using other = await startOther(broker.url);
      await using home = await startHomeAssistant({ url: broker.url, protocolVersion });
      const single = "homeassistant/switch/d1_relay/config";
      const { platform: _platform, ...own } = RELAY;
      await other.keep(single, JSON.stringify({ ...own, device: { identifiers: ["d1"], name: "Hall" }, origin: ORIGIN }));
      await home.shows("switch.hall_relay", "unknown");
      const registry = home.registry();
      // Without it, somebody has the unique id already.
      await other.keep(TOPIC, message({ relay: RELAY }));
      await until(() => home.faults.some(({ fault }) => /is that of switch d1_relay/.test(fault)), { what: "the fault" });
      await other.keep(single, '{"migrate_discovery":true}');
      await until(() => home.entities.size === 0, { what: "the hand-over" });
      assert.deepEqual(home.registry(), registry);
      await other.keep(TOPIC, message({ relay: RELAY }));
      await home.shows("switch.hall_relay", "unknown");
      await other.keep(single, "");
      await home.restart();
      await home.shows("switch.hall_relay", "unknown");
      assert.deepEqual([home.registry(), home.ghosts()], [registry, []]);
    });
  });
}

const entityOf = (platform: string, config: object): Entity =>
  new Entity({ key: "k", platform, entityId: `${platform}.x` }, { state_topic: "s", ...config }, () => true);

test("what each platform makes of a state", () => {
  const cases: [string, object, string, string][] = [
    ["switch", {}, "ON", "on"],
    ["switch", { state_off: "0", payload_off: "off" }, "0", "off"],
    ["binary_sensor", { payload_on: "motion" }, "motion", "on"],
    ["binary_sensor", {}, "None", "unknown"],
    ["binary_sensor", { value_template: "{{ 'ON' if value_json.pir else 'OFF' }}" }, '{"pir":false}', "off"],
    ["sensor", { device_class: "temperature", unit_of_measurement: "°C" }, "21.5", "21.5"],
    ["sensor", { value_template: "{{ value_json.sensors.temp | round(1) }}" }, '{"sensors":{"temp":21.26}}', "21.3"],
    ["sensor", { device_class: "enum", options: ["a"] }, "a", "a"],
    ["sensor", { device_class: "timestamp" }, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"],
    ["light", { brightness_scale: 100 }, '{"state":"ON","brightness":50}', "on"],
    ["update", {}, '{"installed_version":"1","latest_version":"2"}', "on"],
    ["update", {}, '{"installed_version":"2","latest_version":"2"}', "off"],
    ["update", {}, "1.0", "unknown"],
  ];
  for (const [platform, config, payload, state] of cases) {
    const entity = entityOf(platform, config);
    assert.deepEqual(entity.receive("s", { payload, isRetained: true }), [], JSON.stringify({ platform, payload }));
    assert.equal(entity.state, state);
    if (platform === "light") assert.equal(entity.attributes["brightness"], 128);
  }
  const wrong: [string, object, string][] = [
    ["switch", {}, "on"],
    ["sensor", { unit_of_measurement: "V" }, "much"],
    ["sensor", { state_class: "measurement" }, "unavailable"],
    ["sensor", { options: ["a"] }, "b"],
    ["sensor", { device_class: "timestamp" }, "2026-01-01T00:00:00"],
    ["sensor", { value_template: "{{ value_json.a.b }}" }, "{}"],
    ["light", {}, "ON"],
    ["light", { brightness_scale: 100 }, '{"state":"ON","brightness":255}'],
    ["event", { event_types: ["press"] }, '{"event_type":"hold"}'],
    ["event", { event_types: ["press"] }, "press"],
  ];
  for (const [platform, config, payload] of wrong) {
    const entity = entityOf(platform, config);
    assert.equal(entity.receive("s", { payload, isRetained: false }).length, 1, JSON.stringify({ platform, payload }));
  }
});

test("an event counts when it happens, and not when the broker kept it", () => {
  const entity = entityOf("event", { event_types: ["press"] });
  const payload = '{"event_type":"press","index":1}';
  entity.receive("s", { payload, isRetained: true });
  entity.receive("s", { payload, isRetained: false });
  assert.deepEqual(entity.events, [{ type: "press", attributes: { index: 1 } }]);
});

test("availability of all, of any, and of the latest", () => {
  const availability = [{ topic: "a" }, { topic: "b" }];
  const shown = { all: [false, false, true, false], any: [false, true, true, true], latest: [false, true, true, false] };
  for (const [mode, expected] of Object.entries(shown)) {
    const entity = entityOf("switch", { availability, availability_mode: mode });
    const seen = [entity.available];
    for (const [topic, payload] of [
      ["a", "online"],
      ["b", "online"],
      ["a", "offline"],
    ] as const) {
      entity.receive(topic, { payload, isRetained: true });
      seen.push(entity.available);
    }
    assert.deepEqual(seen, expected, mode);
  }
});

test("templates of paths, filters, tests and choices are rendered, and others are refused", () => {
  const cases: [string, string, string][] = [
    ["{{ value }}", "x", "x"],
    ["a {{ value_json['b'][1] }} c", '{"b":[1,2]}', "a 2 c"],
    ["{{ value_json.x | default('none') }}", "{}", "none"],
    ["{{ value_json.x is defined }}", '{"x":null}', "True"],
    ["{{ value_json.x }}", '{"x":null}', "None"],
    ["{{ value | float * 10 + 1 }}", "2", "21"],
    ["{{ value | int(0) }}", "no", "0"],
    ["{{ 'on' if value_json.s == 'ON' and not value_json.z else 'off' }}", '{"s":"ON"}', "on"],
    ["{{- value_json.relays[0].state | lower -}}", '{"relays":[{"state":"ON"}]}', "on"],
    ["{{ (value | float) <= 3 or false }}", "3", "True"],
    ["{{ 'OFF' if value | lower in ['off', 'false'] else 'ON' }}", "False", "OFF"],
    ["{{ value not in ['a'] }}", "a", "False"],
    ["{% if value_json.n == 1 %}{{ {'type': value_json.t} | to_json }}{% endif %}", '{"n":1,"t":"x"}', '{"type":"x"}'],
    ["{% if value == 'a' -%} 1 {%- elif value == 'b' %}2{% else %}{% if true %}3{% endif %}{% endif %}", "c", "3"],
  ];
  for (const [template, value, expected] of cases) assert.equal(render(template, value), expected, template);
  for (const template of [
    "{% if value %}",
    "{{ value | magic }}",
    "{{ value }",
    "{{ value_json.a.b }}",
    "{{ ( value }}",
    "{{ value is odd }}",
  ])
    assert.throws(() => assert.notEqual(render(template, "{}"), template), template);
});
