import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HubError } from "../../core/errors.ts";
import { newAudit, newEvent, toCloudEvent } from "../../core/event.ts";
import { type Telemetry, UP_PAYLOADS, type UpType } from "../../core/payloads.ts";
import { actorOf, type Principal, SYSTEM } from "../../core/principal.ts";
import { MAX_AGE_MS, MAX_AHEAD_MS, readingsOf, sensorStateText } from "../../core/telemetry.ts";
import { parserFor } from "../../core/validate.ts";

const NOW = Date.UTC(2026, 10, 21, 5, 22, 10, 123);
const isAccepted = (type: UpType, value: unknown): boolean => {
  try {
    parserFor(UP_PAYLOADS[type])(value);
    return true;
  } catch (error) {
    assert.ok(error instanceof HubError && error.code === "validation_error", String(error));
    return false;
  }
};

for (const [type, value] of [
  ["register", {}],
  ["heartbeat", { uptime_s: 1.5, firmware_feature_of_tomorrow: true }],
  ["state_report", { relays: [{ index: 31, state: "OFF" }], lights: [{ index: 0, state: "ON", brightness: 0 }] }],
  ["input_event", { input: 0, event: "button_hold", duration_ms: 900 }],
  ["telemetry", { values: { temperature: 21.5, door: true, mode: "eco" } }],
  [
    "telemetry",
    [
      { ts: NOW, values: { a: 1 } },
      { ts: "2026-11-21T05:22:10+01:00", values: { a: 2 } },
    ],
  ],
  ["ack", { command_id: "a:b.c-1", status: "ok", state: "ON" }],
  ["ack", { command_id: "1", status: "error", error: "jammed" }],
  ["ack", { command_id: "1", status: "ok", state: { relays: [{ index: 0, state: "ON" }] } }],
] as readonly [UpType, unknown][]) {
  test(`${type} accepts ${JSON.stringify(value)}`, () => assert.ok(isAccepted(type, value)));
}

for (const [type, value] of [
  ["heartbeat", { uptime_s: -1 }],
  ["state_report", { relays: [{ index: 32, state: "ON" }] }],
  ["state_report", { relays: [{ index: 0, state: "TOGGLE" }] }],
  ["input_event", { input: 0, event: "explode" }],
  ["telemetry", []],
  ["telemetry", { values: {} }],
  ["telemetry", { values: { Temperature: 1 } }],
  ["telemetry", { values: { a: null } }],
  ["telemetry", { values: { a: { b: 1 } } }],
  ["telemetry", { ts: "21.11.2026", values: { a: 1 } }],
  ["telemetry", { ts: -1, values: { a: 1 } }],
  ["telemetry", Array.from({ length: 501 }, () => ({ values: { a: 1 } }))],
  ["ack", { command_id: "", status: "ok" }],
  ["ack", { command_id: "a/b", status: "ok" }],
  ["ack", { command_id: "x".repeat(65), status: "ok" }],
  ["ack", { command_id: "1", status: "maybe" }],
] as readonly [UpType, unknown][]) {
  test(`${type} refuses ${JSON.stringify(value).slice(0, 60)}`, () => assert.ok(!isAccepted(type, value)));
}

test("every value of every sample becomes one reading, at its own time or at the time it came", () => {
  const values = fc.dictionary(
    fc.stringMatching(/^[a-z][a-z0-9_]{0,20}$/),
    fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.string({ maxLength: 20 })),
    { minKeys: 1, maxKeys: 5, noNullPrototype: true },
  );
  const sample = fc.record(
    { ts: fc.integer({ min: NOW - MAX_AGE_MS, max: NOW + MAX_AHEAD_MS }), values },
    { requiredKeys: ["values"], noNullPrototype: true },
  );
  fc.assert(
    fc.property(fc.array(sample, { minLength: 1, maxLength: 10 }), (samples) => {
      const expected = samples.flatMap(({ ts, values: all }) => Object.entries(all).map(([key, value]) => ({ key, ts: ts ?? NOW, value })));
      assert.deepEqual(readingsOf(samples as Telemetry, NOW), expected);
    }),
  );
});

test("a time with a zone is that instant", () => {
  assert.deepEqual(readingsOf({ ts: "2026-11-21T06:22:10.123+01:00", values: { a: 1 } }, NOW), [{ key: "a", ts: NOW, value: 1 }]);
});

for (const [what, ts, isTaken] of [
  ["as far ahead as allowed", NOW + MAX_AHEAD_MS, true],
  ["further ahead", NOW + MAX_AHEAD_MS + 1, false],
  ["as old as allowed", NOW - MAX_AGE_MS, true],
  ["older", NOW - MAX_AGE_MS - 1, false],
  ["of a clock that was never set", 0, false],
] as const) {
  test(`a reading ${what} is ${isTaken ? "taken" : "refused as clock_out_of_range"}`, () => {
    const read = () => readingsOf({ ts, values: { a: 1 } }, NOW);
    if (isTaken) assert.equal(read()[0]?.ts, ts);
    else assert.throws(read, { code: "clock_out_of_range" });
  });
}

test("a sensor's topic carries the bare value, booleans as ON and OFF", () => {
  assert.deepEqual([true, false, 21.5, "eco"].map(sensorStateText), ["ON", "OFF", "21.5", "eco"]);
});

const service: Principal = { kind: "service", id: "s", name: "ha", organizationId: "org", credentialId: "c" };

test("a first event is its own root; what follows from it names root and cause", () => {
  const about = { organizationId: "org", entityId: "d", actor: SYSTEM, now: NOW };
  const first = newEvent("device.online", about, { uid: "x" });
  const second = newEvent("command.completed", { ...about, correlationId: first.correlationId, causationId: first.id }, {});
  assert.deepEqual([first.correlationId, first.causationId], [first.id, null]);
  assert.deepEqual([second.correlationId, second.causationId], [first.id, first.id]);
});

test("an event on the bus is CloudEvents 1.0: required attributes, lower-case extensions, no nulls", () => {
  const event = toCloudEvent(
    newEvent("device.online", { organizationId: null, entityId: null, actor: actorOf(service), now: NOW }, { uid: "x" }),
  );
  for (const name of ["specversion", "id", "source", "type"]) assert.equal(typeof event[name], "string", name);
  assert.ok(Object.keys(event).every((name) => /^[a-z0-9]+$/.test(name)));
  assert.ok(!Object.values(event).includes(null));
  assert.equal(event["time"], "2026-11-21T05:22:10.123Z");
  assert.deepEqual([event["actorkind"], event["actorid"]], ["service", "s"]);
});

test("an audit entry has an id and a time, and says null for what it does not know", () => {
  const entry = newAudit({
    organizationId: "org",
    actor: SYSTEM,
    action: "device.claim",
    resourceType: "device",
    resourceId: "d",
    details: {},
    now: NOW,
  });
  assert.deepEqual([entry.createdAt, entry.requestId, entry.correlationId], ["2026-11-21T05:22:10.123Z", null, null]);
  assert.deepEqual([entry.beforeHash, entry.afterHash], [null, null]);
  assert.ok(!("now" in entry) && entry.id !== "");
});

test("an audit entry tells both sides of a change by hashes that the order of members does not change", () => {
  const about = { organizationId: null, actor: SYSTEM, action: "x", resourceType: "device", resourceId: null, details: {}, now: NOW };
  const change = newAudit({ ...about, before: { a: 1, b: { c: [1, null], d: undefined } }, after: { a: 2 } });
  const same = newAudit({ ...about, before: { b: { c: [1, null] }, a: 1 }, after: { a: 3 } });
  assert.match(change.beforeHash ?? "", /^[\w-]{43}$/);
  assert.equal(change.beforeHash, same.beforeHash);
  assert.notEqual(change.afterHash, same.afterHash);
  assert.ok(!("before" in change) && !("after" in change));
});
