import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { packChunk, type Period, unpackChunk } from "../../core/chunk.ts";

const HOUR = 3_600_000;
const START = Math.floor(Date.parse("2026-03-28T00:00:00Z") / HOUR) * HOUR;

const reading = (ts: number, value: number | string | null): Period => {
  const [v, json] = typeof value === "number" ? [value, null] : [null, value];
  const [n, v_n] = [1, v === null ? 0 : 1];
  return { ts, n, v_n, v_min: v, v_max: v, v_sum: v, first_v: v, first_json: json, last_v: v, last_json: json };
};

const number = fc.oneof(
  fc.integer({ min: -1_000_000_000, max: 1_000_000_000 }).map((n) => n / 1_000),
  fc.integer(),
  fc.double({ noNaN: true }),
  fc.constantFrom(0.1 + 0.2, 5e-324, Number.MAX_VALUE, Number.NEGATIVE_INFINITY, 2 ** 29, -(2 ** 29)),
);
const text = fc.oneof(fc.constantFrom("true", "false", '"é\u{1f600}"', null), fc.json());
const times = fc.uniqueArray(fc.integer({ min: 0, max: HOUR - 1 }), { minLength: 1, maxLength: 150 });
const sorted = (some: readonly number[]): number[] => some.toSorted((a, b) => a - b).map((ms) => START + ms);

const readings = times.chain((some) =>
  fc
    .array(fc.oneof({ weight: 5, arbitrary: number }, text), { minLength: some.length, maxLength: some.length })
    .map((values) => sorted(some).map((ts, index) => reading(ts, values[index] ?? null))),
);
const end = fc.oneof(
  number.map((v) => [v, null] as const),
  text.map((json) => [null, json] as const),
);
const minutes = times.chain((some) =>
  fc
    .array(fc.tuple(fc.integer({ min: 0, max: 60_000 }), fc.nat({ max: 60_000 }), number, number, number, end, end), {
      minLength: some.length,
      maxLength: some.length,
    })
    .map((rows) =>
      sorted(some).map((ts, index): Period => {
        const [v_n, more, v_min, v_max, v_sum, [first_v, first_json], [last_v, last_json]] = rows[index] as (typeof rows)[number];
        // Of one reading, first and last are that one.
        if (v_n + more === 1) return reading(ts, v_n === 1 ? v_min : first_json);
        const numbers = v_n === 0 ? { v_min: null, v_max: null, v_sum: null } : { v_min, v_max, v_sum };
        return { ts, n: v_n + more, v_n, ...numbers, first_v, first_json, last_v, last_json };
      }),
    ),
);

/** -0 is told from 0 by nobody who reads JSON. */
const plain = (periods: readonly Period[]): object[] =>
  periods.map((one) => Object.fromEntries(Object.entries(one).map(([name, value]) => [name, value === 0 ? 0 : value])));

describe("a chunk", () => {
  for (const [what, some] of [
    ["readings", readings],
    ["periods", minutes],
  ] as const)
    test(`gives back the ${what} that were put in, to the last bit, wherever its bytes lie`, () => {
      fc.assert(
        fc.property(some, fc.nat({ max: 9 }), (periods, offset) => {
          const packed = packChunk(periods, START);
          const beside = new Uint8Array(packed.length + offset);
          beside.set(packed, offset);
          assert.deepEqual(plain(unpackChunk(beside.subarray(offset), START)), plain(periods));
        }),
        { numRuns: 300 },
      );
    });

  test("of a reading a minute with one decimal is three bytes for each at most, and its texts are there once", () => {
    const at = (minute: number): number => START + minute * 60_000 + ((minute * 7_919) % 40);
    const celsius = Array.from({ length: 60 }, (_, minute) => reading(at(minute), 20 + ((minute * 31) % 17) / 10));
    assert.ok(packChunk(celsius, START).length <= 180, String(packChunk(celsius, START).length));
    const states = Array.from({ length: 60 }, (_, minute) => reading(at(minute), minute % 3 === 0 ? '"occupied"' : '"free"'));
    assert.ok(packChunk(states, START).length <= 220, String(packChunk(states, START).length));
  });
});
