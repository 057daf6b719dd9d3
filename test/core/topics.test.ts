import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DOWN_PAYLOADS, type DownType, UP_PAYLOADS, type UpType } from "../../core/payloads.ts";
import { createTopics, isRetained, payloadSchema, TOPICS, type Topic } from "../../core/topics.ts";
import { parserFor } from "../../core/validate.ts";

const UID = "relay-7kq2mzd94x";

const uid = fc.stringMatching(/^[a-z0-9][a-z0-9-]{5,31}$/);
const level = fc.stringMatching(/^[A-Za-z0-9._-]{1,40}$/);
const index = fc.integer({ min: 0, max: 99 });
const topic: fc.Arbitrary<Topic> = fc.oneof(
  fc.record({ kind: fc.constant("up" as const), uid, type: fc.constantFrom(...(Object.keys(UP_PAYLOADS) as UpType[])) }),
  fc.record({ kind: fc.constant("down" as const), uid, type: fc.constantFrom(...(Object.keys(DOWN_PAYLOADS) as DownType[])) }),
  fc.record({ kind: fc.constantFrom("availability" as const, "ir_send" as const), uid }),
  fc.record({
    kind: fc.constantFrom("relay_state" as const, "relay_set" as const, "light_state" as const, "light_set" as const),
    uid,
    index,
  }),
  fc.record({ kind: fc.constant("sensor_state" as const), uid, key: fc.stringMatching(/^[a-z][a-z0-9_]{0,63}$/) }),
  fc.record({ kind: fc.constant("event" as const), organizationId: level, type: level }),
  fc.record({ kind: fc.constant("notification" as const), organizationId: level, userId: level }),
  fc.record({ kind: fc.constant("hub_availability" as const), organizationId: level }),
  fc.record({ kind: fc.constant("button_press" as const), uid, button: fc.constantFrom("identify" as const, "restart" as const) }),
  fc.record({ kind: fc.constant("ha_discovery" as const), component: level, organizationId: level, uid }),
  fc.record({ kind: fc.constant("homekit_list" as const), organizationId: level, bridge: index }),
  fc.constant({ kind: "ha_status" as const }),
);
const root = fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,20}$/).filter((text) => text !== "homeassistant");

test("every topic that is built is parsed to what it was built from, below any root", () => {
  fc.assert(
    fc.property(root, topic, (name, value) => {
      const topics = createTopics(name);
      assert.deepEqual(topics.parse(topics.build(value)), { ...value });
    }),
  );
});

test("every topic that is parsed is built to the same text: there is one spelling of each", () => {
  const part = fc.constantFrom(
    "hexa",
    "hexa-app",
    UID,
    "up",
    "down",
    "relay",
    "light",
    "sensor",
    "ir",
    "0",
    "00",
    "7",
    "31",
    "set",
    "state",
    "send",
    "telemetry",
    "command",
    "temperature",
    "events",
    "users",
    "notifications",
    "button",
    "restart",
    "press",
    "availability",
    "homeassistant",
    "config",
    `hexa_${UID}`,
    `hexa_${UID}_0`,
    "",
  );
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 6 }), (levels) => {
      const topics = createTopics();
      const text = levels.join("/");
      const parsed = topics.parse(text);
      if (parsed) assert.equal(topics.build(parsed), text);
    }),
    { numRuns: 2000 },
  );
});

test("any text is parsed or not a topic, and never throws", () => {
  fc.assert(fc.property(fc.string(), (text) => void createTopics().parse(text)));
  fc.assert(fc.property(fc.array(fc.string(), { maxLength: 8 }), (levels) => void createTopics().parse(`hexa/${UID}/${levels.join("/")}`)));
});

for (const [text, expected] of [
  [`hexa/${UID}/availability`, { kind: "availability", uid: UID }],
  [`hexa/${UID}/relay/0/set`, { kind: "relay_set", uid: UID, index: 0 }],
  [`hexa/${UID}/light/12/state`, { kind: "light_state", uid: UID, index: 12 }],
  [`hexa/${UID}/sensor/co2/state`, { kind: "sensor_state", uid: UID, key: "co2" }],
  [`hexa/${UID}/up/telemetry`, { kind: "up", uid: UID, type: "telemetry" }],
  [`hexa/${UID}/down/error`, { kind: "down", uid: UID, type: "error" }],
  ["hexa-app/org/events/device.online", { kind: "event", organizationId: "org", type: "device.online" }],
  ["hexa-app/org/users/u/notifications", { kind: "notification", organizationId: "org", userId: "u" }],
  ["hexa-app/org/homekit/1", { kind: "homekit_list", organizationId: "org", bridge: 1 }],
  ["homeassistant/status", { kind: "ha_status" }],
  ["hexa-app/org/availability", { kind: "hub_availability", organizationId: "org" }],
  [`hexa/${UID}/button/restart/press`, { kind: "button_press", uid: UID, button: "restart" }],
  [`homeassistant/device/org/hexa_${UID}/config`, { kind: "ha_discovery", component: "device", organizationId: "org", uid: UID }],
  [
    `homeassistant/switch/org/hexa_${UID}_0/config`,
    { kind: "ha_discovery", component: "switch", organizationId: "org", uid: UID, part: "0" },
  ],
] as const) {
  test(`knows ${text}`, () => assert.deepEqual(createTopics().parse(text), expected));
}

for (const text of [
  "",
  "hexa",
  "hexa/",
  `hexa/${UID}`,
  `/hexa/${UID}/availability`,
  `hexa/${UID}/availability/`,
  "hexa/short/availability",
  `hexa/${UID.toUpperCase()}/availability`,
  `other/${UID}/availability`,
  `hexa/${UID}/relay/00/set`,
  `hexa/${UID}/relay/-1/set`,
  `hexa/${UID}/relay/100/set`,
  `hexa/${UID}/relay/0/get`,
  `hexa/${UID}/relay//set`,
  `hexa/${UID}/sensor/Temperature/state`,
  `hexa/${UID}/sensor/temperature/set`,
  `hexa/${UID}/up/toString`,
  `hexa/${UID}/up/__proto__`,
  `hexa/${UID}/up/telemetry/more`,
  `hexa/+/up/telemetry`,
  "hexa-app//events/x",
  "hexa-app/org/events",
  "hexa-app/org/users//notifications",
  "hexa-app/org/homekit",
  "hexa-app/org/homekit/01",
  "hexa-app/org/homekit/0/more",
  "homeassistant/config",
  "homeassistant/device/x/config",
  `homeassistant/device/hexa_${UID}/config`,
  `homeassistant/device/org/${UID}/config`,
  "homeassistant/device/org/hexa_short/config",
  `homeassistant/device/org/hexa_${UID}/state`,
  `hexa/${UID}/button/explode/press`,
  `hexa/${UID}/button/restart/set`,
  "$SYS/broker/",
  "$SYS/other/uptime",
  "$hub/events",
]) {
  test(`does not know ${JSON.stringify(text)}`, () => assert.equal(createTopics().parse(text), undefined));
}

test("nobody but a device publishes up, nobody but the hub publishes down, state or events", () => {
  assert.equal(TOPICS.up.publish, "device");
  for (const kind of [
    "down",
    "relay_state",
    "light_state",
    "sensor_state",
    "event",
    "notification",
    "sys",
    "ha_discovery",
    "hub_availability",
    "homekit_list",
  ] as const)
    assert.equal(TOPICS[kind].publish, "nobody", kind);
});

test("only a device reads its own down topics", () => {
  assert.equal(TOPICS.down.subscribe, "device");
});

test("a set or an up topic is never retained, a state always, of down only config", () => {
  const retained = (value: Topic) => isRetained(value);
  assert.ok(
    !retained({ kind: "relay_set", uid: UID, index: 0 }) &&
      !retained({ kind: "up", uid: UID, type: "telemetry" }) &&
      !retained({ kind: "down", uid: UID, type: "command" }),
  );
  assert.ok(
    retained({ kind: "relay_state", uid: UID, index: 0 }) &&
      retained({ kind: "availability", uid: UID }) &&
      retained({ kind: "down", uid: UID, type: "config" }),
  );
});

test("every topic's payload schema compiles", () => {
  fc.assert(
    fc.property(topic, (value) => assert.equal(typeof parserFor(payloadSchema(value)), "function")),
    { numRuns: 60 },
  );
});
