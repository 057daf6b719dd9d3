import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { isFrequent, nextMatch, parseCron } from "../../core/cron.ts";
import { nextCronRun } from "../../core/cron-runs.ts";
import { zoneOf } from "../../core/zone.ts";
import { oddChanges, wallClock } from "./wall-clock.ts";

const iso = (instant: number | undefined): string => (instant === undefined ? "never" : new Date(instant).toISOString());
const HOUR = 3_600_000;

function runs(expression: string, timeZone: string, from: string, to: string): string[] {
  const [cron, zone] = [parseCron(expression, "/"), zoneOf(timeZone)];
  const clock = wallClock(timeZone);
  const found: string[] = [];
  for (let run = nextCronRun(cron, zone, Date.parse(from)); run !== undefined && run <= Date.parse(to); run = nextCronRun(cron, zone, run))
    found.push(`${iso(run).slice(5, 16)} shows ${iso(clock(run)).slice(8, 16)}`);
  return found;
}

/** What is being claimed, the expression, the zone, after when and until when, and the runs: the instant, and what the clocks show then. */
type Case = readonly [claim: string, expression: string, timeZone: string, from: string, to: string, runs: readonly string[]];

const FIXED: readonly Case[] = [
  [
    "runs at the end of the hour that does not exist, if it was to run in it",
    "30 2 * * *",
    "Europe/Berlin",
    "2026-03-28T00:00Z",
    "2026-03-30T01:00Z",
    ["03-28T01:30 shows 28T02:30", "03-29T01:00 shows 29T03:00", "03-30T00:30 shows 30T02:30"],
  ],
  [
    "runs once for all that it was to run in that hour",
    "*/10 2,3 * * *",
    "America/New_York",
    "2026-03-08T05:00Z",
    "2026-03-08T07:20Z",
    ["03-08T07:00 shows 08T03:00", "03-08T07:10 shows 08T03:10", "03-08T07:20 shows 08T03:20"],
  ],
  [
    "runs once if the end of the gap is a time of its own, too",
    "0 2,3 * * *",
    "Europe/Berlin",
    "2026-03-28T12:00Z",
    "2026-03-29T12:00Z",
    ["03-29T01:00 shows 29T03:00"],
  ],
  [
    "runs the first time only when a time comes twice",
    "30 2 * * *",
    "Europe/Berlin",
    "2026-10-24T12:00Z",
    "2026-10-26T12:00Z",
    ["10-25T00:30 shows 25T02:30", "10-26T01:30 shows 26T02:30"],
  ],
  [
    "that is asked between the two of a time waits for the next day",
    "30 2 * * *",
    "Europe/Berlin",
    "2026-10-25T01:15Z",
    "2026-10-26T12:00Z",
    ["10-26T01:30 shows 26T02:30"],
  ],
  [
    "in Lord Howe loses and repeats half an hour",
    "15 2 * * *",
    "Australia/Lord_Howe",
    "2026-10-02T00:00Z",
    "2026-10-05T00:00Z",
    ["10-02T15:45 shows 03T02:15", "10-03T15:30 shows 04T02:30", "10-04T15:15 shows 05T02:15"],
  ],
  [
    "in Lord Howe does not run in the half hour that comes again",
    "0,45 1,2 * * *",
    "Australia/Lord_Howe",
    "2026-04-04T12:00Z",
    "2026-04-05T00:00Z",
    ["04-04T14:00 shows 05T01:00", "04-04T14:45 shows 05T01:45", "04-04T15:30 shows 05T02:00", "04-04T16:15 shows 05T02:45"],
  ],
  [
    "runs at the end of the day that Samoa left out, for that day",
    "0 9 * * *",
    "Pacific/Apia",
    "2011-12-29T00:00Z",
    "2011-12-31T19:00Z",
    ["12-29T19:00 shows 29T09:00", "12-30T10:00 shows 31T00:00", "12-30T19:00 shows 31T09:00", "12-31T19:00 shows 01T09:00"],
  ],
  [
    "of that day alone is not lost",
    "0 9 30 12 *",
    "Pacific/Apia",
    "2011-01-01T00:00Z",
    "2013-01-01T00:00Z",
    ["12-30T10:00 shows 31T00:00", "12-29T19:00 shows 30T09:00"],
  ],
  [
    "at midnight runs at one o'clock where there is no midnight",
    "0 0 * * *",
    "America/Havana",
    "2026-03-07T00:00Z",
    "2026-03-09T12:00Z",
    ["03-07T05:00 shows 07T00:00", "03-08T05:00 shows 08T01:00", "03-09T04:00 shows 09T00:00"],
  ],
  [
    "at midnight runs once where that comes twice on one day",
    "0 0 * * *",
    "America/Havana",
    "2026-10-31T00:00Z",
    "2026-11-02T12:00Z",
    ["10-31T04:00 shows 31T00:00", "11-01T04:00 shows 01T00:00", "11-02T05:00 shows 02T00:00"],
  ],
  [
    "at midnight runs when the day begins where the evening comes twice",
    "0 0 * * *",
    "Asia/Beirut",
    "2026-10-23T12:00Z",
    "2026-10-26T12:00Z",
    ["10-23T21:00 shows 24T00:00", "10-24T22:00 shows 25T00:00", "10-25T22:00 shows 26T00:00"],
  ],
  [
    "late in the evening runs in the first of two",
    "30 23 * * *",
    "Africa/Cairo",
    "2026-10-28T12:00Z",
    "2026-10-30T22:00Z",
    ["10-28T20:30 shows 28T23:30", "10-29T20:30 shows 29T23:30", "10-30T21:30 shows 30T23:30"],
  ],
  [
    "in Dublin, where winter is the exception, is as anywhere",
    "30 1 * * *",
    "Europe/Dublin",
    "2026-03-28T12:00Z",
    "2026-03-30T12:00Z",
    ["03-29T01:00 shows 29T02:00", "03-30T00:30 shows 30T01:30"],
  ],
  [
    "in Dublin in autumn, too",
    "30 1 * * *",
    "Europe/Dublin",
    "2026-10-24T12:00Z",
    "2026-10-26T12:00Z",
    ["10-25T00:30 shows 25T01:30", "10-26T01:30 shows 26T01:30"],
  ],
  [
    "runs at the end of a gap of 44 minutes and 30 seconds",
    "30 0 * * *",
    "Africa/Monrovia",
    "1972-01-05T12:00Z",
    "1972-01-08T12:00Z",
    ["01-06T01:14 shows 06T00:30", "01-07T00:44 shows 07T00:44", "01-08T00:30 shows 08T00:30"],
  ],
];

const FREQUENT: readonly Case[] = [
  [
    "goes on in the repeated hour",
    "*/30 * * * *",
    "Europe/Berlin",
    "2026-10-24T23:45Z",
    "2026-10-25T02:00Z",
    [
      "10-25T00:00 shows 25T02:00",
      "10-25T00:30 shows 25T02:30",
      "10-25T01:00 shows 25T02:00",
      "10-25T01:30 shows 25T02:30",
      "10-25T02:00 shows 25T03:00",
    ],
  ],
  [
    "leaves out nothing of real time in spring",
    "*/30 * * * *",
    "Europe/Berlin",
    "2026-03-29T00:00Z",
    "2026-03-29T01:30Z",
    ["03-29T00:30 shows 29T01:30", "03-29T01:00 shows 29T03:00", "03-29T01:30 shows 29T03:30"],
  ],
  [
    "of every second hour skips one that does not exist",
    "0 */2 * * *",
    "Europe/Berlin",
    "2026-03-28T22:00Z",
    "2026-03-29T04:30Z",
    ["03-28T23:00 shows 29T00:00", "03-29T02:00 shows 29T04:00", "03-29T04:00 shows 29T06:00"],
  ],
  [
    "of every second hour runs both times in one that comes twice",
    "30 */2 * * *",
    "Europe/Berlin",
    "2026-10-24T23:00Z",
    "2026-10-25T04:00Z",
    ["10-25T00:30 shows 25T02:30", "10-25T01:30 shows 25T02:30", "10-25T03:30 shows 25T04:30"],
  ],
  [
    "in Lord Howe skips the full hour that does not exist",
    "0 * * * *",
    "Australia/Lord_Howe",
    "2026-10-03T14:00Z",
    "2026-10-03T17:00Z",
    ["10-03T14:30 shows 04T01:00", "10-03T16:00 shows 04T03:00", "10-03T17:00 shows 04T04:00"],
  ],
  [
    "in Lord Howe repeats what is in the half hour",
    "45 * * * *",
    "Australia/Lord_Howe",
    "2026-04-04T14:00Z",
    "2026-04-04T16:15Z",
    ["04-04T14:45 shows 05T01:45", "04-04T15:15 shows 05T01:45", "04-04T16:15 shows 05T02:45"],
  ],
  [
    "knows nothing of the day that was left out",
    "0 */12 * * *",
    "Pacific/Apia",
    "2011-12-29T00:00Z",
    "2011-12-31T00:00Z",
    ["12-29T10:00 shows 29T00:00", "12-29T22:00 shows 29T12:00", "12-30T10:00 shows 31T00:00", "12-30T22:00 shows 31T12:00"],
  ],
  [
    "of one day finds the part of it that comes again, and then the next year",
    "30 * 31 10 *",
    "Asia/Beirut",
    "1999-10-31T20:00Z",
    "2000-10-30T22:30Z",
    ["10-31T20:30 shows 31T22:30", "10-31T21:30 shows 31T23:30", "10-30T22:30 shows 31T00:30"],
  ],
];

for (const [kind, cases] of [
  ["a cron of fixed hours", FIXED],
  ["a cron of all hours", FREQUENT],
] as const)
  describe(kind, () => {
    for (const [claim, expression, timeZone, from, to, expected] of cases)
      test(claim, () => assert.deepEqual(runs(expression, timeZone, from, to), expected));
  });

describe("every run", () => {
  const EXPRESSIONS = [
    ["*/7 * * * *", "0 * * * *", "*/15 */3 * * *", "20 * * * MON-FRI", "*/40 30 0-23/2 * * *"],
    ["30 2 * * *", "0 0 * * *", "15,45 1-3 * * *", "30 23 * * *", "0 12 L * *", "10 0-22/2 * * 1#1", "*/30 59 23 * * 7", "1 1 1 1 *"],
  ].flat();
  const case_ = fc.record({
    expression: fc.constantFrom(...EXPRESSIONS),
    odd: fc.constantFrom(...oddChanges()),
    seconds: fc.integer({ min: -48 * 3_600, max: 30 * 3_600 }),
  });

  test("is after the instant that is asked with, and is the same for all until it", () =>
    fc.assert(
      fc.property(case_, fc.double({ min: 0, max: 1, noNaN: true }), ({ expression, odd, seconds }, part) => {
        const [cron, zone] = [parseCron(expression, "/"), zoneOf(odd.timeZone)];
        const after = odd.change.at + seconds * 1_000;
        const run = nextCronRun(cron, zone, after) ?? Number.NaN;
        assert.ok(run > after, `${iso(run)} is not after ${iso(after)}`);
        const between = after + Math.floor((run - 1 - after) * part);
        assert.equal(iso(nextCronRun(cron, zone, between)), iso(run), `asked at ${iso(between)}`);
        assert.ok((nextCronRun(cron, zone, run) ?? 0) > run);
      }),
      { numRuns: 2_000 },
    ));

  test("shows what the expression says, or is of fixed hours and ends a gap in which it was to run", () => {
    let moved = 0;
    fc.assert(
      fc.property(case_, ({ expression, odd, seconds }) => {
        const cron = parseCron(expression, "/");
        const clock = wallClock(odd.timeZone);
        const after = odd.change.at + seconds * 1_000;
        const run = nextCronRun(cron, zoneOf(odd.timeZone), after) ?? Number.NaN;
        if (nextMatch(cron, clock(run)) === clock(run)) return;
        assert.ok(!isFrequent(cron), `${expression} in ${odd.timeZone}: ${iso(run)} shows ${iso(clock(run))}`);
        const lastBefore = clock(run - 1_000) + 1_000;
        assert.ok(clock(run) > lastBefore, `nothing is missing before ${iso(run)}`);
        assert.ok((nextMatch(cron, lastBefore) ?? Infinity) < clock(run), `nothing was to run before ${iso(run)}`);
        moved += 1;
      }),
      { numRuns: 3_000 },
    );
    assert.ok(moved > 20, `only ${moved} runs were moved`);
  });

  test("at noon is a day after the one before, in every zone", () => {
    for (const timeZone of Intl.supportedValuesOf("timeZone")) {
      const [cron, zone] = [parseCron("0 12 * * *", "/"), zoneOf(timeZone)];
      let run = nextCronRun(cron, zone, Date.UTC(2026, 0, 1)) ?? Number.NaN;
      for (let day = 0; day < 370; day += 1) {
        const next = nextCronRun(cron, zone, run) ?? Number.NaN;
        assert.ok(Math.abs(next - run - 24 * HOUR) <= 2 * HOUR, `${timeZone}: ${iso(next)} after ${iso(run)}`);
        run = next;
      }
    }
  });
});
