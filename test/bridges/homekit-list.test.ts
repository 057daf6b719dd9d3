import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { accessoryOf, listOf } from "../../bridges/homekit/accessories.ts";
import { assign, MAX_ACCESSORIES, MAX_BRIDGES } from "../../bridges/homekit/assignment.ts";
import { findMissing, redacted } from "../../bridges/homekit/homebridge.ts";
import { newIdentity, setupUriOf } from "../../bridges/homekit/identity.ts";
import { listOf as parsed } from "../../bridges/homekit/plugin/list.js";
import { KINDS } from "../../bridges/homekit/plugin/services.js";
import { HOMEKIT_KINDS, HomekitList } from "../../core/homekit.ts";
import type { HomeDevice } from "../../core/smart-home.ts";
import { createTopics } from "../../core/topics.ts";
import { parserFor } from "../../core/validate.ts";

const topics = createTopics("home");
const DEVICE: HomeDevice = {
  id: "id",
  uid: "relay-7kq2mzd94x",
  organizationId: "o",
  name: "Hall",
  deviceClass: "hybrid",
  model: "R4",
  serialNumber: null,
  firmwareVersion: "v2.1-beta",
  room: null,
  relays: 0,
  lights: 0,
  tunableLights: [],
  inputs: 0,
  hasIr: false,
  settings: {},
  sensors: new Map(),
  irCodes: [],
  exposure: { home_assistant: true, homekit: true, alexa: true },
};
const servicesOf = (device: Partial<HomeDevice>) => accessoryOf({ ...DEVICE, ...device }, topics)?.services ?? [];

describe("a device as an accessory", () => {
  test("of one relay has the device's name; of several each has its own", () => {
    assert.deepEqual(servicesOf({ relays: 1 }), [
      {
        id: "relay-0",
        kind: "switch",
        name: "Hall",
        state: "home/relay-7kq2mzd94x/relay/0/state",
        set: "home/relay-7kq2mzd94x/relay/0/set",
      },
    ]);
    const settings = { relay_names: ["Pump", "", "Fridge plug"] };
    assert.deepEqual(
      servicesOf({ relays: 3, settings }).map(({ name, kind }) => [name, kind]),
      [
        ["Pump", "switch"],
        ["Hall 2", "switch"],
        ["Fridge plug", "outlet"],
      ],
    );
  });

  test("shows the sensors that HomeKit knows, and nothing where there is none", () => {
    const sensors: HomeDevice["sensors"] = new Map([
      ["door", { platform: "binary_sensor", device_class: "door" }],
      ["t", { platform: "sensor", device_class: "temperature", unit_of_measurement: "°F", name: "Outside" }],
      ["power", { platform: "sensor", device_class: "power" }],
      ["odd", { platform: "sensor", device_class: "constructor" }],
    ]);
    assert.deepEqual(
      servicesOf({ sensors }).map(({ id, kind, name, unit }) => [id, kind, name, unit]),
      [
        ["sensor-door", "contact", "door", undefined],
        ["sensor-t", "temperature", "Outside", "°F"],
      ],
    );
    assert.equal(accessoryOf({ ...DEVICE, hasIr: true }, topics), undefined);
  });

  test("has no more services than HomeKit takes, a model and a version that it takes", () => {
    const accessory = accessoryOf({ ...DEVICE, relays: 32, lights: 32, inputs: 64, model: "R" }, topics);
    assert.equal(accessory?.services.length, 96);
    assert.deepEqual([accessory?.model, accessory?.firmware], ["Hexahub", "2.1.0"]);
  });

  test("is in a list that the plugin and the contract read alike, and every kind is known to the plugin", () => {
    const list = listOf(
      [accessoryOf({ ...DEVICE, relays: 2, inputs: 1 }, topics)].filter((one) => one !== undefined),
      topics,
    );
    assert.deepEqual(parsed(JSON.parse(JSON.stringify(list))), list);
    assert.deepEqual(parserFor(HomekitList)(JSON.parse(JSON.stringify(list))), list);
    assert.deepEqual(Object.keys(KINDS).toSorted(), [...HOMEKIT_KINDS].toSorted());
    assert.deepEqual(list.follow, [
      "home/+/availability",
      "home/+/relay/+/state",
      "home/+/light/+/state",
      "home/+/sensor/+/state",
      "home/+/up/input_event",
    ]);
  });
});

describe("which bridge a device is on", () => {
  test("nobody moves, no bridge has more than HomeKit takes, and nobody is left out while there is room", () => {
    const step = fc.record({ more: fc.nat(400), fewer: fc.nat(300) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 6 }), (steps) => {
        let known: ReadonlyMap<string, number> = new Map();
        let wanted: string[] = [];
        let made = 0;
        for (const { more, fewer } of steps) {
          wanted = [...wanted.slice(fewer), ...Array.from({ length: more }, () => `d${made++}`)];
          const { bridges, leftOut } = assign(known, wanted);
          for (const [device, bridge] of bridges) assert.equal(known.get(device) ?? bridge, bridge);
          const counts = Map.groupBy(bridges.values(), (bridge) => bridge);
          for (const [bridge, { length }] of counts) assert.ok(length <= MAX_ACCESSORIES && bridge < MAX_BRIDGES);
          assert.equal(bridges.size + leftOut.length, wanted.length);
          assert.ok(leftOut.length === 0 || bridges.size === MAX_ACCESSORIES * MAX_BRIDGES);
          known = bridges;
        }
      }),
    );
  });
});

describe("what a bridge is known by", () => {
  test("is the URI that Homebridge gives for the same code", () => {
    // As Homebridge 2.4.0 printed it.
    assert.equal(setupUriOf({ pin: "031-45-155", setupId: "ABCD" }), "X-HM://0023ISYWZABCD");
  });

  test("is an address of nobody's hardware, and a code that HomeKit takes", () => {
    for (let round = 0; round < 200; round++) {
      const { username, pin, setupId } = newIdentity();
      assert.match(username, /^[0-9A-F][26AE](:[0-9A-F]{2}){5}$/);
      assert.match(pin, /^\d{3}-\d{2}-\d{3}$/);
      assert.match(setupId, /^[0-9A-Z]{4}$/);
    }
  });

  test("is in no line of Homebridge that is kept", () => {
    assert.equal(redacted("\u001b[31m│ 031-45-155 │ X-HM://0023ISYWZABCD now\u001b[39m"), "│ ***-**-*** │ X-HM://*** now");
  });
});

test("a hub without the optional packages says so in words", () => {
  assert.equal(findMissing(), undefined);
  assert.match(findMissing(["homebridge", "homebridge-that-is-not-there"]) ?? "", /homebridge-lib, which are not installed/);
});
