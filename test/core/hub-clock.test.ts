import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { believedClock, EARLIEST_MS, type HubTime, observe, startTime } from "../../core/hub-clock.ts";

const HOUR = 3_600_000;
const NOW = EARLIEST_MS + 1_000 * HOUR;
const at = (time: HubTime, monotonicMs: number): number => time.offsetMs + monotonicMs;

describe("the hub's time", () => {
  test("is the machine's, and small corrections are no step", () => {
    let time = startTime({ wallMs: NOW, monotonicMs: 5_000 }, undefined);
    assert.equal(at(time, 6_000), NOW + 1_000);
    for (const correction of [0, 400, -300, 999, -999]) {
      const seen = observe(time, { wallMs: at(time, 7_000) + correction, monotonicMs: 7_000 });
      assert.equal(seen.stepMs, 0);
      time = seen.time;
    }
  });

  test("follows whoever sets the clock, and says by how much", () => {
    const time = startTime({ wallMs: NOW, monotonicMs: 0 }, undefined);
    for (const step of [HOUR, -HOUR, 30 * 24 * HOUR, -500 * HOUR, 1_001, -1_001]) {
      const seen = observe(time, { wallMs: NOW + 10 + step, monotonicMs: 10 });
      assert.deepEqual([seen.stepMs, at(seen.time, 10), seen.time.isBelieved], [step, NOW + 10 + step, true]);
    }
  });

  test("is not told by a reading that took long", () => {
    const time = startTime({ wallMs: NOW, monotonicMs: 0 }, undefined);
    const seen = observe(time, { wallMs: NOW + 4_000, monotonicMs: 2_000, spanMs: 4_000 });
    assert.deepEqual(seen, { time, stepMs: 0 });
    assert.equal(observe(time, { wallMs: NOW + HOUR, monotonicMs: 2_000, spanMs: 500 }).stepMs, HOUR - 2_000);
  });

  test("goes on by itself while the clock says 1970, and says afterwards what it was off", () => {
    const time = startTime({ wallMs: NOW, monotonicMs: 0 }, undefined);
    const lost = observe(time, { wallMs: 3_000, monotonicMs: 1_000 });
    assert.deepEqual([lost.stepMs, at(lost.time, 1_000), lost.time.isBelieved], [0, NOW + 1_000, false]);
    const still = observe(lost.time, { wallMs: 3_000 + HOUR, monotonicMs: HOUR });
    assert.deepEqual([still.stepMs, at(still.time, HOUR)], [0, NOW + HOUR]);
    const back = observe(still.time, { wallMs: NOW + HOUR + 200, monotonicMs: HOUR });
    assert.deepEqual([back.stepMs, at(back.time, HOUR), back.time.isBelieved], [0, NOW + HOUR + 200, true]);
    assert.equal(observe(still.time, { wallMs: NOW + 3 * HOUR, monotonicMs: HOUR }).stepMs, 2 * HOUR);
  });

  test("begins on a board without a battery where it ended, or with this release", () => {
    assert.equal(at(startTime({ wallMs: 0, monotonicMs: 50 }, NOW), 50), NOW);
    assert.equal(at(startTime({ wallMs: 0, monotonicMs: 50 }, undefined), 50), EARLIEST_MS);
    assert.equal(at(startTime({ wallMs: NOW - HOUR, monotonicMs: 50 }, NOW), 50), NOW - HOUR);
  });

  test("never stands still or goes back but by a step, whatever the clock says", () => {
    const reading = fc.record({
      jumpMs: fc.integer({ min: -80 * 365 * 24 * HOUR, max: 365 * 24 * HOUR }),
      passesMs: fc.integer({ min: 0, max: HOUR }),
    });
    fc.assert(
      fc.property(fc.array(reading, { maxLength: 30 }), (readings) => {
        let time = startTime({ wallMs: NOW, monotonicMs: 0 }, undefined);
        let monotonicMs = 0;
        for (const { jumpMs, passesMs } of readings) {
          const before = at(time, monotonicMs);
          monotonicMs += passesMs;
          const seen = observe(time, { wallMs: NOW + monotonicMs + jumpMs, monotonicMs });
          assert.ok(Math.abs(at(seen.time, monotonicMs) - (before + passesMs + seen.stepMs)) <= 1_000);
          assert.ok(at(seen.time, monotonicMs) >= EARLIEST_MS - 1_000);
          time = seen.time;
        }
      }),
    );
  });
});

test("a clock that says a time before this release is not asked, and any other is", () => {
  const told = (wallMs: number): number =>
    believedClock(
      () => wallMs,
      () => 42,
    )();
  assert.deepEqual([0, EARLIEST_MS - 1, EARLIEST_MS, EARLIEST_MS + 1].map(told), [42, 42, EARLIEST_MS, EARLIEST_MS + 1]);
});
