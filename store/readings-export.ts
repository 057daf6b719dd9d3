import type { ReadingColumns } from "../core/reading-columns.ts";
import type { Scope } from "../core/principal.ts";
import { goneReadings } from "./long-term.ts";
import type { Db } from "./open.ts";
import { endOfData, FIRST_WINDOW_MS, readingsOf, type Row, visible, WINDOW_GROWTH, type Window } from "./readings.ts";
import { engineOf, rowsOf, scannedRows } from "./sql.ts";

export interface ExportFilter {
  /** All that the scope may see, without it. */
  readonly deviceId?: string | undefined;
  readonly key?: string | undefined;
  /** ms since 1970, inclusive */
  readonly from: number;
  /** ms since 1970, exclusive */
  readonly to: number;
}

interface SeriesRow {
  readonly id: number;
  readonly uid: string;
  readonly sensor_key: string;
  readonly first_ts: number;
}

const SERIES_AT_ONCE = 500;

/** One series after the other, each by time, in pages of at most `pageSize` rows. No transaction is open between two of them. */
export async function* readingPages(db: Db, scope: Scope, filter: ExportFilter, pageSize: number): AsyncGenerator<ReadingColumns> {
  const to = Math.min(filter.to, await endOfData(db));
  for (let after = 0; ; ) {
    const some = await visibleSeries(db, scope, filter, after);
    for (const series of some) yield* pagesOf(db, series, { from: Math.max(filter.from, series.first_ts), to, limit: pageSize });
    const last = some.at(-1);
    if (!last || some.length < SERIES_AT_ONCE) return;
    after = last.id;
  }
}

/** In windows that are about as long as a page: the rows of each are sorted. */
async function* pagesOf(db: Db, { id, uid, sensor_key: key }: SeriesRow, { from, to, limit }: Window): AsyncGenerator<ReadingColumns> {
  for (let at = from, span = FIRST_WINDOW_MS; at < to; ) {
    const { count, next, ts, numbers, others } = await readPage(db, id, { from: at, to: Math.min(to, at + span), limit });
    if (ts !== null) yield { uid, key, ts, numbers, others };
    if (count === limit) span = next - at;
    else if (count < limit / 2) span *= WINDOW_GROWTH;
    at = next;
  }
}

interface Page {
  readonly count: number;
  /** null when there is none. */
  readonly ts: string | null;
  readonly numbers: string | null;
  readonly others: string | null;
  /** From where on there may be more. */
  readonly next: number;
}

async function readPage(db: Db, series: number, window: Window): Promise<Page> {
  const { rows: gone, from } = await goneReadings(db, series, window);
  const last = gone.at(-1);
  if (last) return { ...columnsOf(gone), next: gone.length < window.limit ? from : last.ts + 1 };
  return await readColumns(db, series, { ...window, from: Math.min(from, window.to) });
}

/** As one row: a thousand of them would be as many objects in the memory of the main loop. */
async function readColumns(db: Db, series: number, window: Window): Promise<Page> {
  const { sql, bindings } = readingsOf(db)([series], window);
  const listOf = (column: string): string => (engineOf(db) === "postgres" ? `json_agg(${column})::text` : `json_group_array(${column})`);
  const [page] = await scannedRows<Omit<Page, "next"> & { readonly last: number }>(
    db,
    `select count(*) as count, max(ts) as last, case when count(*) > 0 then ${listOf("ts")} end as ts,
       case when count(v) > 0 then ${listOf("v")} end as numbers, case when count(json) > 0 then ${listOf("json")} end as others
     from (${sql} order by t.ts limit ?) as page`,
    [...bindings, window.limit],
  );
  if (!page) throw new Error("an aggregate has a row");
  const { count, last, ts, numbers, others } = page;
  return { count, ts, numbers, others, next: count === window.limit ? last + 1 : window.to };
}

const columnsOf = (rows: readonly Row[]): Omit<Page, "next"> => ({
  count: rows.length,
  ts: JSON.stringify(rows.map(({ ts }) => ts)),
  numbers: JSON.stringify(rows.map(({ v }) => v)),
  others: JSON.stringify(rows.map(({ json }) => json)),
});

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
