import assert from "node:assert/strict";
import { SYSTEM } from "../../core/principal.ts";
import { checkServiceSetting, READING_RETENTION_SETTING } from "../../core/service-settings.ts";
import type { Db, Store } from "../../store/open.ts";
import { purgeReadings } from "../../store/reading-retention.ts";
import { rollUp } from "../../store/rollups.ts";
import { findSeriesRetention, MOST_OWN, setSeriesRetention } from "../../store/series-retentions.ts";
import { putSetting } from "../../store/service-settings.ts";
import { rowsOf } from "../../store/sql.ts";
import { createTelemetryStore, queryReadings } from "../../store/telemetry.ts";
import { forEachEngine } from "./engines.ts";
import { device, tenant, type Tenant } from "./fixtures.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NOW = Date.parse("2026-06-30T12:00:00.000Z");
const AGES = [0, 5, 10, 40, 100];

interface Place {
  readonly tenant: Tenant;
  readonly deviceId: string;
  readonly insert: (ts: number, value: number) => Promise<unknown>;
}

/** A device with 200 readings within an hour of each of some days. */
async function place(db: Db, store: Store, name: string): Promise<Place> {
  const one = await tenant(db, name);
  const { id: deviceId } = await device(db, one);
  const telemetry = createTelemetryStore(store, () => NOW);
  const reading = { deviceId, organizationId: one.organization.id, key: "t" };
  for (const days of AGES)
    await telemetry.insert(
      db,
      Array.from({ length: 200 }, (_, index) => ({ ...reading, ts: NOW - days * DAY - HOUR + index * 10_000, value: days })),
    );
  return { tenant: one, deviceId, insert: (ts, value) => telemetry.insert(db, [{ ...reading, ts, value }]) };
}

const ages = (items: readonly { ts: number }[]): number[] =>
  [...new Set(items.map(({ ts }) => Math.floor((NOW - ts) / DAY)))].toSorted((a, b) => a - b);

async function left(
  db: Db,
  { tenant: { scope }, deviceId }: Place,
): Promise<{ raw: number[]; hours: [number, unknown][]; minutes: number[] }> {
  const about = { deviceId, key: "t", from: 0, to: NOW + 1, limit: 10_000 };
  const raw = (await queryReadings(db, scope, about)).items;
  const hours = (await queryReadings(db, scope, { ...about, bucketMs: HOUR, agg: "count" })).items;
  const minutes = await rowsOf<{ ts: number }>(
    db,
    "select m.ts from telemetry_chunks m join series s on s.id = m.series_id where s.device_id = ?",
    [deviceId],
  );
  return {
    raw: ages(raw),
    hours: hours.map(({ ts, value }): [number, unknown] => [Math.floor((NOW - ts) / DAY), value]).toReversed(),
    minutes: ages(minutes),
  };
}

const whole = (days: readonly number[]): [number, number][] => days.map((one) => [one, 200]);

forEachEngine(({ test, engine }) => {
  test("readings are kept for the days of the hub or for ever; what they amount to by hour stays", async (db, store) => {
    const one = await place(db, store, "a");
    await purgeReadings(db, { days: 0, now: NOW });
    assert.deepEqual((await left(db, one)).raw, AGES);
    // Not summed up yet: that comes first.
    await purgeReadings(db, { days: 30, now: NOW });
    assert.deepEqual(await left(db, one), { raw: [0, 5, 10], hours: whole(AGES), minutes: [5, 10] });
    if (engine === "postgres") {
      const partitions = await rowsOf<{ name: string }>(
        db,
        "select inhrelid::regclass::text as name from pg_inherits where inhparent = 'telemetry'::regclass order by 1",
      );
      assert.equal(partitions.filter(({ name }) => name < "telemetry_20260531").length, 0);
    }
    await purgeReadings(db, { days: 1, now: NOW + 300 * DAY });
    assert.deepEqual(await left(db, one), { raw: [], hours: whole(AGES), minutes: [] });
  });

  test("an organisation keeps its own for less, never for more, and nobody else's go", async (db, store) => {
    const [a, b] = [await place(db, store, "a"), await place(db, store, "b")];
    const set = (owner: Place, value: number) =>
      putSetting(db, owner.tenant.organization.id, { key: READING_RETENTION_SETTING, value, actor: SYSTEM, now: NOW }, () => undefined);
    await set(a, 7);
    await set(b, 200);
    await purgeReadings(db, { days: 60, now: NOW });
    assert.deepEqual(await left(db, a), { raw: [0, 5], hours: whole(AGES), minutes: [5] });
    assert.deepEqual(await left(db, b), { raw: [0, 5, 10, 40], hours: whole(AGES), minutes: [5, 10, 40] });
    await purgeReadings(db, { days: 0, now: NOW + 4 * DAY });
    assert.deepEqual([(await left(db, a)).raw, (await left(db, b)).raw], [[0], [0, 5, 10, 40]]);
    assert.throws(() => checkServiceSetting(READING_RETENTION_SETTING, 0));
  });

  test("a series keeps its readings for fewer days than the others, and what they amount to stays", async (db, store) => {
    const [a, b] = [await place(db, store, "a"), await place(db, store, "b")];
    const series = { deviceId: a.deviceId, organizationId: a.tenant.organization.id, key: "t" };
    await setSeriesRetention(db, series, { days: 7, now: NOW });
    // Longer than the hub's: that of the hub counts.
    await setSeriesRetention(db, { deviceId: b.deviceId, organizationId: b.tenant.organization.id, key: "t" }, { days: 300, now: NOW });
    await purgeReadings(db, { days: 60, now: NOW });
    assert.deepEqual(await left(db, a), { raw: [0, 5], hours: whole(AGES), minutes: [5] });
    assert.deepEqual(await left(db, b), { raw: [0, 5, 10, 40], hours: whole(AGES), minutes: [5, 10, 40] });
    await setSeriesRetention(db, series, { days: null, now: NOW });
    await purgeReadings(db, { days: 0, now: NOW + 10 * DAY });
    assert.deepEqual(
      [(await left(db, a)).raw, (await left(db, b)).raw],
      [
        [0, 5],
        [0, 5, 10, 40],
      ],
    );
    await setSeriesRetention(db, series, { days: 1, now: NOW });
    await purgeReadings(db, { days: 0, now: NOW + 4 * DAY });
    assert.deepEqual(await left(db, a), { raw: [], hours: whole(AGES), minutes: [] });
  });

  test("a series has its days before its first reading, for its own organisation, and there are so many at most", async (db, store) => {
    const one = await place(db, store, "a");
    const { deviceId } = one;
    const organizationId = one.tenant.organization.id;
    const later = { deviceId, organizationId, key: "later" };
    await setSeriesRetention(db, later, { days: 3, now: NOW });
    assert.equal(await findSeriesRetention(db, later), 3);
    assert.equal(await findSeriesRetention(db, { ...later, key: "t" }), null);
    const telemetry = createTelemetryStore(store, () => NOW);
    const reading = { ...later, ts: NOW - 10 * DAY, value: 1 };
    await telemetry.insert(db, [reading, { ...reading, ts: NOW - DAY }]);
    await purgeReadings(db, { days: 0, now: NOW });
    const { items } = await queryReadings(db, one.tenant.scope, { deviceId, key: "later", from: 0, to: NOW, limit: 10 });
    assert.deepEqual(
      items.map(({ ts }) => ts),
      [NOW - DAY],
    );
    for (let count = 1; count < MOST_OWN; count++) await setSeriesRetention(db, { ...later, key: `k${count}` }, { days: 3, now: NOW });
    await assert.rejects(setSeriesRetention(db, { ...later, key: "t" }, { days: 3, now: NOW }), { code: "quota_exceeded" });
    await setSeriesRetention(db, later, { days: 2, now: NOW });
    assert.equal(await findSeriesRetention(db, later), 2);
  });

  test("what comes of an hour whose readings have gone does not take the place of what they amounted to", async (db, store) => {
    const one = await place(db, store, "a");
    await purgeReadings(db, { days: 30, now: NOW });
    await one.insert(NOW - 40 * DAY - HOUR + 1, 1_000);
    await one.insert(NOW - 10 * DAY - HOUR + 1, 1_000);
    while ((await rollUp(db, NOW)) > 0);
    assert.deepEqual((await left(db, one)).hours, [
      [0, 200],
      [5, 200],
      [10, 201],
      [40, 200],
      [100, 200],
    ]);
    await purgeReadings(db, { days: 30, now: NOW });
    assert.deepEqual((await left(db, one)).raw, [0, 5, 10]);
  });
});
