import assert from "node:assert/strict";
import { firstIdAt } from "../../core/id.ts";
import { checkServiceSetting, RETENTION_SETTING } from "../../core/service-settings.ts";
import { PLATFORM, SYSTEM } from "../../core/principal.ts";
import { purgeEvents } from "../../store/event-retention.ts";
import { insertEvents, listEvents } from "../../store/events.ts";
import { startMaintenance } from "../../store/maintenance.ts";
import type { Db } from "../../store/open.ts";
import { putSetting, type SettingsOwner } from "../../store/service-settings.ts";
import { rowsOf } from "../../store/sql.ts";
import { inTransaction } from "../../store/transaction.ts";
import { startClickhouseReceiver } from "../support/clickhouse-receiver.ts";
import { until } from "../support/wait.ts";
import { openSink } from "./clickhouse-sink.ts";
import { forEachEngine } from "./engines.ts";
import { eventAt } from "./event-rows.ts";
import { tenant, OWN_DUTIES } from "./fixtures.ts";

const NOW = Date.parse("2026-06-30T12:00:00.000Z");
const DAY = 86_400_000;

const set = (db: Db, owner: SettingsOwner, value: unknown) =>
  putSetting(db, owner, { key: RETENTION_SETTING, value, actor: SYSTEM, now: NOW }, () => undefined);
/** How old the organisation's events are that are left, in days. */
async function agesOf(db: Db, organizationId: string | null): Promise<number[]> {
  const { items } = await listEvents(db, PLATFORM, { limit: 1_000 });
  return items.filter((event) => event.organizationId === organizationId).map(({ timestamp }) => (NOW - Date.parse(timestamp)) / DAY);
}

forEachEngine(({ test }) => {
  async function world(db: Db) {
    const [a, b] = [(await tenant(db, "a")).organization.id, (await tenant(db, "b")).organization.id];
    const ages = [0, 5, 10, 40, 100];
    const events = [a, b, null].flatMap((organizationId) => ages.map((days) => eventAt(NOW - days * DAY, { organizationId })));
    await inTransaction(db, (trx) => insertEvents(trx, events));
    return { a, b };
  }

  test("events are kept for the days of the hub, or for ever", async (db) => {
    const { a, b } = await world(db);
    assert.equal(await purgeEvents(db, { days: 0, now: NOW }), 0);
    assert.equal(await purgeEvents(db, { days: 100, now: NOW }), 0);
    assert.equal(await purgeEvents(db, { days: 90, now: NOW }), 3);
    for (const owner of [a, b, null]) assert.deepEqual(await agesOf(db, owner), [0, 5, 10, 40]);
  });

  test("an organisation keeps its own for less, never for more; the platform's days are everybody's who has none", async (db) => {
    const { a, b } = await world(db);
    await set(db, a, 7);
    await set(db, b, 200);
    assert.equal(await purgeEvents(db, { days: 90, now: NOW }), 5);
    assert.deepEqual(await agesOf(db, a), [0, 5]);
    assert.deepEqual(await agesOf(db, b), [0, 5, 10, 40]);
    await set(db, null, 30);
    assert.equal(await purgeEvents(db, { days: 90, now: NOW }), 0, "the organisation's own value comes first");
    await set(db, b, "30");
    assert.equal(await purgeEvents(db, { days: 90, now: NOW }), 0, "what is no number of days is none");
    await db("service_settings").where({ organization_id: b }).del();
    assert.equal(await purgeEvents(db, { days: 0, now: NOW }), 1);
    assert.deepEqual(await agesOf(db, b), [0, 5, 10]);
    assert.deepEqual(await agesOf(db, null), [0, 5, 10, 40]);
  });

  test("thousands are removed in batches, until the hub stops", async (db) => {
    const { organization } = await tenant(db, "a");
    const old = Array.from({ length: 1_201 }, (_, index) => eventAt(NOW - 100 * DAY + index, { organizationId: organization.id }));
    await insertEvents(db, [...old, eventAt(NOW)]);
    assert.equal(await purgeEvents(db, { days: 90, now: NOW, signal: AbortSignal.abort() }), 0);
    assert.equal(await purgeEvents(db, { days: 90, now: NOW }), 1_201);
    assert.deepEqual(await agesOf(db, organization.id), []);
    assert.deepEqual((await listEvents(db, PLATFORM, { limit: 10 })).items.length, 1);
  });

  test("the hourly maintenance does it", async (db) => {
    const { a } = await world(db);
    const log = { debug() {}, info() {}, warn() {}, error: (data: object) => assert.fail(JSON.stringify(data)) };
    await using _maintenance = startMaintenance({
      db,
      telemetry: { maintain: async () => undefined },
      keyRotation: { maintain: async () => undefined },
      readingRetentionDays: 0,
      eventRetentionDays: 20,
      duties: OWN_DUTIES,
      log,
      clock: () => NOW,
      everyMs: 5,
    });
    const first = firstIdAt(NOW - 20 * DAY);
    const areYoung = async () => (await listEvents(db, PLATFORM, { limit: 100 })).items.every(({ id }) => id >= first);
    await until(areYoung, { what: "the events that are too old to go, of whomever they are" });
    assert.equal((await agesOf(db, a)).length, 3);
  });

  test("what an organisation keeps for fewer days than the hub is removed from ClickHouse once a day, behind what was sent of it", async (db) => {
    await using server = await startClickhouseReceiver();
    await using sink = await openSink(db, server.url);
    const { a, b } = await world(db);
    await set(db, a, 7);
    await set(db, b, 200);
    for (const hours of [0, 1, 11, 12, 13]) await purgeEvents(db, { days: 90, now: NOW + hours * 3_600_000 });
    const removals = () => server.statements.filter((sql) => sql.startsWith("delete from `hexahub`.events"));
    const arrived = async () => (await rowsOf(db, "select id from clickhouse_outbox")).length === 0;
    {
      await using _shipping = sink.ship();
      await until(arrived, { what: "an empty outbox", timeoutMs: 20_000 });
      assert.equal(server.rows("events").length, 15, "what is removed here had been sent");
      assert.equal(removals().length, 2);
      await set(db, a, 30);
      await purgeEvents(db, { days: 90, now: NOW });
      await set(db, a, 3);
      await purgeEvents(db, { days: 2, now: NOW + 2 * DAY });
      assert.ok(await arrived(), "what is kept for longer, or goes from the hub as well, stays");
      await purgeEvents(db, { days: 0, now: NOW });
      await until(arrived, { what: "the removal", timeoutMs: 20_000 });
    }
    assert.equal(removals().length, 4, "where the hub keeps events for ever, 200 days are fewer");
    assert.deepEqual(sink.errors, []);
  });

  test("the setting is a whole number of days", async () => {
    for (const value of [1, 3_650]) assert.doesNotThrow(() => checkServiceSetting(RETENTION_SETTING, value));
    for (const value of [0, 3_651, 1.5, "7", null, { days: 7 }])
      assert.throws(() => checkServiceSetting(RETENTION_SETTING, value), { code: "validation_error" }, JSON.stringify(value));
  });
});
