import type { Db } from "./open.ts";
import type { Aggregate, Row, Window } from "./readings.ts";
import { dirtyHours, HOUR_MS, LEVELS, type Level, MINUTE_MS, sparseHours } from "./rollups.ts";
import { engineOf, rowsOf } from "./sql.ts";

/** Part of a window: from what was worked out before, or from the readings themselves. */
interface Part {
  readonly from: number;
  readonly to: number;
  readonly isRaw: boolean;
}

/** A SELECT of `ts`, `v` and `json` as text. */
export interface Source {
  readonly sql: string;
  readonly bindings: readonly (string | number)[];
}

export interface BucketQuery {
  readonly series: number;
  readonly window: Window;
  readonly bucketMs: number;
  readonly agg: Aggregate;
  /** The readings of a span. */
  readonly source: (span: { readonly from: number; readonly to: number }) => Source;
}

/** One value for each period that has readings: of roll-ups where they are true, else of the readings. */
export async function readBuckets(db: Db, query: BucketQuery): Promise<Row[]> {
  const level = LEVELS.find(({ periodMs }) => query.bucketMs % periodMs === 0);
  const parts = level === undefined ? [{ ...query.window, isRaw: true }] : await partsOf(db, query, level);
  const isPick = query.agg === "first" || query.agg === "last";
  const found = new Map<number, Folded>();
  for (const part of parts) {
    const from = level === undefined || part.isRaw ? ofReadings(query.source(part)) : ofLevel(level, query.series, part);
    for (const row of await (isPick ? pick(db, query, from) : fold(db, query, from))) merge(found, row, query.agg);
  }
  return [...found.values()]
    .toSorted((a, b) => a.period - b.period)
    .slice(0, query.window.limit)
    .map((one) => ({ ts: one.period, ...valueOf(one, query.agg) }));
}

/** Where the level's periods lie wholly within the window, and nothing has come since they were worked out, they count. */
async function partsOf(db: Db, { series, window: { from, to } }: BucketQuery, { periodMs }: Level): Promise<Part[]> {
  const raw = new Set(await dirtyHours(db, series, { from, to }));
  if (periodMs === MINUTE_MS) for (const hour of await sparseHours(db, series, { from, to })) raw.add(hour);
  const unitMs = Math.max(periodMs, HOUR_MS);
  const bad = new Set([...raw].map((hour) => Math.floor((hour * HOUR_MS) / unitMs)));
  const parts: { from: number; to: number; isRaw: boolean }[] = [];
  const add = (start: number, end: number, isRaw: boolean): void => {
    const last = parts.at(-1);
    if (end <= start) return;
    if (last?.isRaw === isRaw) last.to = end;
    else parts.push({ from: start, to: end, isRaw });
  };
  const [first, end] = [Math.ceil(from / periodMs) * periodMs, Math.floor(to / periodMs) * periodMs];
  add(from, Math.min(first, to), true);
  // From one that does not count to the next, however long the window is.
  let at = first;
  for (const unit of [...bad].toSorted((a, b) => a - b)) {
    add(at, Math.min(end, Math.max(at, unit * unitMs)), false);
    at = Math.max(at, Math.min(end, unit * unitMs));
    add(at, Math.min(end, (unit + 1) * unitMs), true);
    at = Math.max(at, Math.min(end, (unit + 1) * unitMs));
  }
  add(at, end, false);
  add(Math.max(end, first), to, true);
  return parts;
}

/** What stands in FROM, with the columns of a roll-up. */
interface Folding extends Source {
  readonly columns: {
    readonly n: string;
    readonly v_n: string;
    readonly v: (which: "min" | "max" | "sum" | "first" | "last") => string;
    readonly json: (which: "first" | "last") => string;
  };
}

function ofReadings({ sql, bindings }: Source): Folding {
  return { sql, bindings, columns: { n: "1", v_n: "case when v is null then 0 else 1 end", v: () => "v", json: () => "json" } };
}

function ofLevel({ table }: Level, series: number, { from, to }: Part): Folding {
  return {
    sql: `select * from ${table} where series_id = ? and ts >= ? and ts < ?`,
    bindings: [series, from, to],
    columns: {
      n: "n",
      v_n: "v_n",
      v: (which) => (which === "first" || which === "last" ? `${which}_v` : `v_${which}`),
      json: (which) => `${which}_json`,
    },
  };
}

interface Folded {
  readonly period: number;
  n: number;
  v_n: number;
  min: number | null;
  max: number | null;
  sum: number | null;
  v: number | null;
  json: string | null;
}

const periodIn = (db: Db): string =>
  engineOf(db) === "postgres" ? "(ts / ?::bigint) * ?::bigint" : "ts / cast(? as integer) * cast(? as integer)";

async function fold(db: Db, { bucketMs }: BucketQuery, { sql, bindings, columns: { n, v_n, v } }: Folding): Promise<Folded[]> {
  return await rowsOf<Folded>(
    db,
    `select period, cast(sum(${n}) as bigint) as n, cast(sum(${v_n}) as bigint) as v_n, min(${v("min")}) as min, max(${v("max")}) as max, sum(${v("sum")}) as sum, null as v, null as json
     from (select r.*, ${periodIn(db)} as period from (${sql}) as r) as s group by period`,
    [bucketMs, bucketMs, ...bindings],
  );
}

async function pick(db: Db, { bucketMs, agg }: BucketQuery, { sql, bindings, columns }: Folding): Promise<Folded[]> {
  const which = agg as "first" | "last";
  return await rowsOf<Folded>(
    db,
    `select period, 1 as n, 0 as v_n, null as min, null as max, null as sum, ${columns.v(which)} as v, ${columns.json(which)} as json from (
       select s.*, row_number() over (partition by period order by ts ${which === "first" ? "asc" : "desc"}) as place
       from (select r.*, ${periodIn(db)} as period from (${sql}) as r) as s
     ) as ranked where place = 1`,
    [bucketMs, bucketMs, ...bindings],
  );
}

/** Parts come in the order of time. */
function merge(found: Map<number, Folded>, row: Folded, agg: Aggregate): void {
  const { period } = row;
  const given = { ...row };
  const known = found.get(period);
  if (!known || agg === "last") return void found.set(period, given);
  if (agg === "first") return;
  known.n += given.n;
  known.v_n += given.v_n;
  known.min = combine(known.min, given.min, Math.min);
  known.max = combine(known.max, given.max, Math.max);
  known.sum = combine(known.sum, given.sum, (a, b) => a + b);
}

const combine = (a: number | null, b: number | null, how: (a: number, b: number) => number): number | null =>
  a === null ? b : b === null ? a : how(a, b);

function valueOf({ n, v_n, min, max, sum, v, json }: Folded, agg: Aggregate): Pick<Row, "v" | "json"> {
  if (agg === "first" || agg === "last") return { v, json };
  const values = { count: n, min, max, sum, avg: sum === null || v_n === 0 ? null : sum / v_n };
  return { v: values[agg], json: null };
}
