import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type Condition, CONDITION_LIMITS, devicesOfCondition, evaluate, type Facts, parseCondition } from "../../core/condition.ts";
import { HubError } from "../../core/errors.ts";

const AT = Date.UTC(2026, 6, 1, 20, 30);
const facts = (more: Partial<Facts> = {}): Facts => ({
  now: AT,
  timeZone: "Europe/Zurich",
  trigger: { value: 21.5, input: 1, data: { deep: "here", list: [1, 2] } },
  output: (device, kind, index) => (device === "relay-000001" && kind === "relay" && index === 0 ? { state: "ON" } : undefined),
  reading: (device, key) => (device === "sensor-00001" && key === "temperature" ? 21.5 : undefined),
  presence: (device) => (device === "relay-000001" ? "online" : undefined),
  ...more,
});
const met = (condition: unknown, more?: Partial<Facts>): boolean => evaluate(parseCondition(condition, "/condition"), facts(more)).met;
const value = (one: unknown) => ({ kind: "value", value: one });
const variable = (name: string) => ({ kind: "var", name });
const compare = (left: unknown, op: string, right: unknown) => ({ kind: "compare", left, op, right });
const fn = (name: string, ...of: unknown[]) => ({ kind: "function", name, of });

describe("conditions", () => {
  test("compare what is of one type, and nothing else", () => {
    const table: [unknown, string, unknown, boolean][] = [
      [value(2), "lt", value(3), true],
      [value("2"), "lt", value(3), false],
      [value("a"), "lt", value("b"), true],
      [value(3), "ge", value(3), true],
      [value(null), "eq", value(null), true],
      [value("1"), "eq", value(1), false],
      [value(1), "ne", value(2), true],
      [variable("trigger.value"), "gt", value(21), true],
      [variable("trigger.data.deep"), "eq", value("here"), true],
      [variable("trigger.data"), "eq", value("here"), false],
      [variable("trigger.nothing"), "ne", value(1), false],
      [variable("trigger.__proto__.constructor"), "ne", value(1), false],
      [variable("trigger.data.list"), "contains", value(2), true],
      [value("here"), "in", value(["there", "here"]), true],
      [value("kitchen lamp"), "contains", value("lamp"), true],
      [{ kind: "reading", device: "sensor-00001", key: "temperature" }, "gt", value(21), true],
      [{ kind: "reading", device: "sensor-00002", key: "temperature" }, "gt", value(-100), false],
      [{ kind: "output", device: "relay-000001", relay: 0 }, "eq", value("ON"), true],
      [fn("multiply", fn("subtract", value(5), value(3)), value(4)), "eq", value(8), true],
      [fn("divide", value(1), value(0)), "ne", value(0), false],
      [fn("round", value(2.5)), "eq", value(3), true],
      [fn("add", value("1"), value(2)), "eq", value("12"), false],
      [fn("lower", value("ABC")), "eq", value("abc"), true],
      [fn("length", variable("trigger.data.list")), "eq", value(2), true],
      [fn("min", value(3), value(1), value(2)), "eq", fn("modulo", value(7), value(3)), true],
    ];
    for (const [left, op, right, expected] of table)
      assert.equal(met(compare(left, op, right)), expected, JSON.stringify([left, op, right]));
  });

  test("know the time of the day and the day where they are", () => {
    // 22:30 in Zurich on a Wednesday, 05:30 on Thursday in Tokyo.
    const table: [object, boolean][] = [
      [{ kind: "time_window", from: "22:00", to: "23:00" }, true],
      [{ kind: "time_window", from: "22:30", to: "22:31" }, true],
      [{ kind: "time_window", from: "22:00", to: "22:30" }, false],
      [{ kind: "time_window", from: "22:00", to: "06:00" }, true],
      [{ kind: "time_window", from: "23:00", to: "22:00" }, false],
      [{ kind: "time_window", from: "05:00", to: "06:00", time_zone: "Asia/Tokyo" }, true],
      [{ kind: "day", days: ["wed"] }, true],
      [{ kind: "day", days: ["thu"] }, false],
      [{ kind: "day", days: ["thu"], time_zone: "Asia/Tokyo" }, true],
    ];
    for (const [condition, expected] of table) assert.equal(met(condition), expected, JSON.stringify(condition));
  });

  test("are false about what is not known, and true as its contrary", () => {
    for (const unknown of [
      { kind: "state", device: "relay-000009", relay: 0, is: "OFF" },
      { kind: "numeric", device: "sensor-00009", key: "temperature", below: 5 },
      { kind: "presence", device: "relay-000009", is: "offline" },
    ]) {
      assert.equal(met(unknown), false);
      assert.equal(met({ kind: "not", condition: unknown }), true);
    }
    assert.equal(met({ kind: "numeric", device: "sensor-00001", key: "temperature", above: 21.5 }), false);
    assert.equal(met({ kind: "numeric", device: "sensor-00001", key: "temperature", above: 21, below: 22 }), true);
    assert.equal(met({ kind: "presence", device: "relay-000001", is: "online" }), true);
  });

  test("say what they looked at", () => {
    const condition = parseCondition(
      {
        kind: "and",
        conditions: [
          { kind: "state", device: "relay-000001", relay: 0, is: "ON" },
          { kind: "not", condition: { kind: "day", days: ["wed"] } },
          { kind: "day", days: ["mon"] },
        ],
      },
      "/condition",
    );
    assert.deepEqual(evaluate(condition, facts()), {
      met: false,
      findings: [
        { path: "/condition/conditions/0", met: true, value: "ON" },
        { path: "/condition/conditions/1/condition", met: true, value: "wed" },
      ],
    });
    assert.deepEqual(
      devicesOfCondition(condition, "/condition").map(({ path, device }) => [path, device]),
      [["/condition/conditions/0/device", "relay-000001"]],
    );
  });

  test("are refused with the place of the fault", () => {
    const deep = Array.from({ length: CONDITION_LIMITS.depth + 1 }).reduce<unknown>((inner) => ({ kind: "not", condition: inner }), {
      kind: "day",
      days: ["mon"],
    });
    const wide = {
      kind: "and",
      conditions: Array.from({ length: 40 }, () => ({
        kind: "or",
        conditions: Array.from({ length: 10 }, () => ({ kind: "day", days: ["mon"] })),
      })),
    };
    const table: [unknown, RegExp][] = [
      [null, /^\/condition has to be a condition/],
      [{}, /^\/condition\/kind has to be one of and, or, not/],
      [{ kind: "maybe" }, /^\/condition\/kind/],
      [{ kind: "and", conditions: [] }, /^\/condition\/conditions/],
      [
        {
          kind: "and",
          conditions: [
            { kind: "day", days: ["mon"] },
            { kind: "day", days: ["xyz"] },
          ],
        },
        /^\/condition\/conditions\/1\/days\/0/,
      ],
      [{ kind: "not", condition: { kind: "state", device: "relay-000001", is: "ON" } }, /^\/condition\/condition names one output/],
      [{ kind: "time_window", from: "25:00", to: "06:00" }, /^\/condition\/from/],
      [{ kind: "time_window", from: "06:00", to: "06:00" }, /^\/condition\/to is the same time/],
      [{ kind: "day", days: ["mon"], time_zone: "Mars/Olympus" }, /^\/condition\/time_zone/],
      [{ kind: "numeric", device: "sensor-00001", key: "t" }, /^\/condition needs above or below/],
      [compare(value(1), "like", value(2)), /^\/condition\/op/],
      [compare({ kind: "var", name: "process.env" }, "eq", value(2)), /^\/condition\/left\/name/],
      [compare(fn("eval", value(1)), "eq", value(2)), /^\/condition\/left\/name/],
      [compare(fn("add", value(1), { kind: "odd" }), "eq", value(2)), /^\/condition\/left\/of\/1\/kind/],
      [deep, /nested more than 10 levels/],
      [wide, /too large/],
    ];
    for (const [condition, message] of table)
      assert.throws(
        () => parseCondition(condition, "/condition"),
        (error: unknown) => error instanceof HubError && error.code === "validation_error" && message.test(error.message),
        JSON.stringify(condition).slice(0, 200),
      );
  });

  test("obey logic, whatever they are made of", () => {
    const leaf = fc.constantFrom<Condition>(
      { kind: "day", days: ["wed"] },
      { kind: "day", days: ["mon"] },
      { kind: "presence", device: "relay-000001", is: "online" },
      { kind: "presence", device: "relay-000009", is: "online" },
    );
    const tree = fc.letrec<{ node: Condition }>((tie) => ({
      node: fc.oneof(
        { depthSize: "small", withCrossShrink: true },
        leaf,
        fc.record({ kind: fc.constantFrom("and", "or"), conditions: fc.array(tie("node"), { minLength: 1, maxLength: 4 }) }),
        fc.record({ kind: fc.constant("not"), condition: tie("node") }),
      ),
    })).node;
    const holds = (condition: Condition): boolean => evaluate(condition, facts()).met;
    fc.assert(
      fc.property(fc.array(tree, { minLength: 1, maxLength: 4 }), (conditions) => {
        const negated = conditions.map((condition): Condition => ({ kind: "not", condition }));
        assert.equal(holds({ kind: "and", conditions }), conditions.every(holds));
        assert.equal(holds({ kind: "or", conditions }), conditions.some(holds));
        assert.equal(holds({ kind: "not", condition: { kind: "and", conditions } }), holds({ kind: "or", conditions: negated }));
      }),
    );
  });
});
