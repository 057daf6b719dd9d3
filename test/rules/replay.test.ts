import assert from "node:assert/strict";
import fc from "fast-check";
import { parseDefinition } from "../../core/automation.ts";
import type { Facts } from "../../core/condition.ts";
import { type HubEvent, newEvent } from "../../core/event.ts";
import { SYSTEM } from "../../core/principal.ts";
import { replay, type Signal } from "../../core/replay.ts";
import type { Timers } from "../../core/timer.ts";
import { createTopics } from "../../core/topics.ts";
import { openAutomations } from "../../rules/automations.ts";
import { MessageDepth } from "../../rules/message-depth.ts";
import { createRuns } from "../../rules/runs.ts";
import { openTimers } from "../../rules/timers.ts";
import { type Automation, createAutomation } from "../../store/automations.ts";
import { insertEvents } from "../../store/events.ts";
import type { Db } from "../../store/open.ts";
import { createOrganization } from "../../store/organizations.ts";
import { fromJson } from "../../store/sql.ts";
import { inTransaction } from "../../store/transaction.ts";
import { forEachEngine } from "../store/engines.ts";

/** On PostgreSQL, where each is several round trips, a part of them. */
const SIGNALS = { sqlite: 10_000, postgres: 2_000 } as const;
const IN_ONE = 100;
const START = Date.UTC(2026, 10, 22);
const UIDS = ["relay-000001", "relay-000002", "relay-000003"];
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };
const NO_TASKS = { submit: () => Promise.reject(new Error("nobody asks")) };
const METRICS = { count() {}, observe() {} };

const over = (limit: number) => ({
  kind: "compare",
  left: { kind: "var", name: "trigger.value" },
  op: "lt",
  right: { kind: "value", value: limit },
});
const ACTIONS = [{ kind: "event", type: "custom.done" }];
// Restarted: what a run still does when the next one comes is no part of the decision.
const DEFINITIONS: object[] = [
  { triggers: [{ kind: "input_event", input: 1 }], cooldown_s: 3, dedupe_s: 20 },
  {
    triggers: [
      { kind: "input_event", device: UIDS[0] },
      { kind: "button_hold", min_ms: 500 },
    ],
    dedupe_s: 5,
  },
  { triggers: [{ kind: "telemetry", key: "t", above: 30, hysteresis: 4 }], condition: over(38) },
  { triggers: [{ kind: "telemetry", device: UIDS[1], key: "t", below: 5 }], cooldown_s: 60 },
  { triggers: [{ kind: "state", device: UIDS[2], relay: 0, to: "ON" }] },
  { triggers: [{ kind: "event", type: "custom.ring" }], condition: { kind: "time_window", from: "00:10", to: "00:50" }, dedupe_s: 1 },
].map((one) => ({ ...one, actions: ACTIONS, mode: "restart" }));

type Happening = { readonly afterMs: number } & (
  | { readonly type: string; readonly data: Record<string, unknown> }
  | { readonly uid: string; readonly value: number }
);

function happenings(numRuns: number): Happening[] {
  const uid = fc.constantFrom(...UIDS);
  const afterMs = fc.integer({ min: 0, max: 2_000 });
  const happening = fc.oneof(
    fc.record({
      afterMs,
      type: fc.constant("device.input_event"),
      data: fc.record({
        uid,
        input: fc.nat({ max: 2 }),
        event: fc.constantFrom("press", "button_hold"),
        duration_ms: fc.nat({ max: 1_000 }),
      }),
    }),
    fc.record({
      afterMs,
      type: fc.constant("device.state_changed"),
      data: fc.record({
        uid,
        relays: fc.array(fc.record({ index: fc.nat({ max: 1 }), state: fc.constantFrom("ON", "OFF") }), { maxLength: 1 }),
        lights: fc.constant([]),
      }),
    }),
    fc.record({ afterMs, type: fc.constant("custom.ring"), data: fc.record({ door: fc.nat({ max: 3 }) }) }),
    fc.record({ afterMs, uid, value: fc.integer({ min: 0, max: 45 }) }),
  );
  return fc.sample<Happening>(happening, { numRuns, seed: 20_261_122 });
}

/** Automations on a database, at the test's time. */
async function live(db: Db, organizationId: string, stack: AsyncDisposableStack) {
  const time = { now: START };
  const real = stack.use(await openTimers({ db, log: SILENT, metrics: METRICS, clock: () => time.now }));
  const timers: Timers<Db> = {
    now: () => time.now,
    put: (trx, some) => real.put(trx, some),
    drop: (trx, kind, keys) => real.drop(trx, kind, keys),
    handle: (kind, handler) => real.handle(kind, handler),
    onStep: (handler) => real.onStep(handler),
  };
  const events = { emit: async () => undefined };
  const bus = { publish: async () => undefined, subscribe: () => ({ [Symbol.dispose]: () => undefined }) };
  const commands = { send: () => Promise.reject(new Error("nobody asks")), accept: () => Promise.reject(new Error("nobody asks")) };
  const notifier = { notify: async () => undefined };
  const shared = {
    db,
    bus,
    topics: createTopics(),
    events,
    commands,
    notifier,
    timers,
    log: SILENT,
    metrics: METRICS,
    messageDepth: new MessageDepth(),
    tasks: NO_TASKS,
  };
  const made: Automation[] = [];
  await inTransaction(db, async (trx) => {
    for (const definition of DEFINITIONS) {
      const fields = { name: "x", description: null, isEnabled: true, definition: definition as Record<string, unknown> };
      made.push(await createAutomation(trx, organizationId, fields, 100, { actor: SYSTEM, now: START }));
    }
  });
  const automations = stack.use(
    await openAutomations({ ...shared, runs: stack.use(createRuns(shared)), organizationOf: () => organizationId }),
  );
  return { time, automations, made };
}

const signalOf = (one: Happening, at: number): Signal =>
  "type" in one
    ? { kind: "event", at, event: { id: "", type: one.type as HubEvent["type"], entityId: null, data: one.data } }
    : { kind: "reading", at, device: one.uid, key: "t", value: one.value };

forEachEngine(({ engine, test }) => {
  test(`${SIGNALS[engine]} things that happened are decided upon again as they were`, async (db) => {
    await using stack = new AsyncDisposableStack();
    const { id: organizationId } = await createOrganization(db, { name: "Home" });
    const { time, automations, made } = await live(db, organizationId, stack);
    const log: Signal[] = [];
    const all = happenings(SIGNALS[engine]);
    for (let from = 0; from < all.length; from += IN_ONE)
      await inTransaction(db, async (trx) => {
        for (const one of all.slice(from, from + IN_ONE)) {
          time.now += one.afterMs;
          log.push(signalOf(one, time.now));
          const about = { organizationId, entityId: null, actor: SYSTEM, now: time.now };
          if ("type" in one) await insertEvents(trx, [newEvent(one.type as HubEvent["type"], about, one.data)]);
          else
            await automations.witnessReadings(trx, [
              { device: { id: one.uid, uid: one.uid, organizationId }, key: "t", ts: time.now, value: one.value },
            ]);
        }
      });
    const rows = (await db("events").where({ type: "automation.fired" }).orderBy("id")) as {
      entity_id: string;
      timestamp: string;
      data: unknown;
    }[];
    for (const { id, definition } of made) {
      const fired = rows
        .filter((row) => row.entity_id === id)
        .map(({ timestamp, data }) => [Date.parse(timestamp), (fromJson(data) as { trigger: { index: number } }).trigger.index]);
      const facts = (now: number, trigger: Facts["trigger"]): Facts => ({
        now,
        timeZone: "UTC",
        trigger,
        output: () => undefined,
        reading: () => undefined,
        presence: () => undefined,
      });
      const verdicts = replay(parseDefinition(definition as never), log, facts).filter(({ fires }) => fires);
      assert.ok(fired.length > 2, JSON.stringify(definition));
      assert.deepEqual(
        fired,
        verdicts.map(({ at, triggerIndex }) => [at, triggerIndex]),
        JSON.stringify(definition),
      );
    }
  });
});
