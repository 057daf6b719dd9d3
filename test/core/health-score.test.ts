import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HEALTH_PARTS, type HealthFacts, healthOf } from "../../core/health-score.ts";

const WEEK_S = 7 * 86_400;
const NOTHING: HealthFacts = {
  online: { possibleS: 0, s: 0, disconnects: 0 },
  onlineBefore: { possibleS: 0, s: 0 },
  commands: { n: 0, ok: 0 },
  latency: { n: 0, ms: null },
  latencyBefore: { n: 0, ms: null },
  telemetry: { hours: 0, of: 0 },
  telemetryBefore: { hours: 0, of: 0 },
  battery: null,
  signal: null,
  alerts: [],
};
const WELL: HealthFacts = {
  online: { possibleS: WEEK_S, s: WEEK_S, disconnects: 2 },
  onlineBefore: { possibleS: 4 * WEEK_S, s: 4 * WEEK_S },
  commands: { n: 40, ok: 40 },
  latency: { n: 40, ms: 90 },
  latencyBefore: { n: 160, ms: 85 },
  telemetry: { hours: 168, of: 168 },
  telemetryBefore: { hours: 672, of: 672 },
  battery: 80,
  signal: -58,
  alerts: [],
};
const part = (facts: HealthFacts, name: string) => healthOf(facts).parts.find((one) => one.part === name);

test("where nothing is known there is no score, and each part says so", () => {
  const { score, parts } = healthOf(NOTHING);
  assert.equal(score, null);
  assert.deepEqual(
    parts.map(({ part: name }) => name),
    HEALTH_PARTS,
  );
  for (const one of parts) if (one.part !== "alerts") assert.equal(one.value, null, one.part);
  assert.equal(healthOf({ ...NOTHING, alerts: ["critical"] }).score, 0, "an alert is something that is known");
});

test("a device that does all that it should has all of it", () => {
  assert.equal(healthOf(WELL).score, 100);
  assert.equal(healthOf({ ...WELL, battery: null, signal: null }).score, 100, "what is not reported counts neither way");
});

test("each part has its value and a reason with its numbers", () => {
  const judged = (change: Partial<HealthFacts>, name: string): [number | null | undefined, string | undefined] => {
    const one = part({ ...WELL, ...change }, name);
    return [one?.value, one?.reason];
  };
  assert.deepEqual(judged({ online: { possibleS: WEEK_S, s: WEEK_S / 2, disconnects: 35 } }, "connectivity"), [
    30,
    "connected 50 % of the time, with 5 disconnects a day",
  ]);
  assert.deepEqual(judged({ commands: { n: 40, ok: 30 } }, "commands"), [75, "30 of 40 commands were done"]);
  assert.deepEqual(judged({ commands: { n: 4, ok: 0 } }, "commands"), [null, "4 commands, too few to judge by"]);
  assert.deepEqual(judged({ latency: { n: 40, ms: 178.5 } }, "latency"), [50, "answers in 178.5 ms, before in 85 ms"]);
  assert.deepEqual(judged({ telemetry: { hours: 84, of: 168 } }, "telemetry"), [50, "readings in 50 % of the hours, as a rule in 100 %"]);
  assert.deepEqual(judged({ battery: 14 }, "battery"), [20, "battery at 14 %"]);
  assert.deepEqual(judged({ signal: -84 }, "signal"), [20, "signal of -84 dBm"]);
  assert.deepEqual(judged({ alerts: ["warning", "info"] }, "alerts"), [30, "0 critical, 1 warning and 1 info alerts are open"]);
});

test("a device that sleeps is judged by what is usual for it", () => {
  const asleep = {
    online: { possibleS: WEEK_S, s: WEEK_S / 100, disconnects: 700 },
    onlineBefore: { possibleS: 4 * WEEK_S, s: (4 * WEEK_S) / 100 },
  };
  assert.equal(part({ ...NOTHING, ...asleep }, "connectivity")?.value, 100);
});

test("a score is between 0 and 100, and none gets better by doing worse", () => {
  const share = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(share, share, fc.integer({ min: 5, max: 1_000 }), (a, b, n) => {
      const score = (ok: number): number => healthOf({ ...WELL, commands: { n, ok: Math.round(ok * n) } }).score ?? -1;
      const [worse, better] = [Math.min(a, b), Math.max(a, b)];
      assert.ok(score(worse) <= score(better));
      assert.ok(score(worse) >= 0 && score(better) <= 100);
    }),
  );
});
