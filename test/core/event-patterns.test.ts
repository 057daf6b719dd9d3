import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bursts, frequencies, MAX_SEQUENCES, type PatternEvent, sequences } from "../../core/event-patterns.ts";

const of = (type: string, times: readonly number[], entityId: string | null = "lamp"): PatternEvent[] =>
  times.map((at) => ({ type, at, entityId }));
const some = fc.array(
  fc.record({ type: fc.constantFrom("a", "b", "c"), entityId: fc.constantFrom("lamp", "door", null), at: fc.nat({ max: 5_000 }) }),
  { maxLength: 60 },
);
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

test("how often, how far apart and how regular", () => {
  for (const [times, meanMs, medianMs, regularity] of [
    [[7], null, null, null],
    [[7, 17], 10, 10, null],
    [[0, 10, 20, 30], 10, 10, 1],
    [[30, 0, 20, 10], 10, 10, 1],
    [[5, 5, 5], 0, 0, 1],
    [[0, 10, 40], 20, 20, 2 / 3],
    [[0, 1, 2, 99], 33, 1, 33 / (33 + Math.sqrt((2 * 32 ** 2 + 64 ** 2) / 3))],
  ] as const)
    assert.deepEqual(frequencies(of("a", times)), [{ type: "a", count: times.length, meanMs, medianMs, regularity }]);
  assert.deepEqual(frequencies([]), []);
  const order = frequencies([...of("b", [1, 2]), ...of("a", [1, 2]), ...of("c", [1, 2, 3])]).map(({ type }) => type);
  assert.deepEqual(order, ["c", "a", "b"]);
});

test("regularity is between none and all, whatever comes", () => {
  fc.assert(
    fc.property(some, (events) => {
      const found = frequencies(events);
      assert.equal(sum(found.map(({ count }) => count)), events.length);
      for (const { regularity, meanMs, count } of found) {
        assert.equal(meanMs === null, count === 1);
        assert.equal(regularity === null, count < 3);
        assert.ok(regularity === null || (regularity >= 0 && regularity <= 1));
      }
    }),
  );
});

test("what follows what, of the same entity and in time", () => {
  const pressed = of("press", [0, 1_000, 2_000, 3_000]);
  const lit = of("light", [100, 1_300, 2_200]);
  assert.deepEqual(sequences([...pressed, ...lit], 500), [
    { before: "press", after: "light", count: 3, support: 3 / 7, confidence: 3 / 4, medianDelayMs: 200 },
  ]);
  assert.deepEqual(sequences([...pressed, ...lit], 199), []);
  assert.deepEqual(sequences([...pressed, ...of("light", [100, 1_300, 2_200], "door")], 500), []);
  assert.deepEqual(sequences([...of("a", [0, 10], null), ...of("b", [1, 11], null)], 500), []);
  // One light after three presses follows each of them; three lights after one press follow once.
  assert.deepEqual(
    sequences([...of("press", [0, 1, 2]), ...of("light", [3, 4, 5])], 10).map(({ before, after, count }) => [before, after, count]),
    [["press", "light", 3]],
  );
  // At one time the order stands in which they came.
  const pairs = [...of("a", [0]), ...of("b", [0]), ...of("a", [50]), ...of("b", [50])];
  assert.deepEqual(
    sequences(pairs, 0).map(({ before, after }) => [before, after]),
    [["a", "b"]],
  );
});

/** The same by looking at every pair. */
function followed(events: readonly PatternEvent[], before: string, after: string, windowMs: number): number {
  const ordered = events.toSorted((a, b) => a.at - b.at);
  return ordered.filter(
    (one, index) =>
      one.type === before &&
      one.entityId !== null &&
      ordered.slice(index + 1).some((other) => other.type === after && other.entityId === one.entityId && other.at - one.at <= windowMs),
  ).length;
}

test("sequences are those that looking at every pair finds", () => {
  fc.assert(
    fc.property(some, fc.nat({ max: 2_000 }), (events, windowMs) => {
      const found = new Map(sequences(events, windowMs).map((one) => [`${one.before} ${one.after}`, one]));
      for (const before of ["a", "b", "c"])
        for (const after of ["a", "b", "c"].filter((type) => type !== before)) {
          const count = followed(events, before, after, windowMs);
          const one = found.get(`${before} ${after}`);
          assert.equal(one?.count ?? 0, count < 2 ? 0 : count);
          if (!one) continue;
          assert.equal(one.confidence, count / events.filter(({ type }) => type === before).length);
          assert.ok(one.confidence <= 1 && one.support <= 1 && one.medianDelayMs <= windowMs);
        }
    }),
  );
});

test("ten thousand events of a thousand types are analysed within bounds", () => {
  const events = Array.from({ length: 10_000 }, (_, at): PatternEvent => ({ type: `t${at % 1_000}`, entityId: "lamp", at }));
  assert.equal(sequences(events, 86_400_000).length, MAX_SEQUENCES);
  assert.equal(frequencies(events).length, 100);
});

test("more than usual is a burst, and neighbours are one", () => {
  const quiet = Array.from({ length: 100 }, (_, index) => index * 1_000);
  assert.deepEqual(bursts(of("a", quiet), 1_000, 3), []);
  const loud = [...quiet, ...Array.from({ length: 20 }, (_, index) => 50_000 + index * 100)];
  assert.deepEqual(bursts(of("a", loud), 1_000, 3), [{ start: 50_000, end: 52_000, count: 22 }]);
  assert.deepEqual(bursts(of("a", loud.toReversed()), 1_000, 3), [{ start: 50_000, end: 52_000, count: 22 }]);
  assert.deepEqual(bursts(of("a", loud), 1_000, 20), []);
  assert.deepEqual(bursts([], 1_000, 3), []);
  assert.deepEqual(bursts(of("a", [5, 6, 7]), 1_000, 3), [], "one window alone is not more than usual");
  // Silence counts: two are usual for whoever looks at busy windows alone.
  assert.deepEqual(bursts(of("a", [0, 1, 2, 99_999]), 1_000, 3), [{ start: 0, end: 1_000, count: 3 }]);
});

test("bursts lie within the time of the events, in order, apart, and hold what was then", () => {
  fc.assert(
    fc.property(some, fc.integer({ min: 1, max: 1_000 }), fc.double({ min: 0.5, max: 4, noNaN: true }), (events, windowMs, sigmas) => {
      let before = Number.NEGATIVE_INFINITY;
      for (const { start, end, count } of bursts(events, windowMs, sigmas)) {
        assert.ok(start > before && end > start && start % windowMs === 0 && end % windowMs === 0);
        before = end;
        assert.equal(count, events.filter(({ at }) => at >= start && at < end).length);
        assert.ok(count >= 3);
      }
    }),
  );
});
