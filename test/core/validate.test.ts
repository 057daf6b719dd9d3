import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { parserFor, textParserFor } from "../../core/validate.ts";

const Closed = Type.Object(
  { name: Type.String({ minLength: 1 }), count: Type.Optional(Type.Integer({ minimum: 0 })), kind: Type.Optional(Type.Enum(["a", "b"])) },
  { additionalProperties: false },
);
const parse = parserFor(Closed);
const Query = Type.Object(
  {
    limit: Type.Integer({ minimum: 1, maximum: 10, default: 5 }),
    on: Type.Boolean({ default: false }),
    at: Type.Optional(Type.String({ format: "date-time" })),
  },
  { additionalProperties: false },
);
const parseText = textParserFor(Query);

function failureOf(work: () => unknown): { message: string; details: { path: string; message: string }[] } {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof HubError && error.code === "validation_error", String(error));
    return { message: error.message, details: error.details as { path: string; message: string }[] };
  }
  assert.fail("it was accepted");
}

test("a value that matches comes back as it is", () => {
  const value = { name: "x", count: 0, kind: "b" };
  assert.equal(parse(value), value);
});

test("bodies are not coerced: a number as text is no number", () => {
  assert.deepEqual(failureOf(() => parse({ name: "x", count: "5" })).details, [{ path: "/count", message: "must be integer" }]);
});

test("a failure has one entry a problem, and names unknown fields and allowed values", () => {
  const { details, message } = failureOf(() => parse({ name: "", kind: "c", more: 1 }));
  assert.deepEqual(details.map(({ path }) => path).toSorted(), ["/", "/kind", "/name"]);
  assert.ok(details.some((one) => one.message.includes("(more)")) && details.some((one) => one.message.includes('["a","b"]')));
  assert.match(message, /and 2 more$/);
});

const List = Type.Object({ list: Type.Array(Type.String(), { maxItems: 200, uniqueItems: true }) }, { additionalProperties: false });
const parseList = parserFor(List);

test("of many problems the first hundred are told, and how many there are", () => {
  const { details, message } = failureOf(() => parseList({ list: Array.from({ length: 150 }, () => 1) }));
  assert.deepEqual([details.length, details[0], details[99]?.path], [100, { path: "/list/0", message: "must be string" }, "/list/99"]);
  assert.match(message, /and 149 more$/);
});

test("of a large value the first problem alone is told", () => {
  for (const list of [Array.from({ length: 150 }, () => ["x".repeat(120)]), Array.from({ length: 9_000 }, () => 1)])
    assert.equal(failureOf(() => parseList({ list })).details.length, 1);
  const strangers = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`a${index}`, index]));
  assert.equal(failureOf(() => parseList({ list: [], ...strangers })).details.length, 1);
});

test("a list that is too long is not looked through for anything else", () => {
  let reads = 0;
  const items = Array.from({ length: 2_000 }, (_, index) => `${index} ${"x".repeat(100)}`);
  const list = new Proxy(items, {
    get(target, key, receiver) {
      if (typeof key === "string" && /^\d+$/.test(key)) reads++;
      return Reflect.get(target, key, receiver) as unknown;
    },
  });
  assert.equal(failureOf(() => parseList({ list })).details[0]?.path, "/list");
  // Once for its depth, and its beginning for its size.
  assert.ok(reads >= items.length && reads < items.length * 1.2, `${reads} reads`);
});

test("a long name is not told in full", () => {
  const { details, message } = failureOf(() => parse({ name: "x", ["y".repeat(100_000)]: 1 }));
  assert.ok(JSON.stringify([details, message]).length < 1_000);
});

test("each problem of a query is told, whatever was coerced before the first", () => {
  const { details } = failureOf(() => parseText({ limit: "7", on: "no", at: "x" }));
  assert.deepEqual(details.map(({ path }) => path).toSorted(), ["/at", "/on"]);
});

test("text becomes what the schema asks for, and what is missing takes its default", () => {
  assert.deepEqual(parseText({ limit: "7", on: "true" }), { limit: 7, on: true });
  assert.deepEqual(parseText({}), { limit: 5, on: false });
});

test("the object that is parsed stays as it was", () => {
  const query = Object.freeze({ limit: "7" });
  assert.equal(parseText(query).limit, 7);
  assert.deepEqual(query, { limit: "7" });
});

for (const bad of [{ limit: "0" }, { limit: "seven" }, { limit: "1.5" }, { on: "yes" }, { more: "1" }]) {
  test(`the query ${JSON.stringify(bad)} is refused`, () => assert.equal(failureOf(() => parseText(bad)).details.length, 1));
}

for (const [text, isTime] of [
  ["2026-11-21T05:22:10Z", true],
  ["2026-11-21T05:22:10.123456+02:00", true],
  ["2026-11-21T05:22:10", false],
  ["2026-13-21T05:22:10Z", false],
  ["2026-11-21", false],
  ["yesterday", false],
] as const) {
  test(`${text} is ${isTime ? "a" : "no"} date-time`, () => {
    if (isTime) assert.equal(parseText({ at: text }).at, text);
    else assert.equal(failureOf(() => parseText({ at: text })).details[0]?.path, "/at");
  });
}

test("anything at all is parsed or refused as validation_error, never with another error", () => {
  fc.assert(
    fc.property(fc.anything({ withNullPrototype: true }), (value) => {
      for (const one of [parse, parseText]) {
        try {
          one(value);
        } catch (error) {
          assert.ok(error instanceof HubError && error.code === "validation_error", String(error));
        }
      }
    }),
  );
});
