import assert from "node:assert/strict";
import fc from "fast-check";
import { DAY_MS } from "../../core/durations.ts";
import type { HubEvent } from "../../core/event.ts";
import { newId } from "../../core/id.ts";
import { PLATFORM } from "../../core/principal.ts";
import { finishCommand, insertCommand, markSent } from "../../store/commands.ts";
import { deleteDevice } from "../../store/devices.ts";
import { insertEvents, witnessEvents } from "../../store/events.ts";
import { createMarks, measure } from "../../store/metric-hours.ts";
import { HOURS_KEPT_DAYS, measuresBetween, type MetricTable, purgeMetrics, totalsOf } from "../../store/metrics.ts";
import type { Db } from "../../store/open.ts";
import { rowsOf } from "../../store/sql.ts";
import { inTransaction } from "../../store/transaction.ts";
import { forEachEngine } from "./engines.ts";
import { eventAt } from "./event-rows.ts";
import { device, tenant, type Tenant } from "./fixtures.ts";

const HOUR = 3_600_000;
const START = Date.parse("2026-11-09T22:00:00Z");
const NOW = START + 3 * DAY_MS;
const iso = (ms: number): string => new Date(ms).toISOString();

async function measureAll(db: Db, now = NOW, most = 100): Promise<void> {
  while ((await measure(db, now, most)) > 0);
}

async function scene(db: Db) {
  const a = await tenant(db, "a");
  const { id: deviceId } = await device(db, a, { deviceClass: "relay_controller" });
  const about = { organizationId: a.organization.id, entityId: deviceId };
  let clock = START;
  witnessEvents(
    db,
    createMarks(() => clock),
  );
  return {
    a,
    deviceId,
    of: [{ deviceId, organizationId: a.organization.id }],
    happen: async (at: number, type: HubEvent["type"], data: Record<string, unknown> = {}, entityId = deviceId) => {
      clock = Math.max(clock, at);
      await inTransaction(db, (trx) => insertEvents(trx, [eventAt(at, { ...about, entityId, type, data })]));
    },
  };
}

/** By period: what each metric amounts to. */
async function told(db: Db, of: Parameters<typeof measuresBetween>[2], table: MetricTable = "metric_hours") {
  const measures = await measuresBetween(db, table, of, { from: 0, to: NOW + DAY_MS });
  return measures.map(({ ts, type, channel, n, sum, last }) => [(ts - START) / HOUR, `${type} ${channel}`.trim(), n, sum, last]);
}

async function command(db: Db, a: Tenant, deviceId: string, at: number, { waitsMs = 0, isByHand = true } = {}): Promise<string> {
  const id = newId();
  await insertCommand(db, {
    id,
    deviceId,
    organizationId: a.organization.id,
    taskId: null,
    command: { command: "set_relay", relay: 3, state: "ON" },
    status: waitsMs > 0 ? "queued" : "sent",
    actor: isByHand ? { kind: "user", id: a.user.id } : { kind: "schedule", id: newId() },
    source: "rest",
    correlationId: id,
    causationId: null,
    ruleVersion: null,
    error: null,
    latencyMs: null,
    createdAt: iso(at - waitsMs),
    deadlineAt: iso(at + 5_000),
    finishedAt: null,
  });
  if (waitsMs > 0) await markSent(db, id, iso(at + 5_000), at);
  await finishCommand(db, id, { status: "ok", latencyMs: 80 + waitsMs, now: at + 80 });
  return id;
}

forEachEngine(({ test }) => {
  test("a device that is connected has every hour until it leaves, and none afterwards", async (db) => {
    const { of, happen } = await scene(db);
    await happen(START + HOUR / 2, "device.online");
    await happen(START + HOUR / 2 + 1, "device.stale");
    // After midnight (UTC).
    await happen(START + 3 * HOUR + HOUR / 4, "device.offline");
    await measureAll(db);
    assert.deepEqual(await told(db, of), [
      [0, "presence.online", 1, 1_800, 1],
      [1, "presence.online", 1, 3_600, 1],
      [2, "presence.online", 1, 3_600, 1],
      [3, "presence.disconnects", 1, 1, null],
      [3, "presence.online", 1, 900, 0],
    ]);
    assert.deepEqual(
      (await told(db, of, "metric_days")).map(([, type, n, sum]) => [type, n, sum]),
      [
        ["presence.online", 2, 5_400],
        ["presence.disconnects", 1, 1],
        ["presence.online", 2, 4_500],
      ],
    );
    assert.equal((await rowsOf(db, "select 1 from metric_dirty")).length, 0);
  });

  test("an hour is worked out when it is over, and again for what comes late", async (db) => {
    const { of, happen } = await scene(db);
    await happen(START + 60_000, "device.online");
    assert.equal(await measure(db, START + HOUR), 0, "what is on its way has five minutes");
    assert.equal(await measure(db, START + HOUR + 5 * 60_000), 1);
    assert.equal(await measure(db, START + HOUR + 5 * 60_000), 0, "the next hour goes on");
    await happen(START + 3 * HOUR, "device.offline");
    await measureAll(db);
    // It had left long before, as another node says now.
    await happen(START + HOUR - 60_000, "device.offline");
    await happen(START + HOUR + 60_000, "device.online");
    await measureAll(db);
    assert.deepEqual(
      (await told(db, of)).filter(([, type]) => type === "presence.online"),
      [
        [0, "presence.online", 1, 3_480, 0],
        [1, "presence.online", 1, 3_540, 1],
        [2, "presence.online", 1, 3_600, 1],
      ],
    );
  });

  test("relays are on from one change to the next, whoever switched them", async (db) => {
    const { of, happen } = await scene(db);
    const relay = (at: number, index: number, state: string) =>
      happen(at, "device.state_changed", { relays: [{ index, state }], lights: [] });
    await relay(START + 600_000, 0, "ON");
    await relay(START + HOUR + 600_000, 0, "OFF");
    await relay(START + HOUR + 600_000, 1, "OFF");
    await measureAll(db);
    assert.deepEqual(await told(db, of), [
      [0, "relay.on relay 0", 1, 3_000, 1],
      [1, "relay.on relay 0", 1, 600, 0],
    ]);
  });

  test("commands have their outcome and their latency, and one that waited for its device none of that wait", async (db) => {
    const { a, deviceId, of, happen } = await scene(db);
    const ids = [
      await command(db, a, deviceId, START + 1_000),
      await command(db, a, deviceId, START + 2_000, { waitsMs: 1_000_000 }),
      await command(db, a, deviceId, START + 3_000, { isByHand: false }),
    ];
    for (const id of ids) await happen(START + 4_000, "command.completed", { command_id: id });
    await measureAll(db);
    const measures = await measuresBetween(db, "metric_hours", of, { from: START, to: START + HOUR });
    assert.deepEqual(
      measures.map(({ type, channel, n, sum, max }) => [type, channel, n, sum, max]),
      [
        ["command.by_hand", "relay 3", 2, 2, 1],
        ["command.latency", "relay 3", 3, 240, 80],
        ["command.success", "relay 3", 3, 3, 1],
      ],
    );
    assert.deepEqual(measures[1]?.sketch, [[46, 3]]);
  });

  test("of tasks those count that a device had to do", async (db) => {
    const { of, happen } = await scene(db);
    for (const [type, data] of [
      ["task.completed", { task_id: newId(), attempt: 1 }],
      ["task.failed", { task_id: newId(), attempt: 1 }],
      ["task.expired", { task_id: newId(), code: "device_offline" }],
      ["task.expired", { task_id: newId(), score: 90 }],
      ["task.cancelled", { task_id: newId() }],
    ] as const)
      await happen(START, type, data);
    await measureAll(db);
    assert.deepEqual(await told(db, of), [[0, "task.success", 3, 1, null]]);
  });

  test("whatever the order and the repetitions, and however many at once, hours and days are the same", async (db) => {
    const { a, happen } = await scene(db);
    const until = START + 6 * HOUR;
    // It is that late: nothing that happened before counts on a mark that is there.
    await happen(until, "device.online");
    const history = fc.array(
      fc.record({ minute: fc.integer({ min: 0, max: 4 * 60 }), type: fc.constantFrom("device.online", "device.offline", "device.stale") }),
      { minLength: 1, maxLength: 8 },
    );
    await fc.assert(
      fc.asyncProperty(history, fc.integer({ min: 1, max: 3 }), async (events, most) => {
        const { id: deviceId } = await device(db, a);
        const of = [{ deviceId, organizationId: a.organization.id }];
        const unique = [...new Map(events.map((one) => [one.minute, one])).values()];
        for (const { minute, type } of unique) {
          await happen(START + minute * 60_000, type, {}, deviceId);
          if (minute % 3 === 0) await measure(db, until, most);
        }
        await measureAll(db, until, most);
        const [hours, days] = [await told(db, of), await told(db, of, "metric_days")];
        const marks = Array.from({ length: 5 }, (_, hour) => ({
          hour: START / HOUR + hour,
          device_id: deviceId,
          organization_id: a.organization.id,
        }));
        await db("metric_dirty").insert(marks).onConflict().ignore();
        await measureAll(db, until);
        assert.deepEqual([await told(db, of), await told(db, of, "metric_days")], [hours, days]);
        assert.deepEqual(sums(hours), expected(unique, until));
      }),
      { numRuns: 8 },
    );
  });

  test("a device that changes hands leaves its hours with whom it was", async (db) => {
    const { a, deviceId, of, happen } = await scene(db);
    const b = await tenant(db, "b");
    await happen(START, "device.online");
    await happen(START + 600_000, "device.released");
    const theirs = { organizationId: b.organization.id, entityId: deviceId };
    await inTransaction(db, (trx) => insertEvents(trx, [eventAt(START + 1_200_000, { ...theirs, type: "device.claimed" })]));
    await inTransaction(db, (trx) => insertEvents(trx, [eventAt(START + 3_000_000, { ...theirs, type: "device.offline" })]));
    await measureAll(db);
    assert.deepEqual(await told(db, of), [[0, "presence.online", 1, 600, 0]]);
    assert.deepEqual(await told(db, [{ deviceId, organizationId: b.organization.id }]), [
      [0, "presence.disconnects", 1, 1, null],
      [0, "presence.online", 1, 1_800, 0],
    ]);
    assert.equal(await deleteDevice(db, PLATFORM, deviceId), true);
    assert.deepEqual([await told(db, of), a.organization.name], [[], "a"]);
  });

  test("hours and days go when they have had their time, and what comes of them then changes nothing", async (db) => {
    const { of, happen } = await scene(db);
    await happen(START + 600_000, "device.online");
    await happen(START + HOUR + 600_000, "device.offline");
    await measureAll(db);
    const later = START + (HOURS_KEPT_DAYS + 1) * DAY_MS;
    await purgeMetrics(db, { now: later });
    const days = await told(db, of, "metric_days");
    assert.deepEqual([(await told(db, of)).length, days.length], [0, 2]);
    await happen(START + 2 * HOUR, "device.online");
    await measureAll(db, later);
    assert.deepEqual(await told(db, of, "metric_days"), days);
    await purgeMetrics(db, { now: START + 800 * DAY_MS });
    assert.deepEqual(await told(db, of, "metric_days"), []);
  });

  test("a range is made of whole days and of the hours at its ends", async (db) => {
    const { of, deviceId, happen } = await scene(db);
    await happen(START, "device.online");
    await happen(START + 60 * HOUR, "device.offline");
    await measureAll(db);
    const range = { from: START + HOUR, to: START + 55 * HOUR, types: ["presence.online"] as const };
    const [total, ...others] = (await totalsOf(db, of, range)).get(deviceId) ?? [];
    assert.deepEqual(others, []);
    assert.deepEqual([total?.type, total?.n, total?.sum, total?.min, total?.max], ["presence.online", 54, 54 * 3_600, 3_600, 3_600]);
    const within = { from: START + HOUR, to: START + 3 * HOUR };
    assert.equal((await totalsOf(db, of, within)).get(deviceId)?.[0]?.sum, 2 * 3_600);
    await db("metric_hours")
      .where({ ts: START + 24 * HOUR })
      .del();
    assert.equal((await totalsOf(db, of, range)).get(deviceId)?.[0]?.n, 54, "whole days are read as such");
  });
});

const sums = (measures: Awaited<ReturnType<typeof told>>): number[] =>
  ["presence.online", "presence.disconnects"].map((type) =>
    measures.filter(([, name]) => name === type).reduce((sum, [, , , value]) => sum + Number(value), 0),
  );

/** Worked out by another way than the hub's. */
function expected(events: readonly { readonly minute: number; readonly type: string }[], until: number): number[] {
  const sorted = events.toSorted((x, y) => x.minute - y.minute);
  const settled = Math.floor((until - 300_000) / HOUR) * HOUR;
  const seconds = sorted.reduce((sum, { minute, type }, index) => {
    const next = sorted[index + 1]?.minute ?? (settled - START) / 60_000;
    return sum + (type === "device.offline" ? 0 : (next - minute) * 60);
  }, 0);
  return [seconds, sorted.filter(({ type }) => type === "device.offline").length];
}
