import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { HubError } from "../../core/errors.ts";
import {
  jitterMs,
  needsCoordinates,
  nextRun,
  nextRuns,
  parseRecurrence,
  type Recurrence,
  type RecurrenceContext,
  runsBetween,
} from "../../core/recurrence.ts";

const DAY = 86_400_000;
const BERLIN: RecurrenceContext = { timeZone: "Europe/Berlin", latitude: 52.52, longitude: 13.405, anchor: Date.UTC(2026, 0, 1, 0, 0, 7) };
const iso = (instant: number | undefined): string => (instant === undefined ? "never" : new Date(instant).toISOString());
const after = (recurrence: unknown, from: string, count: number, context = BERLIN): string[] =>
  nextRuns(parseRecurrence(recurrence, "/recurrence"), Date.parse(from), context, count).map(iso);

describe("a recurrence", () => {
  const good: readonly Recurrence[] = [
    { kind: "cron", expression: "0 8 * * MON-FRI" },
    { kind: "cron", expression: "@daily", time_zone: "Asia/Kolkata", jitter_s: 3_600 },
    { kind: "once", at: "2026-03-01T08:00" },
    { kind: "once", at: "2026-03-01T08:00:30.5", time_zone: "America/New_York" },
    { kind: "once", at: "2026-03-01T08:00:00+05:30" },
    { kind: "interval", every_s: 1 },
    { kind: "interval", every_s: 31_622_400, starting_at: "2026-03-01T08:00:00Z" },
    { kind: "sun", event: "sunset" },
    { kind: "sun", event: "dawn", offset_s: -43_200, latitude: -90, longitude: 180, days: ["mon", "sun"], time_zone: "UTC" },
  ];
  for (const recurrence of good)
    test(`is taken as it is: ${JSON.stringify(recurrence)}`, () => assert.deepEqual(parseRecurrence(recurrence, "/when"), recurrence));

  /** With where it is wrong, and why. */
  const bad: readonly [unknown, string, RegExp][] = [
    [null, "/when", /must be object/],
    [{}, "/when", /kind/],
    [{ kind: "sometimes" }, "/when", /kind/],
    [{ kind: "cron" }, "/when", /expression/],
    [{ kind: "cron", expression: "0 8 * * *", extra: 1 }, "/when", /extra/],
    [{ kind: "cron", expression: "0 25 * * *" }, "/when/expression", /hour: 25 is not 0 to 23/],
    [{ kind: "cron", expression: "0 0 30 2 *" }, "/when/expression", /no month/],
    [{ kind: "cron", expression: "*".repeat(201) }, "/when/expression", /200 characters/],
    [{ kind: "cron", expression: "0 8 * * *", time_zone: "Mars/Olympus" }, "/when/time_zone", /no time zone Mars/],
    [{ kind: "cron", expression: "0 8 * * *", time_zone: "+02:00" }, "/when/time_zone", /no time zone/],
    [{ kind: "cron", expression: "0 8 * * *", jitter_s: 3_601 }, "/when/jitter_s", /3600/],
    [{ kind: "cron", expression: "0 8 * * *", jitter_s: 0.5 }, "/when/jitter_s", /integer/],
    [{ kind: "once", at: "tomorrow" }, "/when/at", /pattern/],
    [{ kind: "once", at: "2026-02-30T08:00" }, "/when/at", /no time 2026-02-30/],
    [{ kind: "once", at: "2026-02-28T24:00" }, "/when/at", /no time/],
    [{ kind: "once", at: "2026-02-28T08:00:60Z" }, "/when/at", /no time/],
    [{ kind: "once", at: "2026-02-28T08:00+25:00" }, "/when/at", /no offset/],
    [{ kind: "once", at: "0000-01-01T08:00" }, "/when/at", /pattern/],
    [{ kind: "once", at: "2026-03-01T08:00Z", time_zone: "UTC" }, "/when/time_zone", /of no use/],
    [{ kind: "interval", every_s: 0 }, "/when/every_s", />= 1/],
    [{ kind: "interval", every_s: 31_622_401 }, "/when/every_s", /<= 31622400/],
    [{ kind: "interval", every_s: 60, starting_at: "2026-03-01T08:00:00" }, "/when/starting_at", /pattern/],
    [{ kind: "interval", every_s: 60, starting_at: "2026-02-29T08:00:00Z" }, "/when/starting_at", /no time/],
    [{ kind: "sun", event: "noon" }, "/when/event", /sunrise/],
    [{ kind: "sun", event: "sunset", offset_s: 43_201 }, "/when/offset_s", /43200/],
    [{ kind: "sun", event: "sunset", latitude: 52 }, "/when", /longitude/],
    [{ kind: "sun", event: "sunset", latitude: 91, longitude: 0 }, "/when/latitude", /90/],
    [{ kind: "sun", event: "sunset", days: [] }, "/when/days", /fewer than 1/],
    [{ kind: "sun", event: "sunset", days: ["mon", "mon"] }, "/when/days", /duplicate/],
    [{ kind: "sun", event: "sunset", days: ["monday"] }, "/when/days/0", /"mon"/],
  ];
  for (const [recurrence, path, reason] of bad)
    test(`is refused at ${path}: ${JSON.stringify(recurrence)?.slice(0, 80)}`, () =>
      assert.throws(
        () => parseRecurrence(recurrence, "/when"),
        (error: unknown) => {
          assert.ok(error instanceof HubError && error.code === "validation_error");
          const [problem] = error.details as { path: string; message: string }[];
          assert.equal(problem?.path, path);
          assert.match(problem?.message ?? "", reason);
          return true;
        },
      ));
});

describe("a cron", () => {
  test("is by the clocks of its own zone, or else of the context's", () => {
    const expression = "0 8 * * *";
    assert.deepEqual(after({ kind: "cron", expression }, "2026-07-01T12:00:00Z", 1), ["2026-07-02T06:00:00.000Z"]);
    const zoned = { kind: "cron", expression, time_zone: "America/New_York" };
    assert.deepEqual(after(zoned, "2026-07-01T12:00:00Z", 1), ["2026-07-02T12:00:00.000Z"]);
  });
});

describe("a single time", () => {
  const cases: readonly [at: string, timeZone: string | undefined, instant: string][] = [
    ["2026-03-01T08:00", undefined, "2026-03-01T07:00:00.000Z"],
    ["2026-03-01T08:00:30.5", undefined, "2026-03-01T07:00:30.500Z"],
    ["2026-03-01T08:00", "Asia/Kolkata", "2026-03-01T02:30:00.000Z"],
    ["2026-03-01T08:00+05:30", undefined, "2026-03-01T02:30:00.000Z"],
    ["2026-03-01T08:00:00Z", undefined, "2026-03-01T08:00:00.000Z"],
    ["2026-03-29T02:30", undefined, "2026-03-29T01:00:00.000Z"],
    ["2026-10-25T02:30", undefined, "2026-10-25T00:30:00.000Z"],
    ["2011-12-30T09:00", "Pacific/Apia", "2011-12-30T10:00:00.000Z"],
  ];
  for (const [at, timeZone, instant] of cases)
    test(`${at} in ${timeZone ?? "the context's zone"} is ${instant}, once`, () => {
      const recurrence = parseRecurrence({ kind: "once", at, ...(timeZone === undefined ? {} : { time_zone: timeZone }) }, "/");
      assert.deepEqual(nextRuns(recurrence, 0, BERLIN, 3).map(iso), [instant]);
      assert.equal(iso(nextRun(recurrence, Date.parse(instant) - 1, BERLIN)), instant);
      assert.equal(nextRun(recurrence, Date.parse(instant), BERLIN), undefined);
    });
});

describe("an interval", () => {
  test("is counted from when it starts, which is its first run", () => {
    const recurrence = { kind: "interval", every_s: 90, starting_at: "2026-03-01T08:00:00+01:00" };
    assert.deepEqual(after(recurrence, "2026-02-01T00:00:00Z", 2), ["2026-03-01T07:00:00.000Z", "2026-03-01T07:01:30.000Z"]);
    assert.deepEqual(after(recurrence, "2026-03-01T07:00:00Z", 1), ["2026-03-01T07:01:30.000Z"]);
    assert.deepEqual(after(recurrence, "2026-03-01T07:01:29.999Z", 1), ["2026-03-01T07:01:30.000Z"]);
  });

  test("without a start is counted from the anchor, and takes no notice of clocks that change", () => {
    assert.deepEqual(after({ kind: "interval", every_s: 43_200 }, "2026-03-28T23:00:00Z", 3), [
      "2026-03-29T00:00:07.000Z",
      "2026-03-29T12:00:07.000Z",
      "2026-03-30T00:00:07.000Z",
    ]);
  });
});

describe("a sun's event", () => {
  /** As almanacs have it, to the minute. */
  const almanac: readonly [place: string, latitude: number, longitude: number, event: string, day: string, time: string][] = [
    ["London", 51.5074, -0.1278, "sunrise", "2024-06-20", "03:43"],
    ["London", 51.5074, -0.1278, "sunset", "2024-06-20", "20:21"],
    ["New York", 40.7128, -74.006, "sunrise", "2024-12-21", "12:17"],
    ["New York", 40.7128, -74.006, "sunset", "2024-12-21", "21:32"],
    ["Sydney", -33.8688, 151.2093, "sunrise", "2024-06-20", "21:00"],
    ["Sydney", -33.8688, 151.2093, "sunset", "2024-12-21", "09:05"],
    ["Greenwich", 51.4769, 0, "solar_noon", "2024-02-11", "12:14"],
    ["Greenwich", 51.4769, 0, "solar_noon", "2024-11-03", "11:44"],
  ];
  for (const [place, latitude, longitude, event, day, time] of almanac)
    test(`is right: ${event} in ${place} on ${day}`, () => {
      const expected = Date.parse(`${day}T${time}:00Z`);
      const run = nextRun(parseRecurrence({ kind: "sun", event, latitude, longitude }, "/"), expected - DAY / 2, BERLIN);
      assert.ok(run !== undefined && Math.abs(run - expected) <= 90_000, `${iso(run)} instead of ${iso(expected)}`);
    });

  test("is at the context's coordinates if it has none, and never without any", () => {
    const sunset = parseRecurrence({ kind: "sun", event: "sunset" }, "/");
    const own = parseRecurrence({ kind: "sun", event: "sunset", latitude: 52.52, longitude: 13.405 }, "/");
    const from = Date.UTC(2026, 4, 1);
    assert.equal(nextRun(sunset, from, BERLIN), nextRun(own, from, { ...BERLIN, latitude: null, longitude: null }));
    assert.equal(nextRun(sunset, from, { ...BERLIN, latitude: null, longitude: null }), undefined);
    assert.deepEqual([needsCoordinates(sunset), needsCoordinates(own)], [true, false]);
    assert.equal(needsCoordinates({ kind: "interval", every_s: 5 }), false);
  });

  test("comes dawn, sunrise, noon, sunset, dusk", () => {
    const at = (event: "dawn" | "sunrise" | "solar_noon" | "sunset" | "dusk") =>
      nextRun({ kind: "sun", event }, Date.UTC(2026, 4, 1), BERLIN) ?? Number.NaN;
    const times = [at("dawn"), at("sunrise"), at("solar_noon"), at("sunset"), at("dusk")];
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    );
    assert.ok(Math.max(...times) - Math.min(...times) < DAY);
  });

  test("is moved by its offset, and happens on the weekdays of the zone, whose day the event's is", () => {
    const from = "2026-06-01T00:00:00Z";
    const [plain] = after({ kind: "sun", event: "sunset", days: ["mon"] }, from, 1);
    const [late] = after({ kind: "sun", event: "sunset", days: ["mon"], offset_s: 43_200 }, from, 1);
    assert.equal(plain?.slice(0, 10), "2026-06-01");
    assert.equal(Date.parse(late ?? "") - Date.parse(plain ?? ""), 43_200_000);
    // In Auckland it is Tuesday when the sun rises on what is Monday in UTC.
    const auckland = { kind: "sun", event: "sunrise", latitude: -36.85, longitude: 174.76, days: ["tue"] };
    assert.equal(after({ ...auckland, time_zone: "Pacific/Auckland" }, from, 1)[0]?.slice(0, 10), "2026-06-01");
    assert.equal(after({ ...auckland, time_zone: "UTC" }, from, 1)[0]?.slice(0, 10), "2026-06-02");
  });

  test("passes over polar day and polar night, and is never where there is none for so long", () => {
    const svalbard = { kind: "sun", event: "sunset", latitude: 78.22, longitude: 15.65 } as const;
    const runs = nextRuns(svalbard, Date.UTC(2026, 0, 1), BERLIN, 140).map((run) => iso(run).slice(0, 10));
    const gaps = runs
      .slice(1)
      .flatMap((day, index) => (Date.parse(day) - Date.parse(runs[index] ?? "") > 5 * DAY ? [[runs[index], day]] : []));
    assert.equal(gaps.length, 2);
    const [summer, winter] = gaps.map(([last = "", first = ""]) => [last.slice(5), first.slice(5)]);
    // The midnight sun is from about 19 April to 23 August, the sun stays away from about 26 October to 16 February.
    for (const [day = "", earliest, latest] of [
      [summer?.[0], "04-15", "04-21"],
      [summer?.[1], "08-21", "08-27"],
      [winter?.[0], "10-23", "10-29"],
      [winter?.[1], "02-13", "02-19"],
    ] as const)
      assert.ok(day >= earliest && day <= latest, `${day} is not ${earliest} to ${latest}`);
    assert.equal(nextRun({ ...svalbard, latitude: 90 }, Date.UTC(2026, 0, 1), BERLIN), undefined);
  });

  test("that is hours astray where the sun only grazes the horizon is none", () => {
    const dawn = { kind: "sun", event: "dawn", latitude: 86.39516112237553, longitude: 122.98815902349975 } as const;
    const runs = nextRuns(dawn, Date.UTC(2025, 8, 25), BERLIN, 10);
    assert.equal(runs.length, 10);
    for (const run of runs) assert.equal(iso(nextRun(dawn, run - 1, BERLIN)), iso(run));
    const sunrise = { kind: "sun", event: "sunrise", latitude: -73.9263076161125, longitude: 169.0186126092891 } as const;
    const [first = 0, second = 0] = nextRuns(sunrise, Date.UTC(1974, 1, 19), BERLIN, 2);
    assert.ok(second - first > DAY / 2, `${iso(first)}, ${iso(second)}`);
  });

  test("comes once a day, in order, wherever the sun does so", () =>
    fc.assert(
      fc.property(
        fc.constantFrom("sunrise" as const, "sunset" as const, "dawn" as const, "dusk" as const, "solar_noon" as const),
        fc.double({ min: -89, max: 89, noNaN: true }),
        fc.double({ min: -180, max: 180, noNaN: true }),
        fc.integer({ min: Date.UTC(1970, 0, 1), max: Date.UTC(2100, 0, 1) }),
        (event, latitude, longitude, from) => {
          const sun = { kind: "sun", event, latitude, longitude } as const;
          const runs = nextRuns(sun, from, BERLIN, 30);
          for (const [index, run] of runs.entries()) {
            const before = runs[index - 1] ?? from;
            assert.ok(run > before && (index === 0 || run - before > DAY / 2 - 60_000), `${iso(run)} after ${iso(before)}`);
            assert.equal(nextRun(sun, run - 1, BERLIN), run);
            if (event === "solar_noon") assert.ok(run - before < DAY + 60_000);
          }
        },
      ),
      { numRuns: 300 },
    ));
});

describe("runs of any recurrence", () => {
  const recurrence: fc.Arbitrary<Recurrence> = fc.oneof(
    fc.record({
      kind: fc.constant("cron" as const),
      expression: fc.constantFrom("*/5 * * * *", "30 2 * * *", "0 0 L * 5L", "*/45 * 3 * * MON", "0 */6 * * *"),
      time_zone: fc.constantFrom("Europe/Berlin", "Australia/Lord_Howe", "America/Havana", "UTC"),
    }),
    fc.record({ kind: fc.constant("once" as const), at: fc.constantFrom("2026-03-29T02:30", "2026-10-25T02:30:00Z") }),
    fc.record({ kind: fc.constant("interval" as const), every_s: fc.integer({ min: 1, max: 366 * 86_400 }) }),
    fc.record({ kind: fc.constant("sun" as const), event: fc.constantFrom("sunrise" as const, "dusk" as const) }),
  );
  const start = fc.integer({ min: Date.UTC(2025, 0, 1), max: Date.UTC(2027, 0, 1) });

  test("ascend, and are those that one gets one by one", () =>
    fc.assert(
      fc.property(recurrence, start, (one, from) => {
        const runs = nextRuns(one, from, BERLIN, 6);
        let before = from;
        for (const run of runs) {
          assert.ok(run > before);
          assert.equal(iso(nextRun(one, before, BERLIN)), iso(run));
          before = run;
        }
        if (runs.length < 6) assert.equal(nextRun(one, before, BERLIN), undefined);
      }),
      { numRuns: 500 },
    ));

  test("between two instants are those after the one and up to the other, the earliest first", () =>
    fc.assert(
      fc.property(recurrence, start, fc.integer({ min: 0, max: 5 }), (one, from, limit) => {
        const all = nextRuns(one, from, BERLIN, 6);
        const [to = from + 1] = all.slice(3);
        const expected = all.filter((run) => run <= to).slice(0, limit);
        assert.deepEqual(runsBetween(one, { from, to, limit }, BERLIN), expected);
        assert.deepEqual(runsBetween(one, { from, to: from, limit }, BERLIN), []);
      }),
      { numRuns: 500 },
    ));

  test("come to an end with the years of four digits, and begin with them", () => {
    const daily = { kind: "cron", expression: "0 0 * * *", time_zone: "UTC" } as const;
    for (const never of [Number.NaN, Infinity, Date.UTC(10_000, 0, 1)]) assert.equal(nextRun(daily, never, BERLIN), undefined);
    assert.equal(iso(nextRun(daily, -Infinity, BERLIN)), "1000-01-02T00:00:00.000Z");
    assert.equal(nextRuns({ kind: "interval", every_s: 31_622_400 }, Date.UTC(9998, 0, 1), BERLIN, 5).length, 2);
  });

  test("that were refused are not computed either", () => {
    assert.throws(() => nextRun({ kind: "cron", expression: "nonsense" }, 0, BERLIN), HubError);
    assert.throws(() => nextRun({ kind: "cron", expression: "@daily", time_zone: "Mars/Olympus" }, 0, BERLIN), HubError);
  });
});

describe("jitter", () => {
  test("is the same on every node: SHA-256 of the id and the time", () => {
    const id = "0193b0f2-7c1e-7d3a-9a51-3f1d5f0c7a10";
    assert.equal(jitterMs(id, Date.UTC(2026, 0, 1), 0), 0);
    assert.deepEqual(
      [0, 1, 2].map((day) => jitterMs(id, Date.UTC(2026, 0, 1 + day), 600)),
      [231_932, 88_639, 163_724],
    );
  });

  test("is from nothing to all that is allowed, and spread", () => {
    const seen = Array.from({ length: 2_000 }, (_, index) => jitterMs(`schedule-${index}`, 1_700_000_000_000, 2));
    assert.ok(seen.every((ms) => Number.isInteger(ms) && ms >= 0 && ms <= 2_000));
    const quarters = [0, 0, 0, 0];
    for (const ms of seen) {
      const quarter = Math.min(Math.floor(ms / 500), 3);
      quarters[quarter] = (quarters[quarter] ?? 0) + 1;
    }
    assert.ok(
      quarters.every((count) => count > 400 && count < 600),
      quarters.join(", "),
    );
    assert.deepEqual(new Set(Array.from({ length: 500 }, (_, run) => jitterMs("a", run, 0))), new Set([0]));
  });
});
