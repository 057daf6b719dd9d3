import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeTimings, encodeMessage } from "../../core/ir-protocols.ts";
import { formatPronto, parsePronto } from "../../core/ir-pronto.ts";
import { anyCarrier, anyMessage, anyTimings, rawSignal, refusalOf } from "./ir-codes.ts";

const UNIT_US = 0.241246;
/** RC5 13 13, as it is learned and as it is said by number. */
const LEARNED = "0000 0073 0000 000A 0020 0020 0040 0020 0020 0040 0020 0020 0040 0040 0040 0020 0020 0040 0020 0020 0040 0040 0020 0CA8";
const BY_NUMBER = "5000 0000 0000 0001 000D 000D";

test("Pronto's learned codes are read and written word by word", () => {
  const { signal, message } = parsePronto(LEARNED);
  assert.deepEqual([signal.carrierHz, signal.timings.length, signal.repeatFrom, message], [36_045, 20, 0, null]);
  assert.deepEqual(decodeTimings(signal.timings), { protocol: "RC5", address: 13, command: 13 });
  assert.equal(formatPronto(signal), LEARNED);
  assert.equal(formatPronto(parsePronto(LEARNED.toLowerCase().replaceAll(" ", "\n")).signal), LEARNED);
  assert.equal(formatPronto(parsePronto(LEARNED.replace("0000 0073", "0100 0073")).signal), LEARNED);
});

test("Pronto's RC5 and RC6 by number are those protocols", () => {
  const { signal, message } = parsePronto(BY_NUMBER);
  assert.deepEqual(message, { protocol: "RC5", address: 13, command: 13 });
  assert.deepEqual(
    signal.timings.slice(0, -1).map((timing) => Math.round(timing / 889)),
    parsePronto(LEARNED)
      .signal.timings.slice(0, -1)
      .map((timing) => Math.round(timing / 889)),
  );
  assert.deepEqual(parsePronto("5000 0073 0000 0001 0010 0041").message, { protocol: "RC5X", address: 16, command: 1 });
  assert.deepEqual(parsePronto("6000 0073 0000 0001 0000 000C").message, { protocol: "RC6", address: 0, command: 12 });
});

test("what is sent once and what is repeated keep their places", () => {
  const code = "0000 006D 0002 0001 0155 00AA 0015 0600 0155 0055";
  const { signal } = parsePronto(code);
  assert.equal(signal.repeatFrom, 4);
  assert.equal(formatPronto(signal), code);
  const once = "0000 006D 0001 0000 0155 00AA";
  assert.deepEqual([parsePronto(once).signal.repeatFrom, formatPronto(parsePronto(once).signal)], [2, once]);
});

test("every code of whole periods comes back as it was", () => {
  const code = fc
    .record({ clock: fc.integer({ min: 42, max: 413 }), once: fc.integer({ min: 0, max: 20 }), again: fc.integer({ min: 0, max: 20 }) })
    .filter(({ once, again }) => once + again > 0)
    .chain(({ clock, once, again }) => {
      const count = fc.integer({ min: 1, max: Math.min(0xffff, Math.floor(999_000 / (clock * UNIT_US))) });
      const counts = fc.array(count, { minLength: (once + again) * 2, maxLength: (once + again) * 2 });
      return counts.map((all) => [0, clock, once, again, ...all].map((word) => word.toString(16).toUpperCase().padStart(4, "0")).join(" "));
    });
  fc.assert(fc.property(code, (text) => assert.equal(formatPronto(parsePronto(text).signal), text)));
});

test("every timing comes back within half a period of its carrier", () => {
  fc.assert(
    fc.property(anyTimings, anyCarrier, (timings, carrierHz) => {
      fc.pre(timings.every((timing) => Math.abs(timing) <= 640_000));
      const { signal } = parsePronto(formatPronto(rawSignal(timings, carrierHz)));
      const unitUs = 1e6 / signal.carrierHz;
      assert.ok(Math.abs(signal.carrierHz / carrierHz - 1) < 0.0135);
      assert.equal(signal.timings.length, timings.length + (timings.length % 2));
      // A length below half a period becomes a whole one.
      for (const [index, timing] of timings.entries())
        assert.ok(Math.abs(timing - (signal.timings[index] as number)) <= unitUs / (Math.abs(timing) < unitUs / 2 ? 1 : 2) + 0.5);
    }),
  );
});

test("what a protocol says is still there in Pronto's form", () => {
  fc.assert(
    fc.property(anyMessage, (message) => {
      const signal = encodeMessage(message);
      assert.deepEqual(decodeTimings(parsePronto(formatPronto(signal)).signal.timings), decodeTimings(signal.timings));
    }),
  );
});

test("what is no Pronto code is refused, with what is wrong", () => {
  const table: [string, RegExp][] = [
    ["", /hexadecimal/],
    ["0000 006D 0001 0000 0155", /5 words/],
    ["0000 006D 0002 0000 0155 00AA", /announces 4 timings and has 2/],
    ["0000 006D 0000 0000 0155 00AA", /announces 0/],
    ["0000 0000 0001 0000 0155 00AA", /no carrier/],
    ["0000 0001 0001 0000 0155 00AA", /carrier/],
    ["0000 006D 0001 0000 0155 0000", /length 0 as its word 6/],
    ["7000 006D 0001 0000 0155 00AA", /format 7000/],
    ["5000 0000 0000 0002 0001 0002", /one pair/],
    ["5000 0000 0000 0001 0020 0002", /RC5 is an integer from 0 to 31/],
    ["0000 006D 0001 0000 015G 00AA", /hexadecimal/],
    [`0000 006D 0800 0000 ${"0001 ".repeat(4_096)}`, /words/],
    ["0000 006D 0001 0000 FFFF FFFF", /timing 1/],
  ];
  for (const [text, message] of table) assert.match(refusalOf(() => parsePronto(text))[1], message, text.slice(0, 40));
  assert.match(refusalOf(() => formatPronto(rawSignal([900_000, -450], 99_000)))[1], /cannot say timing 1/);
});
