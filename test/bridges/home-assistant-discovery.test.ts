import assert from "node:assert/strict";
import { test } from "node:test";
import { uniqueIds, validateDiscovery } from "../support/home-assistant-discovery.ts";

const ORIGIN = { name: "a hub", sw_version: "1.0", support_url: "https://hub.example" };
const DEVICE = { identifiers: ["d1"], name: "Lamp" };
const SWITCH = { platform: "switch", unique_id: "u1", command_topic: "a/set", state_topic: "a/state" };
const SENSOR = { platform: "sensor", unique_id: "u1", state_topic: "a/state" };
const LIGHT = { platform: "light", unique_id: "u1", schema: "json", command_topic: "a/set" };
const TOPIC = "homeassistant/device/d1/config";

const device = (components: object, root: object = {}) => JSON.stringify({ device: DEVICE, origin: ORIGIN, components, ...root });
const faultsOf = (component: object): string[] => validateDiscovery(TOPIC, device({ c: component }));
const isFine = (component: object): void => assert.deepEqual(faultsOf(component), []);
const isWrong = (component: object, fault: RegExp): void => {
  const faults = faultsOf(component);
  assert.equal(faults.length, 1, JSON.stringify({ component, faults }));
  assert.match(faults[0] as string, fault);
};

test("every platform in full is right", () => {
  const common = {
    name: null,
    icon: "mdi:lamp",
    entity_category: "diagnostic",
    enabled_by_default: false,
    availability_mode: "all",
    availability: [{ topic: "hub/status" }, { topic: "a/status", payload_available: "yes", value_template: "{{ value_json.x }}" }],
    json_attributes_topic: "a/attributes",
    entity_picture: "https://hub.example/lamp.png",
    message_expiry_interval: { seconds: 30 },
    qos: 1,
    encoding: "utf-8",
  };
  isFine({
    ...SWITCH,
    ...common,
    default_entity_id: "switch.lamp",
    device_class: "outlet",
    payload_on: "1",
    payload_off: "0",
    retain: false,
  });
  isFine({ ...LIGHT, ...common, supported_color_modes: ["brightness"], brightness_scale: 100, state_topic: "a/state" });
  isFine({ ...LIGHT, supported_color_modes: ["white", "rgb"], effect: true, effect_list: ["rainbow"] });
  isFine({ ...SENSOR, ...common, device_class: "temperature", unit_of_measurement: "°C", state_class: "measurement" });
  isFine({ ...SENSOR, platform: "binary_sensor", ...common, device_class: "motion", off_delay: 5, expire_after: 60 });
  isFine({ ...SENSOR, platform: "event", device_class: "button", event_types: ["press", "hold"] });
  isFine({ platform: "button", unique_id: "u1", command_topic: "a/press", device_class: "restart", payload_press: "now" });
  isFine({
    platform: "update",
    unique_id: "u1",
    state_topic: "a/fw",
    device_class: "firmware",
    command_topic: "a/do",
    payload_install: "go",
  });
  isFine({ platform: "infrared", unique_id: "u1", schema: "emitter", command_topic: "a/ir" });
  isFine({ platform: "device_automation", automation_type: "trigger", topic: "a/b", type: "button_short_press", subtype: "button_1" });
});

test("what a topic must look like", () => {
  for (const topic of ["homeassistant/switch/a-b_C1/config", "homeassistant/switch/node/x/config"])
    assert.deepEqual(validateDiscovery(topic, JSON.stringify({ unique_id: "u", device: DEVICE, command_topic: "a" })), []);
  for (const topic of [
    "homeassistant/device/a.b/config",
    "homeassistant/device/é/config",
    "homeassistant/device/config",
    "homeassistant/device/a/b/c/config",
    "homeassistant/toaster/a/config",
    "other/device/a/config",
    "homeassistant/device/a/config/",
    "homeassistant/device/a b/config",
  ])
    assert.equal(validateDiscovery(topic, "").length, 1, topic);
});

test("empty takes away, only a platform takes one away, and a migration stands alone", () => {
  assert.deepEqual(validateDiscovery(TOPIC, ""), []);
  assert.deepEqual(validateDiscovery(TOPIC, new Uint8Array()), []);
  isFine({ platform: "switch" });
  isFine({ p: "sensor" });
  assert.deepEqual(validateDiscovery(TOPIC, '{"migrate_discovery":true}'), []);
  assert.deepEqual(validateDiscovery(TOPIC, '{"migr_discvry":true}'), []);
  for (const payload of ['{"migrate_discovery":false}', '{"migrate_discovery":true,"a":1}', "[]", "null", "1", "{", '"x"'])
    assert.equal(validateDiscovery(TOPIC, payload).length, 1, payload);
});

test("a device's message needs its three parts, and refuses what it does not know", () => {
  assert.deepEqual(validateDiscovery(TOPIC, "{}"), ["device is missing", "origin is missing", "components is missing"]);
  const wrong: [object, RegExp][] = [
    [{ device: {} }, /neither identifiers nor connections/],
    [{ device: { identifiers: [] } }, /identifiers is no list with something/],
    [{ device: { identifiers: ["a", "a"] } }, /the same twice/],
    [{ device: { identifiers: [1] } }, /no text/],
    [{ device: { connections: [["mac"]] } }, /connections is no list of pairs/],
    [{ device: { ...DEVICE, colour: "red" } }, /colour is no option/],
    [{ device: { ...DEVICE, sw_version: 5 } }, /sw_version is no text/],
    [{ device: { ...DEVICE, name: "" } }, /name is no text/],
    [{ device: { ...DEVICE, configuration_url: "ftp://x" } }, /configuration_url is no address/],
    [{ origin: {} }, /name is missing/],
    [{ origin: { name: "x", url2: "y" } }, /url2 is no option/],
    [{ origin: { name: "x", support_url: "nowhere" } }, /support_url is no address/],
    [{ components: [] }, /components is no object/],
    [{ components: { a: { platform: "toaster" } } }, /without a platform of Home Assistant: a/],
    [{ components: { a: {} } }, /without a platform/],
    [{ components: { a: { platform: "switch", command_topic: "a" } } }, /a has no unique_id/],
    [{ "~": "base" }, /~ is no option/],
    [{ retain: true }, /retain is no option/],
    [{ qos: 3 }, /qos is none of/],
    [{ availability: [{ topic: "a" }], availability_topic: "b" }, /exclude each other/],
    [{ availability: [] }, /empty list/],
    [{ availability: [{ payload_available: "x" }] }, /topic is missing/],
    [{ availability: [{ topic: "a", mode: "all" }] }, /mode is no option/],
    [{ availability_mode: "most" }, /none of all, any, latest/],
    [{ state_topic: "a/#/b" }, /wildcard/],
    [{ command_topic: "a/+" }, /wildcard/],
  ];
  for (const [root, fault] of wrong) assert.match(validateDiscovery(TOPIC, device({}, root)).join("\n"), fault, JSON.stringify(root));
});

test("options are shared with components, which say for themselves what is another for them", () => {
  const { command_topic: _command, ...withoutTopic } = SWITCH;
  assert.deepEqual(validateDiscovery(TOPIC, device({ c: withoutTopic }, { command_topic: "all/set" })), []);
  assert.match(validateDiscovery(TOPIC, device({ c: withoutTopic })).join(), /command_topic is missing/);
  const clash = device({ c: { ...SWITCH, availability: [{ topic: "a" }] } }, { availability_topic: "b" });
  assert.match(validateDiscovery(TOPIC, clash).join(), /exclude each other/);
  // A button has no use for it, and Home Assistant leaves it out.
  assert.deepEqual(validateDiscovery(TOPIC, device({ c: { p: "button", uniq_id: "u", cmd_t: "a" } }, { state_topic: "all" })), []);
  isWrong({ ...SWITCH, device: DEVICE }, /device is the device's alone/);
});

test("short names and a base stand for the long ones", () => {
  const payload = JSON.stringify({
    dev: { ids: "d1", mf: "m", sw: "1" },
    o: { name: "h", url: "https://h.example" },
    cmps: { c: { p: "switch", uniq_id: "u1", "~": "base/a", cmd_t: "~/set", stat_t: "~/state", avty: [{ t: "~/on", pl_avail: "y" }] } },
  });
  assert.deepEqual(validateDiscovery(TOPIC, payload), []);
  isWrong({ ...SWITCH, state_topic: "~/state" }, /state_topic has ~ without a base/);
  isWrong({ ...SWITCH, "~": 1 }, /~ is no topic/);
});

test("what no component may say", () => {
  const wrong: [object, RegExp][] = [
    [{ object_id: "x" }, /gone since 2026.4/],
    [{ colour: 1 }, /colour is no option/],
    [{ constructor: 1 }, /constructor is no option/],
    [{ default_entity_id: "light.x" }, /none of a switch/],
    [{ default_entity_id: "switch.Switch X" }, /no id of an entity/],
    [{ default_entity_id: "switch.a__b" }, /no id of an entity/],
    [{ entity_category: "system" }, /entity_category is none of/],
    [{ device_class: "motion" }, /device_class is none of outlet, switch/],
    [{ qos: "1" }, /qos is none of/],
    [{ retain: "true" }, /retain is neither/],
    [{ name: "" }, /name is no text/],
    [{ name: 5 }, /name is no text/],
    [{ icon: "lamp" }, /icon is no prefix/],
    [{ command_topic: "a/+/b" }, /command_topic has a wildcard/],
    [{ state_topic: "" }, /state_topic is no topic/],
    [{ state_topic: "a\0" }, /character/],
    [{ state_topic: "a/b+" }, /wildcard/],
    [{ value_template: "{{ value" }, /delimiter/],
    [{ payload_on: "x", payload_off: "x" }, /are the same/],
    [{ payload_on: true }, /payload_on is no text/],
    [{ enabled_by_default: 1 }, /enabled_by_default/],
    [{ message_expiry_interval: -1 }, /whole number from 0/],
    [{ message_expiry_interval: { weeks: 1 } }, /is no time/],
    [{ payload_available: "x", payload_not_available: "x" }, /are the same/],
    [{ platform: "siren" }, /options of siren are not known here/],
  ];
  for (const [change, fault] of wrong) isWrong({ ...SWITCH, ...change }, fault);
  assert.match(validateDiscovery(TOPIC, device({ "a b": SWITCH })).join(), /component's id/);
});

test("what a light of the JSON schema must not say", () => {
  const wrong: [object, RegExp][] = [
    [{ schema: "basic" }, /schema is none of json/],
    [{ supported_color_modes: ["brightness", "rgb"] }, /beside others/],
    [{ supported_color_modes: ["onoff", "brightness"] }, /beside others/],
    [{ supported_color_modes: [] }, /no list with something/],
    [{ supported_color_modes: "rgb" }, /no list/],
    [{ supported_color_modes: ["dim"] }, /is not made of/],
    [{ supported_color_modes: ["white"] }, /without a colour/],
    [{ brightness_scale: 0 }, /whole number from 1/],
    [{ brightness_scale: 99.5 }, /whole number from 1/],
    [{ brightness: 100 }, /neither true nor false/],
    [{ color_mode: true }, /color_mode is no option/],
    [{ value_template: "{{ value }}" }, /value_template is no option/],
  ];
  for (const [change, fault] of wrong) isWrong({ ...LIGHT, ...change }, fault);
  const { schema: _schema, ...without } = LIGHT;
  isWrong(without, /schema is missing/);
});

test("what a sensor's class, unit and state class say of each other", () => {
  const fine: object[] = [
    { device_class: "energy", unit_of_measurement: "kWh", state_class: "total_increasing" },
    { device_class: "pm25", unit_of_measurement: "\u00B5g/m³", state_class: "measurement" },
    { device_class: "pm25", unit_of_measurement: "\u03BCg/m³" },
    { device_class: "aqi" },
    { device_class: "power_factor" },
    { device_class: "monetary", unit_of_measurement: "EUR", state_class: "total" },
    { device_class: "enum", options: ["a", "b"] },
    { device_class: null, unit_of_measurement: null, state_class: null },
    { unit_of_measurement: "bananas", state_class: "measurement", suggested_display_precision: 0 },
    { device_class: "wind_direction", unit_of_measurement: "°", state_class: "measurement_angle" },
    { device_class: "timestamp" },
    { device_class: "enum" },
    { state_class: "total", unit_of_measurement: "x", last_reset_value_template: "{{ value_json.reset }}" },
  ];
  for (const change of fine) isFine({ ...SENSOR, ...change });
  const wrong: [object, RegExp][] = [
    [{ device_class: "energy", unit_of_measurement: "kWh", state_class: "measurement" }, /does not have state_class measurement/],
    [{ device_class: "temperature", unit_of_measurement: "C" }, /does not have the unit C/],
    [{ device_class: "temperature" }, /does not have the unit of nothing/],
    [{ device_class: "timestamp", unit_of_measurement: "s" }, /does not have the unit s/],
    [{ device_class: "timestamp", state_class: "measurement" }, /does not have state_class/],
    [{ device_class: "monetary", unit_of_measurement: "€" }, /does not have the unit €/],
    [{ device_class: "warmth" }, /device_class is none of/],
    [{ state_class: "counter" }, /state_class is none of/],
    [{ device_class: "enum", options: [] }, /no list with something/],
    [{ options: ["a"] }, /options need device_class enum/],
    [{ device_class: "enum", options: ["a"], state_class: "measurement" }, /neither state_class nor unit/],
    [{ state_class: "measurement_angle" }, /needs the unit °/],
    [{ state_class: "measurement", last_reset_value_template: "x" }, /needs state_class total/],
    [{ suggested_display_precision: -1 }, /whole number from 0/],
    [{ entity_category: "config" }, /entity_category is none of diagnostic/],
    [{ payload_on: "1" }, /payload_on is no option/],
  ];
  for (const [change, fault] of wrong) assert.match(faultsOf({ ...SENSOR, ...change }).join("\n"), fault, JSON.stringify(change));
});

test("what the other platforms must not say", () => {
  const { state_topic: _state, ...withoutState } = SENSOR;
  isWrong(withoutState, /state_topic is missing/);
  isWrong({ ...SENSOR, platform: "binary_sensor", device_class: "temperature" }, /device_class is none of/);
  isWrong({ ...SENSOR, platform: "binary_sensor", off_delay: -1 }, /whole number from 0/);
  isWrong({ ...SENSOR, platform: "event" }, /event_types is missing/);
  isWrong({ ...SENSOR, platform: "event", event_types: [] }, /no list with something/);
  isWrong({ ...SENSOR, platform: "event", event_types: ["press"], retain: true }, /retain is no option/);
  isWrong({ platform: "button", unique_id: "u", command_topic: "a", device_class: "reboot" }, /device_class is none of/);
  isWrong({ platform: "update", unique_id: "u", command_topic: "a" }, /go together/);
  isWrong({ platform: "update", unique_id: "u", release_summary: "x".repeat(256) }, /up to 255/);
  isWrong({ platform: "infrared", unique_id: "u", schema: "emitter" }, /command_topic is missing/);
  isWrong({ platform: "device_automation", automation_type: "action", topic: "a", type: "t", subtype: "s" }, /automation_type is none of/);
  isWrong({ platform: "device_automation", automation_type: "trigger", topic: "a", type: "t" }, /subtype is missing/);
});

test("a component by itself needs no device, and one with a device needs a unique id", () => {
  const topic = "homeassistant/switch/hexa_1_0/config";
  const of = (config: object): string => validateDiscovery(topic, JSON.stringify(config)).join("\n");
  assert.equal(of({ command_topic: "a", unique_id: "u", device: DEVICE, origin: ORIGIN }), "");
  assert.equal(of({ command_topic: "a" }), "");
  assert.match(of({ command_topic: "a", device: DEVICE }), /needs a unique_id/);
  assert.match(of({ command_topic: "a", unique_id: "u", device: {} }), /neither identifiers/);
  assert.match(of({ command_topic: "a", origin: {} }), /origin is wrong: name is missing/);
  assert.match(of({ command_topic: "a", platform: "switch" }), /platform is no option/);
  assert.match(of({}), /command_topic is missing/);
});

test("a unique id is one thing's, over all messages", () => {
  assert.match(validateDiscovery(TOPIC, device({ a: SWITCH, b: SWITCH })).join(), /unique_id u1 is that of switch d1 a/);
  const claim = uniqueIds();
  assert.deepEqual(validateDiscovery(TOPIC, device({ a: SWITCH }), claim), []);
  assert.deepEqual(validateDiscovery(TOPIC, device({ a: SWITCH }), claim), []);
  assert.match(validateDiscovery("homeassistant/device/d2/config", device({ a: SWITCH }), claim).join(), /is that of/);
});
