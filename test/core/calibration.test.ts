import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Calibration, calibrated, checkCalibration } from "../../core/calibration.ts";
import { HubError } from "../../core/errors.ts";
import { parserFor } from "../../core/validate.ts";

const parse = parserFor(Calibration);
const CURVE = {
  kind: "points",
  points: [
    [0, 1],
    [10, 11],
    [20, 31],
  ],
} as const;

describe("a calibration", () => {
  test("makes the stored value of what the device says", () => {
    const cases: [Calibration, number, number | undefined][] = [
      [{ kind: "linear" }, 21.5, 21.5],
      [{ kind: "linear", offset: -0.4 }, 21.5, 21.1],
      [{ kind: "linear", scale: 1.1 }, 20.1, 22.11],
      [{ kind: "linear", scale: 1 / 1.8, offset: -32 / 1.8 }, 212, 100],
      [{ kind: "linear", min: 0, max: 100 }, 100, 100],
      [{ kind: "linear", min: 0, max: 100 }, 100.1, undefined],
      [{ kind: "linear", min: 0 }, -0.1, undefined],
      [{ kind: "linear", min: 0, max: 100, outside: "clamp" }, 100.1, 100],
      [{ kind: "linear", min: 0, outside: "clamp" }, -5, 0],
      [{ kind: "linear", scale: 1e15, outside: "clamp", max: 5 }, 1e300, undefined],
      [CURVE, 0, 1],
      [CURVE, 5, 6],
      [CURVE, 10, 11],
      [CURVE, 15, 21],
      [CURVE, -10, -9],
      [CURVE, 30, 51],
      [{ ...CURVE, max: 40 }, 30, undefined],
    ];
    for (const [calibration, raw, value] of cases) assert.equal(calibrated(calibration, raw), value, JSON.stringify([calibration, raw]));
  });

  test("by points goes through each of them, and between two never beyond them", () => {
    const points = fc
      .uniqueArray(fc.integer({ min: -1_000, max: 1_000 }), { minLength: 2, maxLength: 20 })
      .chain((raws) =>
        fc.tuple(...raws.toSorted((a, b) => a - b).map((raw) => fc.tuple(fc.constant(raw), fc.integer({ min: -1_000, max: 1_000 })))),
      );
    fc.assert(
      fc.property(points, fc.double({ min: 0, max: 1, noNaN: true }), (found, part) => {
        const calibration: Calibration = { kind: "points", points: found };
        checkCalibration(calibration, "");
        for (const [index, [raw, value]] of calibration.points.entries()) {
          assert.equal(calibrated(calibration, raw), value);
          const [nextRaw, nextValue] = calibration.points[index + 1] ?? [raw, value];
          const between = calibrated(calibration, raw + (nextRaw - raw) * part) as number;
          assert.ok(between >= Math.min(value, nextValue) - 1e-9 && between <= Math.max(value, nextValue) + 1e-9);
        }
      }),
    );
  });

  test("that makes no sense is refused with its place", () => {
    const wrong: [unknown, string][] = [
      [{ kind: "linear", scale: 0 }, "/c/scale"],
      [{ kind: "linear", min: 1, max: 0 }, "/c/max"],
      [
        {
          kind: "points",
          points: [
            [0, 0],
            [0, 1],
          ],
        },
        "/c/points/1/0",
      ],
      [
        {
          kind: "points",
          points: [
            [0, 0],
            [2, 1],
            [1, 2],
          ],
        },
        "/c/points/2/0",
      ],
      [{ kind: "points", points: [[0, 0]] }, "/points"],
      [{ kind: "points", points: Array.from({ length: 21 }, (_, index) => [index, index]) }, "/points"],
      [{ kind: "points", points: [[0, 0], [1]] }, "/points/1"],
      [{ kind: "linear", scale: 1e16 }, "/scale"],
      [{ kind: "linear", points: [] }, "/"],
      [{ kind: "cubic" }, "/"],
    ];
    for (const [calibration, path] of wrong)
      assert.throws(
        () => checkCalibration(parse(calibration), "/c"),
        (error: unknown) => {
          assert.ok(error instanceof HubError, String(error));
          assert.deepEqual((error.details as { path: string }[])[0]?.path, path, JSON.stringify(calibration));
          return true;
        },
      );
  });
});
