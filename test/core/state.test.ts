import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { changesBetween, type DeviceState, isEmptyState, lightPayload, mergeState, NO_STATE } from "../../core/state.ts";

const onOff = fc.constantFrom("ON" as const, "OFF" as const);
const index = fc.integer({ min: 0, max: 31 });
const byIndex = { selector: (one: { index: number }) => one.index, maxLength: 8 };
const sorted = <T extends { index: number }>(list: readonly T[]): T[] => list.toSorted((a, b) => a.index - b.index);
const light = fc.record(
  { index, state: onOff, brightness: fc.integer({ min: 0, max: 100 }), color_temp: fc.integer({ min: 1000, max: 12_000 }) },
  { requiredKeys: ["index", "state"], noNullPrototype: true },
);
const state: fc.Arbitrary<DeviceState> = fc.record(
  {
    relays: fc.uniqueArray(fc.record({ index, state: onOff }, { noNullPrototype: true }), byIndex).map(sorted),
    lights: fc.uniqueArray(light, byIndex).map(sorted),
  },
  { noNullPrototype: true },
);

test("what is known already is no change", () => {
  fc.assert(fc.property(state, (known) => assert.ok(isEmptyState(changesBetween(known, known)))));
});

test("a report laid over what is known leaves nothing to change: reporting it again does nothing", () => {
  fc.assert(fc.property(state, state, (known, reported) => assert.ok(isEmptyState(changesBetween(mergeState(known, reported), reported)))));
});

test("the changes alone lead to the same state as the whole report", () => {
  fc.assert(
    fc.property(state, state, (known, reported) =>
      assert.deepEqual(mergeState(known, changesBetween(known, reported)), mergeState(known, reported)),
    ),
  );
});

test("an output that is reported twice is changed once, to what was said last", () => {
  const twice = fc.record({ relays: fc.array(fc.record({ index, state: onOff }, { noNullPrototype: true })), lights: fc.array(light) });
  fc.assert(
    fc.property(state, twice, (known, reported) => {
      const { relays, lights } = changesBetween(known, reported);
      for (const list of [relays, lights]) assert.equal(new Set(list.map((one) => one.index)).size, list.length);
      assert.deepEqual(mergeState(known, { relays, lights }), mergeState(known, reported));
    }),
  );
});

test("merging keeps every output once, sorted by index", () => {
  fc.assert(
    fc.property(state, state, (known, changes) => {
      const { relays } = mergeState(known, changes);
      const indexes = relays.map((relay) => relay.index);
      assert.deepEqual(
        indexes,
        [...new Set([...known.relays, ...changes.relays].map((relay) => relay.index))].toSorted((a, b) => a - b),
      );
    }),
  );
});

test("a report without lists changes nothing", () => {
  assert.deepEqual(changesBetween({ relays: [{ index: 0, state: "ON" }], lights: [] }, {}), NO_STATE);
});

test("a light's change keeps the brightness that was not reported", () => {
  const known: DeviceState = { relays: [], lights: [{ index: 0, state: "ON", brightness: 40 }] };
  assert.deepEqual(changesBetween(known, { lights: [{ index: 0, state: "OFF" }] }).lights, [{ index: 0, state: "OFF", brightness: 40 }]);
});

test("a light's topic carries Home Assistant's JSON without the index", () => {
  assert.deepEqual(JSON.parse(lightPayload({ index: 3, state: "ON", brightness: 0 })), { state: "ON", brightness: 0 });
});
