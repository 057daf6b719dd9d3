import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc, { type Arbitrary } from "fast-check";
import { type Command, COMMAND_SOURCES } from "../../core/command.ts";
import { SENSITIVITIES } from "../../core/device.ts";
import { assess, type Risk, type RiskRequest } from "../../core/risk.ts";
import { DEFAULT_RISK_POLICY, parseRiskPolicy, type RiskPolicy } from "../../core/risk-policy.ts";
import type { RiskRule } from "../../core/risk-rule.ts";

/** 14:00 and 23:30 in Zurich. */
const DAY = Date.UTC(2026, 6, 1, 12);
const NIGHT = Date.UTC(2026, 6, 1, 21, 30);
const QUIET = { byActorInMinute: 0, byDeviceInMinute: 0, failedInHour: 0, isFirstFromActor: false };
const BUSY = { byActorInMinute: 5_000, byDeviceInMinute: 5_000, failedInHour: 5_000, isFirstFromActor: true };
const SITE = "0197c000-0000-7000-8000-000000000001";
const ON: Command = { command: "set_relay", relay: 0, state: "ON" };
const TOGGLE: Command = { command: "set_relay", relay: 0, state: "TOGGLE" };
const ALL_ON: Command = { command: "set_all_relays", state: "ON" };
const RESTART: Command = { command: "restart" };
const IR: Command = { command: "ir_send", timings: [9_000, -4_500] };
const LIGHT: Command = { command: "set_light", light: 0, state: "ON" };
const IDENTIFY: Command = { command: "identify" };

type Wanted = Partial<Omit<RiskRequest, "device">> & { readonly device?: Partial<RiskRequest["device"]> };

function request({ device, ...more }: Wanted = {}): RiskRequest {
  return {
    actions: [ON],
    actor: { kind: "user", id: "ada" },
    source: "rest",
    now: DAY,
    timeZone: "Europe/Zurich",
    recent: QUIET,
    ...more,
    device: { uid: "relay-000001", class: "relay_controller", sensitivity: "normal", siteId: null, ...device },
  };
}
const byDefault = (wanted: Wanted): Risk => assess(DEFAULT_RISK_POLICY, request(wanted));
const withRules = (rules: object[], wanted: Wanted = {}): Risk => assess(parseRiskPolicy({ rules }), request(wanted));

describe("the default policy", () => {
  const WORST = { now: NIGHT, recent: BUSY, source: "mqtt" } as const;

  test("lets everything pass that an ordinary home does, whatever comes together", () => {
    for (const command of [ON, TOGGLE, LIGHT, IR, IDENTIFY, ALL_ON])
      for (const sensitivity of ["low", "normal"] as const)
        for (const deviceClass of ["relay_controller", "ir_hub", "sensor_hub", "hybrid"] as const) {
          const { isHigh, score } = byDefault({ ...WORST, actions: [command], device: { sensitivity, class: deviceClass } });
          assert.equal(isHigh, false, `${command.command} of ${deviceClass}: ${score}`);
          if (command !== ALL_ON) assert.ok(score <= 55, `${command.command}: ${score}`);
        }
    for (const command of [ON, LIGHT, IR])
      assert.equal(byDefault({ ...WORST, actions: Array<Command>(50).fill(command) }).isHigh, false, command.command);
    assert.deepEqual(byDefault({}).score, 7);
  });

  test("asks for approval where docs/approvals.md says", () => {
    const table: [Wanted, boolean][] = [
      ...[ON, ALL_ON, LIGHT, IR, RESTART].map((command): [Wanted, boolean] => [
        { actions: [command], device: { sensitivity: "critical", class: "sensor_hub" } },
        true,
      ]),
      [{ ...WORST, actions: [IDENTIFY], device: { sensitivity: "critical" } }, false],
      [{ actions: [RESTART], device: { sensitivity: "high" } }, true],
      [{ actions: [RESTART] }, false],
      [{ actions: [ALL_ON], device: { sensitivity: "high" } }, false],
      [{ actions: [ALL_ON], device: { sensitivity: "high" }, now: NIGHT }, true],
      [{ actions: [ON], device: { sensitivity: "high" }, now: NIGHT }, false],
      // As many relays one by one are no way around it.
      [{ actions: Array.from({ length: 11 }, () => ON), device: { sensitivity: "high" }, now: NIGHT }, true],
    ];
    for (const [wanted, isHigh] of table) assert.equal(byDefault(wanted).isHigh, isHigh, JSON.stringify(wanted));
  });

  test("knows the night of the device's site, and of the policy where it is on none", () => {
    const isNight = (timeZone: string | null, zone = "UTC"): boolean =>
      assess({ ...DEFAULT_RISK_POLICY, time_zone: zone }, request({ now: NIGHT, timeZone })).reasons.some(({ rule }) => rule === "night");
    assert.deepEqual(
      [isNight("Europe/Zurich"), isNight("America/New_York"), isNight(null), isNight(null, "Asia/Tokyo")],
      [true, false, false, false],
    );
    assert.ok(isNight(null, "Europe/Zurich"));
  });

  test("tells what it has found, the heaviest first", () => {
    const { score, reasons } = byDefault({
      actions: [RESTART, ON],
      device: { sensitivity: "high" },
      now: NIGHT,
      recent: { byActorInMinute: 23, byDeviceInMinute: 10, failedInHour: 4, isFirstFromActor: true },
    });
    assert.deepEqual(
      reasons.map(({ rule, points }) => [rule, points]),
      [
        ["commands", 35],
        ["sensitivity", 35],
        ["night", 10],
        ["first_command", 4],
        ["actor_volume", 3],
        ["device_classes", 2],
        ["failures", 2],
        ["more_actions", 2],
      ],
    );
    assert.equal(score, 93);
    assert.ok(reasons.some(({ text }) => text === "it is night: 23:30:00 in Europe/Zurich"));
  });
});

describe("rules of the organisation", () => {
  const rule = (match: object, effect: object = { require_approval: true }, name = "a rule") => ({ name, match, ...effect });
  const isAbout = (match: object, wanted: Wanted = {}, effect?: object): boolean =>
    withRules([rule(match, effect)], wanted).reasons.some(({ rule: of }) => of === "rules/a rule");

  test("match by everything that they name", () => {
    const dimmed: Wanted = { actions: [{ command: "set_light", light: 1, brightness: 80 }] };
    const table: [object, Wanted, boolean][] = [
      [{ commands: ["set_relay"] }, {}, true],
      [{ commands: ["restart"] }, {}, false],
      [{ device_classes: ["relay_controller", "hybrid"] }, {}, true],
      [{ device_classes: ["ir_hub"] }, {}, false],
      [{ devices: ["relay-000001"] }, {}, true],
      [{ devices: ["relay-000002"] }, {}, false],
      [{ sites: [SITE] }, { device: { siteId: SITE } }, true],
      [{ sites: [SITE] }, {}, false],
      [{ sensitivity: ["high", "critical"] }, { device: { sensitivity: "high" } }, true],
      [{ sensitivity: ["high", "critical"] }, {}, false],
      [{ sources: ["mqtt"] }, { source: "mqtt" }, true],
      [{ sources: ["mqtt"] }, {}, false],
      [{ actors: ["rule", "schedule"] }, { actor: { kind: "rule", id: "r" } }, true],
      [{ actors: ["rule", "schedule"] }, {}, false],
      [{ relays: [0, 1] }, {}, true],
      [{ relays: [1] }, {}, false],
      [{ relays: [0] }, { actions: [LIGHT] }, false],
      [{ time_window: { from: "22:00", to: "06:00" } }, { now: NIGHT }, true],
      [{ time_window: { from: "22:00", to: "06:00" } }, {}, false],
      [{ time_window: { from: "22:00", to: "06:00", time_zone: "America/New_York" } }, { now: NIGHT }, false],
      [{ payload: [{ path: "brightness", op: "gt", value: 70 }] }, dimmed, true],
      [{ payload: [{ path: "brightness", op: "gt", value: 90 }] }, dimmed, false],
      [
        {
          payload: [
            { path: "brightness", op: "gt", value: 70 },
            { path: "light", op: "in", value: [0, 2] },
          ],
        },
        dimmed,
        false,
      ],
      [{ payload: [{ path: "state", op: "eq", value: "ON" }] }, dimmed, true],
      [{ payload: [{ path: "timings.1", op: "lt", value: 0 }] }, { actions: [IR] }, true],
      [{ payload: [{ path: "constructor", op: "ne", value: 1 }] }, {}, false],
      [{ commands: ["set_relay"], sources: ["mqtt"] }, {}, false],
    ];
    for (const [match, wanted, expected] of table) assert.equal(isAbout(match, wanted), expected, JSON.stringify([match, wanted]));
  });

  test("are gone around neither by TOGGLE nor by all relays at once", () => {
    const on = { payload: [{ path: "state", op: "eq", value: "ON" }] };
    const relay3 = { commands: ["set_relay"], relays: [3], ...on };
    assert.ok(isAbout(on, { actions: [TOGGLE] }));
    assert.ok(isAbout(relay3, { actions: [ALL_ON] }));
    assert.ok(isAbout(relay3, { actions: [ALL_ON] }, { points: 20 }));
    assert.equal(isAbout(relay3, { actions: [{ command: "set_all_relays", state: "OFF" }] }), false);
    for (const easier of [{ allow: true }, { points: -20 }]) {
      assert.equal(isAbout(on, { actions: [TOGGLE] }, easier), false);
      assert.equal(isAbout({ relays: [0] }, { actions: [ALL_ON] }, easier), false);
      assert.ok(isAbout({ relays: [0] }, {}, easier));
      assert.ok(isAbout({ commands: ["set_all_relays"] }, { actions: [ALL_ON] }, easier));
    }
  });

  test("that require approval win over those that allow, and these over points", () => {
    const critical: Wanted = { device: { sensitivity: "critical" } };
    const any = { commands: ["set_relay"] };
    const [points, allow, require] = [rule(any, { points: 40 }, "p"), rule(any, { allow: true }, "a"), rule(any, undefined, "r")];
    assert.equal(withRules([points]).score, 47);
    assert.equal(withRules([rule(any, { points: -40 }, "p")], critical).isHigh, false);
    const allowed = withRules([points, allow], critical);
    assert.deepEqual([allowed.isHigh, allowed.score], [false, 100]);
    assert.deepEqual(allowed.reasons[0], { rule: "rules/a", points: 0, text: "a: needs no approval" });
    const required = withRules([allow, require, points]);
    assert.deepEqual([required.isHigh, required.score], [true, 47]);
    assert.deepEqual(required.reasons[0], { rule: "rules/r", points: 0, text: "r: needs approval" });
  });

  test("that allow one action of a task allow no other", () => {
    const allow = rule({ commands: ["restart"] }, { allow: true });
    const high: Wanted["device"] = { sensitivity: "high" };
    assert.equal(withRules([allow], { actions: [RESTART], device: high }).isHigh, false);
    assert.equal(withRules([allow], { actions: [RESTART, ON], device: { sensitivity: "critical" } }).isHigh, true);
    const mixed = withRules([allow], { actions: [RESTART, ON], device: high });
    assert.deepEqual([mixed.isHigh, mixed.score], [false, 44]);
    const one = withRules([rule({ commands: ["identify"] })], { actions: [ON, IDENTIFY] });
    assert.deepEqual([one.isHigh, one.score], [true, 9]);
  });
});

const COMMANDS: Arbitrary<Command> = fc.oneof(
  fc.record({ command: fc.constant("set_relay" as const), relay: fc.nat({ max: 31 }), state: fc.constantFrom("ON", "OFF", "TOGGLE") }),
  fc.record({ command: fc.constant("set_light" as const), light: fc.nat({ max: 31 }), brightness: fc.nat({ max: 100 }) }),
  fc.constantFrom<Command>(ALL_ON, RESTART, IR, IDENTIFY),
);
const RECENT = fc.record({
  byActorInMinute: fc.nat({ max: 100 }),
  byDeviceInMinute: fc.nat({ max: 100 }),
  failedInHour: fc.nat({ max: 100 }),
  isFirstFromActor: fc.boolean(),
});
const REQUESTS: Arbitrary<RiskRequest> = fc.record({
  actions: fc.array(COMMANDS, { minLength: 1, maxLength: 6 }),
  actor: fc.record({ kind: fc.constantFrom("user" as const, "rule" as const), id: fc.constant("x") }),
  source: fc.constantFrom(...COMMAND_SOURCES),
  now: fc.nat({ max: 86_400 }).map((second) => DAY + second * 1_000),
  timeZone: fc.constantFrom("Europe/Zurich", "Asia/Kathmandu", null),
  recent: RECENT,
  device: fc.record({
    uid: fc.constantFrom("relay-000001", "relay-000002"),
    class: fc.constantFrom("relay_controller" as const, "ir_hub" as const, "sensor_hub" as const, "hybrid" as const),
    sensitivity: fc.constantFrom(...SENSITIVITIES),
    siteId: fc.constantFrom(null, SITE),
  }),
});
/** None that matches by the sensitivity: such a rule may be about devices that are less sensitive alone. */
const MATCHES: Arbitrary<RiskRule["match"]> = fc
  .record(
    {
      commands: fc.uniqueArray(fc.constantFrom("set_relay" as const, "set_all_relays" as const, "restart" as const), { minLength: 1 }),
      devices: fc.constant<string[]>(["relay-000001"]),
      sources: fc.uniqueArray(fc.constantFrom(...COMMAND_SOURCES), { minLength: 1 }),
      relays: fc.uniqueArray(fc.nat({ max: 31 }), { minLength: 1, maxLength: 20 }),
      time_window: fc.constant({ from: "20:00", to: "04:00" }),
      payload: fc.constantFrom<NonNullable<RiskRule["match"]["payload"]>>([{ path: "state", op: "eq", value: "ON" }]),
    },
    { requiredKeys: [] },
  )
  .map((match) => (Object.keys(match).length === 0 ? { sources: [...COMMAND_SOURCES] } : match));
const EFFECTS = fc.oneof(
  fc.integer({ min: -100, max: 100 }).map((points) => ({ points })),
  fc.constantFrom({ require_approval: true as const }, { allow: true as const }),
);
const RULES: Arbitrary<RiskRule[]> = fc
  .array(fc.tuple(MATCHES, EFFECTS), { maxLength: 6 })
  .map((all) => all.map(([match, effect], index) => ({ name: `rule ${index}`, match, ...effect })));
const GROWING = fc.record({ above: fc.nat({ max: 50 }), each: fc.nat({ max: 100 }), most: fc.nat({ max: 100 }) });
const POLICIES: Arbitrary<RiskPolicy> = fc
  .record({
    threshold: fc.integer({ min: 1, max: 100 }),
    sensitivity: fc.array(fc.nat({ max: 100 }), { minLength: 4, maxLength: 4 }),
    growing: fc.tuple(GROWING, GROWING, GROWING),
    rules: RULES,
  })
  .map(({ threshold, sensitivity, growing: [actor_volume, device_volume, failures], rules }) => {
    const [low = 0, normal = 0, high = 0, critical = 0] = sensitivity.toSorted((a, b) => a - b);
    return parseRiskPolicy({
      threshold,
      weights: { sensitivity: { low, normal, high, critical }, actor_volume, device_volume, failures },
      rules,
    });
  });

describe("whatever is judged by whatever policy", () => {
  test("the score is in 0 to 100 and the sum of its reasons, and the same for the same", () => {
    fc.assert(
      fc.property(POLICIES, REQUESTS, (policy, asked) => {
        const risk = assess(policy, asked);
        const sum = risk.reasons.reduce((total, { points }) => total + points, 0);
        assert.equal(risk.score, Math.min(100, Math.max(0, sum)));
        assert.ok(Number.isInteger(risk.score));
        assert.deepEqual(assess(structuredClone(policy), structuredClone(asked)), risk);
        const weights = risk.reasons.filter(({ points }) => points !== 0).map(({ points }) => Math.abs(points));
        assert.deepEqual(
          weights,
          weights.toSorted((a, b) => b - a),
        );
        assert.equal(new Set(risk.reasons.map(({ rule }) => rule)).size, risk.reasons.length);
      }),
      { numRuns: 1_000 },
    );
  });

  test("the order of the rules makes no difference", () => {
    const shuffled = RULES.chain((rules) => fc.tuple(fc.constant(rules), fc.shuffledSubarray(rules, { minLength: rules.length })));
    fc.assert(
      fc.property(POLICIES, shuffled, REQUESTS, (policy, [rules, others], asked) => {
        assert.deepEqual(assess({ ...policy, rules }, asked), assess({ ...policy, rules: others }, asked));
      }),
      { numRuns: 1_000 },
    );
  });

  test("more sensitive, and more of it, never counts for less", () => {
    const more = (risk: Risk, than: Risk): void => {
      assert.ok(risk.score >= than.score, `${risk.score} < ${than.score}`);
      assert.ok(risk.isHigh || !than.isHigh);
    };
    fc.assert(
      fc.property(POLICIES, REQUESTS, RECENT, fc.nat({ max: 3 }), (policy, asked, added, level) => {
        const before = assess(policy, asked);
        const at = Math.max(level, SENSITIVITIES.indexOf(asked.device.sensitivity));
        const sensitivity = SENSITIVITIES[at] ?? "critical";
        more(assess(policy, { ...asked, device: { ...asked.device, sensitivity } }), before);
        const { recent } = asked;
        const grown = {
          byActorInMinute: recent.byActorInMinute + added.byActorInMinute,
          byDeviceInMinute: recent.byDeviceInMinute + added.byDeviceInMinute,
          failedInHour: recent.failedInHour + added.failedInHour,
          isFirstFromActor: recent.isFirstFromActor || added.isFirstFromActor,
        };
        more(assess(policy, { ...asked, recent: grown }), before);
      }),
      { numRuns: 1_000 },
    );
  });

  test("what is taken together with something else is no less risky than alone, where no rule makes it easier", () => {
    const harder = (policy: RiskPolicy): RiskPolicy => ({
      ...policy,
      rules: policy.rules.filter(({ points, allow }) => allow === undefined && (points ?? 0) >= 0),
    });
    fc.assert(
      fc.property(POLICIES.map(harder), REQUESTS, COMMANDS, (policy, asked, command) => {
        const [alone, together] = [assess(policy, asked), assess(policy, { ...asked, actions: [...asked.actions, command] })];
        assert.ok(together.score >= alone.score && (together.isHigh || !alone.isHigh));
      }),
      { numRuns: 500 },
    );
  });
});
