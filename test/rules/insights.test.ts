import assert from "node:assert/strict";
import { DAY_MS } from "../../core/durations.ts";
import type { HubEvent } from "../../core/event.ts";
import type { Measure } from "../../core/metric.ts";
import { sketchOf } from "../../core/quantile-sketch.ts";
import { examine, examineDue } from "../../rules/insights.ts";
import { dismissInsight, listInsights, openInsights, organizationsToExamine, purgeInsights } from "../../store/insights.ts";
import { insertMeasures } from "../../store/metrics.ts";
import type { Db, Store } from "../../store/open.ts";
import { rollUp } from "../../store/rollups.ts";
import { createTelemetryStore } from "../../store/telemetry.ts";
import { forEachEngine } from "../store/engines.ts";
import { device, tenant, type Tenant } from "../store/fixtures.ts";

const HOUR = 3_600_000;
const TODAY = Date.parse("2026-11-10T00:00:00Z");
const SETTLED = 15 * 60_000;
const LOG = { debug() {}, info() {}, warn() {}, error: (data: object) => assert.fail(JSON.stringify(data)) };

/** The answers of a day, about `ms` each. */
function latency(ms: number, day: number): Measure {
  const values = Array.from({ length: 20 }, (_, index) => ms * (0.8 + ((index * 7 + day) % 20) / 50));
  const sum = values.reduce((total, value) => total + value, 0);
  return {
    type: "command.latency",
    channel: "relay 3",
    n: 20,
    sum,
    min: Math.min(...values),
    max: Math.max(...values),
    last: null,
    sketch: sketchOf(values),
  };
}

async function scene(db: Db) {
  const a = await tenant(db, "a");
  const { id: deviceId, uid } = await device(db, a);
  const events: HubEvent[] = [];
  let clock = TODAY + SETTLED;
  const context = { db, log: LOG, clock: () => clock, events: { emit: async (some: readonly HubEvent[]) => void events.push(...some) } };
  return {
    a,
    deviceId,
    uid,
    events,
    context,
    answers: async (day: number, ms: number) =>
      await insertMeasures(db, "metric_days", [
        { ...latency(ms, Math.floor(day / DAY_MS)), deviceId, organizationId: a.organization.id, ts: day },
      ]),
    examine: async (day: number) => {
      clock = day + SETTLED;
      await examine(context, a.organization.id, { day });
    },
  };
}

async function slowed(db: Db) {
  const found = await scene(db);
  for (let day = 1; day <= 30; day++) await found.answers(TODAY - day * DAY_MS, day <= 6 ? 180 : 90);
  return found;
}

const list = async (db: Db, { scope }: Tenant) => (await listInsights(db, scope, { limit: 10 })).items;

forEachEngine(({ test }) => {
  test("a relay that answers twice as slowly is told once, with since when, and ended when it is quick again", async (db) => {
    const { a, uid, deviceId, events, answers, examine: look } = await slowed(db);
    await look(TODAY);
    await look(TODAY);
    const [insight, ...others] = await list(db, a);
    assert.deepEqual(others, []);
    assert.ok(insight);
    assert.deepEqual(
      [insight.kind, insight.subject, insight.uid, insight.since, insight.foundAt, insight.endedAt],
      ["latency_rise", "relay 3", uid, new Date(TODAY - 6 * DAY_MS).toISOString(), new Date(TODAY + SETTLED).toISOString(), null],
    );
    assert.match(insight.message, /^relay 3 answers in 1\d\d(\.\d)? ms, (1\.9|2|2\.1) times as long as before/);
    assert.deepEqual(
      events.map(({ type, entityId, data }) => [type, entityId, data["insight_id"]]),
      [["insight.found", deviceId, insight.id]],
    );
    for (let day = 0; day < 12; day++) await answers(TODAY + day * DAY_MS, 90);
    await look(TODAY + 12 * DAY_MS);
    const [over] = await list(db, a);
    assert.equal(over?.endedAt, new Date(TODAY + 12 * DAY_MS + SETTLED).toISOString());
    assert.deepEqual(
      events.map(({ type, correlationId }) => [type, correlationId === events[1]?.correlationId]),
      [
        ["insight.found", false],
        ["insight.ended", true],
      ],
    );
    assert.equal(events[1]?.correlationId, insight.correlationId);
    await purgeInsights(db, TODAY + 400 * DAY_MS);
    assert.deepEqual(await list(db, a), []);
  });

  test("what somebody has dismissed is not told again while it holds", async (db) => {
    const { a, events, answers, examine: look } = await slowed(db);
    await look(TODAY);
    const [insight] = await openInsights(db, a.organization.id);
    assert.ok(insight);
    await dismissInsight(db, insight.id, { kind: "user", id: a.user.id }, TODAY);
    await answers(TODAY, 180);
    await look(TODAY + DAY_MS);
    assert.deepEqual([(await list(db, a)).length, events.length], [1, 1]);
    assert.deepEqual((await listInsights(db, a.scope, { limit: 10, status: "open" })).items, []);
    const [dismissed] = (await listInsights(db, a.scope, { limit: 10, status: "dismissed" })).items;
    assert.deepEqual(dismissed?.dismissedBy, { kind: "user", id: a.user.id });
    assert.equal(dismissed?.seenAt, new Date(TODAY + DAY_MS + SETTLED).toISOString());
  });

  test("another organisation has nothing to do with it, and each is looked at once a day", async (db) => {
    const { a, examine: look } = await slowed(db);
    const b = await tenant(db, "b");
    const isAwaited = async (day: number): Promise<boolean> => (await organizationsToExamine(db, day)).includes(a.organization.id);
    assert.equal(await isAwaited(TODAY), true);
    await look(TODAY);
    assert.deepEqual([await isAwaited(TODAY), await isAwaited(TODAY + DAY_MS)], [false, true]);
    assert.deepEqual(await list(db, b), []);
    assert.equal((await list(db, a)).length, 1);
  });

  test("nobody is looked at before the days are worked out, and everybody once afterwards", async (db) => {
    const { a, events, context } = await slowed(db);
    await db("metric_dirty").insert({ hour: TODAY / HOUR - 1, device_id: "gone", organization_id: a.organization.id });
    await examineDue(context);
    assert.deepEqual([(await list(db, a)).length, events.length], [0, 0]);
    await db("metric_dirty").update({ hour: TODAY / HOUR });
    await examineDue(context);
    await examineDue(context);
    assert.deepEqual([(await list(db, a)).length, events.length], [1, 1]);
  });

  test("batteries that run out and sensors that are stuck are found in their readings", async (db, store) => {
    const { a, deviceId, examine: look } = await scene(db);
    await readingsOf(db, store, { a, deviceId });
    await look(TODAY);
    assert.deepEqual(
      (await list(db, a)).toSorted((x, y) => (x.kind < y.kind ? -1 : 1)).map(({ kind, subject }) => [kind, subject]),
      [
        ["battery_low_soon", "battery"],
        ["sensor_stuck", "t"],
      ],
    );
  });
});

async function readingsOf(db: Db, store: Store, { a, deviceId }: { readonly a: Tenant; readonly deviceId: string }): Promise<void> {
  const telemetry = createTelemetryStore(store, () => TODAY);
  const series = (key: string, valueAt: (ago: number) => number) =>
    Array.from({ length: 13 * 24 }, (_, index) => index + 1).map((ago) => ({
      deviceId,
      organizationId: a.organization.id,
      key,
      ts: TODAY - ago * HOUR,
      value: valueAt(ago),
    }));
  const all = [
    ...series("battery", (ago) => 20 + Math.round(ago / 6)),
    ...series("t", (ago) => (ago <= 40 ? 21 : 18 + (ago % 9))),
    ...series("ok", (ago) => ago % 7),
  ];
  await telemetry.ensurePartitions(all.map(({ ts }) => ts));
  await telemetry.insert(db, all);
  while ((await rollUp(db, TODAY + HOUR)) > 0);
}
