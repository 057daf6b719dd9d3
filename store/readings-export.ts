import type { SensorValue } from "../core/payloads.ts";
import type { Scope } from "../core/principal.ts";
import type { Db } from "./open.ts";
import { endOfData, readInWindows, readRaw, visible } from "./readings.ts";
import { rowsOf } from "./sql.ts";
import { sensorValue } from "./state.ts";

export interface ExportFilter {
  /** All that the scope may see, without it. */
  readonly deviceId?: string | undefined;
  readonly key?: string | undefined;
  /** ms since 1970, inclusive */
  readonly from: number;
  /** ms since 1970, exclusive */
  readonly to: number;
}

export interface ExportedReading {
  readonly uid: string;
  readonly key: string;
  readonly ts: number;
  readonly value: SensorValue;
}

interface SeriesRow {
  readonly id: number;
  readonly uid: string;
  readonly sensor_key: string;
  readonly first_ts: number;
}

const SERIES_AT_ONCE = 500;

/** One series after the other, each by time, in pages of at most `pageSize`. No transaction is open between two of them. */
export async function* readingPages(
  db: Db,
  scope: Scope,
  filter: ExportFilter,
  pageSize: number,
): AsyncGenerator<readonly ExportedReading[]> {
  const to = Math.min(filter.to, await endOfData(db));
  for (let after = 0; ; ) {
    const some = await visibleSeries(db, scope, filter, after);
    for (const series of some) yield* pagesOf(db, series, { from: Math.max(filter.from, series.first_ts), to, limit: pageSize });
    const last = some.at(-1);
    if (!last || some.length < SERIES_AT_ONCE) return;
    after = last.id;
  }
}

async function* pagesOf(
  db: Db,
  { id, uid, sensor_key: key }: SeriesRow,
  { from, to, limit }: { readonly from: number; readonly to: number; readonly limit: number },
): AsyncGenerator<readonly ExportedReading[]> {
  for (let at = from; at < to; ) {
    const rows = await readInWindows((window) => readRaw(db, id, window), { from: at, to, limit }, 1);
    if (rows.length > 0) yield rows.map(({ ts, v, json }) => ({ uid, key, ts, value: sensorValue(v, json) }));
    const last = rows.at(-1);
    if (!last || rows.length < limit) return;
    at = last.ts + 1;
  }
}

async function visibleSeries(db: Db, scope: Scope, { deviceId, key }: ExportFilter, after: number): Promise<SeriesRow[]> {
  const given = [
    ["s.device_id = ?", deviceId],
    ["s.sensor_key = ?", key],
  ].filter((one): one is [string, string] => one[1] !== undefined);
  const { sql, bindings } = visible(scope, ["s.id > ?", ...given.map(([condition]) => condition)].join(" and "), [
    after,
    ...given.map(([, value]) => value),
  ]);
  return await rowsOf<SeriesRow>(
    db,
    `select s.id, d.uid, s.sensor_key, s.first_ts from series s join devices d on d.id = s.device_id where ${sql} order by s.id limit ${SERIES_AT_ONCE}`,
    bindings,
  );
}
