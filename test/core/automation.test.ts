import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  causeOf,
  checkReadable,
  decide,
  matchesFilter,
  type Memory,
  NO_MEMORY,
  parseDefinition,
  refuseOwnCause,
  turnOf,
} from "../../core/automation.ts";
import type { Facts } from "../../core/condition.ts";
import { HubError } from "../../core/errors.ts";
import { replay, type Signal } from "../../core/replay.ts";
import { meaningOfEvent, meaningOfReading, parseTrigger, type TriggerKind, type TriggerOf } from "../../core/trigger.ts";

const ACTION = { kind: "publish", name: "x", payload: "y" };
const define = (more: object) => parseDefinition({ triggers: [{ kind: "input_event" }], actions: [ACTION], ...more });
const trigger = <K extends TriggerKind>(value: { kind: K } & Record<string, unknown>) => parseTrigger(value, "/triggers/0") as TriggerOf<K>;
const event = (type: string, data: Record<string, unknown>) => ({ type: type as "device.online", entityId: null, data });
const NOTHING: Facts = {
  now: 0,
  timeZone: "UTC",
  trigger: {},
  output: () => undefined,
  reading: () => undefined,
  presence: () => undefined,
};

describe("triggers", () => {
  test("know what concerns them", () => {
    const click = event("device.input_event", { uid: "relay-000001", input: 1, event: "click" });
    assert.equal(meaningOfEvent(trigger({ kind: "input_event" }), click)?.kind, "occurs");
    assert.equal(meaningOfEvent(trigger({ kind: "input_event", device: "relay-000002" }), click), undefined);
    assert.equal(meaningOfEvent(trigger({ kind: "input_event", input: 0 }), click), undefined);
    assert.equal(meaningOfEvent(trigger({ kind: "input_event", event: "press" }), click), undefined);
    const hold = event("device.input_event", { uid: "relay-000001", input: 1, event: "button_hold", duration_ms: 900 });
    assert.equal(meaningOfEvent(trigger({ kind: "button_hold", min_ms: 900 }), hold)?.kind, "occurs");
    assert.equal(meaningOfEvent(trigger({ kind: "button_hold", min_ms: 901 }), hold), undefined);
    const changed = event("device.state_changed", { uid: "relay-000001", relays: [{ index: 0, state: "ON" }], lights: [] });
    assert.deepEqual(meaningOfEvent(trigger({ kind: "state", device: "relay-000001", relay: 0, to: "ON" }), changed), {
      kind: "holds",
      subject: "relay-000001",
      is: true,
      values: { device: "relay-000001", relay: 0, state: "ON" },
    });
    assert.equal(meaningOfEvent(trigger({ kind: "state", device: "relay-000001", relay: 1, to: "ON" }), changed), undefined);
    assert.equal(meaningOfEvent(trigger({ kind: "state", device: "relay-000001", light: 0 }), changed), undefined);
  });

  test("begin with becoming so, and end with being so no more", () => {
    const on = { kind: "holds", subject: "d", is: true, values: {} } as const;
    const off = { ...on, is: false } as const;
    assert.deepEqual(turnOf(on, false, 0), { isOn: true, act: "fire" });
    assert.deepEqual(turnOf(on, true, 0), { isOn: true, act: "nothing" });
    assert.deepEqual(turnOf(off, true, 0), { isOn: false, act: "nothing" });
    assert.deepEqual(turnOf(on, false, 5), { isOn: true, act: "hold" });
    assert.deepEqual(turnOf(off, true, 5), { isOn: false, act: "release" });
    assert.deepEqual(turnOf({ kind: "occurs", subject: "d", values: {} }, false, 0), { isOn: false, act: "fire" });
  });

  test("a value at the threshold fires once until it has come back by the hysteresis", () => {
    const threshold = trigger({ kind: "telemetry", key: "t", above: 30, hysteresis: 2 });
    fc.assert(
      fc.property(fc.array(fc.double({ min: 20, max: 40, noNaN: true }), { maxLength: 60 }), (values) => {
        let wasOn = false;
        let hasComeBack = true;
        for (const value of values) {
          const meaning = meaningOfReading(threshold, "d", value, wasOn);
          const turn = turnOf(meaning as NonNullable<typeof meaning>, wasOn, 0);
          assert.equal(turn.act === "fire", hasComeBack && value > 30, `${value}`);
          if (turn.act === "fire") hasComeBack = false;
          if (value <= 28) hasComeBack = true;
          wasOn = turn.isOn;
        }
      }),
    );
  });

  test("are refused with the place of the fault", () => {
    const table: [unknown, RegExp][] = [
      [{ kind: "moon" }, /^\/t\/kind/],
      [{ kind: "telemetry", key: "t" }, /^\/t needs above, below or equals/],
      [{ kind: "telemetry", key: "t", above: 5, below: 5 }, /^\/t\/below/],
      [{ kind: "telemetry", key: "t", equals: "x", above: 5 }, /^\/t\/equals/],
      [{ kind: "state", device: "relay-000001", to: "ON" }, /^\/t names one output/],
      [{ kind: "state", device: "relay-000001", relay: 0, for_s: 5 }, /^\/t\/for_s/],
      [{ kind: "topic", filter: "a/#/b" }, /^\/t\/filter/],
      [{ kind: "topic", filter: "a/b+" }, /^\/t\/filter/],
      [{ kind: "schedule", recurrence: { kind: "cron", expression: "61 * * * *" } }, /^\/t\/recurrence\/expression/],
      [{ kind: "schedule", recurrence: { kind: "cron", expression: "0 0 30 2 *" } }, /^\/t\/recurrence\/expression/],
      [
        { kind: "schedule", recurrence: { kind: "cron", expression: "0 0 * * *", time_zone: "Mars/Olympus" } },
        /^\/t\/recurrence\/time_zone/,
      ],
      [{ kind: "webhook", hook_id: "x" }, /^\/t\/hook_id/],
      [{ kind: "event", type: "nonsense" }, /^\/t\/type/],
    ];
    for (const [value, message] of table)
      assert.throws(
        () => parseTrigger(value, "/t"),
        (error: unknown) => error instanceof HubError && message.test(error.message),
        JSON.stringify(value),
      );
  });
});

describe("decisions", () => {
  const fires = (memory: Memory, now: number, cause = "a", windows = { cooldownMs: 1_000, dedupeMs: 5_000 }) =>
    decide(windows, memory, { cause, now, depth: 0, isMet: true });

  test("cooldown holds back everything, the dedupe window the same cause", () => {
    const first = fires(NO_MEMORY, 10_000);
    assert.ok(first.fires);
    assert.deepEqual(fires(first.memory, 10_999, "b"), { fires: false, reason: "cooldown" });
    assert.deepEqual(fires(first.memory, 14_999), { fires: false, reason: "duplicate" });
    const second = fires(first.memory, 11_000, "b");
    assert.ok(second.fires);
    assert.ok(fires(second.memory, 15_000).fires);
    // The clock was set back: what was written then is not waited for once more.
    assert.ok(fires(second.memory, 5_000).fires);
  });

  test("never come sooner than the windows say, and always when they are over", () => {
    const step = fc.record({ afterMs: fc.integer({ min: 0, max: 3_000 }), cause: fc.constantFrom("a", "b", "c"), isMet: fc.boolean() });
    const windows = fc.record({ cooldownMs: fc.integer({ min: 0, max: 2_000 }), dedupeMs: fc.integer({ min: 0, max: 6_000 }) });
    fc.assert(
      fc.property(windows, fc.array(step, { maxLength: 80 }), (given, steps) => {
        let memory = NO_MEMORY;
        let now = 0;
        const fired: { at: number; cause: string }[] = [];
        for (const { afterMs, cause, isMet } of steps) {
          now += afterMs;
          const decision = decide(given, memory, { cause, now, depth: 0, isMet });
          const isCool = fired.every(({ at }) => now - at >= given.cooldownMs);
          const isNew = fired.every((one) => one.cause !== cause || now - one.at >= given.dedupeMs);
          assert.equal(decision.fires, isMet && isCool && isNew);
          if (!decision.fires) continue;
          memory = JSON.parse(JSON.stringify(decision.memory)) as Memory;
          fired.push({ at: now, cause });
        }
      }),
    );
  });

  test("a chain of causes ends", () => {
    const at = (depth: number) => decide({ cooldownMs: 0, dedupeMs: 0 }, NO_MEMORY, { cause: "a", now: 0, depth, isMet: true });
    assert.ok(at(8).fires);
    assert.deepEqual(at(9), { fires: false, reason: "depth" });
  });

  test("the same cause has the same name", () => {
    const meaning = { subject: "d", values: { input: 1, event: "click", duration_ms: 5 } };
    assert.equal(causeOf(0, meaning), causeOf(0, { subject: "d", values: { input: 1, event: "click", duration_ms: 9 } }));
    assert.notEqual(causeOf(0, meaning), causeOf(1, meaning));
    assert.notEqual(causeOf(0, meaning), causeOf(0, { ...meaning, subject: "e" }));
  });
});

describe("a definition", () => {
  test("is refused when it is too large, or sets itself off", () => {
    assert.throws(() => define({ actions: [{ ...ACTION, payload: "x".repeat(70_000) }] }), /65536 are allowed/);
    assert.throws(() => define({ time_zone: "Mars/Olympus" }), /\/time_zone/);
    const topic = (name: string) => `hexa-app/o/bus/${name}`;
    const circle = define({ triggers: [{ kind: "topic", filter: "hexa-app/o/bus/#" }] });
    assert.throws(() => refuseOwnCause(circle, topic), /^HubError: \/actions\/0\/name sets off the automation itself/);
    const events = define({ triggers: [{ kind: "event", type: "custom.a" }], actions: [{ kind: "event", type: "custom.a" }] });
    assert.throws(() => refuseOwnCause(events, topic), /a circle/);
    refuseOwnCause(define({ triggers: [{ kind: "topic", filter: "hexa-app/o/bus/other" }] }), topic);
  });

  test("reads what its organisation may read", () => {
    const of = (filter: string) => checkReadable(filter, "/f", { root: "hexa", organizationId: "o" });
    assert.equal(of("hexa/relay-000001/up/#"), "relay-000001");
    assert.equal(of("hexa/+/sensor/+/state"), undefined);
    assert.equal(of("hexa-app/o/bus/#"), undefined);
    for (const foreign of [
      "#",
      "+/+/up/#",
      "hexa/#",
      "hexa",
      "hexa-app/other/bus/#",
      "hexa-app/+/bus/#",
      "hexa-app/o/users/x/notifications",
      "$SYS/#",
      "$hub/#",
    ])
      assert.throws(() => of(foreign), /has to begin with/, foreign);
  });

  test("filters match as MQTT says", () => {
    const table: [string, string, boolean][] = [
      ["a/+/c", "a/b/c", true],
      ["a/+/c", "a/b/d", false],
      ["a/#", "a", true],
      ["a/#", "a/b/c", true],
      ["a/+", "a", false],
      ["+/+", "/x", true],
      ["a", "a/b", false],
    ];
    for (const [filter, topic, expected] of table) assert.equal(matchesFilter(filter, topic), expected, `${filter} ${topic}`);
  });
});

describe("a replay", () => {
  const press = (at: number, input = 0): Signal => ({
    kind: "event",
    at,
    event: { id: `${at}`, ...event("device.input_event", { uid: "relay-000001", input, event: "press" }) },
  });
  const reading = (at: number, value: number): Signal => ({ kind: "reading", at, device: "sensor-00001", key: "t", value });

  test("says what would have fired, and why not", () => {
    const definition = define({
      cooldown_s: 10,
      dedupe_s: 60,
      condition: { kind: "compare", left: { kind: "var", name: "trigger.input" }, op: "ne", right: { kind: "value", value: 3 } },
    });
    const verdicts = replay(
      definition,
      [press(0), press(5_000), press(20_000), press(20_001, 1), press(25_000, 2), press(40_000, 3)],
      (now, values) => ({ ...NOTHING, now, trigger: values }),
    );
    assert.deepEqual(
      verdicts.map(({ fires, reason }) => (fires ? "fires" : reason)),
      ["fires", "duplicate", "duplicate", "fires", "cooldown", "condition"],
    );
  });

  test("waits for what has to last", () => {
    const definition = define({ triggers: [{ kind: "telemetry", key: "t", above: 30, for_s: 10 }] });
    const verdicts = replay(
      definition,
      [
        reading(0, 31),
        reading(5_000, 32),
        reading(9_999, 29),
        reading(20_000, 31),
        reading(31_000, 35),
        reading(40_000, 20),
        reading(50_000, 40),
      ],
      () => NOTHING,
    );
    assert.deepEqual(
      verdicts.map(({ at, fires, reason }) => [at, fires, reason]),
      [
        [30_000, true, null],
        [60_000, false, "held"],
      ],
    );
  });
});
