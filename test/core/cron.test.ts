import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Cron as Croner } from "croner";
import fc from "fast-check";
import { isFrequent, nextMatch, parseCron } from "../../core/cron.ts";
import { HubError } from "../../core/errors.ts";

const parse = (expression: string) => parseCron(expression, "/expression");
const next = (expression: string, from: string, count = 3): string[] => {
  const cron = parse(expression);
  const found: string[] = [];
  for (let wall = nextMatch(cron, Date.parse(`${from}Z`)); wall !== undefined && found.length < count; wall = nextMatch(cron, wall + 1))
    found.push(new Date(wall).toISOString().slice(0, found.length === 0 ? 19 : 16));
  return found;
};

describe("a cron expression", () => {
  /** From Friday, 2 January 2026, noon. The first match with its seconds. */
  const matches: readonly [string, ...string[]][] = [
    ["* * * * *", "2026-01-02T12:00:00", "2026-01-02T12:01", "2026-01-02T12:02"],
    ["*/20 * * * * *", "2026-01-02T12:00:00", "2026-01-02T12:00", "2026-01-02T12:00"],
    ["15 30 8 * * *", "2026-01-03T08:30:15", "2026-01-04T08:30", "2026-01-05T08:30"],
    ["30 8 * * MON-FRI", "2026-01-05T08:30:00", "2026-01-06T08:30", "2026-01-07T08:30"],
    ["0 0 * * fri-sun", "2026-01-03T00:00:00", "2026-01-04T00:00", "2026-01-09T00:00"],
    ["0 0 * * 7", "2026-01-04T00:00:00", "2026-01-11T00:00", "2026-01-18T00:00"],
    ["0 0 * * 5-7", "2026-01-03T00:00:00", "2026-01-04T00:00", "2026-01-09T00:00"],
    ["0 0 * * */3", "2026-01-03T00:00:00", "2026-01-04T00:00", "2026-01-07T00:00"],
    ["0,30 6-8/2,22 * * *", "2026-01-02T22:00:00", "2026-01-02T22:30", "2026-01-03T06:00"],
    ["0 0 ? JAN,jul ?", "2026-01-03T00:00:00", "2026-01-04T00:00", "2026-01-05T00:00"],
    ["0 0 13 * FRI", "2026-01-09T00:00:00", "2026-01-13T00:00", "2026-01-16T00:00"],
    ["0 0 */10 * MON", "2026-01-05T00:00:00", "2026-01-11T00:00", "2026-01-12T00:00"],
    ["0 0 L * *", "2026-01-31T00:00:00", "2026-02-28T00:00", "2026-03-31T00:00"],
    ["0 0 15,L * *", "2026-01-15T00:00:00", "2026-01-31T00:00", "2026-02-15T00:00"],
    ["0 0 * * 5L", "2026-01-30T00:00:00", "2026-02-27T00:00", "2026-03-27T00:00"],
    ["0 0 * * friL,1#1", "2026-01-05T00:00:00", "2026-01-30T00:00", "2026-02-02T00:00"],
    ["0 0 * * MON#2", "2026-01-12T00:00:00", "2026-02-09T00:00", "2026-03-09T00:00"],
    ["0 0 * * SAT#5", "2026-01-31T00:00:00", "2026-05-30T00:00", "2026-08-29T00:00"],
    ["0 0 L * SUN#5", "2026-01-31T00:00:00", "2026-02-28T00:00", "2026-03-29T00:00"],
    ["0 0 31 * *", "2026-01-31T00:00:00", "2026-03-31T00:00", "2026-05-31T00:00"],
    ["0 0 29 2 *", "2028-02-29T00:00:00", "2032-02-29T00:00", "2036-02-29T00:00"],
    ["0 0 * 2 SUN#5", "2032-02-29T00:00:00", "2060-02-29T00:00", "2088-02-29T00:00"],
    ["0 0 31 2,4 TUE", "2026-02-03T00:00:00", "2026-02-10T00:00", "2026-02-17T00:00"],
    ["@hourly", "2026-01-02T12:00:00", "2026-01-02T13:00", "2026-01-02T14:00"],
    ["@daily", "2026-01-03T00:00:00", "2026-01-04T00:00", "2026-01-05T00:00"],
    [" @Weekly ", "2026-01-04T00:00:00", "2026-01-11T00:00", "2026-01-18T00:00"],
    ["@monthly", "2026-02-01T00:00:00", "2026-03-01T00:00", "2026-04-01T00:00"],
    ["@yearly", "2027-01-01T00:00:00", "2028-01-01T00:00", "2029-01-01T00:00"],
  ];
  for (const [expression, ...expected] of matches)
    test(`${expression} comes at ${expected.join(", ")}`, () => assert.deepEqual(next(expression, "2026-01-02T12:00:00"), expected));

  test("comes at a second, not within it, and that at which one looks is one", () => {
    assert.deepEqual(next("* * * * * *", "2026-01-02T12:00:00.001", 1), ["2026-01-02T12:00:01"]);
    assert.deepEqual(next("0 12 * * *", "2026-01-02T12:00:00.000", 1), ["2026-01-02T12:00:00"]);
    assert.deepEqual(next("0 12 * * *", "2026-01-02T12:00:00.001", 1), ["2026-01-03T12:00:00"]);
  });

  test("ends with the years that ISO 8601 can write, and leaves out what no leap year is", () => {
    assert.deepEqual(next("0 0 29 2 *", "2096-01-01T00:00:00", 2), ["2096-02-29T00:00:00", "2104-02-29T00:00"]);
    assert.deepEqual(next("0 0 * 2 MON#5", "2072-03-01T00:00:00", 1), ["2112-02-29T00:00:00"]);
    assert.deepEqual(next("@yearly", "9998-06-01T00:00:00", 3), ["9999-01-01T00:00:00"]);
  });

  /** With the field that is to blame, and what its message has to say. */
  const wrong: readonly [string, string, RegExp][] = [
    ["", "expression", /five fields/],
    ["* * * *", "expression", /has 4/],
    ["* * * * * * *", "expression", /has 7/],
    ["@reboot", "expression", /@reboot is none of @hourly/],
    ["__proto__", "expression", /has 1/],
    ["constructor", "expression", /has 1/],
    ["60 * * * *", "minute", /60 is not 0 to 59/],
    ["60 * * * * *", "second", /60 is not 0 to 59/],
    ["0 24 * * *", "hour", /24 is not 0 to 23/],
    ["0 0 0 * *", "day of month", /0 is not 1 to 31/],
    ["0 0 32 * *", "day of month", /32 is not 1 to 31/],
    ["0 0 1 13 *", "month", /13 is not 1 to 12/],
    ["0 0 1 FOO *", "month", /FOO is no value/],
    ["0 0 1 MON *", "month", /MON is no value/],
    ["0 0 1 JAN-SUN *", "month", /SUN is no value/],
    ["0 0 * * 8", "day of week", /8 is not 0 to 7/],
    ["0 0 * * L", "day of week", /L is no value/],
    ["0 0 * * 1#0", "day of week", /after # comes 1 to 5/],
    ["0 0 * * 1#6", "day of week", /after # comes 1 to 5/],
    ["0 0 * * 1#", "day of week", /after # comes 1 to 5/],
    ["0 0 * * 1-3#2", "day of week", /no value/],
    ["0 0 * * 9L", "day of week", /9 is not 0 to 7/],
    ["0 0 L-3 * *", "day of month", /L is no value/],
    ["0 0 15W * *", "day of month", /15W is no value/],
    ["0 L * * *", "hour", /L is no value/],
    ["5-1 * * * *", "minute", /5-1 ends before it begins/],
    ["0 22-2 * * *", "hour", /22-2 ends before it begins/],
    ["0 0 * * SAT-MON", "day of week", /SAT-MON ends before/],
    ["5/15 * * * *", "minute", /write 5-59\/15/],
    ["*/0 * * * *", "minute", /the step of \*\/0 is not 1 to 59/],
    ["*/90 * * * *", "minute", /the step of \*\/90 is not 1 to 59/],
    ["*/ * * * *", "minute", /is no value, range or step/],
    ["1,,2 * * * *", "minute", /a value is missing/],
    ["1, * * * *", "minute", /a value is missing/],
    ["-1 * * * *", "minute", /is no value, range or step/],
    ["1.5 * * * *", "minute", /is no value, range or step/],
    ["1e1 * * * *", "minute", /1E1 is no value/],
    ["٣ * * * *", "minute", /is no value/],
    ["0 0 30 2 *", "day of month", /no month that is named has such a day/],
    ["0 0 31 4,6,9,11 *", "day of month", /no month/],
    ["* * 30,31 FEB ?", "day of month", /no month/],
  ];
  for (const [expression, field, reason] of wrong)
    test(`${expression || "that is empty"} is refused for its ${field}`, () => {
      assert.throws(
        () => parse(expression),
        (error: unknown) => {
          assert.ok(error instanceof HubError && error.code === "validation_error");
          const [problem, ...others] = error.details as { path: string; field: string; message: string }[];
          assert.deepEqual([problem?.path, problem?.field, others], ["/expression", field, []]);
          assert.match(problem?.message ?? "", reason);
          assert.match(error.message, reason);
          return true;
        },
      );
    });

  test("is told everything that is wrong with it at once", () =>
    assert.throws(
      () => parse("61 25 0 13 8"),
      (error: unknown) => {
        const details = error instanceof HubError ? (error.details as { field: string }[]) : [];
        assert.deepEqual(
          details.map(({ field }) => field),
          ["minute", "hour", "day of month", "month", "day of week"],
        );
        return true;
      },
    ));

  test("is frequent if its hours are all of them, or a step over all of them", () => {
    for (const hours of ["*", "?", "*/2", "*/12", "0-23", "0-23/3", "00-23", "0-11,12-23", "9,*/6"])
      assert.ok(isFrequent(parse(`30 ${hours} * * *`)), hours);
    for (const hours of ["2", "0-22", "1-23/2", "8-18", "0,6,12,18"]) assert.ok(!isFrequent(parse(`*/5 ${hours} * * *`)), hours);
    assert.ok(isFrequent(parse("@hourly")));
    assert.ok(!isFrequent(parse("@daily")));
  });
});

describe("any cron expression", () => {
  const NAMES = { month: ["JAN", "APR", "dec"], weekday: ["sun", "MON", "fri", "SAT"] } as const;
  const field = (min: number, max: number, names: readonly string[] = []): fc.Arbitrary<string> => {
    const value = fc.integer({ min, max });
    const step = fc.integer({ min: 1, max: Math.min(max - min, 6) });
    const range = fc.tuple(value, value).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`);
    const item = fc.oneof(
      value.map(String),
      range,
      fc.tuple(range, step).map(([one, by]) => `${one}/${by}`),
      step.map((by) => `*/${by}`),
      ...(names.length > 0 ? [fc.constantFrom(...names)] : []),
    );
    return fc.oneof(
      fc.constant("*"),
      fc.array(item, { minLength: 1, maxLength: 3 }).map((items) => items.join(",")),
    );
  };
  const special = (...items: readonly string[]) => fc.constantFrom(...items);
  const expression = fc
    .tuple(
      fc.option(field(0, 59), { nil: undefined }),
      field(0, 59),
      field(0, 23),
      fc.oneof({ weight: 4, arbitrary: field(1, 31) }, { weight: 1, arbitrary: special("L", "L,3", "31,L") }),
      field(1, 12, NAMES.month),
      fc.oneof(field(0, 7, NAMES.weekday), special("MON-FRI", "FRI-SUN", "1#2", "FRI#1,3L", "5L", "0#5", "7#1,TUE,sat")),
    )
    .map((parts) => parts.filter((part) => part !== undefined).join(" "));
  const start = fc.integer({ min: Date.UTC(2020, 0, 1), max: Date.UTC(2040, 0, 1) });

  test("comes when croner says that it does, where no clock is ever changed", () =>
    fc.assert(
      fc.property(expression, start, (text, from) => {
        const theirs = new Croner(text, { utcOffset: 0, paused: true });
        const expected = theirs.nextRuns(5, new Date(from)).map((run) => run.toISOString());
        if (expected.length === 0) {
          assert.throws(() => parse(text), HubError);
          return;
        }
        const cron = parse(text);
        let wall: number | undefined = Math.floor(from / 1_000) * 1_000;
        for (const run of expected) {
          wall = nextMatch(cron, wall + 1_000);
          assert.equal(wall === undefined ? undefined : new Date(wall).toISOString(), run);
          wall ??= 0;
        }
      }),
      { numRuns: 1_000 },
    ));

  test("that is no expression is refused, and never anything worse", () =>
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ maxLength: 40 }),
          fc.array(fc.stringMatching(/^[0-9A-Za-z*?,/#-]{1,6}$/), { minLength: 5, maxLength: 6 }).map((parts) => parts.join(" ")),
        ),
        (text) => {
          try {
            const match = nextMatch(parse(text), 0);
            assert.ok(match !== undefined && match >= 0);
          } catch (error) {
            assert.ok(error instanceof HubError && error.code === "validation_error", String(error));
          }
        },
      ),
      { numRuns: 2_000 },
    ));
});
