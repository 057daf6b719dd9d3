import { HOUR_MS } from "../core/durations.ts";
import type { Db } from "./open.ts";
import { engineOf, rowsOf, toJson } from "./sql.ts";

/** Series, ms since 1970, number or null, JSON text or null. */
type HourReading = readonly [series: number, ts: number, v: number | null, json: string | null];

/** Hours of one statement: an hour of a quick sensor is a few thousand readings. */
const HOURS_AT_ONCE = 10;

/** All readings of these hours that are there, some `pageSize` at a time, by series and time. */
export async function* readHours(
  db: Db,
  hours: readonly (readonly [series: number, hour: number])[],
  pageSize: number,
): AsyncGenerator<HourReading[]> {
  let page: HourReading[] = [];
  for (let at = 0; at < hours.length; at += HOURS_AT_ONCE) {
    const pairs = hours.slice(at, at + HOURS_AT_ONCE).map(([series, hour]) => [series, hour * HOUR_MS]);
    const rows = await rowsOf<{ series_id: number; ts: number; v: number | null; json: string | null }>(db, select(db), [toJson(pairs)]);
    for (const { series_id: series, ts, v, json } of rows) {
      page.push([series, ts, v, json]);
      if (page.length < pageSize) continue;
      yield page;
      page = [];
    }
  }
  if (page.length > 0) yield page;
}

/** SQLite visits the six ten-minute buckets of each hour, as its key lies. */
function select(db: Db): string {
  if (engineOf(db) === "postgres")
    return `select t.series_id, round(date_part('epoch', t.ts) * 1000)::bigint as ts, t.v, t.json::text as json
      from (select (e->>0)::int as series_id, (e->>1)::bigint as ts from jsonb_array_elements(?::jsonb) as e) as p
      join telemetry t on t.series_id = p.series_id and t.ts >= to_timestamp(p.ts / 1000) and t.ts < to_timestamp(p.ts / 1000 + ${HOUR_MS / 1_000})
      order by t.series_id, t.ts`;
  const parts = Array.from({ length: 6 }, (_, part) => `select ${part} as part`).join(" union all ");
  return `select t.series_id, t.ts, t.v, t.json from (select value->>0 as series_id, value->>1 as ts from json_each(?)) as p cross join (${parts}) as q
    cross join telemetry as t on t.bucket = p.ts / 600000 + q.part and t.series_id = p.series_id order by t.series_id, t.ts`;
}
