import { HubError } from "../core/errors.ts";
import type { SensorValue } from "../core/payloads.ts";
import type { Scope } from "../core/principal.ts";
import type { Db } from "./open.ts";
import { readBuckets } from "./rolled-readings.ts";
import { HOUR_MS } from "./rollups.ts";
import { engineOf, isoOf, rowsOf } from "./sql.ts";
import { sensorValue } from "./state.ts";

export type Aggregate = "avg" | "min" | "max" | "sum" | "count" | "first" | "last";

export interface ReadingsQuery {
  readonly deviceId: string;
  readonly key: string;
  /** ms since 1970, inclusive */
  readonly from: number;
  /** ms since 1970, exclusive */
  readonly to: number;
  /** One value for each period of this length, counted from 1970; `agg` says which (avg). */
  readonly bucketMs?: number | undefined;
  readonly agg?: Aggregate | undefined;
  readonly limit: number;
  /** `next` of the page before. */
  readonly after?: number | undefined;
}

export interface ReadingsPage {
  readonly items: { ts: number; value: SensorValue | null }[];
  readonly next: number | null;
}

const SQLITE_BUCKET_MS = 600_000;
const YEAR_10000 = 253_402_300_800_000;
const FIRST_WINDOW_MS = 86_400_000;
const WINDOW_GROWTH = 4;

/**
 * Readings of the organisation that the device belongs to now, by time; periods without a reading are left out. Numbers can be
 * averaged, texts and booleans only counted and picked (`first`, `last`); otherwise they give null.
 * Throws `validation_error` for an aggregate without a period.
 */
export async function queryReadings(db: Db, scope: Scope, query: ReadingsQuery): Promise<ReadingsPage> {
  const { bucketMs, limit } = query;
  if (query.agg !== undefined && bucketMs === undefined)
    throw new HubError("validation_error", "an aggregate needs a period: give bucket as well");
  const series = await findSeries(db, scope, query.deviceId, query.key);
  if (!series) return { items: [], next: null };
  const agg = query.agg ?? "avg";
  const start = query.after === undefined ? query.from : Math.max(query.from, query.after + (bucketMs ?? 1));
  const read = (window: Window): Promise<Row[]> =>
    bucketMs === undefined
      ? readRaw(db, series.id, window)
      : readBuckets(db, { series: series.id, window, bucketMs, agg, source: (span) => source(db, series.id, span) });
  const rows = await readInWindows(
    read,
    {
      from: Math.max(start, series.first_ts),
      to: Math.min(query.to, await endOf(db, series.id, bucketMs !== undefined)),
      limit: limit + 1,
    },
    bucketMs ?? 1,
  );
  const items = rows.slice(0, limit).map(({ ts, v, json }) => ({ ts, value: v === null && json === null ? null : sensorValue(v, json) }));
  return { items, next: rows.length > limit ? (items.at(-1)?.ts ?? null) : null };
}

export interface SeriesSummary {
  readonly key: string;
  readonly firstTs: number;
  readonly lastTs: number | null;
  readonly lastValue: SensorValue | null;
}

/** What the device has recorded for its present organisation, sorted by key. */
export async function listSeries(db: Db, scope: Scope, deviceId: string): Promise<SeriesSummary[]> {
  const { sql, bindings } = visible(scope, "s.device_id = ?", [deviceId]);
  const rows = await rowsOf<{ sensor_key: string; first_ts: number; ts: number | null; v: number | null; json: string | null }>(
    db,
    `select s.sensor_key, s.first_ts, l.ts, l.v, cast(l.json as text) as json from series s join devices d on d.id = s.device_id
     left join device_sensor_state l on l.device_id = s.device_id and l.sensor_key = s.sensor_key where ${sql} order by s.sensor_key`,
    bindings,
  );
  return rows.map((row) => ({
    key: row.sensor_key,
    firstTs: row.first_ts,
    lastTs: row.ts,
    lastValue: row.ts === null ? null : sensorValue(row.v, row.json),
  }));
}

export interface Window {
  readonly from: number;
  readonly to: number;
  readonly limit: number;
}
export interface Row {
  readonly ts: number;
  readonly v: number | null;
  readonly json: string | null;
}

async function findSeries(db: Db, scope: Scope, deviceId: string, key: string): Promise<{ id: number; first_ts: number } | undefined> {
  const { sql, bindings } = visible(scope, "s.device_id = ? and s.sensor_key = ?", [deviceId, key]);
  const rows = await rowsOf<{ id: number; first_ts: number }>(
    db,
    `select s.id, s.first_ts from series s join devices d on d.id = s.device_id where ${sql}`,
    bindings,
  );
  return rows[0];
}

/** A device shows the readings of whom it belongs to; a former owner's stay hidden until it comes back. */
export function visible(
  scope: Scope,
  condition: string,
  bindings: readonly (string | number)[],
): { sql: string; bindings: readonly (string | number)[] } {
  const sql = `${condition} and coalesce(s.organization_id, '') = coalesce(d.organization_id, '')`;
  if (scope.kind === "platform") return { sql, bindings };
  const inOrganization = { sql: `${sql} and d.organization_id = ?`, bindings: [...bindings, scope.organizationId] };
  if (scope.kind === "organization") return inOrganization;
  const places = scope.deviceIds.map(() => "?").join(", ");
  return { sql: `${inOrganization.sql} and d.id in (${places || "null"})`, bindings: [...inOrganization.bindings, ...scope.deviceIds] };
}

/** Windows that grow, so that a page near the start of a long range does not read the whole of it. They end where a period ends. */
export async function readInWindows(
  read: (window: Window) => Promise<Row[]>,
  { from, to, limit }: Window,
  periodMs: number,
): Promise<Row[]> {
  const rows: Row[] = [];
  let span = Math.max(FIRST_WINDOW_MS, periodMs * limit);
  for (let at = from; at < to && rows.length < limit; span *= WINDOW_GROWTH) {
    const end = Math.min(to, Math.max(at + 1, Math.ceil((at + span) / periodMs) * periodMs));
    rows.push(...(await read({ from: at, to: end, limit: limit - rows.length })));
    at = end;
  }
  return rows;
}

export async function readRaw(db: Db, series: number, window: Window): Promise<Row[]> {
  const { sql, bindings } = source(db, series, window);
  return await rowsOf<Row>(db, `${sql} order by t.ts limit ?`, [...bindings, window.limit]);
}

/** The series' rows of a window as (ts in ms, v, json as text). SQLite visits one ten-minute bucket after the other, as its key lies. */
function source(db: Db, series: number, { from, to }: Pick<Window, "from" | "to">): { sql: string; bindings: (string | number)[] } {
  if (engineOf(db) === "postgres") {
    return {
      sql: "select round(extract(epoch from t.ts) * 1000)::bigint as ts, t.v, t.json::text as json from telemetry t where t.series_id = ? and t.ts >= ? and t.ts < ?",
      bindings: [series, isoOf(from), isoOf(to)],
    };
  }
  return {
    sql: `with recursive b(bucket) as (select cast(? as integer) union all select bucket + 1 from b where bucket < ?)
          select t.ts as ts, t.v as v, t.json as json from b cross join telemetry as t on t.bucket = b.bucket and t.series_id = ? where t.ts >= ? and t.ts < ?`,
    bindings: [Math.floor(from / SQLITE_BUCKET_MS), Math.floor((to - 1) / SQLITE_BUCKET_MS), series, from, to],
  };
}

/** Of what was summed up something may be left when no reading is. */
async function endOf(db: Db, series: number, isSummed: boolean): Promise<number> {
  const end = await endOfData(db);
  if (!isSummed) return end;
  const [last] = await rowsOf<{ ts: number | null }>(db, "select max(ts) as ts from telemetry_hours where series_id = ?", [series]);
  return Math.max(end, (last?.ts ?? 0) + HOUR_MS);
}

/** A time after every reading. On SQLite it keeps an open-ended query from visiting empty buckets. */
export async function endOfData(db: Db): Promise<number> {
  if (engineOf(db) === "postgres") return YEAR_10000;
  const rows = await rowsOf<{ bucket: number | null }>(db, "select max(bucket) as bucket from telemetry");
  return ((rows[0]?.bucket ?? -1) + 1) * SQLITE_BUCKET_MS;
}
