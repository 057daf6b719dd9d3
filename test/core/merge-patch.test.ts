import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import Type from "typebox";
import { mergePatch, mergePatchOf } from "../../core/merge-patch.ts";
import { parserFor } from "../../core/validate.ts";
import { versionOf } from "../../core/version.ts";

describe("a merge patch", () => {
  /** What is there, what is sent, what comes out: the cases in which RFC 7396 is not what one would guess. */
  const cases: readonly [unknown, unknown, unknown][] = [
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: "b", c: null }, { a: "b" }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [target, patch, result] of cases)
    test(`${JSON.stringify(patch)} on ${JSON.stringify(target)} gives ${JSON.stringify(result)}`, () =>
      assert.deepEqual(mergePatch(target, patch), result));

  test("changes neither what was given, nor anything a second time", () =>
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), fc.jsonValue({ maxDepth: 3 }), (target, patch) => {
        const [before, asked] = [JSON.stringify(target), JSON.stringify(patch)];
        const once = mergePatch(target, patch);
        assert.deepEqual(mergePatch(once, patch), once);
        assert.deepEqual([JSON.stringify(target), JSON.stringify(patch)], [before, asked]);
      }),
    ));

  test("never reaches what objects inherit", () => {
    const patch: unknown = JSON.parse('{"__proto__": {"isAdmin": true}}');
    const merged = mergePatch({}, patch) as Record<string, unknown>;
    assert.equal(merged["isAdmin"], undefined);
    assert.equal(({} as Record<string, unknown>)["isAdmin"], undefined);
  });

  test("may take away what is optional, and nothing else", () => {
    const Thing = Type.Object(
      { name: Type.String(), note: Type.Optional(Type.String()), place: Type.Optional(Type.Object({ room: Type.String() })) },
      { additionalProperties: false, title: "Thing" },
    );
    const parse = parserFor(mergePatchOf(Thing));
    for (const good of [{}, { name: "x" }, { note: null }, { place: null }, { place: { room: "y" } }, { place: {} }]) parse(good);
    for (const bad of [{ name: null }, { place: { room: null } }, { other: 1 }, { note: 5 }])
      assert.throws(() => parse(bad), { code: "validation_error" }, JSON.stringify(bad));
  });
});

test("a version is that of the value, and not of the order of its members", () =>
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 2 })), (value) => {
      const turned = Object.fromEntries(Object.entries(value).toReversed());
      assert.equal(versionOf(turned), versionOf(value));
      assert.notEqual(versionOf({ ...value, more: 1, less: JSON.stringify(value) }), versionOf(value));
      assert.match(versionOf(value), /^[\w-]{22}$/);
    }),
  ));
