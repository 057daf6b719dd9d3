import assert from "node:assert/strict";
import { firstIdAt } from "../../core/id.ts";
import { checkServiceSetting, RETENTION_SETTING } from "../../core/service-settings.ts";
import { PLATFORM, SYSTEM } from "../../core/principal.ts";
import { purgeEvents } from "../../store/event-retention.ts";
import { insertEvents, listEvents } from "../../store/events.ts";
import { startMaintenance } from "../../store/maintenance.ts";
import type { Db } from "../../store/open.ts";
import { putSetting, type SettingsOwner } from "../../store/service-settings.ts";
import { until } from "../support/wait.ts";
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
    await insertEvents(
      db,
      [a, b, null].flatMap((organizationId) => ages.map((days) => eventAt(NOW - days * DAY, { organizationId }))),
    );
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
    await until(async () => (await agesOf(db, a)).length === 3, { what: "the events that are too old to go" });
    assert.ok((await listEvents(db, PLATFORM, { limit: 100 })).items.every(({ id }) => id >= firstIdAt(NOW - 20 * DAY)));
  });

  test("the setting is a whole number of days", async () => {
    for (const value of [1, 3_650]) assert.doesNotThrow(() => checkServiceSetting(RETENTION_SETTING, value));
    for (const value of [0, 3_651, 1.5, "7", null, { days: 7 }])
      assert.throws(() => checkServiceSetting(RETENTION_SETTING, value), { code: "validation_error" }, JSON.stringify(value));
  });
});
