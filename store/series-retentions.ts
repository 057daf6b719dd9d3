import { HubError } from "../core/errors.ts";
import { READING_RETENTION_SETTING } from "../core/service-settings.ts";
import type { Db } from "./open.ts";
import { ownRetentions } from "./own-retentions.ts";
import { isoOf, rowsOf } from "./sql.ts";

/** A series of a device, as that organisation has it. */
export interface SeriesName {
  readonly deviceId: string;
  readonly organizationId: string;
  readonly key: string;
}

/** Series of a device that keep their readings for days of their own. */
export const MOST_OWN = 1_000;

const nameOf = ({ deviceId, organizationId, key }: SeriesName) => ({
  device_id: deviceId,
  organization_id: organizationId,
  sensor_key: key,
});

/** Its own days; null without. */
export async function findSeriesRetention(db: Db, series: SeriesName): Promise<number | null> {
  const row = (await db("series").where(nameOf(series)).first("retention_days")) as { retention_days: number | null } | undefined;
  return row?.retention_days ?? null;
}

/** Also of a series that has no readings yet. Throws `quota_exceeded`. */
export async function setSeriesRetention(
  trx: Db,
  series: SeriesName,
  { days, now }: { readonly days: number | null; readonly now: number },
): Promise<void> {
  if (days === null) {
    await trx("series").where(nameOf(series)).update({ retention_days: null });
    return;
  }
  const [{ count } = { count: 0 }] = await rowsOf<{ count: number }>(
    trx,
    "select count(*) as count from series where device_id = ? and retention_days is not null and sensor_key <> ?",
    [series.deviceId, series.key],
  );
  if (count >= MOST_OWN)
    throw new HubError("quota_exceeded", `at most ${MOST_OWN} series of a device have days of their own`, { details: { count } });
  await trx("series")
    .insert({ ...nameOf(series), first_ts: now, created_at: isoOf(now) })
    .onConflict()
    .ignore();
  await trx("series").where(nameOf(series)).update({ retention_days: days });
}

/** For how many days the organisation keeps readings, the hub's days being `hubDays`; 0 is for ever. */
export async function organizationRetention(db: Db, organizationId: string, hubDays: number): Promise<number> {
  const own = (await ownRetentions(db, READING_RETENTION_SETTING)).get(organizationId) ?? 0;
  return own !== 0 && (hubDays === 0 || own < hubDays) ? own : hubDays;
}

/** All days that series have of their own, each once. */
export async function seriesRetentions(db: Db): Promise<number[]> {
  const rows = await rowsOf<{ retention_days: number }>(
    db,
    "select distinct retention_days from series where retention_days is not null order by retention_days",
  );
  return rows.map((row) => row.retention_days);
}

/** Of an organisation's series that have days of their own. */
export async function daysOfSeries(
  db: Db,
  organizationId: string,
): Promise<(Pick<SeriesName, "deviceId" | "key"> & { readonly days: number })[]> {
  const rows = (await db("series")
    .where({ organization_id: organizationId })
    .whereNotNull("retention_days")
    .select("device_id", "sensor_key", "retention_days")) as { device_id: string; sensor_key: string; retention_days: number }[];
  return rows.map((row) => ({ deviceId: row.device_id, key: row.sensor_key, days: row.retention_days }));
}
