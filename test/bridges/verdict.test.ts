import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RETRIES_MS, verdictOf } from "../../bridges/webhooks/verdict.ts";

const NOW = Date.parse("2026-11-22T08:00:00Z");
const HOUR_MS = 3_600_000;
const inADay = new Date(NOW + 24 * HOUR_MS).toISOString();
const answered = (status: number | null, retryAfter?: string) => ({ status, retryAfter, error: null });
const first = { attempts: 1, expiresAt: inADay };

test("every retry is within a day of the first attempt, whatever the jitter, and there is an end", () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 20, maxLength: 20 }), (jitter) => {
      let [now, attempts] = [NOW, 0];
      for (const random of jitter) {
        attempts++;
        const verdict = verdictOf(answered(500), { attempts, expiresAt: inADay }, { now, random });
        if (verdict.kind === "dead") break;
        assert.ok(verdict.kind === "retry" && verdict.at > now && verdict.at < Date.parse(inADay));
        now = verdict.at;
      }
      assert.ok(attempts >= RETRIES_MS.length - 1 && attempts <= RETRIES_MS.length + 1, `${attempts}`);
    }),
  );
});

test("an answer decides what follows", () => {
  for (const status of [200, 201, 204, 299]) assert.equal(verdictOf(answered(status), first, { now: NOW, random: 0 }).kind, "delivered");
  for (const status of [null, 100, 199, 300, 301, 307, 400, 401, 404, 409, 429, 500, 503])
    assert.equal(verdictOf(answered(status), first, { now: NOW, random: 0 }).kind, "retry", String(status));
  assert.equal(verdictOf(answered(410), first, { now: NOW, random: 0 }).kind, "gone");
  assert.equal(verdictOf(answered(500), { ...first, attempts: RETRIES_MS.length + 1 }, { now: NOW, random: 0 }).kind, "dead");
  assert.equal(
    verdictOf(answered(500), { ...first, expiresAt: new Date(NOW + 1_000).toISOString() }, { now: NOW, random: 0 }).kind,
    "dead",
  );
});

test("Retry-After counts for 429 and 503 alone, from a second to an hour", () => {
  const waitOf = (status: number, header: string): number => {
    const verdict = verdictOf(answered(status, header), first, { now: NOW, random: 0.5 });
    assert.ok(verdict.kind === "retry");
    return verdict.at - NOW;
  };
  for (const [header, wait] of [
    ["0", 1_000],
    ["7", 7_000],
    ["3600", HOUR_MS],
    ["86400", HOUR_MS],
    ["999999999", HOUR_MS],
    [new Date(NOW + 90_000).toUTCString(), 90_000],
    [new Date(NOW - 90_000).toUTCString(), 1_000],
    ["", RETRIES_MS[0]],
    ["-5x", RETRIES_MS[0]],
    ["soon", RETRIES_MS[0]],
  ] as const)
    for (const status of [429, 503]) assert.equal(waitOf(status, header), wait, `${status} ${header}`);
  assert.equal(waitOf(500, "7"), RETRIES_MS[0]);
});
