import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  checkVirtualSensor,
  type Feed,
  fedBy,
  formulaOf,
  inOrderOfFeeding,
  type Known,
  loopThrough,
  MOST_FED,
  overfed,
  type SeriesRef,
  seriesKey,
  valuesAfter,
  type VirtualSensorText,
} from "../../core/virtual-sensor.ts";

const series = (key: string): SeriesRef => ({ deviceId: "d", uid: "sensor-1", key });
const named = (key: string) => ({ name: key, ...series(key) });
const TARGET = series("sum");
function sum(text: Partial<VirtualSensorText> = {}) {
  return formulaOf(TARGET, [named("a"), named("b")], { name: "Sum", expression: "a + b", max_age_s: 10, ...text });
}
type Said = Readonly<Record<string, readonly Known[]>>;
const bySeries = (said: Said): Map<string, readonly Known[]> =>
  new Map(Object.entries(said).map(([key, readings]) => [seriesKey(series(key)), readings]));
const newest = (said: Readonly<Record<string, Known>>): Map<string, Known> =>
  new Map(Object.entries(said).map(([key, known]) => [seriesKey(series(key)), known]));
const at = (ts: number, value: Known["value"]): Known => ({ ts, value });

describe("a virtual sensor", () => {
  test("says at the time of its newest input what they come to together", () => {
    const cases: [string, Parameters<typeof newest>[0], Said, Known[]][] = [
      ["an input alone says nothing", {}, { a: [at(1_000, 1)] }, []],
      ["both at once are one value", {}, { a: [at(1_000, 1)], b: [at(1_000, 2)] }, [at(1_000, 3)]],
      ["what was known before counts", { b: at(500, 2) }, { a: [at(1_000, 1)] }, [at(1_000, 3)]],
      ["each new time is a value", { b: at(500, 2) }, { a: [at(1_000, 1), at(2_000, 5)] }, [at(1_000, 3), at(2_000, 7)]],
      ["in the order of their times", { b: at(500, 2) }, { a: [at(2_000, 5), at(1_000, 1)] }, [at(1_000, 3), at(2_000, 7)]],
      ["what comes late changes nothing", { a: at(3_000, 9), b: at(500, 2) }, { a: [at(1_000, 1)] }, []],
      ["nor does what is there already", { a: at(1_000, 1), b: at(500, 2) }, { a: [at(1_000, 8)] }, []],
      [
        "a history of one beside a present of the other is its last",
        { b: at(9_000, 2) },
        { a: [at(1_000, 1), at(2_000, 5)] },
        [at(9_000, 7)],
      ],
      ["an input that is too old is not known", { b: at(0, 2) }, { a: [at(10_000, 1), at(10_001, 1)] }, [at(10_000, 3)]],
      ["what is no number is not known", { b: at(500, "warm") }, { a: [at(1_000, 1)] }, []],
      ["true is one", { b: at(500, true) }, { a: [at(1_000, 1)] }, [at(1_000, 2)]],
      [
        "of inputs of one time that come one after the other the second is a millisecond later",
        { b: at(500, 2), a: at(1_000, 1), sum: at(1_000, 3) },
        { b: [at(1_000, 7)] },
        [at(1_001, 8)],
      ],
      ["and nothing where it says the same", { b: at(500, 2), a: at(1_000, 1), sum: at(1_000, 3) }, { b: [at(1_000, 2)] }, []],
    ];
    for (const [what, known, fresh, said] of cases) assert.deepEqual(valuesAfter(sum(), newest(known), bySeries(fresh)), said, what);
  });

  test("says nothing where its expression comes to nothing, and on or off where it is binary", () => {
    const after = (text: Partial<VirtualSensorText>, a: number) =>
      valuesAfter(sum(text), newest({ b: at(500, 2) }), bySeries({ a: [at(1_000, a)] })).map(({ value }) => value);
    assert.deepEqual(after({ expression: "a / 0" }, 1), []);
    assert.deepEqual(after({ expression: "a > b", device_class: "heat" }, 3), [true]);
    assert.deepEqual(after({ expression: "a > b", platform: "binary_sensor" }, 1), [false]);
    assert.deepEqual(after({ expression: "a > b" }, 3), [1]);
    assert.deepEqual(after({ expression: "a * b" }, 0.1 + 0.2), [0.6], "without the noise of binary fractions");
  });

  test("ends up with the same, however its inputs are cut into messages, and never says two values of one time", () => {
    const reading = fc.record({
      key: fc.constantFrom("a", "b"),
      ts: fc.integer({ min: 1, max: 12 }),
      value: fc.integer({ min: 0, max: 5 }),
    });
    fc.assert(
      fc.property(
        fc.uniqueArray(reading, { maxLength: 20, selector: ({ key, ts }) => `${key} ${ts}` }),
        fc.array(fc.integer({ min: 1, max: 5 })),
        (readings, cuts) => {
          const ordered = readings.toSorted((x, y) => x.ts - y.ts);
          const known = new Map<string, Known>();
          const said: Known[] = [];
          for (let from = 0, turn = 0; from < ordered.length; turn++) {
            const part = ordered.slice(from, (from += cuts[turn] ?? 1));
            const fresh = Map.groupBy(part, ({ key }) => seriesKey(series(key)));
            const values = valuesAfter(sum(), known, fresh);
            said.push(...values);
            for (const one of part) known.set(seriesKey(series(one.key)), one);
            const last = values.at(-1);
            if (last) known.set(seriesKey(TARGET), last);
          }
          assert.ok(said.every(({ ts }, index) => index === 0 || ts > (said[index - 1]?.ts as number)));
          const [a, b] = ["a", "b"].map((key) => ordered.findLast((one) => one.key === key)?.value);
          assert.equal(said.at(-1)?.value, a === undefined || b === undefined ? undefined : a + b);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test("is refused with the place of what is wrong with it", () => {
    const fine = { name: "x", expression: "t", inputs: { t: { device: "sensor-1", key: "t" } } };
    checkVirtualSensor(fine);
    assert.throws(() => checkVirtualSensor({ ...fine, expression: "y" }), /\/expression names y/);
    assert.throws(() => checkVirtualSensor({ ...fine, inputs: { min: { device: "sensor-1", key: "t" } } }), /\/inputs\/min is the name/);
    assert.throws(() => checkVirtualSensor({ ...fine, device_class: "temperature", unit_of_measurement: "W" }), /\/unit_of_measurement/);
  });
});

const feed = (target: string, ...inputs: string[]): Feed => ({ target: series(target), inputs: inputs.map(series) });

describe("virtual sensors of virtual sensors", () => {
  test("are refused where one would feed itself, with the way", () => {
    const way = (added: Feed, ...others: Feed[]): string | undefined =>
      loopThrough(added, others)
        ?.map((name) => name.replace("sensor-1/", ""))
        .join(" ");
    assert.equal(way(feed("a", "a")), "a a");
    assert.equal(way(feed("a", "b"), feed("b", "a")), "a b a");
    assert.equal(way(feed("a", "x", "c"), feed("b", "y", "a"), feed("c", "z", "b")), "a b c a");
    assert.equal(way(feed("a", "b", "c"), feed("b", "d"), feed("c", "d"), feed("d", "x")), undefined, "two ways are no loop");
    assert.equal(way(feed("a", "b"), feed("c", "a")), undefined);
  });

  test("never feed themselves, and each stands behind those that feed it, whatever is added in which order", () => {
    const keys = ["a", "b", "c", "d", "e", "f", "g"];
    const any = fc.record({
      target: fc.constantFrom(...keys),
      inputs: fc.uniqueArray(fc.constantFrom(...keys), { minLength: 1, maxLength: 3 }),
    });
    fc.assert(
      fc.property(fc.uniqueArray(any, { selector: ({ target }) => target }), (wanted) => {
        const feeds: Feed[] = [];
        for (const { target, inputs } of wanted) {
          const added = feed(target, ...inputs);
          if (!loopThrough(added, feeds)) feeds.push(added);
        }
        const ordered = inOrderOfFeeding(feeds);
        assert.equal(ordered.length, feeds.length);
        for (const [index, one] of ordered.entries())
          for (const input of one.inputs)
            assert.ok(!ordered.slice(index).some(({ target }) => target.key === input.key), `${input.key} feeds ${one.target.key}`);
      }),
      { numRuns: 500 },
    );
  });

  test("are so many at most that one reading sets off, over others too", () => {
    const chain = (count: number): Feed[] => Array.from({ length: count }, (_, index) => feed(`s${index + 1}`, `s${index}`));
    assert.equal(overfed(chain(MOST_FED)), undefined);
    assert.deepEqual(overfed(chain(MOST_FED + 1)), series("s0"));
    const byInput = new Map(chain(3).map((one) => [seriesKey(one.inputs[0] as SeriesRef), [one]]));
    assert.deepEqual(
      [...fedBy([seriesKey(series("s1"))], byInput)].map(({ target }) => target.key),
      ["s2", "s3"],
    );
  });
});
