import { HOUR_MS } from "../core/durations.ts";
import { HubError } from "../core/errors.ts";
import type { SensorValue } from "../core/payloads.ts";
import type { Scope } from "../core/principal.ts";
import { goneReadings } from "./long-term.ts";
import type { Db } from "./open.ts";
import { readBuckets, type Source, type Span } from "./rolled-readings.ts";
import { engineOf, isoOf, placesFor, rowsOf } from "./sql.ts";
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
export const FIRST_WINDOW_MS = 86_400_000;
export const WINDOW_GROWTH = 4;

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
    bucketMs === undefined ? readRaw(db, series.id, window) : bucketsOf(db, series.id, { window, bucketMs, agg });
  const rows = await readInWindows(
    read,
    {
      from: Math.max(start, series.first_ts),
      to: Math.min(query.to, await endOf(db, [series.id])),
      limit: limit + 1,
    },
    bucketMs ?? 1,
  );
  const items = rows.slice(0, limit).map(({ ts, v, json }) => ({ ts, value: v === null && json === null ? null : sensorValue(v, json) }));
  return { items, next: rows.length > limit ? (items.at(-1)?.ts ?? null) : null };
}

async function bucketsOf(
  db: Db,
  series: number,
  query: { readonly window: Window; readonly bucketMs: number; readonly agg: Aggregate },
): Promise<Row[]> {
  const bySeries = await readBuckets(db, { ...query, series: [series], source: readingsOf(db) });
  return bySeries.get(series) ?? [];
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
  return {
    sql: `${inOrganization.sql} and d.id in (${placesFor(scope.deviceIds) || "null"})`,
    bindings: [...inOrganization.bindings, ...scope.deviceIds],
  };
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
  const { rows: gone, from } = await goneReadings(db, series, window);
  if (gone.length >= window.limit || from >= window.to) return [...gone];
  const { sql, bindings } = readingsOf(db)([series], { ...window, from });
  return [...gone, ...(await rowsOf<Row>(db, `${sql} order by t.ts limit ?`, [...bindings, window.limit - gone.length]))];
}

/** The rows of a span as (series_id, ts in ms, v, json as text). SQLite visits one ten-minute bucket after the other, as its key lies. */
export const readingsOf =
  (db: Db) =>
  (series: readonly number[], { from, to }: Span): Source => {
    const ofSeries = `t.series_id in (${placesFor(series)})`;
    if (engineOf(db) === "postgres") {
      return {
        // In whole milliseconds a double is exact, and quicker than extract(), which counts in decimals.
        sql: `select t.series_id, round(date_part('epoch', t.ts) * 1000)::bigint as ts, t.v, t.json::text as json from telemetry t where ${ofSeries} and t.ts >= ? and t.ts < ?`,
        bindings: [...series, isoOf(from), isoOf(to)],
      };
    }
    return {
      sql: `with recursive b(bucket) as (select cast(? as integer) union all select bucket + 1 from b where bucket < ?)
            select t.series_id, t.ts as ts, t.v as v, t.json as json from b cross join telemetry as t on t.bucket = b.bucket and ${ofSeries} where t.ts >= ? and t.ts < ?`,
      bindings: [Math.floor(from / SQLITE_BUCKET_MS), Math.floor((to - 1) / SQLITE_BUCKET_MS), ...series, from, to],
    };
  };

/** A time after all readings of the series, and after what is left of them: the hour of each is summed up or still to be. */
export async function endOf(db: Db, series: readonly number[]): Promise<number> {
  const [last] = await rowsOf<{ hour: number | null }>(
    db,
    `select max(case when coalesce(summed, -1) > coalesce(marked, -1) then summed else marked end) as hour from (
       select (select max(ts) / ${HOUR_MS} from telemetry_hours where series_id = s.id) as summed,
         (select max(hour) from telemetry_dirty where series_id = s.id) as marked
       from series s where s.id in (${placesFor(series)})) as ends`,
    series,
  );
  return ((last?.hour ?? -1) + 1) * HOUR_MS;
}

/** A time after every reading. On SQLite it keeps an open-ended query from visiting empty buckets. */
export async function endOfData(db: Db): Promise<number> {
  if (engineOf(db) === "postgres") return YEAR_10000;
  const rows = await rowsOf<{ bucket: number | null }>(db, "select max(bucket) as bucket from telemetry");
  return ((rows[0]?.bucket ?? -1) + 1) * SQLITE_BUCKET_MS;
}
