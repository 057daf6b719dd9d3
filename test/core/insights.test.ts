import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type DayValue, disconnectsRise, FALSE_SHARE, isComparable, latencyRise, successDrop } from "../../core/insight-changes.ts";
import { batteryLow, sensorSilent, sensorStuck } from "../../core/insight-sensors.ts";
import { usagePatterns } from "../../core/insight-usage.ts";
import { discoveries, medianOf } from "../../core/statistics.ts";

const DAY = 86_400_000;
const HOUR = 3_600_000;
const START = Date.parse("2026-09-28T00:00:00Z");
const WINDOW = 42;

/** Numbers that look random, the same ones for a seed. */
function randomOf(seed: number) {
  let state = (seed % 2_147_483_646) + 1;
  const uniform = (): number => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
  const normal = (): number => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal };
}
type Random = ReturnType<typeof randomOf>;

const daysOf = (values: readonly number[], n = 10): DayValue[] => values.map((value, index) => ({ day: START + index * DAY, value, n }));
/** Medians of answers that scatter as those of real devices do: a few take much longer than most. */
const latencies = ({ normal }: Random, days: number, { perDay = 10, ms = 80 } = {}): number[] =>
  Array.from({ length: days }, () => medianOf(Array.from({ length: perDay }, () => ms * Math.exp(0.5 * normal()))));
const shares = ({ uniform }: Random, days: number, p = 0.95): number[] =>
  Array.from({ length: days }, () => Array.from({ length: 10 }, () => Number(uniform() < p)).reduce((a, b) => a + b, 0) / 10);
const counts = ({ uniform }: Random, days: number): number[] =>
  Array.from({ length: days }, () => Array.from({ length: 24 }, () => Number(uniform() < 0.1)).reduce((a, b) => a + b, 0));

const seeds = fc.integer({ min: 1, max: 2_000_000_000 });

test("of 40 devices that change in nothing for half a year, nothing is told in 99 of 100 days", () => {
  fc.assert(
    fc.property(seeds, (seed) => {
      const random = randomOf(seed);
      const devices = Array.from({ length: 40 }, () => ({
        latency: latencies(random, 182, { perDay: 5 }),
        share: shares(random, 182),
        count: counts(random, 182),
      }));
      let [days, told] = [0, 0];
      for (let end = WINDOW; end <= 182; end++) {
        const past = (values: readonly number[]): DayValue[] => daysOf(values.slice(end - WINDOW, end));
        const found = [
          devices.flatMap(({ latency }) => latencyRise(past(latency), "relay 0") ?? []),
          devices.flatMap(({ share }) => successDrop(past(share)) ?? []),
          devices.flatMap(({ count }) => disconnectsRise(past(count)) ?? []),
        ];
        days++;
        if (found.some((kind) => discoveries(kind, devices.length, FALSE_SHARE).length > 0)) told++;
      }
      assert.ok(told <= days * 0.01, `on ${told} of ${days} days`);
    }),
    { numRuns: 2, seed: 11 },
  );
});

test("a doubling is found within eight days among a thousand, and since when to three days", () => {
  fc.assert(
    fc.property(seeds, (seed) => {
      const random = randomOf(seed);
      const values = [...latencies(random, WINDOW - 7, { perDay: 20 }), ...latencies(random, 8, { perDay: 20, ms: 160 })];
      const finding = latencyRise(daysOf(values), "relay 3");
      assert.ok(finding && discoveries([finding], 1_000, FALSE_SHARE).length === 1, `p = ${finding?.p}`);
      assert.equal(finding.kind, "latency_rise");
      assert.ok(Math.abs((finding.since - START) / DAY - (WINDOW - 8)) <= 3, new Date(finding.since).toISOString());
      assert.ok(Number(finding.evidence["ratio"]) > 1.5 && Number(finding.evidence["ratio"]) < 2.7);
      assert.match(finding.message, /^relay 3 answers in [\d.]+ ms, [\d.]+ times as long as before/);
    }),
    { numRuns: 200, seed: 13 },
  );
});

test("of one device alone a doubling is found after four days, and quicker answers never", () => {
  const random = randomOf(5);
  const before = latencies(random, 30, { perDay: 20 });
  const after = latencies(random, 4, { perDay: 20, ms: 170 });
  assert.equal(
    discoveries(
      [latencyRise(daysOf([...before, ...after]), "")].filter((one) => one !== undefined),
      1,
      FALSE_SHARE,
    ).length,
    1,
  );
  assert.equal(latencyRise(daysOf([...after, ...before]), ""), undefined);
  assert.equal(latencyRise(daysOf([...before, ...latencies(random, 3, { perDay: 20, ms: 30 })]), ""), undefined);
});

test("days with two answers say nothing", () => {
  const random = randomOf(5);
  const days = daysOf([...latencies(random, 30), ...latencies(random, 8, { ms: 400 })], 2);
  assert.deepEqual([isComparable(days), latencyRise(days, "")], [false, undefined]);
});

test("a success share that drops, and a connection that is lost more often, are found", () => {
  const random = randomOf(8);
  const drop = successDrop(daysOf([...shares(random, 30), ...shares(random, 6, 0.4)]));
  assert.ok(drop && drop.p < 1e-3 && drop.severity === "critical", JSON.stringify(drop));
  const rise = disconnectsRise(daysOf([...counts(random, 30), 12, 15, 11, 14, 13]));
  assert.ok(rise && rise.p < 1e-3, JSON.stringify(rise));
  assert.equal((rise.since - START) / DAY, 30);
});

test("a battery that loses two per cent a day is told with its days, and one that was charged is not", () => {
  fc.assert(
    fc.property(seeds, (seed) => {
      const { normal } = randomOf(seed);
      const values = Array.from({ length: 30 }, (_, day) => 90 - 2 * day + 0.5 * normal());
      const days = values.map((value, index) => ({ day: START + index * DAY, value }));
      const finding = batteryLow("battery", days);
      // 32 % are left.
      assert.ok(finding && Math.abs(Number(finding.evidence["days_left"]) - 16) <= 2, JSON.stringify(finding));
      assert.ok(Number(finding.evidence["days_left_least"]) <= 16 + 1 && Number(finding.evidence["days_left_most"]) >= 16 - 1);
      const charged = [...days, { day: START + 30 * DAY, value: 100 }, { day: START + 31 * DAY, value: 99 }];
      assert.equal(batteryLow("battery", charged), undefined);
      const steady = days.map(({ day }) => ({ day, value: 80 + 2 * normal() }));
      assert.equal(batteryLow("battery", steady), undefined);
    }),
    { numRuns: 100, seed: 17 },
  );
});

const hoursOf = (values: readonly (readonly [number, number])[]) =>
  values.map(([min, max], index) => ({ ts: START + index * HOUR, min, max }));

test("a sensor is stuck when it says one value for three times as long as ever before", () => {
  const varied = Array.from({ length: 200 }, (_, hour): [number, number] => (hour % 10 < 8 ? [hour % 7, (hour % 7) + 1] : [5, 5]));
  const stuck = Array.from({ length: 30 }, (): [number, number] => [21, 21]);
  const finding = sensorStuck("t", hoursOf([...varied, ...stuck]));
  assert.deepEqual(finding?.evidence, { value: 21, hours: 30, longest_before_hours: 2 });
  assert.equal(finding?.since, START + 200 * HOUR);
  assert.equal(sensorStuck("t", hoursOf([...varied, ...stuck.slice(0, 23)])), undefined, "not yet");
  assert.equal(
    sensorStuck("t", hoursOf([...stuck.slice(0, 12), ...varied, ...stuck])),
    undefined,
    "it has said one value for 12 hours before",
  );
  assert.equal(sensorStuck("t", hoursOf([...varied.slice(0, 100), ...stuck])), undefined, "too little is known of it");
});

test("a sensor is silent when it says nothing for three times as long as ever before", () => {
  const hours = hoursOf(Array.from({ length: 200 }, (): [number, number] => [1, 2])).filter((_, index) => index % 50 !== 1);
  const lastAt = START + 200 * HOUR;
  const silent = (after: number) => sensorSilent("t", hours, { lastAt, now: lastAt + after * HOUR });
  assert.equal(silent(5), undefined);
  assert.deepEqual(silent(6)?.evidence, { hours: 6, longest_before_hours: 2 });
  assert.equal(sensorSilent("t", hours.slice(150), { lastAt, now: lastAt + 9 * HOUR }), undefined);
});

test("what is done by hand on weekdays at ten past seven is seen, by the clocks of the place and over their change", () => {
  // Four weeks in which Berlin's clocks go back, on 25 October.
  const now = Date.parse("2026-11-08T23:00:00Z");
  const commands = Array.from({ length: 28 }, (_, index) => now - (28 - index) * DAY + 12 * HOUR).flatMap((noon) => {
    const date = new Date(noon);
    if (date.getUTCDay() === 0 || date.getUTCDay() === 6) return [];
    const isSummer = noon < Date.parse("2026-10-25T01:00:00Z");
    const at = Date.parse(`${date.toISOString().slice(0, 10)}T${isSummer ? "05" : "06"}:10:00Z`) + (date.getUTCDate() % 5) * 60_000;
    return [{ what: "relay 0 ON", at }];
  });
  assert.equal(commands.length, 20);
  const [finding, ...others] = usagePatterns(commands, { timeZone: "Europe/Berlin", now });
  assert.deepEqual(others, []);
  assert.deepEqual(
    { ...finding?.evidence, p: 0 },
    { command: "relay 0 ON", days: "every weekday", time: "07:12", days_with: 20, days_of: 20, p: 0 },
  );
});

test("what is done by hand at any time is no habit", () => {
  fc.assert(
    fc.property(seeds, fc.integer({ min: 1, max: 40 }), (seed, perDay) => {
      const { uniform } = randomOf(seed);
      const now = START + 28 * DAY;
      const commands = Array.from({ length: 28 * perDay }, () => ({ what: "relay 0 ON", at: now - Math.floor(uniform() * 28 * DAY) - 1 }));
      assert.deepEqual(usagePatterns(commands, { timeZone: "UTC", now }), []);
    }),
    { numRuns: 200, seed: 19 },
  );
});
