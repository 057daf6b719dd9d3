import assert from "node:assert/strict";
import { test } from "node:test";
import { isDeviceUid, isUuid, newClaimCode, newDeviceUid, newId, newSecret } from "../../core/id.ts";

const many = <T>(make: () => T): T[] => Array.from({ length: 2000 }, make);

test("ids are UUIDs that sort in the order of their making", () => {
  const ids = many(newId);
  assert.ok(ids.every(isUuid));
  assert.deepEqual(ids.toSorted(), ids);
  assert.equal(new Set(ids).size, ids.length);
});

test("a new uid is one that topics accept, without vowels or letters that look alike", () => {
  for (const uid of many(() => newDeviceUid("relay"))) {
    assert.ok(isDeviceUid(uid), uid);
    assert.match(uid, /^relay-[b-df-hjkmnp-tv-xz2-9]{10}$/);
  }
});

test("a claim code is three groups of four that can be read from a label", () => {
  for (const code of many(newClaimCode)) assert.match(code, /^[B-DF-HJKMNP-TV-XZ2-9]{4}(-[B-DF-HJKMNP-TV-XZ2-9]{4}){2}$/);
});

test("the letters of uids are drawn evenly", () => {
  const counts = new Map<string, number>();
  for (const uid of many(() => newDeviceUid("x"))) for (const letter of uid.slice(2)) counts.set(letter, (counts.get(letter) ?? 0) + 1);
  const expected = 20_000 / 27;
  // Six standard deviations: one failure in tens of millions of runs.
  for (const [letter, count] of counts) assert.ok(Math.abs(count - expected) < 6 * Math.sqrt(expected), `${letter} came ${count} times`);
  assert.equal(counts.size, 27);
});

test("a secret has its prefix and 256 bits, and none comes twice", () => {
  const secrets = many(() => newSecret("hxd"));
  for (const secret of secrets) assert.equal(Buffer.from(secret.slice(4), "base64url").length, 32);
  assert.ok(secrets.every((secret) => secret.startsWith("hxd_")));
  assert.equal(new Set(secrets).size, secrets.length);
});

for (const [text, expected] of [
  ["relay-1", true],
  ["abcdef", true],
  ["0-----", true],
  ["a".repeat(32), true],
  ["a".repeat(33), false],
  ["short", false],
  ["-abcdef", false],
  ["Relay-1", false],
  ["relay_1", false],
  ["relay/1", false],
  ["relay-1\n", false],
  ["", false],
] as const) {
  test(`${JSON.stringify(text)} is ${expected ? "a" : "no"} device uid`, () => assert.equal(isDeviceUid(text), expected));
}

for (const text of [
  "",
  "019aa3f0",
  "019aa3f05b6e7cc19a533f0d0f0a7c11",
  "019aa3f0-5b6e-7cc1-9a53-3f0d0f0a7c1g",
  " 019aa3f0-5b6e-7cc1-9a53-3f0d0f0a7c11",
]) {
  test(`${JSON.stringify(text)} is no UUID`, () => assert.equal(isUuid(text), false));
}
