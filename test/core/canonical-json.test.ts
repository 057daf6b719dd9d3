import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { canonicalJson, comparableJson, fingerprintOf } from "../../core/canonical-json.ts";

const rfc8785 = JSON.parse(readFileSync(new URL("rfc8785.json", import.meta.url), "utf8")) as {
  readonly numbers: readonly (readonly [bits: string, text: string | null])[];
  readonly documents: readonly { readonly name: string; readonly input: string; readonly hex: string }[];
};

for (const { name, input, hex } of rfc8785.documents)
  test(`the example "${name}" of RFC 8785 has its bytes`, () => {
    assert.equal(Buffer.from(canonicalJson(JSON.parse(input))).toString("hex"), hex);
  });

for (const [bits, text] of rfc8785.numbers) {
  const number = Buffer.from(bits, "hex").readDoubleBE();
  test(`the number ${bits} of RFC 8785 ${text === null ? "has no canonical form" : `is ${text}`}`, () => {
    if (text === null) assert.throws(() => canonicalJson({ number }));
    else assert.equal(canonicalJson([number]), `[${text}]`);
  });
}

for (const [what, value] of [
  ["NaN", { a: Number.NaN }],
  ["an infinity", [Number.NEGATIVE_INFINITY]],
  ["a number that is too large for JSON.parse", JSON.parse("[1e999]")],
  ["half a surrogate pair", { a: "\ud800" }],
  ["half a surrogate pair in a name", { "\udfff": 1 }],
  ["nothing", undefined],
  ["a function", () => 1],
] as const)
  test(`there is no canonical JSON of ${what}`, () => assert.throws(() => canonicalJson(value)));

test("canonical JSON reads back as the same, and is the same whatever the order of members", () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: "grapheme" }), (value) => {
      const text = canonicalJson(value);
      assert.equal(canonicalJson(JSON.parse(text)), text);
      assert.equal(canonicalJson(turned(value)), text);
    }),
  );
});

test("a name of every object's own is a member as any other", () => {
  const text = '{"__proto__":{"a":1},"constructor":2,"toString":3}';
  assert.equal(canonicalJson(JSON.parse(text)), text);
});

test("fingerprints are those that earlier releases made and kept", () => {
  fc.assert(fc.property(fc.jsonValue({ stringUnit: "grapheme" }), (value) => assert.equal(comparableJson(value), writtenBefore(value))));
  assert.equal(fingerprintOf({ b: [1, null, "ä"], a: { d: undefined, c: 0.1 } }), "HqltESb5vsDDtkUNRdb0Cv467fanOO2_XEDXXHapIC0");
  assert.equal(comparableJson({ at: new Date(0), b: undefined, c: [undefined] }), '{"at":"1970-01-01T00:00:00.000Z","c":[null]}');
  assert.equal(comparableJson(undefined), "null");
});

for (const [what, sent, kept] of [
  ["half a surrogate pair", { a: "x\ud800y" }, { a: "x\ufffdy" }],
  ["the other half", ["\udfff"], ["\ufffd"]],
  ["one in a name", { "\ud800": 1 }, { "\ufffd": 1 }],
  ["one behind a backslash", ["\\\ud800"], ["\\\ufffd"]],
  ["text that only looks like one", ["\\ud800", "\ud800"], ["\\ud800", "\ufffd"]],
  ["a whole pair beside one", ["\u{1f602}\ud83d"], ["\u{1f602}\ufffd"]],
  ["a number that is too large", JSON.parse('{"a":1e999}'), { a: null }],
] as const)
  test(`what is compared of ${what} is what is kept of it`, () => {
    assert.equal(comparableJson(sent), canonicalJson(kept));
    assert.equal(fingerprintOf(sent), fingerprintOf(kept));
  });

/** With the members of every object the other way round. */
function turned(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(turned);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([name, member]) => [name, turned(member)]),
  );
}

/** How the hub wrote it before it did so by RFC 8785, which what it keeps by now depends on. */
function writtenBefore(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(writtenBefore).join(",")}]`;
  const members = Object.keys(value)
    .toSorted()
    .map((name) => `${JSON.stringify(name)}:${writtenBefore((value as Record<string, unknown>)[name])}`);
  return `{${members.join(",")}}`;
}
