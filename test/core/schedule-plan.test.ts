import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type Recurrence, runsBetween } from "../../core/recurrence.ts";
import { followsRealTime, MISFIRE_POLICIES, type Schedule } from "../../core/schedule.ts";
import { contextOf, dueTime, nextTime, nextTimes, plan, timeToAwait, type Timetable } from "../../core/schedule-plan.ts";

const MINUTE = 60_000;
const HOUR = 3_600_000;
const DAY = 86_400_000;
const SKIP: Schedule["misfire"] = { policy: "skip", limit: 10, graceMs: 60_000 };
const MADE_AT = Date.parse("2026-01-01T00:00:30Z");

function timetable(recurrence: Recurrence, more: Partial<Timetable> & { timeZone?: string } = {}): Timetable {
  const { timeZone = "Europe/Berlin", ...rest } = more;
  const context = contextOf(
    { recurrence, timeZone, startsAt: rest.startsAt },
    { timeZone: null, latitude: null, longitude: null },
    MADE_AT,
  );
  return { id: "s", recurrence, runCount: 0, misfire: SKIP, context, ...rest };
}
const at = (text: string): number => Date.parse(text);
const shown = ({ runs, next }: { runs: readonly number[]; next: number | undefined }) => ({
  runs: runs.map((run) => new Date(run).toISOString()),
  next: next === undefined ? null : new Date(next).toISOString(),
});

const DAILY: Recurrence = { kind: "cron", expression: "30 2 * * *" };
const HOURLY: Recurrence = { kind: "cron", expression: "0 * * * *" };

describe("what a schedule does when its timer fires", () => {
  const once: Schedule["misfire"] = { ...SKIP, policy: "once" };
  const all: Schedule["misfire"] = { ...SKIP, policy: "all", limit: 3 };
  const cases: readonly {
    what: string;
    table: Timetable;
    awaited: string;
    now: string;
    runs: readonly string[];
    next: string | null;
  }[] = [
    {
      what: "in time it runs, and waits for the next",
      table: timetable(HOURLY),
      awaited: "2026-05-01T10:00:00Z",
      now: "2026-05-01T10:00:00.020Z",
      runs: ["2026-05-01T10:00:00.000Z"],
      next: "2026-05-01T11:00:00.000Z",
    },
    {
      what: "too early, since the clock was set back, it goes on waiting",
      table: timetable(HOURLY),
      awaited: "2026-05-01T10:00:00Z",
      now: "2026-05-01T09:30:00Z",
      runs: [],
      next: "2026-05-01T10:00:00.000Z",
    },
    {
      what: "skip: late within the grace it runs still",
      table: timetable(HOURLY),
      awaited: "2026-05-01T10:00:00Z",
      now: "2026-05-01T10:01:00Z",
      runs: ["2026-05-01T10:00:00.000Z"],
      next: "2026-05-01T11:00:00.000Z",
    },
    {
      what: "skip: later than the grace it is left out",
      table: timetable(HOURLY),
      awaited: "2026-05-01T10:00:00Z",
      now: "2026-05-01T10:01:00.001Z",
      runs: [],
      next: "2026-05-01T11:00:00.000Z",
    },
    {
      what: "skip: after days only the time that is just due",
      table: timetable(HOURLY),
      awaited: "2026-05-01T10:00:00Z",
      now: "2026-05-04T12:00:10Z",
      runs: ["2026-05-04T12:00:00.000Z"],
      next: "2026-05-04T13:00:00.000Z",
    },
    {
      what: "once: one for all that was missed",
      table: timetable(HOURLY, { misfire: once }),
      awaited: "2026-05-01T10:00:00Z",
      now: "2026-05-04T12:40:00Z",
      runs: ["2026-05-04T12:00:00.000Z"],
      next: "2026-05-04T13:00:00.000Z",
    },
    {
      what: "all: the newest ones, oldest first",
      table: timetable(HOURLY, { misfire: all }),
      awaited: "2026-05-01T10:00:00Z",
      now: "2026-05-04T12:40:00Z",
      runs: ["2026-05-04T10:00:00.000Z", "2026-05-04T11:00:00.000Z", "2026-05-04T12:00:00.000Z"],
      next: "2026-05-04T13:00:00.000Z",
    },
    {
      what: "all: of every second in ten years the newest, without looking at the others",
      table: timetable({ kind: "interval", every_s: 1, starting_at: "2026-01-01T00:00:00Z" }, { misfire: all }),
      awaited: "2026-01-01T00:00:00Z",
      now: "2036-01-01T00:00:00.500Z",
      runs: ["2035-12-31T23:59:58.000Z", "2035-12-31T23:59:59.000Z", "2036-01-01T00:00:00.000Z"],
      next: "2036-01-01T00:00:01.000Z",
    },
    {
      what: "all: of every second of each January, asked in December",
      table: timetable({ kind: "cron", expression: "* * * * 1 *" }, { misfire: all, timeZone: "UTC" }),
      awaited: "2026-01-01T00:00:00Z",
      now: "2028-12-24T00:00:00Z",
      runs: ["2028-01-31T23:59:57.000Z", "2028-01-31T23:59:58.000Z", "2028-01-31T23:59:59.000Z"],
      next: "2029-01-01T00:00:00.000Z",
    },
    {
      what: "a single time that was missed, once",
      table: timetable({ kind: "once", at: "2026-05-01T10:00:00Z" }, { misfire: once }),
      awaited: "2026-05-01T10:00:00Z",
      now: "2026-06-01T10:00:00Z",
      runs: ["2026-05-01T10:00:00.000Z"],
      next: null,
    },
    {
      what: "the last of its runs is the end",
      table: timetable(HOURLY, { misfire: all, runCount: 8, maxRuns: 10 }),
      awaited: "2026-05-01T10:00:00Z",
      now: "2026-05-01T20:00:00Z",
      runs: ["2026-05-01T19:00:00.000Z", "2026-05-01T20:00:00.000Z"],
      next: null,
    },
    {
      what: "what was left out does not count as a run",
      table: timetable(HOURLY, { runCount: 9, maxRuns: 10 }),
      awaited: "2026-05-01T10:00:00Z",
      now: "2026-05-01T10:30:00Z",
      runs: [],
      next: "2026-05-01T11:00:00.000Z",
    },
    {
      what: "after ends_at there is nothing, and what came before it is made up for",
      table: timetable(HOURLY, { misfire: once, endsAt: at("2026-05-01T11:00:00Z") }),
      awaited: "2026-05-01T10:00:00Z",
      now: "2026-05-01T20:00:00Z",
      runs: ["2026-05-01T11:00:00.000Z"],
      next: null,
    },
    {
      what: "the hour that does not exist: at its end, once",
      table: timetable(DAILY),
      awaited: "2026-03-28T01:30:00Z",
      now: "2026-03-29T01:00:00Z",
      runs: ["2026-03-29T01:00:00.000Z"],
      next: "2026-03-30T00:30:00.000Z",
    },
    {
      what: "the hour that comes twice: the first time only",
      table: timetable(DAILY),
      awaited: "2026-10-25T00:30:00Z",
      now: "2026-10-25T00:30:00Z",
      runs: ["2026-10-25T00:30:00.000Z"],
      next: "2026-10-26T01:30:00.000Z",
    },
    {
      what: "off over the night in which clocks are changed: one for it all",
      table: timetable(DAILY, { misfire: all }),
      awaited: "2026-03-28T01:30:00Z",
      now: "2026-03-30T12:00:00Z",
      runs: ["2026-03-28T01:30:00.000Z", "2026-03-29T01:00:00.000Z", "2026-03-30T00:30:00.000Z"],
      next: "2026-03-31T00:30:00.000Z",
    },
  ];
  for (const { what, table, awaited, now, runs, next } of cases)
    test(what, () => assert.deepEqual(shown(plan(table, at(awaited), at(now))), { runs, next }));

  test("a fraction of a millisecond, as the timers' clock has it, changes nothing", () => {
    const now = at("2026-05-01T10:00:00Z") + 0.75;
    assert.deepEqual(shown(plan(timetable(HOURLY, { misfire: all }), at("2026-05-01T09:00:00Z"), now)).runs, [
      "2026-05-01T09:00:00.000Z",
      "2026-05-01T10:00:00.000Z",
    ]);
  });

  test("an interval counts from its making, and does not fall silent before that", () => {
    const table = timetable({ kind: "interval", every_s: 600 });
    assert.equal(nextTime(table, MADE_AT), MADE_AT + 600_000);
    assert.equal(nextTime(table, MADE_AT - 10 * DAY), MADE_AT - 10 * DAY + 600_000);
    const starting = timetable({ kind: "interval", every_s: 600 }, { startsAt: MADE_AT + DAY + 5_000 });
    assert.deepEqual(nextTimes(starting, MADE_AT, 2), [MADE_AT + DAY + 5_000, MADE_AT + DAY + 605_000]);
  });

  test("whoever plans it anew keeps the time whose jitter is not over, and no other of the past", () => {
    const table = timetable({ kind: "cron", expression: "0 * * * *", jitter_s: 3_600 });
    const awaited = at("2026-05-01T10:00:00Z");
    const due = dueTime(table, awaited);
    assert.ok(due > awaited + 1_000);
    const next = at("2026-05-01T11:00:00Z");
    assert.equal(timeToAwait(table, awaited, due - 1), awaited);
    assert.equal(timeToAwait(table, awaited, due), due >= next ? next + HOUR : next);
    assert.equal(timeToAwait(table, undefined, awaited + 500), next);
    assert.equal(timeToAwait(table, awaited + MINUTE, awaited + MINUTE + 500), next, "it is none of its times any more");
    assert.equal(timeToAwait({ ...table, runCount: 1, maxRuns: 1 }, awaited, due - 1), undefined);
  });

  test("goes on when the clock is set back if it is an interval or a cron of all hours", () => {
    const real = [{ kind: "interval", every_s: 5 }, HOURLY, { kind: "cron", expression: "*/5 */2 * * *" }] as const;
    const clock = [DAILY, { kind: "once", at: "2026-05-01T10:00:00Z" }, { kind: "sun", event: "sunset" }] as const;
    assert.deepEqual(real.map(followsRealTime), [true, true, true]);
    assert.deepEqual(clock.map(followsRealTime), [false, false, false]);
  });
});

const recurrence: fc.Arbitrary<Recurrence> = fc.oneof(
  fc.integer({ min: 60, max: 100_000 }).map((everyS): Recurrence => ({ kind: "interval", every_s: everyS })),
  fc
    .constantFrom("*/7 * * * *", "0 * * * *", "30 2 * * *", "0 3 * * MON-FRI", "15 */3 * * *", "0 12 1 * *")
    .map((expression): Recurrence => ({ kind: "cron", expression })),
);
/** Around the nights in which clocks are changed. */
const begin = fc.constantFrom("2026-03-28T12:00:00Z", "2026-10-24T12:00:00Z", "2026-06-15T00:00:00Z", "2026-12-31T20:00:00Z").map(at);
const misfire = fc.record({
  policy: fc.constantFrom(...MISFIRE_POLICIES),
  limit: fc.integer({ min: 1, max: 100 }),
  graceMs: fc.integer({ min: 10, max: 7_200 }).map((seconds) => seconds * 1_000),
});
const timeZone = fc.constantFrom("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC");
/** How the clock goes on between two looks: mostly in small steps, sometimes by days, sometimes back. */
const steps = fc.array(
  fc.oneof(fc.integer({ min: 1, max: 2 * HOUR }), fc.integer({ min: -3 * HOUR, max: -1 }), fc.integer({ min: DAY, max: 4 * DAY })),
  { minLength: 1, maxLength: 8 },
);

describe("however long the hub is off and however its clock is set", () => {
  test("what is run is due, at most what the policy allows, and the next time follows without a gap", () => {
    fc.assert(
      fc.property(recurrence, timeZone, misfire, begin, steps, (when, zone, policy, from, moves) => {
        const table = timetable(when, { timeZone: zone, misfire: policy });
        let awaited = nextTime(table, from);
        let now = from;
        for (const move of moves) {
          now += move;
          if (awaited === undefined) return;
          const { runs, next }: ReturnType<typeof plan> = plan(table, awaited, now);
          const due = runsBetween(when, { from: awaited - 1, to: now, limit: 20_000 }, table.context);
          const newest = due.slice(policy.policy === "all" ? -policy.limit : -1);
          const isKept = (one: number): boolean => policy.policy !== "skip" || now - one <= policy.graceMs;
          assert.deepEqual(runs, newest.filter(isKept));
          assert.equal(next, nextTime(table, Math.max(awaited - 1, now)));
          awaited = next;
        }
      }),
      { numRuns: 150 },
    );
  });

  test("each time comes at most once, and all of them while the hub is looked at often enough", () => {
    fc.assert(
      fc.property(
        recurrence,
        timeZone,
        begin,
        fc.array(fc.integer({ min: 1, max: 50_000 }), { maxLength: 40 }),
        (when, zone, from, waits) => {
          const table = timetable(when, { timeZone: zone });
          const ran: number[] = [];
          let awaited = nextTime(table, from);
          let now = from;
          for (const wait of waits) {
            now += wait;
            if (awaited === undefined || dueTime(table, awaited) > now) continue;
            const { runs, next }: ReturnType<typeof plan> = plan(table, awaited, now);
            ran.push(...runs);
            awaited = next;
          }
          assert.deepEqual(ran, runsBetween(when, { from, to: now, limit: 1_000 }, table.context));
        },
      ),
    );
  });

  test("with a jitter no time is early, later than the jitter, or overtaken", () => {
    const jittered = fc
      .integer({ min: 1, max: 3_600 })
      .map((seconds) => ({ kind: "cron", expression: "*/7 * * * *", jitter_s: seconds }) as const);
    fc.assert(
      fc.property(jittered, begin, fc.integer({ min: 0, max: 5 * HOUR }), (when, from, later) => {
        const table = timetable(when, { misfire: { policy: "all", limit: 100, graceMs: 0 } });
        const awaited = nextTime(table, from) as number;
        const now = from + later;
        const { runs, next } = plan(table, awaited, now);
        const until = next as number;
        assert.deepEqual(
          runs,
          until === awaited ? [] : runsBetween(when, { from: awaited - 1, to: until - 1, limit: 1_000 }, table.context),
        );
        for (const run of runs) assert.ok(dueTime(table, run) <= now && dueTime(table, run) - run <= when.jitter_s * 1_000);
        assert.ok(dueTime(table, until) > now && until > now - when.jitter_s * 1_000 - 7 * MINUTE);
      }),
    );
  });
});
