import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CLOCK_PACE, type ClockBelief, NO_BELIEF, observeClock, RIGHT_MS, stampsOf, WRONG_MS } from "../../core/device-clock.ts";
import { MAX_AGE_MS } from "../../core/telemetry.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const NOW = Date.UTC(2026, 10, 22);
const { confirmMs, confirmLateMs } = CLOCK_PACE;

/** What changes while messages come, each at a time with the offset of its newest sample. */
function changes(
  messages: readonly (readonly [at: number, offsetMs: number])[],
  from: ClockBelief = NO_BELIEF,
): (readonly [string, number])[] {
  const told: (readonly [string, number])[] = [];
  let belief = from;
  for (const [at, offsetMs] of messages) {
    const seen = observeClock(belief, { at, offsetMs });
    belief = seen.belief;
    if (seen.change) told.push([seen.change, at]);
  }
  return told;
}

const every = (stepMs: number, count: number, offsetAt: (at: number) => number, from = 0) =>
  Array.from({ length: count }, (_, index) => [from + index * stepMs, offsetAt(from + index * stepMs)] as const);

const TABLE: readonly { readonly what: string; readonly messages: readonly (readonly [number, number])[]; readonly told: unknown }[] = [
  { what: "one message says nothing", messages: [[0, HOUR]], told: [] },
  {
    what: "a clock that is ahead is wrong after a minute, and once",
    messages: every(10_000, 30, () => 5 * MINUTE),
    told: [["wrong", confirmMs]],
  },
  {
    what: "so is one that never moves from 1970 on",
    messages: every(30_000, 10, (at) => -NOW - at),
    told: [["wrong", confirmMs]],
  },
  {
    what: "readings that have waited, and come in their order, are no wrong clock",
    messages: every(1_000, 3_000, (at) => -Math.max(0, 3 * HOUR - at * 4)),
    told: [["right", Math.ceil((3 * HOUR - RIGHT_MS) / 4_000) * 1_000 + confirmMs]],
  },
  {
    what: "a clock that is late by the same all the time is wrong after ten minutes",
    messages: every(20_000, 60, (at) => -2 * HOUR - (at % 7_000)),
    told: [["wrong", confirmLateMs]],
  },
  { what: "a little off is neither", messages: every(10_000, 30, () => (RIGHT_MS + WRONG_MS) / 2), told: [] },
  { what: "a right one is told once", messages: every(10_000, 30, () => -1_500), told: [["right", confirmMs]] },
  {
    what: "a wrong one that is set is right after a minute, and one right message between wrong ones changes nothing",
    messages: [
      ...every(10_000, 10, () => HOUR),
      [100_000, 0],
      ...every(10_000, 10, () => HOUR, 110_000),
      ...every(10_000, 20, () => 0, 210_000),
    ],
    told: [
      ["wrong", confirmMs],
      ["right", 210_000 + confirmMs],
    ],
  },
];

for (const { what, messages, told } of TABLE)
  test(`a device's clock: ${what}`, () => {
    assert.deepEqual(changes(messages), told);
  });

test("a device's clock: changes take turns, and none comes sooner than what speaks for it has lasted", () => {
  const offsets = fc.constantFrom(0, 1_000, -RIGHT_MS, 90_000, WRONG_MS, HOUR, -HOUR, -3 * HOUR, -MAX_AGE_MS - 1, 1e12);
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 90_000 }), offsets), { maxLength: 80 }), (steps) => {
      let at = 0;
      const messages = steps.map(([ms, offset]) => [(at += ms), offset] as const);
      const told = changes(messages);
      for (const [index, [to, when]] of told.entries()) {
        assert.notEqual(to, told[index - 1]?.[0]);
        assert.ok(when >= (told[index - 1]?.[1] ?? 0) + confirmMs);
      }
    }),
  );
});

test("the newest stamp of a message counts, and those of the hub are told apart", () => {
  const values = { t: 1 };
  assert.deepEqual(stampsOf({ values }, NOW), { offsetMs: undefined, byDevice: 0, byHub: 1 });
  assert.deepEqual(stampsOf({ ts: NOW + 5, values }, NOW), { offsetMs: 5, byDevice: 1, byHub: 0 });
  const batch = [{ ts: NOW - HOUR, values }, { values }, { ts: new Date(NOW - MINUTE).toISOString(), values }];
  assert.deepEqual(stampsOf(batch, NOW), { offsetMs: -MINUTE, byDevice: 2, byHub: 1 });
  assert.deepEqual(stampsOf([{ values }], NOW), { offsetMs: undefined, byDevice: 0, byHub: 1 });
});
