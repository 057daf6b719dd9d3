import type { Db } from "./open.ts";
import type { Row, Window } from "./readings.ts";
import type { Folded, How, Span } from "./rolled-readings.ts";
import { placesFor, rowsOf } from "./sql.ts";

/** By which the long-term store knows a series: ids alone might be given again after a backup was restored. */
export interface NamedSeries {
  readonly id: number;
  readonly device_id: string;
  readonly sensor_key: string;
  readonly organization_id: string | null;
}

/** Has readings that have had their days in the hub's own tables. Both are undefined when it does not answer in time. */
export interface LongTerm {
  periods(
    series: readonly NamedSeries[],
    span: Span,
    query: { readonly bucketMs: number; readonly how: How },
  ): Promise<Folded[] | undefined>;
  /** In the order of time. */
  readings(series: NamedSeries, window: Window): Promise<Row[] | undefined>;
}

const LONG_TERM = Symbol("long-term store");
/** A transaction's client has what its database's has. */
type LongTermClient = { [LONG_TERM]?: LongTerm };

/** From now on queries of this process ask it for what has gone from the tables. */
export function keepLongTerm(db: Db, longTerm: LongTerm): void {
  (db.client as LongTermClient)[LONG_TERM] = longTerm;
}

const longTermOf = (db: Db): LongTerm | undefined => (db.client as LongTermClient)[LONG_TERM];

/** Some series of a query: what has gone of them before and behind the span in which the tables have what there is. */
export interface Share {
  readonly series: readonly number[];
  readonly before: readonly Folded[];
  readonly window: Span;
  readonly after: readonly Folded[];
}

interface ShareQuery {
  readonly series: readonly number[];
  readonly window: Span;
  readonly bucketMs: number;
  /** Whole periods of this length stay in the tables; undefined when none do. Days of retention are made of them. */
  readonly keptMs: number | undefined;
}

/** Series that are kept equally long are one share; what does not answer has nothing. */
export async function sharesOf(db: Db, { series, window, bucketMs, keptMs }: ShareQuery, how: How): Promise<Share[]> {
  const longTerm = longTermOf(db);
  const gone = longTerm === undefined ? [] : await findGone(db, series, window.from);
  const here = series.filter((one) => gone.every(({ id }) => id !== one));
  const shares: Share[] = here.length === 0 ? [] : [{ series: here, before: [], window, after: [] }];
  for (const [keptFrom, some] of Map.groupBy(gone, (one) => one.kept_from)) {
    const ask = async (span: Span): Promise<Folded[] | undefined> =>
      span.from < span.to ? await longTerm?.periods(some, span, { bucketMs, how }) : [];
    const [start, end] = keptMs === undefined ? [keptFrom, window.to] : wholeIn(window, keptMs, keptFrom);
    const from = Math.min(start, window.to);
    const before = await ask({ from: window.from, to: from });
    const after = await ask({ from: Math.max(from, end), to: window.to });
    const kept = { from: before === undefined ? window.from : from, to: after === undefined ? window.to : Math.max(from, end) };
    shares.push({ series: some.map(({ id }) => id), before: before ?? [], window: kept, after: after ?? [] });
  }
  return shares;
}

/** Without the ends that cut a period whose readings have gone. */
function wholeIn({ from, to }: Span, periodMs: number, keptFrom: number): [from: number, to: number] {
  const end = Math.floor(to / periodMs) * periodMs;
  return [Math.ceil(from / periodMs) * periodMs, end < keptFrom ? end : to];
}

/** Readings of the window that have gone from the tables, and from when on the others are there. */
export async function goneReadings(
  db: Db,
  series: number,
  window: Window,
): Promise<{ readonly rows: readonly Row[]; readonly from: number }> {
  const longTerm = longTermOf(db);
  const [gone] = longTerm === undefined ? [] : await findGone(db, [series], window.from);
  if (!longTerm || !gone) return { rows: [], from: window.from };
  const from = Math.min(gone.kept_from, window.to);
  const rows = await longTerm.readings(gone, { ...window, to: from });
  return rows === undefined ? { rows: [], from: window.from } : { rows, from };
}

/** Those of whom something before that time has had its days. */
const findGone = (db: Db, series: readonly number[], before: number): Promise<(NamedSeries & { readonly kept_from: number })[]> =>
  rowsOf(
    db,
    `select id, device_id, sensor_key, organization_id, kept_from from series where id in (${placesFor(series)}) and kept_from > ?`,
    [...series, before],
  );
