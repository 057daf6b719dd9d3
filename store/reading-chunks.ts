import { chunkReader, type Columns, packChunk, type Period } from "../core/chunk.ts";
import { HOUR_MS, MINUTE_MS } from "../core/durations.ts";
import type { Db } from "./open.ts";
import type { Folded, How, Span } from "./rolled-readings.ts";
import { engineOf, placesFor, rowsOf, toJson } from "./sql.ts";

/** An hour with fewer readings has a chunk of them as they are: its minutes would be as many. */
const DENSE = 120;

/** Chunks that are read at once: the hub has other work in between. */
const MOST_AT_ONCE = 2_000;

type PeriodRow = Period & { readonly series_id: number };

/** Makes the chunks of hours anew: JSON of [series, ms since 1970]. `source` selects their readings, each as what it amounts to alone. */
export async function renewChunks(trx: Db, hours: string, source: string): Promise<void> {
  const isPostgres = engineOf(trx) === "postgres";
  const pairs = isPostgres
    ? "select (e->>0)::int, (e->>1)::bigint from jsonb_array_elements(?::jsonb) as e"
    : "select value->>0, value->>1 from json_each(?)";
  await rowsOf(trx, `delete from telemetry_chunks where (series_id, ts) in (${pairs})`, [hours]);
  const rows = await rowsOf<PeriodRow>(trx, periodsOf(source), [hours]);
  const byHour = Map.groupBy(rows, ({ series_id: series, ts }) => `${series} ${Math.floor(ts / HOUR_MS)}`);
  const chunks = [...byHour.values()].map((periods) => {
    const { series_id: series, ts } = periods[0] as PeriodRow;
    const start = Math.floor(ts / HOUR_MS) * HOUR_MS;
    return [series, start, Buffer.from(packChunk(periods, start)).toString("hex")];
  });
  const sql = isPostgres
    ? "select (e->>0)::int, (e->>1)::bigint, decode(e->>2, 'hex') from jsonb_array_elements(?::jsonb) as e"
    : "select value->>0, value->>1, unhex(value->>2) from json_each(?)";
  await rowsOf(trx, `insert into telemetry_chunks (series_id, ts, body) ${sql}`, [toJson(chunks)]);
}

const periodsOf = (source: string): string =>
  `select series_id, period as ts, cast(sum(n) as bigint) as n, cast(sum(v_n) as bigint) as v_n, min(v_min) as v_min, max(v_max) as v_max, sum(v_sum) as v_sum,
     max(case when place = 1 then first_v end) as first_v, max(case when place = 1 then first_json end) as first_json,
     max(case when place_back = 1 then last_v end) as last_v, max(case when place_back = 1 then last_json end) as last_json
   from (
     select s.*, row_number() over (partition by series_id, period order by ts) as place,
       row_number() over (partition by series_id, period order by ts desc) as place_back
     from (
       select d.*, case when density > ${DENSE} then (ts / ${MINUTE_MS}) * ${MINUTE_MS} else ts end as period
       from (select r.*, count(*) over (partition by series_id, ts / ${HOUR_MS}) as density from (${source}) as r) as d
     ) as s
   ) as ranked group by series_id, period order by series_id, period`;

/** What minutes are read of in an hour that has no chunk. */
export type Instead = "readings" | "minutes";

/** By series the hours that were summed up before there were chunks. */
export async function hoursWithoutChunk(db: Db, series: readonly number[], { from, to }: Span): Promise<Map<number, [number, Instead][]>> {
  const rows = await rowsOf<{ series_id: number; ts: number; has_minutes: unknown }>(
    db,
    `select series_id, ts, has_minutes from telemetry_hours where series_id in (${placesFor(series)}) and ts >= ? and ts < ? and not has_chunk`,
    [...series, Math.floor(from / HOUR_MS) * HOUR_MS, to],
  );
  const bySeries = Map.groupBy(rows, (row) => row.series_id);
  return new Map(
    [...bySeries].map(([one, some]) => [one, some.map(({ ts, has_minutes: has }) => [ts / HOUR_MS, has ? "minutes" : "readings"])]),
  );
}

interface ChunkQuery extends Span {
  readonly series: readonly number[];
  /** Whole minutes, as `from` and `to` are. */
  readonly bucketMs: number;
  readonly how: How;
}

/** What the periods of a span amount to where its hours have chunks; those of a series in the order of time, one in two parts maybe. */
export async function foldChunks(db: Db, { series, from, to, ...query }: ChunkQuery): Promise<Folded[]> {
  // As text: a thousand little buffers between two threads are a thousand allocations outside of the heap.
  const text = engineOf(db) === "postgres" ? "encode(body, 'hex')" : "hex(body)";
  const stepMs = Math.max(1, Math.floor(MOST_AT_ONCE / series.length)) * HOUR_MS;
  const found: Folded[] = [];
  const unpack = chunkReader();
  for (let start = Math.floor(from / HOUR_MS) * HOUR_MS; start < to; start += stepMs) {
    const rows = await rowsOf<{ series_id: number; ts: number; body: string }>(
      db,
      `select series_id, ts, ${text} as body from telemetry_chunks where series_id in (${placesFor(series)}) and ts >= ? and ts < ? order by series_id, ts`,
      [...series, start, Math.min(to, start + stepMs)],
    );
    for (const { series_id, ts, body } of rows) fold(found, unpack(Buffer.from(body, "hex"), ts), { series_id, from, to, ...query });
  }
  return found;
}

interface Fold extends Omit<ChunkQuery, "series"> {
  readonly series_id: number;
}

/** Tens of thousands of values for one chart: they are added up in variables, since each number in an object is one more for the collector. */
function fold(found: Folded[], columns: Columns, { series_id, from, to, bucketMs, how }: Fold): void {
  const { count, ts, n: counts, v_n: numbers, v_min: lowest, v_max: highest, v_sum: sums } = columns;
  let index = 0;
  while (index < count && (ts[index] as number) < from) index++;
  while (index < count && (ts[index] as number) < to) {
    const period = Math.floor((ts[index] as number) / bucketMs) * bucketMs;
    const first = index;
    const end = Math.min(to, period + bucketMs);
    let n = 0;
    let v_n = 0;
    let min = Number.POSITIVE_INFINITY;
    let max = Number.NEGATIVE_INFINITY;
    let sum = 0;
    for (; index < count && (ts[index] as number) < end; index++) {
      n += counts[index] as number;
      if (numbers[index] === 0) continue;
      v_n += numbers[index] as number;
      min = Math.min(min, lowest[index] as number);
      max = Math.max(max, highest[index] as number);
      sum += sums[index] as number;
    }
    const one: Folded =
      v_n === 0
        ? { series_id, period, n, v_n, min: null, max: null, sum: null, v: null, json: null }
        : { series_id, period, n, v_n, min, max, sum, v: null, json: null };
    if (how !== "fold") pick(one, columns, { which: how, index: how === "first" ? first : index - 1 });
    found.push(one);
  }
}

function pick(one: Folded, columns: Columns, { which, index }: { readonly which: "first" | "last"; readonly index: number }): void {
  const text = columns[`${which}_text`][index] as number;
  one.v = text === 0 ? (columns[`${which}_v`][index] as number) : null;
  one.json = text === 0 ? null : (columns.texts[text - 1] ?? null);
}
