import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { describe, test } from "node:test";
import fc from "fast-check";
import { DOWN_EXAMPLES, EXAMPLE_TASK_KEY, UP_EXAMPLES } from "../../api/docs/topic-examples.ts";
import { canonicalJson } from "../../core/canonical-json.ts";
import { DOWN_PAYLOADS, UP_PAYLOADS } from "../../core/payloads.ts";
import {
  ENVELOPE_WINDOW_MS,
  hmacSha256,
  MAX_TASK_BYTES,
  type SignedEnvelope,
  signEnvelope,
  type TaskEnvelope,
  type TaskResultEnvelope,
  verifyEnvelope,
} from "../../core/task-envelope.ts";
import { parserFor } from "../../core/validate.ts";
import { anyKey, anyResult, anyTask, changesOf } from "./envelopes.ts";

const parseTask = parserFor(DOWN_PAYLOADS.task);
const parseResult = parserFor(UP_PAYLOADS.task_result);
const parse = (value: unknown): SignedEnvelope =>
  (value as { type?: unknown } | null)?.type === "task.exec" ? parseTask(value) : parseResult(value);
const KEY = Buffer.alloc(32, 7);
const NOW = Date.UTC(2026, 10, 22, 12);
const iso = (ms: number): string => new Date(ms).toISOString();
const anyEnvelope = fc.oneof(anyTask(NOW), anyResult(NOW));

const task = (more: Partial<TaskEnvelope> = {}): Omit<TaskEnvelope, "signature"> => ({
  type: "task.exec",
  task_id: "t-1",
  attempt: 1,
  issued_at: iso(NOW),
  expires_at: iso(NOW + 60_000),
  actions: [{ action_id: "a", command: "set_relay", relay: 0, state: "ON" }],
  key_id: "1",
  ...more,
});
const result = (more: Partial<TaskResultEnvelope> = {}): Omit<TaskResultEnvelope, "signature"> => ({
  type: "task.result",
  task_id: "t-1",
  attempt: 1,
  results: [{ action_id: "a", status: "ok", state: "ON" }],
  timestamp: NOW,
  key_id: "1",
  ...more,
});

describe("a signature", () => {
  const rfc4231 = JSON.parse(readFileSync(new URL("rfc4231.json", import.meta.url), "utf8")) as {
    readonly cases: readonly { readonly key: string; readonly data: string; readonly hmac: string }[];
  };
  for (const [index, { key, data, hmac }] of rfc4231.cases.entries())
    test(`is the HMAC of case ${index + 1} of RFC 4231`, () => {
      assert.equal(hmacSha256(Buffer.from(key, "hex"), Buffer.from(data, "hex")).slice(0, hmac.length), hmac);
    });

  test("is made of the canonical JSON of all but itself", () => {
    const signed = signEnvelope(task(), KEY);
    assert.equal(signed.signature, hmacSha256(KEY, canonicalJson(task())));
    assert.equal(signEnvelope(signed, KEY).signature, signed.signature);
  });

  test("of any envelope is right after its way over the wire, in whatever order its members come", () => {
    fc.assert(
      fc.property(anyEnvelope, anyKey, (unsigned, key) => {
        const wire = JSON.stringify(signEnvelope(unsigned, key));
        const turned = Object.fromEntries(Object.entries(JSON.parse(wire) as object).toReversed());
        for (const arrived of [JSON.parse(wire), turned]) verifyEnvelope(parse(arrived), key, { now: NOW });
      }),
    );
  });

  test("is wrong as soon as any member is changed, taken away or added", () => {
    let changes = 0;
    fc.assert(
      fc.property(anyEnvelope, anyKey, (unsigned, key) => {
        for (const changed of changesOf(signEnvelope(unsigned, key))) {
          changes++;
          assert.throws(() => verifyEnvelope(changed as SignedEnvelope, key, { now: NOW }), { code: "task_signature_invalid" });
        }
      }),
    );
    assert.ok(changes > 1_000, `${changes} changes`);
  });

  test("is wrong when any byte is changed, unless it is the same JSON", () => {
    let verdicts = 0;
    fc.assert(
      fc.property(anyEnvelope, anyKey, fc.nat(), fc.integer({ min: 1, max: 255 }), (unsigned, key, place, flip) => {
        const signed = signEnvelope(unsigned, key);
        const wire = Buffer.from(JSON.stringify(signed));
        const at = place % wire.length;
        wire[at] = (wire[at] as number) ^ flip;
        const arrived = readAs(wire.toString());
        if (arrived === undefined || isDeepStrictEqual(arrived, JSON.parse(JSON.stringify(signed)))) return;
        verdicts++;
        assert.throws(() => verifyEnvelope(parse(arrived), key, { now: NOW }), {
          name: "HubError",
          code: /^(task_signature_invalid|validation_error)$/,
        });
      }),
      { numRuns: 1_000 },
    );
    assert.ok(verdicts > 100, `${verdicts} of them were JSON`);
  });

  test("is wrong with any other key", () => {
    fc.assert(
      fc.property(anyEnvelope, anyKey, anyKey, (unsigned, key, other) => {
        fc.pre(!key.equals(other));
        assert.throws(() => verifyEnvelope(signEnvelope(unsigned, key), other, { now: NOW }), {
          code: "task_signature_invalid",
          status: 401,
        });
      }),
    );
  });

  for (const [what, damage] of [
    ["in capital letters", (text: string) => text.toUpperCase()],
    ["cut short", (text: string) => text.slice(0, 62)],
    ["with a tail", (text: string) => `${text}00`],
    ["of letters of two bytes", (text: string) => "é".repeat(text.length / 2)],
    ["that is empty", () => ""],
  ] as const)
    test(`${what} is none`, () => {
      const signed = signEnvelope(task(), KEY);
      assert.throws(() => verifyEnvelope({ ...signed, signature: damage(signed.signature) }, KEY, { now: NOW }), {
        code: "task_signature_invalid",
      });
    });

  test("of a task is not that of a result with the same content", () => {
    const { type: _, ...rest } = signEnvelope(task(), KEY);
    const passed = { ...rest, type: "task.result", timestamp: NOW } as unknown as SignedEnvelope;
    assert.throws(() => verifyEnvelope(passed, KEY, { now: NOW }), { code: "task_signature_invalid" });
  });
});

describe("what JSON can say in strange ways", () => {
  const wire = JSON.stringify(signEnvelope(result(), KEY));
  const arrives = (text: string): void => verifyEnvelope(parseResult(JSON.parse(text)), KEY, { now: NOW });

  test("a member that comes twice counts as it is read: last, for the signature as for what is done", () => {
    arrives(wire.replace("{", '{"attempt":2,'));
    assert.throws(() => arrives(wire.replace(/}$/, ',"attempt":2}')), { code: "task_signature_invalid" });
  });

  for (const [what, member] of [
    ["a name of every object's own", '"__proto__":{"attempt":2}'],
    ["a constructor", '"constructor":{"prototype":{}}'],
    ["a number beyond all numbers", '"more":1e999'],
    ["half a surrogate pair", '"more":"\\ud800"'],
    ["half a surrogate pair as a name", '"\\udc00":1'],
    ["nesting", `"more":${"[".repeat(50)}${"]".repeat(50)}`],
  ] as const)
    test(`${what} that was added makes the signature wrong`, () => {
      assert.throws(() => arrives(wire.replace("{", `{${member},`)), { code: "task_signature_invalid" });
    });

  test("a name of every object's own is signed as any other", () => {
    const odd = JSON.parse('{"__proto__":{"x":1},"constructor":2}') as object;
    const text = JSON.stringify(signEnvelope({ ...result(), ...odd }, KEY));
    assert.match(text, /"__proto__":\{"x":1\}/);
    arrives(text);
    assert.throws(() => arrives(text.replace('"x":1', '"x":2')), { code: "task_signature_invalid" });
  });

  test("numbers are the same however they are written, and are read as doubles", () => {
    const text = JSON.stringify(signEnvelope(result({ timestamp: 1_795_348_800_000 }), KEY));
    arrives(text.replace("1795348800000", "1.7953488E12"));
    assert.throws(() => arrives(text.replace("1795348800000", "1795348800000.1")), { code: "validation_error" });
  });

  test("what has no canonical form is not signed", () => {
    const unsigned = result({ results: [{ action_id: "a", status: "error", error: "\ud800" }] });
    assert.throws(() => signEnvelope(unsigned, KEY), { code: "validation_error" });
  });
});

describe("the time of an envelope", () => {
  for (const [what, envelope, now, isTimely] of [
    ["a task at once", task(), NOW, true],
    ["a task as late as may be", task({ expires_at: iso(NOW + 3_600_000) }), NOW + ENVELOPE_WINDOW_MS, true],
    ["a task later than that", task({ expires_at: iso(NOW + 3_600_000) }), NOW + ENVELOPE_WINDOW_MS + 1, false],
    ["a task of a clock that is as far ahead as may be", task(), NOW - ENVELOPE_WINDOW_MS, true],
    ["a task of a clock further ahead", task(), NOW - ENVELOPE_WINDOW_MS - 1, false],
    ["a task in its last millisecond", task(), NOW + 59_999, true],
    ["a task that has expired", task(), NOW + 60_000, false],
    ["a task with a zone", task({ issued_at: "2026-11-22T13:00:00+01:00" }), NOW, true],
    ["a result at once", result(), NOW, true],
    ["a result in words", result({ timestamp: iso(NOW) }), NOW, true],
    ["a result as late as may be", result(), NOW + ENVELOPE_WINDOW_MS, true],
    ["a result later than that", result(), NOW + ENVELOPE_WINDOW_MS + 1, false],
    ["a result of a clock further ahead", result({ timestamp: iso(NOW + ENVELOPE_WINDOW_MS + 1) }), NOW, false],
    ["a result of a clock that was never set", result({ timestamp: 0 }), NOW, false],
    ["a time that is none", result({ timestamp: "soon" }), NOW, false],
  ] as const)
    test(`${what} is ${isTimely ? "taken" : "refused as stale"}`, () => {
      const verify = (): void => verifyEnvelope(signEnvelope(envelope, KEY), KEY, { now });
      if (isTimely) verify();
      else assert.throws(verify, { code: "task_envelope_stale", status: 400, details: { task_id: "t-1", attempt: 1 } });
    });

  test("is taken as wide as the receiver says", () => {
    const signed = signEnvelope(result(), KEY);
    verifyEnvelope(signed, KEY, { now: NOW + 900_000, windowMs: 900_000 });
    assert.throws(() => verifyEnvelope(signed, KEY, { now: NOW + 2, windowMs: 1 }), { code: "task_envelope_stale" });
  });

  test("does not matter where the signature is wrong", () => {
    const signed = { ...signEnvelope(task(), KEY), attempt: 2 };
    assert.throws(() => verifyEnvelope(signed, KEY, { now: 0 }), { code: "task_signature_invalid" });
  });
});

describe("the schemas", () => {
  const action = { action_id: "a", command: "identify" } as const;
  for (const [what, change] of [
    ["no action", { actions: [] }],
    ["51 actions", { actions: Array.from({ length: 51 }, () => action) }],
    ["a command that is unknown", { actions: [{ action_id: "a", command: "fly" }] }],
    ["an action without an id", { actions: [{ command: "identify" }] }],
    ["a relay that cannot be", { actions: [{ action_id: "a", command: "set_relay", relay: 32, state: "ON" }] }],
    ["a field that the command has not", { actions: [{ ...action, relay: 1 }] }],
    ["attempt 0", { attempt: 0 }],
    ["half an attempt", { attempt: 1.5 }],
    ["an id with a slash", { task_id: "a/b" }],
    ["a long id", { task_id: "x".repeat(65) }],
    ["a time without a zone", { issued_at: "2026-11-22T12:00:00" }],
    ["key 0", { key_id: "0" }],
    ["a key with zeros before it", { key_id: "01" }],
    ["the wrong type", { type: "task.result" }],
    ["a signature in capitals", { signature: "A".repeat(64) }],
    ["a member that is unknown", { more: 1 }],
  ] as const)
    test(`refuse a task with ${what}`, () => {
      const good = { ...task({ actions: Array.from({ length: 50 }, () => action) }), signature: "0".repeat(64) };
      assert.deepEqual(parseTask(good), good);
      assert.throws(() => parseTask({ ...good, ...change }), { code: "validation_error" });
    });

  for (const [what, change] of [
    ["no result", { results: [] }],
    ["51 results", { results: Array.from({ length: 51 }, () => ({ action_id: "a", status: "ok" })) }],
    ["a status that is unknown", { results: [{ action_id: "a", status: "perhaps" }] }],
    ["a state that is none", { results: [{ action_id: "a", status: "ok", state: "TOGGLE" }] }],
    ["a long error", { results: [{ action_id: "a", status: "error", error: "x".repeat(513) }] }],
    ["no time", { timestamp: undefined }],
    ["a time beyond all time", { timestamp: 1e17 }],
    ["the wrong type", { type: "task.exec" }],
    ["no key", { key_id: "" }],
  ] as const)
    test(`refuse a result with ${what}`, () => {
      const good = { ...result(), of_tomorrow: true, signature: "0".repeat(64) };
      assert.deepEqual(parseResult(good), good);
      assert.throws(() => parseResult({ ...good, ...change }), { code: "validation_error" });
    });
});

test("a task that no device holds is not signed", () => {
  const timings = Array.from({ length: 2_048 }, () => 1_000_000);
  const actions = Array.from({ length: 5 }, (_, index) => ({ action_id: `a${index}`, command: "ir_send" as const, timings }));
  assert.throws(() => signEnvelope(task({ actions }), KEY), { code: "payload_too_large" });
  const most = signEnvelope(task({ actions: actions.slice(0, 3) }), KEY);
  assert.ok(JSON.stringify(most).length <= MAX_TASK_BYTES);
});

describe("the examples", () => {
  const page = readFileSync(new URL("../../firmware/README.md", import.meta.url), "utf8");
  const messages = [...page.matchAll(/^\{.*"signature":.*\}$/gm)].map(([text]) => text);

  test("of the page for makers of devices are those of the topic reference", () => {
    assert.deepEqual(messages, [DOWN_EXAMPLES.task.payload, UP_EXAMPLES.task_result.payload]);
  });

  for (const text of [DOWN_EXAMPLES.task.payload, UP_EXAMPLES.task_result.payload])
    test(`${text.slice(0, 20)} verify with the key that stands beside them`, () => {
      assert.equal(EXAMPLE_TASK_KEY.toString("hex"), "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
      verifyEnvelope(parse(JSON.parse(text)), EXAMPLE_TASK_KEY, { now: Date.UTC(2026, 10, 21, 5, 22, 12) });
    });

  test("show the text that is signed", () => {
    const { signature, ...content } = JSON.parse(DOWN_EXAMPLES.task.payload) as TaskEnvelope;
    const shown = /^\{"actions":.*\}$/m.exec(page)?.[0] ?? "";
    assert.equal(shown, canonicalJson(content));
    assert.equal(hmacSha256(EXAMPLE_TASK_KEY, shown), signature);
  });
});

function readAs(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
