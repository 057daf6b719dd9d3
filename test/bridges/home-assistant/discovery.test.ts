import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { componentsOf } from "../../../bridges/home-assistant/components.ts";
import { discoveriesOf, type Discovery, type DiscoveryForm, type DiscoveryPlace } from "../../../bridges/home-assistant/discovery.ts";
import { planOf } from "../../../bridges/home-assistant/plan.ts";
import type { Sensor } from "../../../core/sensor.ts";
import type { HomeDevice } from "../../../core/smart-home.ts";
import { createTopics } from "../../../core/topics.ts";
import type { PublishedDiscovery } from "../../../store/home-assistant.ts";

const topics = createTopics();
const UID = "relay-7kq2mzd94x";
const ORG = "acme";
const CODE = "019aa3f0-5b6e-7cc1-9a53-3f0d0f0a7c11";

const device = (with_: Partial<HomeDevice> = {}): HomeDevice => ({
  id: "d1",
  uid: UID,
  organizationId: ORG,
  name: "Hall",
  deviceClass: "relay_controller",
  model: null,
  serialNumber: null,
  firmwareVersion: null,
  room: null,
  relays: 0,
  lights: 0,
  inputs: 0,
  tunableLights: [],
  hasIr: false,
  settings: {},
  sensors: new Map(),
  irCodes: [],
  exposure: { home_assistant: true, homekit: true, alexa: true },
  ...with_,
});

const place = (form: DiscoveryForm): DiscoveryPlace => ({
  topics,
  form,
  hubAvailability: topics.build({ kind: "hub_availability", organizationId: ORG }),
  topicOf: ({ uid }, component, part) =>
    topics.build({ kind: "ha_discovery", component, organizationId: ORG, uid, ...(part === undefined ? {} : { part }) }),
});

const sensors = (of: Record<string, Sensor>): HomeDevice => device({ sensors: new Map(Object.entries(of)) });
const state = (key: string) => ({ state_topic: `hexa/${UID}/sensor/${key}/state` });

/** What a device is, the key of a component, and what is expected of it. */
const MAPPED: [string, HomeDevice, string, Record<string, unknown>][] = [
  [
    "a relay alone is what its device is",
    device({ relays: 1 }),
    "relay_0",
    { platform: "switch", name: null, default_entity_id: "switch.hall" },
  ],
  [
    "a relay with a name",
    device({ relays: 2, settings: { relay_names: ["", "Größe Lampe"] } }),
    "relay_1",
    {
      platform: "switch",
      name: "Größe Lampe",
      default_entity_id: "switch.hall_grosse_lampe",
      state_topic: `hexa/${UID}/relay/1/state`,
      command_topic: `hexa/${UID}/relay/1/set`,
    },
  ],
  [
    "a name in letters that an id cannot have",
    device({ name: "Кухня", relays: 2 }),
    "relay_0",
    { default_entity_id: "switch.relay_7kq2mzd94x_relay_1" },
  ],
  [
    "a dimmer",
    device({ lights: 1 }),
    "light_0",
    { platform: "light", schema: "json", brightness: true, brightness_scale: 100, supported_color_modes: ["brightness"], flash: false },
  ],
  [
    "a light with a colour temperature",
    device({ lights: 2, tunableLights: [1] }),
    "light_1",
    { supported_color_modes: ["color_temp"], color_temp_kelvin: true, min_kelvin: 1_000, max_kelvin: 12_000 },
  ],
  [
    "a button",
    device({ inputs: 2, settings: { inputs: [{ index: 1, name: "Door bell" }] } }),
    "input_1",
    { platform: "event", device_class: "button", name: "Door bell", state_topic: `hexa/${UID}/up/input_event` },
  ],
  [
    "PIR",
    sensors({ pir: { platform: "binary_sensor", device_class: "motion" } }),
    "sensor_pir",
    { platform: "binary_sensor", device_class: "motion", payload_on: "ON", payload_off: "OFF", ...state("pir") },
  ],
  [
    "mmWave",
    sensors({ mmwave: { platform: "binary_sensor", device_class: "occupancy" } }),
    "sensor_mmwave",
    { platform: "binary_sensor", device_class: "occupancy" },
  ],
  [
    "energy grows",
    sensors({ energy: { platform: "sensor", device_class: "energy", unit_of_measurement: "kWh" } }),
    "sensor_energy",
    { platform: "sensor", device_class: "energy", unit_of_measurement: "kWh", state_class: "total_increasing" },
  ],
  [
    "what its owner says of it",
    sensors({ soil: { platform: "sensor", name: "Fern", unit_of_measurement: "%", device_class: "moisture", display_precision: 1 } }),
    "sensor_soil",
    { name: "Fern", suggested_display_precision: 1, state_class: "measurement" },
  ],
  [
    "a quantity without a unit",
    sensors({ t: { platform: "sensor", device_class: "temperature" } }),
    "sensor_t",
    { device_class: undefined },
  ],
  ["text", sensors({ mode: { platform: "sensor" } }), "sensor_mode", { state_class: undefined, name: "Mode" }],
  [
    "the strength of its signal",
    sensors({ rssi: { platform: "sensor", device_class: "signal_strength", unit_of_measurement: "dBm" } }),
    "sensor_rssi",
    { entity_category: "diagnostic" },
  ],
  [
    "a stored infrared code",
    device({ hasIr: true, irCodes: [{ id: CODE, name: "TV power" }] }),
    `ir_${CODE}`,
    { platform: "button", name: "TV power", command_topic: `hexa/${UID}/button/ir_${CODE}/press`, payload_press: "PRESS" },
  ],
  ["its emitter", device({ hasIr: true }), "ir", { platform: "infrared", schema: "emitter", command_topic: `hexa/${UID}/ir/send` }],
  ["restart", device(), "restart", { platform: "button", device_class: "restart", entity_category: "config" }],
  ["identify", device(), "identify", { platform: "button", device_class: "identify" }],
];

for (const [what, of, key, expected] of MAPPED)
  test(`mapped: ${what}`, () => {
    const made = componentsOf(of, topics).get(key);
    assert.ok(made, [...componentsOf(of, topics).keys()].join());
    for (const [option, value] of Object.entries({ unique_id: `hexa_${UID}_${key}`, ...expected }))
      assert.deepEqual(made[option], value, option);
  });

test("a device says where it stands, and is there when it and the hub are", () => {
  const [one] = discoveriesOf(
    device({ relays: 1, room: "Cellar", model: "HX-1", serialNumber: "7", firmwareVersion: "1.4" }),
    place("device"),
  );
  const { device: block, origin, availability, availability_mode } = JSON.parse(one?.payload ?? "") as Record<string, unknown>;
  assert.deepEqual(block, {
    identifiers: [`hexa_${UID}`],
    name: "Hall",
    manufacturer: "Hexahub",
    model: "HX-1",
    serial_number: "7",
    sw_version: "1.4",
    suggested_area: "Cellar",
  });
  assert.deepEqual(origin, { name: "Hexahub" });
  assert.deepEqual(availability, [{ topic: "hexa-app/acme/availability" }, { topic: `hexa/${UID}/availability` }]);
  assert.equal(availability_mode, "all");
});

test("in the older form a relay has the topic of the contract", () => {
  const made = discoveriesOf(device({ relays: 2, lights: 1 }), place("component"));
  assert.deepEqual(
    made.map(({ topic }) => topic).slice(0, 3),
    [`switch/acme/hexa_${UID}_0`, `switch/acme/hexa_${UID}_1`, `light/acme/hexa_${UID}_light_0`].map(
      (name) => `homeassistant/${name}/config`,
    ),
  );
  assert.equal((JSON.parse(made[0]?.payload ?? "") as { platform?: string }).platform, undefined);
});

const someDevice: fc.Arbitrary<HomeDevice> = fc
  .record({
    name: fc.constantFrom("Hall", "Cellar", "Кухня"),
    room: fc.constantFrom(null, "Upstairs"),
    relays: fc.integer({ min: 0, max: 3 }),
    lights: fc.integer({ min: 0, max: 2 }),
    inputs: fc.integer({ min: 0, max: 2 }),
    keys: fc.uniqueArray(fc.constantFrom("pir", "temp", "power")),
    isBinary: fc.boolean(),
  })
  .map(({ keys, isBinary, ...rest }) => {
    const one: Sensor = isBinary ? { platform: "binary_sensor" } : { platform: "sensor" };
    return device({ ...rest, sensors: new Map(keys.map((key) => [key, one])) });
  });

test("the same device is told of in the same words each time", () => {
  fc.assert(
    fc.property(someDevice, fc.constantFrom<DiscoveryForm>("device", "component"), (one, form) => {
      assert.deepEqual(discoveriesOf(structuredClone(one), place(form)), discoveriesOf(one, place(form)));
    }),
  );
});

test("a plan leaves what is wanted and nothing else, and after it there is nothing to do", () => {
  const wantedOf = (one: HomeDevice | undefined, form: DiscoveryForm): Discovery[] => (one ? discoveriesOf(one, place(form)) : []);
  const stage = fc.record({ one: fc.option(someDevice, { nil: undefined }), form: fc.constantFrom<DiscoveryForm>("device", "component") });
  fc.assert(
    fc.property(fc.array(stage, { maxLength: 6 }), (stages) => {
      const rows = new Map<string, PublishedDiscovery>();
      const retained = new Map<string, string>();
      for (const { one, form } of stages) {
        const wanted = wantedOf(one, form);
        const plan = planOf(ORG, [...rows.values()], wanted);
        for (const { topic, payload } of plan?.steps ?? []) {
          assert.ok(
            plan?.meanwhile.some((row) => row.topic === topic),
            `${topic} is remembered before it is told`,
          );
          if (payload === "") retained.delete(topic);
          else retained.set(topic, payload);
        }
        for (const row of plan?.put ?? []) rows.set(row.topic, row);
        for (const topic of plan?.deleted ?? []) rows.delete(topic);
        assert.deepEqual(retained, new Map(wanted.map(({ topic, payload }) => [topic, payload])));
        assert.equal(planOf(ORG, [...rows.values()], wanted), undefined);
      }
    }),
  );
});
