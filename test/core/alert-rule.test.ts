import assert from "node:assert/strict";
import { test } from "node:test";
import { type AlertRuleInput, parseAlertDefinition, silenceEnd } from "../../core/alert-rule.ts";
import { counted, isBeyond, isTooFast, type Point, rateOf, withPoint } from "../../core/alert-signals.ts";
import { HubError } from "../../core/errors.ts";

const rule = (more: Partial<AlertRuleInput> = {}): AlertRuleInput => ({
  condition: { kind: "threshold", key: "t", above: 30 },
  severity: "warning",
  ...more,
});

test("a rule that cannot work is refused with the place of its fault", () => {
  const faults: [Partial<AlertRuleInput>, string][] = [
    [{ condition: { kind: "threshold", key: "t" } }, "/condition"],
    [{ condition: { kind: "threshold", key: "t", above: 5, below: 5 } }, "/condition/below"],
    [{ condition: { kind: "absence", key: "t" } }, "/for_s"],
    [{ condition: { kind: "event", type: "alert.raised", window_s: 5 } }, "/condition/type"],
    [{ silences: [{ kind: "between", from: "2030-01-02T00:00:00Z", until: "2030-01-01T00:00:00Z" }] }, "/silences/0/until"],
    [{ silences: [{ kind: "between", from: "2030-01-02T00:00:00Z", until: "9999-12-31T23:59:59-23:59" }] }, "/silences/0/until"],
    [{ silences: [{ kind: "between", from: "2030-01-02T00:00:00Z", until: "2030-12-31T23:59:60Z" }] }, "/silences/0/until"],
    [{ silences: [{ kind: "recurring", recurrence: { kind: "cron", expression: "never" }, for_s: 60 }] }, "/silences/0/recurrence"],
    [{ device: "sensor-00000001", site_id: "00000000-0000-4000-8000-000000000000" }, "/device"],
    [{ time_zone: "Mars/Olympus" }, "/time_zone"],
  ];
  for (const [more, path] of faults)
    assert.throws(
      () => parseAlertDefinition(rule(more)),
      (error: unknown) => error instanceof HubError && JSON.stringify(error.details).includes(`"path":"${path}`),
      path,
    );
});

test("silences are windows that may lead on to each other", () => {
  const at = (text: string): number => Date.parse(`2030-01-01T${text}:00Z`);
  const { silences } = parseAlertDefinition(
    rule({
      silences: [
        { kind: "between", from: "2030-01-01T05:00:00Z", until: "2030-01-01T07:00:00Z" },
        { kind: "recurring", recurrence: { kind: "cron", expression: "0 2 * * *" }, for_s: 4 * 3_600 },
      ],
    }),
  );
  const context = { timeZone: "UTC", anchor: 0 };
  const ends = ["01:59", "02:00", "05:30", "06:59", "07:00"].map((text) => silenceEnd(silences, at(text), context));
  assert.deepEqual(ends, [undefined, at("07:00"), at("07:00"), at("07:00"), undefined]);
});

test("a value has to come back by the hysteresis", () => {
  const condition = { kind: "threshold", key: "t", above: 30, hysteresis: 2 } as const;
  assert.deepEqual(
    [30, 30.1, 29, 28, 27.9].map((value) => [isBeyond(condition, value, false), isBeyond(condition, value, true)]),
    [
      [false, true],
      [true, true],
      [false, true],
      [false, false],
      [false, false],
    ],
  );
  assert.equal(isBeyond(condition, "warm", true), undefined);
});

test("a rate is taken over the window, in any order and however many points, once half of it is there", () => {
  const condition = { kind: "rate", key: "t", more_than: 5, per: "minute", window_s: 60 } as const;
  const points = (list: readonly [number, number][]): readonly Point[] =>
    list.reduce<readonly Point[]>((all, [s, value]) => withPoint(all, { ts: s * 1_000, value }, 60_000), []);
  assert.equal(
    rateOf(
      condition,
      points([
        [0, 10],
        [29, 20],
      ]),
    ),
    undefined,
  );
  assert.equal(
    rateOf(
      condition,
      points([
        [0, 10],
        [30, 13],
      ]),
    ),
    6,
  );
  assert.equal(
    rateOf(
      condition,
      points([
        [30, 13],
        [0, 10],
        [15, 99],
      ]),
    ),
    6,
  );
  assert.equal(
    rateOf(
      condition,
      points([
        [0, 1_000],
        [100, 10],
        [160, 16],
      ]),
    ),
    6,
  );
  const many = points(Array.from({ length: 1_000 }, (_, index) => [index * 0.06, index]));
  assert.ok(many.length <= 256 && Math.abs((rateOf(condition, many) ?? 0) - 1_000) < 0.01);
  assert.deepEqual(
    [6, -6].map((rate) => [isTooFast(condition, rate), isTooFast({ ...condition, direction: "fall" }, rate)]),
    [
      [true, false],
      [true, true],
    ],
  );
});

test("so many events in a window are bad until there are fewer", () => {
  const condition = { count: 3, window_s: 10 };
  let recent: readonly number[] = [];
  const untils: unknown[] = [];
  for (const at of [0, 4_000, 11_000, 12_000, 13_000]) {
    const next = counted(condition, recent, at);
    recent = next.recent;
    untils.push(next.signal);
  }
  assert.deepEqual(untils, [undefined, undefined, undefined, { kind: "bad", until: 14_000 }, { kind: "bad", until: 21_000 }]);
});
