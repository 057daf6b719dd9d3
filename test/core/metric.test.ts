import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Change, channelOf, type HourFacts, type Measure, measuresOf, mergeMeasures } from "../../core/metric.ts";

const HOUR = 3_600_000;
const NOTHING: HourFacts = {
  from: 0,
  to: HOUR,
  wasConnected: false,
  presence: [],
  disconnects: 0,
  relays: new Map(),
  commands: [],
  tasks: [],
};
const brief = (measures: readonly Measure[]) => measures.map(({ type, channel, n, sum, last }) => [type, channel, n, sum, last]);

test("of an hour in which nothing was and nothing happened there is no row", () => {
  assert.deepEqual(measuresOf(NOTHING), []);
});

test("what is on goes on until it is off, also over an hour without an event", () => {
  assert.deepEqual(brief(measuresOf({ ...NOTHING, wasConnected: true })), [["presence.online", "", 1, 3_600, 1]]);
  const relays = new Map([
    [0, { wasOn: true, changes: [{ at: 600_000, isOn: false }] }],
    [1, { wasOn: false, changes: [{ at: 3_000_000, isOn: true }] }],
    [2, { wasOn: false, changes: [] }],
  ]);
  assert.deepEqual(brief(measuresOf({ ...NOTHING, relays })), [
    ["relay.on", "relay 0", 1, 600, 0],
    ["relay.on", "relay 1", 1, 600, 1],
  ]);
});

test("commands count by what they are about, and the answers alone have a latency", () => {
  const command = (channel: string, status: string, latencyMs?: number) => ({ channel, status, latencyMs, isByHand: status === "ok" });
  const measures = measuresOf({
    ...NOTHING,
    commands: [command("relay 0", "ok", 40), command("relay 0", "error", 60), command("relay 0", "timeout"), command("", "expired")],
    tasks: [
      { isCompleted: true, durationMs: 900 },
      { isCompleted: false, durationMs: undefined },
    ],
  });
  assert.deepEqual(brief(measures), [
    ["command.success", "relay 0", 3, 1, null],
    ["command.latency", "relay 0", 2, 100, null],
    ["command.timeout", "relay 0", 1, 1, null],
    ["command.by_hand", "relay 0", 1, 1, null],
    ["command.success", "", 1, 0, null],
    ["task.success", "", 2, 1, null],
    ["task.duration", "", 1, 900, null],
  ]);
});

test("an hour cut at any places amounts to the same", () => {
  const changes = fc.array(fc.record({ at: fc.integer({ min: 0, max: HOUR - 1 }), isOn: fc.boolean() }), { maxLength: 10 });
  const cuts = fc.array(fc.integer({ min: 1, max: HOUR - 1 }), { maxLength: 4 });
  fc.assert(
    fc.property(changes, fc.boolean(), cuts, (given, wasConnected, places) => {
      const presence = given.toSorted((a, b) => a.at - b.at);
      const whole = measuresOf({ ...NOTHING, wasConnected, presence });
      let was = wasConnected;
      const ends = [...new Set([...places, HOUR])].toSorted((a, b) => a - b);
      const parts = ends.flatMap((to, index) => {
        const from = ends[index - 1] ?? 0;
        const within = presence.filter(({ at }: Change) => at >= from && at < to);
        const part = measuresOf({ ...NOTHING, from, to, wasConnected: was, presence: within });
        was = within.at(-1)?.isOn ?? was;
        return part;
      });
      const sum = (measures: readonly Measure[]): number => mergeMeasures(measures)[0]?.sum ?? 0;
      assert.ok(Math.abs(sum(parts) - sum(whole)) < 1e-6, `${sum(parts)} for ${sum(whole)}`);
    }),
  );
});

test("a command is about a part of the device", () => {
  assert.deepEqual(
    [
      { command: "set_relay", relay: 2 },
      { command: "set_light", light: 0 },
      { command: "set_all_relays" },
      { command: "ir_send" },
      { command: "restart" },
    ].map(channelOf),
    ["relay 2", "light 0", "relays", "ir", ""],
  );
});
