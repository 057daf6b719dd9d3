import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { endpointsFor, endpointsOf, spoken } from "../../bridges/alexa/endpoints.ts";
import { causeOf, differenceOf, toldOf } from "../../bridges/alexa/changes.ts";
import { propertiesOf } from "../../bridges/alexa/properties.ts";
import { alexaEvent } from "../../core/alexa.ts";
import { deviceRolePermissions, organizationAccess, rolePermissions } from "../../core/permissions.ts";
import type { HomeDevice } from "../../core/smart-home.ts";
import type { HomeFacts } from "../../store/home-facts.ts";
import type { DescribedOutput } from "../../store/state.ts";
import { assertAlexa } from "../support/alexa-rules.ts";
import { endpointsIn } from "../support/alexa-directives.ts";

const ORGANIZATION = "home";
const OWNER = organizationAccess(ORGANIZATION, rolePermissions("owner"));

const deviceOf = (number: number, more: Partial<HomeDevice> = {}): HomeDevice => ({
  id: `id-${number}`,
  uid: `relay-${String(number).padStart(6, "0")}`,
  organizationId: ORGANIZATION,
  name: `Device ${number}`,
  deviceClass: "hybrid",
  model: null,
  serialNumber: null,
  firmwareVersion: null,
  room: null,
  relays: 1,
  lights: 0,
  tunableLights: [],
  inputs: 0,
  hasIr: false,
  settings: {},
  sensors: new Map(),
  irCodes: [],
  exposure: { alexa: true, homekit: true, home_assistant: true },
  ...more,
});

const output = (more: Partial<DescribedOutput>): DescribedOutput => ({
  kind: "relay",
  index: 0,
  state: "ON",
  brightness: null,
  colorTemp: null,
  changedAt: "2026-01-01T00:00:00.000Z",
  actor: { kind: "user", id: "somebody" },
  source: "rest",
  commandId: null,
  correlationId: null,
  ruleVersion: null,
  ...more,
});

const discovered = (visible: Partial<Parameters<typeof endpointsFor>[0]>) => {
  const { all, leftOut } = endpointsFor({ devices: [], facts: new Map(), scenes: [], rights: OWNER, ...visible });
  const event = alexaEvent({ namespace: "Alexa.Discovery", name: "Discover.Response", payload: { endpoints: all } });
  return { endpoints: endpointsIn(assertAlexa(JSON.parse(JSON.stringify(event)))), leftOut };
};

test("a home of any devices is one that Alexa takes, with 300 endpoints at most and what people switch first", () => {
  const sensor = fc.constantFrom(
    { platform: "sensor", device_class: "temperature", unit_of_measurement: "K" },
    { platform: "sensor", unit_of_measurement: "%" },
    { platform: "sensor", device_class: "illuminance" },
    { platform: "binary_sensor", device_class: "window" },
    { platform: "binary_sensor", device_class: "occupancy" },
  );
  const device = fc.record({
    name: fc.string({ minLength: 1, maxLength: 200, unit: "grapheme" }),
    room: fc.option(fc.string({ minLength: 1, maxLength: 100 })),
    model: fc.option(fc.string({ maxLength: 300 })),
    relays: fc.nat(32),
    lights: fc.nat(32),
    hasIr: fc.boolean(),
    irCodes: fc.array(fc.record({ id: fc.uuid(), name: fc.string({ minLength: 1, maxLength: 120 }) }), { maxLength: 3 }),
    sensors: fc.dictionary(fc.stringMatching(/^[a-z][a-z0-9_]{0,63}$/), sensor, { maxKeys: 5 }),
    settings: fc.record({ relay_names: fc.array(fc.string({ maxLength: 64 }), { maxLength: 32 }) }),
  });
  fc.assert(
    fc.property(fc.array(device, { maxLength: 20 }), (all) => {
      const devices = all.map((one, index) => deviceOf(index, { ...one, sensors: new Map(Object.entries(one.sensors)) }));
      const { endpoints, leftOut } = discovered({ devices });
      const possible = devices.flatMap((one) => endpointsOf(one, undefined));
      assert.equal(endpoints.length + leftOut, possible.length);
      const switches = possible.filter(({ part }) => part.kind === "relay").length;
      assert.equal(endpoints.filter(({ endpointId }) => /:relay:\d+$/.test(endpointId)).length, Math.min(300, switches));
    }),
    { numRuns: 50 },
  );
});

test("a device is there for whoever may see it, and to be switched for whoever may switch it", () => {
  const sensors = new Map([["door", { platform: "binary_sensor" as const, device_class: "door" }]]);
  const devices = [deviceOf(1, { sensors }), deviceOf(2, { sensors }), deviceOf(3, { sensors, organizationId: "another" })];
  const rights = organizationAccess(
    ORGANIZATION,
    0,
    new Map([
      ["id-1", deviceRolePermissions("operator")],
      ["id-2", deviceRolePermissions("viewer")],
      ["id-3", deviceRolePermissions("operator")],
    ]),
  );
  const ids = discovered({ devices, rights }).endpoints.map(({ endpointId }) => endpointId);
  assert.deepEqual(ids, ["relay-000001:relay:0", "relay-000001:sensor:door", "relay-000002:sensor:door"]);
});

test("devices that are called the same are called with their rooms", () => {
  const devices = [
    deviceOf(1, { name: "Lamp", room: "Hall" }),
    deviceOf(2, { name: "lamp!", room: "Kitchen" }),
    deviceOf(3, { name: "Fan", room: "Hall" }),
  ];
  assert.deepEqual(
    discovered({ devices }).endpoints.map(({ friendlyName }) => friendlyName),
    ["Hall Lamp", "Kitchen lamp", "Fan"],
  );
});

test("names are what Alexa can say", () => {
  const cases = [
    ["Küche (links)", "Küche links"],
    ["TV: on/off", "TV on off"],
    ["  ", "nobody s"],
    ["💡💡", "nobody s"],
    ["灯", "灯"],
    ["x".repeat(200), "x".repeat(128)],
  ] as const;
  for (const [name, expected] of cases) assert.equal(spoken(name, "nobody-s"), expected);
});

test("a change is told with who made it, and readings are known as those that can wait", () => {
  const [relay] = endpointsOf(deviceOf(1), undefined);
  assert.ok(relay);
  const now = Date.parse("2026-01-01T00:01:00Z");
  const factsOf = (more: Partial<DescribedOutput>): HomeFacts => ({ isOnline: true, outputs: [output(more)], values: new Map() });
  const told = toldOf(propertiesOf(relay, factsOf({ state: "OFF" }), now));
  const cases = [
    [{ source: "alexa" }, "VOICE_INTERACTION"],
    [{ source: "rest" }, "APP_INTERACTION"],
    [{ source: "homekit" }, "APP_INTERACTION"],
    [{ source: "device", actor: { kind: "device", id: "id-1" } }, "PHYSICAL_INTERACTION"],
    [{ source: "rule", actor: { kind: "rule", id: "a rule" } }, "RULE_TRIGGER"],
    [{ source: "schedule", actor: { kind: "schedule", id: "a schedule" } }, "RULE_TRIGGER"],
  ] as const;
  for (const [more, cause] of cases) {
    const facts = factsOf({ state: "ON", ...more });
    const { changed, others, isSlow } = differenceOf(propertiesOf(relay, facts, now), told);
    assert.deepEqual([changed.map(({ name }) => name), others.map(({ name }) => name), isSlow], [["powerState"], ["connectivity"], false]);
    assert.equal(causeOf(relay.part, changed, facts), cause);
  }
  const away: HomeFacts = { ...factsOf({ state: "OFF" }), isOnline: false };
  const { changed } = differenceOf(propertiesOf(relay, away, now), told);
  assert.deepEqual([changed.map(({ name }) => name), causeOf(relay.part, changed, away)], [["connectivity"], "PERIODIC_POLL"]);
  assert.deepEqual(differenceOf(propertiesOf(relay, factsOf({ state: "OFF" }), now), told).changed, []);

  const sensors = new Map([["t", { platform: "sensor" as const, device_class: "temperature", unit_of_measurement: "°F" }]]);
  const [thermometer] = endpointsOf(deviceOf(1, { relays: 0, sensors }), undefined);
  assert.ok(thermometer);
  const warm = (value: number): HomeFacts => ({ isOnline: true, outputs: [], values: new Map([["t", { value, at: now }]]) });
  const knows = toldOf(propertiesOf(thermometer, warm(70), now));
  const warmer = differenceOf(propertiesOf(thermometer, warm(70.26), now), knows);
  assert.deepEqual([warmer.changed[0]?.value, warmer.isSlow], [{ value: 70.3, scale: "FAHRENHEIT" }, true]);
  assert.deepEqual(differenceOf(propertiesOf(thermometer, warm(70.04), now), knows).changed, []);
});
