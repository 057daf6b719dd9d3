import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { atZone, momentAt } from "../../../api/admin/src/zone.ts";

const ZONES = ["UTC", "Europe/Zurich", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "Australia/Lord_Howe"];

test("the wall clock of a zone is the one that people there see", () => {
  const ms = Date.parse("2026-07-01T22:30:15Z");
  const clocks = ["2026-07-01T22:30:15", "2026-07-02T00:30:15", "2026-07-01T18:30:15", "2026-07-02T04:00:15", "2026-07-02T11:30:15"];
  for (const [index, clock] of clocks.entries()) assert.equal(atZone(ms, ZONES[index] ?? ""), clock);
});

test("what was typed as a time there is that moment, but in the hour that comes twice", () => {
  const moment = fc.integer({ min: Date.parse("2020-01-01T00:00:00Z") / 1_000, max: Date.parse("2035-01-01T00:00:00Z") / 1_000 });
  fc.assert(
    fc.property(moment, fc.constantFrom(...ZONES), (seconds, zone) => {
      const local = atZone(seconds * 1_000, zone);
      assert.equal(atZone(momentAt(local, zone), zone), local);
    }),
  );
  assert.equal(momentAt("2026-01-15T12:00", "America/New_York"), Date.parse("2026-01-15T17:00:00Z"));
  assert.ok(Number.isNaN(momentAt("", "UTC")));
});

test("a time that a clock skips is one beside it", () => {
  const skipped = momentAt("2026-03-29T02:30:00", "Europe/Zurich");
  assert.ok(Math.abs(skipped - Date.parse("2026-03-29T01:00:00Z")) <= 3_600_000);
});
