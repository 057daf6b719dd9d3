import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { HubError } from "../../core/errors.ts";
import { EXPRESSION_LIMITS, parseExpression } from "../../core/expression.ts";

const NAMES = ["t", "rh", "x"];
const worth = (text: string, values: readonly number[] = [21, 60, 4]): number => parseExpression(text, NAMES, "/expression")(values);

describe("an expression", () => {
  test("comes to what it says", () => {
    const cases: [string, number][] = [
      ["1 + 2 * 3", 7],
      ["(1 + 2) * 3", 9],
      ["2 ** 3 ** 2", 512],
      ["-t + rh % 7", -17],
      ["x / 8", 0.5],
      ["t > 20 && rh >= 60", 1],
      ["t > 30 || rh < 50", 0],
      ["!(t == 21)", 0],
      ["t != 21 ? 1 : x", 4],
      ["if(rh > 65, 1, if(rh > 55, 2, 3))", 2],
      ["min(t, rh, x) + max(t, rh)", 64],
      ["abs(-x) + floor(2.7) + ceil(2.1) + round(2.5) + round(-2.5)", 9],
      ["round(3.14159, 2)", 3.14],
      ["sqrt(x) + pow(x, 2) + exp(0) + log(1)", 19],
      ["clamp(rh, 0, 50) + clamp(-1, 0, 50)", 50],
      ["true + false", 1],
      ["1e3 + .5", 1_000.5],
    ];
    for (const [text, value] of cases) assert.equal(worth(text), value, text);
  });

  test("knows the dew point and the absolute humidity of tables", () => {
    // Psychrometric tables, at 1013 hPa.
    for (const [celsius, percent, dewPoint, grams] of [
      [20, 50, 9.3, 8.65],
      [25, 60, 16.7, 13.8],
      [0, 80, -3, 3.88],
      [30, 100, 30, 30.4],
    ] as const) {
      assert.ok(Math.abs(worth("dew_point(t, rh)", [celsius, percent, 0]) - dewPoint) < 0.1, `${celsius} °C, ${percent} %`);
      const own = worth("absolute_humidity(t, rh)", [celsius, percent, 0]);
      assert.ok(Math.abs(own / grams - 1) < 0.01, `${celsius} °C, ${percent} %: ${own} g/m³`);
    }
  });

  test("says nothing finite of what cannot be worked out, and decides nothing by it", () => {
    for (const text of [
      "1 / 0",
      "0 / 0",
      "sqrt(-1)",
      "log(0)",
      "pow(10, 1000)",
      "sqrt(-1) > 0 ? 1 : 2",
      "!sqrt(-1)",
      "log(-1) && 1",
      "dew_point(t, 0)",
    ])
      assert.ok(!Number.isFinite(worth(text)), text);
    assert.equal(worth("if(x == 0, 1 / 0, 1 / x)"), 0.25, "what is not chosen does not count");
    assert.equal(worth("0 && sqrt(-1)"), 0);
  });

  test("counts as JavaScript does", () => {
    const leaf = fc.constantFrom("t", "rh", "x", "2", "0.5");
    const { text } = fc.letrec<{ text: string }>((tie) => ({
      text: fc.oneof(
        { maxDepth: 5 },
        leaf,
        fc.tuple(tie("text"), fc.constantFrom("+", "-", "*", "/", "%"), tie("text")).map(([a, op, b]) => `(${a} ${op} ${b})`),
        fc.tuple(fc.constantFrom("abs", "floor", "ceil", "sqrt"), tie("text")).map(([name, a]) => `${name}(${a})`),
      ),
    }));
    fc.assert(
      fc.property(text, fc.array(fc.integer({ min: -100, max: 100 }), { minLength: 3, maxLength: 3 }), (said, values) => {
        fc.pre(said.length <= EXPRESSION_LIMITS.chars);
        const own = worth(said, values);
        // oxlint-disable-next-line no-implied-eval -- what the language itself makes of the same text
        const theirs = new Function(...NAMES, "abs", "floor", "ceil", "sqrt", `return ${said}`)(
          ...values,
          Math.abs,
          Math.floor,
          Math.ceil,
          Math.sqrt,
        ) as number;
        assert.ok(Object.is(own, theirs) || own === theirs, `${said}: ${own}, not ${theirs}`);
      }),
    );
  });

  test("reaches nothing of the hub, and is as large as is allowed at most", () => {
    const refused: [string, RegExp][] = [
      ["", /no number, name/],
      ["t +", /cannot be read at character/],
      ["t t", /no number, name/],
      ["t, rh", /no number, name|cannot be read/],
      ["y", /names y, which is no input/],
      ["constructor", /names constructor/],
      ["__proto__", /names __proto__/],
      ["toString()", /calls toString, which is no function/],
      ["constructor(1)", /calls constructor/],
      ["t.constructor", /no number, name/],
      ["t['x']", /no number, name/],
      ["abs.call(1)", /calls something that has no name/],
      ["this", /no number, name/],
      ["'text'", /is no number|that is no number/],
      ["null", /that is no number/],
      ["[1]", /no number, name/],
      ["t = 1", /cannot be read|operator/],
      ["t & 1", /operator that there is not: &/],
      ["~t", /operator that there is not: ~/],
      ["t ?? 1", /operator that there is not/],
      ["t => 1", /cannot be read|operator|no number/],
      ["min()", /with 0 arguments, it takes 1 to 16/],
      ["pow(1)", /with 1 arguments, it takes 2/],
      ["if(1, 2)", /if without three/],
      [`${"(".repeat(250)}1${")".repeat(251)}`, /longer than 500|cannot be read/],
      [`1${" + 1".repeat(101)}`, /nested more than 32|more than 200/],
      [`${"-".repeat(40)}t`, /nested more than 32|cannot be read/],
      [`min(${Array.from({ length: 16 }, () => `${"-".repeat(14)}t`).join(",")})`, /more than 200 parts/],
      [`t + ${" ".repeat(500)}1`, /longer than 500/],
    ];
    for (const [text, message] of refused)
      assert.throws(
        () => worth(text),
        (error: unknown) => {
          assert.ok(error instanceof HubError && error.code === "validation_error", `${text}: ${String(error)}`);
          assert.match(error.message, message, text);
          return true;
        },
        text,
      );
  });

  test("of whatever text ends at once, read or refused", () => {
    const words = fc.constantFrom(
      "t",
      "rh",
      "min",
      "if",
      "(",
      ")",
      ",",
      "+",
      "-",
      "*",
      "/",
      "?",
      ":",
      "!",
      "&&",
      "1",
      ".",
      "[",
      "]",
      "'",
      "#",
      "\0",
      " ",
    );
    fc.assert(
      fc.property(fc.array(words, { maxLength: 60 }), (parts) => {
        try {
          assert.equal(typeof worth(parts.join("")), "number");
        } catch (error) {
          assert.ok(error instanceof HubError && error.code === "validation_error", String(error));
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
