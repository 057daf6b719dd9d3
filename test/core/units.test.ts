import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { SENSOR_CLASS_NAMES, unitsOfClass } from "../../core/sensor-classes.ts";
import { canConvert, canonicalUnit, convert, preferredUnit, UNIT_SYSTEMS, unitsLike } from "../../core/units.ts";

/** Of handbooks: NIST SP 811, the definitions of the inch, pound and US gallon, steam tables' conventional pressures. */
const KNOWN: readonly (readonly [number, string, number, string])[] = [
  [0, "°C", 32, "°F"],
  [100, "°C", 212, "°F"],
  [-40, "°C", -40, "°F"],
  [21.5, "°C", 70.7, "°F"],
  [0, "K", -273.15, "°C"],
  [300, "K", 80.33, "°F"],
  [98.6, "°F", 37, "°C"],
  [1_013.25, "hPa", 101_325, "Pa"],
  [760, "mmHg", 101_325.014_435_4, "Pa"],
  [1, "bar", 14.503_773_773_020_9, "psi"],
  [1, "inHg", 25.4, "mmHg"],
  [1, "inH₂O", 2.490_889_1, "mbar"],
  [100, "km/h", 62.137_119_223_733_4, "mph"],
  [10, "m/s", 36, "km/h"],
  [1, "kn", 1.852, "km/h"],
  [1, "in/h", 609.6, "mm/d"],
  [1, "mi", 1.609_344, "km"],
  [1, "nmi", 1_852, "m"],
  [3, "yd", 9, "ft"],
  [1, "ft", 30.48, "cm"],
  [1, "ac", 4_046.856_422_4, "m²"],
  [640, "ac", 1, "mi²"],
  [1, "st", 14, "lb"],
  [1, "lb", 16, "oz"],
  [1, "kg", 2.204_622_621_848_78, "lb"],
  [1, "kWh", 3.6, "MJ"],
  [1, "kcal", 4.184, "kJ"],
  [1_500, "W", 1.5, "kW"],
  [1, "gal", 128, "fl. oz."],
  [1, "gal", 3.785_411_784, "L"],
  [1, "CCF", 100, "ft³"],
  [1, "MCF", 10, "CCF"],
  [1, "m³", 35.314_666_721_488_6, "ft³"],
  [60, "L/min", 1, "L/s"],
  [1, "m³/h", 16.666_666_666_666_7, "L/min"],
  [1, "d", 86_400_000, "ms"],
  [1, "GiB", 1_073_741_824, "B"],
  [1, "MB", 8, "Mbit"],
  [1, "KiB/s", 8_192, "bit/s"],
  [50, "%", 500_000, "ppm"],
  [4, "pCi/L", 148, "Bq/m³"],
  [0.23, "kV", 230, "V"],
  [1, "BTU/(h⋅ft²)", 3.154_590_745_063_05, "W/m²"],
];
const ALL = [...new Set(SENSOR_CLASS_NAMES.flatMap((name) => unitsOfClass(name).words.replace("one of ", "").split(", ")))].filter(
  (unit) => unitsLike(unit).length > 0,
);

describe("units", () => {
  test("of one quantity are as many of each other as the handbooks say, both ways", () => {
    for (const [value, from, expected, to] of KNOWN) {
      assert.equal(convert(value, { from, to }), expected, `${value} ${from} in ${to}`);
      const back = convert(expected, { from: to, to: from }) as number;
      assert.ok(Math.abs(back - value) <= Math.abs(value) * 1e-12 + 1e-9, `${expected} ${to} is ${back} ${from}`);
    }
  });

  test("come back as they were, over any other unit of the quantity", () => {
    const pair = fc.constantFrom(...ALL).chain((from) => fc.tuple(fc.constant(from), fc.constantFrom(...unitsLike(from))));
    fc.assert(
      fc.property(pair, fc.double({ min: -1e9, max: 1e9, noNaN: true }), fc.boolean(), ([from, to], value, isDifference) => {
        const there = convert(value, { from, to, isDifference }) as number;
        const back = convert(there, { from: to, to: from, isDifference }) as number;
        assert.ok(Math.abs(back - value) <= Math.abs(value) * 1e-12 + 1e-9, `${value} ${from} → ${there} ${to} → ${back}`);
      }),
      { numRuns: 2_000 },
    );
  });

  test("of a temperature keep its zero point, and of a difference have none", () => {
    assert.equal(convert(10, { from: "°C", to: "°F", isDifference: true }), 18);
    assert.equal(convert(10, { from: "K", to: "°C", isDifference: true }), 10);
    assert.equal(convert(9, { from: "°F", to: "K", isDifference: true }), 5);
  });

  test("of different quantities, or that nobody knows, are not converted", () => {
    for (const [from, to] of [
      ["°C", "hPa"],
      ["kWh", "kW"],
      ["°C", "°D"],
      ["furlong", "m"],
      ["constructor", "__proto__"],
    ] as const) {
      assert.equal(convert(1, { from, to }), undefined, `${from} → ${to}`);
      assert.equal(canConvert(from, to), false);
    }
    assert.equal(convert(7, { from: "furlong", to: "furlong" }), 7);
  });

  test("written with the other micro sign are the same", () => {
    assert.equal(canonicalUnit("\u03BCg/m³"), "\u00B5g/m³");
    assert.equal(convert(1, { from: "mg", to: canonicalUnit("\u03BCg") }), 1_000);
  });

  test("of each system are of the quantity they stand for, and are read by whoever reads by it", () => {
    for (const system of UNIT_SYSTEMS)
      for (const unit of ALL) {
        const preferred = preferredUnit(unit, system);
        assert.ok(canConvert(unit, preferred), `${unit} → ${preferred}`);
        assert.equal(preferredUnit(preferred, system), preferred, `${unit} → ${preferred}`);
      }
    assert.deepEqual(
      [preferredUnit("°C", "imperial"), preferredUnit("°F", "metric"), preferredUnit("kWh", "imperial")],
      ["°F", "°C", "kWh"],
    );
  });
});
