import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { decodeTimings, encodeMessage, findProtocol, IR_PROTOCOLS, MOST_ADDRESS, MOST_COMMAND } from "../../core/ir-protocols.ts";
import type { IrMessage } from "../../core/ir-signal.ts";
import { pressOf, timingsFault } from "../../core/ir-signal.ts";
import { anyMessage, rawSignal, refusalOf } from "./ir-codes.ts";

const message = (protocol: string, address: number, command: number): IrMessage => ({ protocol, address, command });

/** The bits in the order in which they are sent, as hexadecimal: what lists of remote controls give. */
function sentHex({ protocol, address, command }: IrMessage): string {
  const timings = encodeMessage({ protocol, address, command }).timings.slice(2);
  const isWidth = protocol.startsWith("SIRC");
  const lengths = timings.filter((_, index) => (index % 2 === 0) === isWidth).map(Math.abs);
  const bits = (isWidth ? lengths : lengths.slice(0, -1)).map((length) => (length > 1_000 ? "1" : "0")).join("");
  return BigInt(`0b${bits}`)
    .toString(16)
    .toUpperCase()
    .padStart(bits.length / 4, "0");
}

describe("infrared protocols", () => {
  // As remotes of LG, Samsung, Panasonic, Sony and JVC are listed with the lowest bit sent first.
  const table: [IrMessage, string][] = [
    [message("NEC", 0x04, 0x08), "20DF10EF"],
    [message("NECext", 0xfb04, 0xf708), "20DF10EF"],
    [message("Samsung32", 0x07, 0x02), "E0E040BF"],
    [message("Kaseikyo", 0x200280, 0x3d0), "40040100BCBD"],
    [message("SIRC", 1, 21), "A90"],
    [message("JVC", 0xa3, 0x17), "C5E8"],
  ];
  for (const [given, hex] of table) test(`${given.protocol} sends ${hex}`, () => assert.equal(sentHex(given), hex));

  test("have the timings of their descriptions", () => {
    const { timings, carrierHz } = encodeMessage(message("NEC", 0, 0xff));
    assert.deepEqual(
      [carrierHz, timings.slice(0, 6), timings.slice(18, 20)],
      [38_000, [9_000, -4_500, 560, -560, 560, -560], [560, -1_690]],
    );
    assert.equal(timings.length, 68);
    assert.equal(
      timings.reduce((sum, timing) => sum + Math.abs(timing), 0),
      110_000,
    );
    assert.deepEqual(
      encodeMessage(message("RC6", 0, 12)).timings.slice(0, 11),
      [2_664, -888, 444, -888, 444, -444, 444, -444, 444, -888, 888],
    );
    assert.deepEqual(encodeMessage(message("RC5", 0, 0)).timings.slice(0, 4), [889, -889, 1_778, -889]);
    assert.deepEqual(encodeMessage(message("SIRC", 1, 21)).timings.slice(0, 6), [2_400, -600, 1_200, -600, 600, -600]);
    assert.equal(encodeMessage(message("SIRC20", 1, 21)).repeat, 2);
  });

  test("are read as they were written, or as another that has the very same timings", () => {
    fc.assert(
      fc.property(anyMessage, (given) => {
        const { timings } = encodeMessage(given);
        assert.equal(timingsFault(timings), undefined);
        const found = decodeTimings(timings) ?? assert.fail(JSON.stringify(given));
        assert.deepEqual(encodeMessage(found).timings, timings);
        const isStricter = { NECext: "NEC", NEC42ext: "NEC42" }[given.protocol] === found.protocol;
        if (!isStricter) assert.deepEqual(found, given);
      }),
      { numRuns: 5_000 },
    );
  });

  test("are read with what a receiver makes of them, and without their last pause", () => {
    const skew = fc.integer({ min: -60, max: 100 });
    fc.assert(
      fc.property(anyMessage, skew, fc.integer({ min: 0, max: 1 }), (given, longerUs, cut) => {
        const { timings } = encodeMessage(given);
        // Marks longer and spaces shorter, or the other way round.
        const heard = timings.map((timing) => timing + longerUs).slice(0, timings.length - cut);
        assert.deepEqual(decodeTimings(heard), decodeTimings(timings));
      }),
      { numRuns: 5_000 },
    );
  });

  test("are not seen where a bit is missing, or the complement is wrong", () => {
    const { timings } = encodeMessage(message("NEC", 4, 8));
    assert.equal(decodeTimings(timings.toSpliced(10, 2)), undefined);
    const samsung = encodeMessage(message("Samsung32", 7, 2)).timings;
    assert.equal(decodeTimings(samsung.with(65, samsung[65] === -550 ? -1_650 : -550)), undefined);
    for (const none of [[], [9_000], [9_000, -4_500], [560, -560, 560, -560]]) assert.equal(decodeTimings(none), undefined);
  });

  test("have no larger address or command than any may have", () => {
    const all = IR_PROTOCOLS.map((name) => findProtocol(name)?.most ?? assert.fail());
    assert.equal(Math.max(...all.map(({ address }) => address)), MOST_ADDRESS);
    assert.equal(Math.max(...all.map(({ command }) => command)), MOST_COMMAND);
  });

  test("refuse what they have no room for, with its place", () => {
    const refused: [IrMessage, string][] = [
      [message("NEC", 256, 0), "/address"],
      [message("NEC", 0, 256), "/command"],
      [message("RC5", 0, 64), "/command"],
      [message("Sony", 0, 0), "/protocol"],
      [message("toString", 0, 0), "/protocol"],
      [message("NEC", -1, 0), "/address"],
      [message("NEC", 0.5, 0), "/address"],
      [message("NEC", Number.NaN, 0), "/address"],
    ];
    for (const [given, path] of refused) assert.equal(refusalOf(() => encodeMessage(given))[0], path);
  });
});

describe("a press of a button", () => {
  const signal = rawSignal([900, -450, 50, -60]);

  test("is the signal, and how often all of it is sent again", () => {
    assert.deepEqual(pressOf(signal), { timings: [900, -450, 50, -60], carrier_hz: 38_000 });
    assert.deepEqual(pressOf({ ...signal, repeat: 2 }), { timings: [900, -450, 50, -60], carrier_hz: 38_000, repeat: 2 });
    assert.deepEqual(pressOf({ ...signal, repeatFrom: 4 }, 1), { timings: [900, -450, 50, -60], carrier_hz: 38_000, repeat: 1 });
  });

  test("has the part that is repeated as often as it is asked for", () => {
    const parted = { ...signal, repeatFrom: 2 };
    assert.deepEqual(pressOf(parted), { timings: [900, -450], carrier_hz: 38_000 });
    assert.deepEqual(pressOf(parted, 2), { timings: [900, -450, 50, -60, 50, -60], carrier_hz: 38_000 });
    const long = { ...parted, timings: Array.from({ length: 1_000 }, (_, index) => (index % 2 === 0 ? 50 : -50)), repeatFrom: 500 };
    assert.equal(pressOf(long, 3).timings.length, 2_000);
    assert.equal(refusalOf(() => pressOf(long, 4))[0], "/repeat");
  });
});
