import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { HubError } from "../../core/errors.ts";
import { firstShowing, firstUnshown, zoneOf } from "../../core/zone.ts";
import { changesIn, ODD_CHANGES, oddChanges, wallClock } from "./wall-clock.ts";

const HOUR = 3_600_000;
const iso = (instant: number): string => new Date(instant).toISOString();

describe("a time zone", () => {
  test("has the offset that its clocks show, at any time of three centuries", () => {
    const names = Intl.supportedValuesOf("timeZone");
    const clocks = new Map(names.map((name) => [name, wallClock(name)]));
    fc.assert(
      fc.property(
        fc.constantFrom(...names),
        fc.integer({ min: Date.UTC(1850, 0, 1) / 1_000, max: Date.UTC(2150, 0, 1) / 1_000 }),
        (name, second) => {
          const instant = second * 1_000;
          const { from, until, offset } = zoneOf(name).stretchAt(instant);
          assert.ok(from <= instant && instant < until);
          assert.equal(iso(instant + offset), iso(clocks.get(name)?.(instant) ?? 0), `${name} at ${iso(instant)}`);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("changes to the second when its clocks do", () => {
    const all = oddChanges();
    assert.deepEqual(new Set(all.map(({ name }) => name)), new Set(Object.keys(ODD_CHANGES)));
    for (const { timeZone, change } of all) {
      const zone = zoneOf(timeZone);
      const [before, after] = [zone.stretchAt(change.at - 1), zone.stretchAt(change.at)];
      assert.deepEqual([before.until, after.from, after.offset - before.offset], [change.at, change.at, change.by], timeZone);
    }
  });

  test("has offsets with seconds where it had them", () => {
    assert.equal(zoneOf("Africa/Monrovia").stretchAt(Date.UTC(1971, 0, 1)).offset, -(44 * 60 + 30) * 1_000);
    assert.equal(zoneOf("Africa/Monrovia").stretchAt(Date.UTC(1973, 0, 1)).offset, 0);
  });

  test("is found by its name, however that is written, and refused without one", () => {
    assert.equal(zoneOf("europe/berlin"), zoneOf("Europe/Berlin"));
    for (const name of ["Europe/Nowhere", "+01:00", "", "../etc/passwd"])
      assert.throws(
        () => zoneOf(name),
        (error: unknown) => error instanceof HubError && error.code === "validation_error",
      );
  });

  /** Within a day and two hours of a change, where it matters. */
  const nearChange = fc
    .record({
      odd: fc.constantFrom(...oddChanges()),
      seconds: fc.integer({ min: -26 * 3_600, max: 26 * 3_600 }),
      later: fc.integer({ min: -50 * 3_600, max: 50 * 3_600 }),
    })
    .map(({ odd: { timeZone, change }, seconds, later }) => {
      const instant = change.at + seconds * 1_000;
      const clock = wallClock(timeZone);
      return { timeZone, clock, instant, wall: clock(instant) + later * 1_000 };
    });

  test("shows a time, or goes past it, at a moment before which it had done neither", () =>
    fc.assert(
      fc.property(nearChange, ({ timeZone, clock, wall }) => {
        const at = firstShowing(zoneOf(timeZone), wall);
        assert.ok(clock(at) >= wall, `${timeZone}: ${iso(at)} shows ${iso(clock(at))}, before ${iso(wall)}`);
        for (let before = at - 1_000; before > at - 51 * HOUR; before -= before > at - 5_000 ? 1_000 : 15 * 60_000)
          assert.ok(clock(before) < wall, `${timeZone}: ${iso(before)} shows ${iso(clock(before))} already, not before ${iso(wall)}`);
      }),
      { numRuns: 200 },
    ));

  test("shows after an instant, for the first time, exactly what was not shown until then", () =>
    fc.assert(
      fc.property(nearChange, ({ timeZone, instant, wall }) => {
        const zone = zoneOf(timeZone);
        assert.equal(firstShowing(zone, wall) > instant, wall >= firstUnshown(zone, instant), `${timeZone} ${iso(instant)} ${iso(wall)}`);
      }),
      { numRuns: 2_000 },
    ));

  test("goes on over the turn of the year", () => {
    const turn = Date.UTC(2026, 0, 1);
    const zone = zoneOf("America/New_York");
    assert.equal(firstShowing(zone, turn), turn + 5 * HOUR);
    assert.equal(firstUnshown(zone, turn), turn - 5 * HOUR + 1);
    assert.deepEqual(changesIn(wallClock("America/New_York"), turn - 30 * 24 * HOUR, turn + 30 * 24 * HOUR), []);
  });
});
