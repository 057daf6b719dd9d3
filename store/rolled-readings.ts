import { HOUR_MS, MINUTE_MS } from "../core/durations.ts";
import { sharesOf } from "./long-term.ts";
import type { Db } from "./open.ts";
import type { Aggregate, Row } from "./readings.ts";
import { foldChunks, hoursWithoutChunk, type Instead } from "./reading-chunks.ts";
import { dirtyHours, LEVELS, type Level } from "./rollups.ts";
import { engineOf, placesFor, rowsOf } from "./sql.ts";

/** ms since 1970; `to` is exclusive. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Part of a window: of what was worked out before, or of something else. */
interface Part extends Span {
  readonly of: "level" | Instead;
}

/** A SELECT of `series_id`, `ts`, `v` and `json` as text. */
export interface Source {
  readonly sql: string;
  readonly bindings: readonly (string | number)[];
}

export interface PeriodQuery {
  readonly series: readonly number[];
  readonly window: Span;
  readonly bucketMs: number;
  /** The readings of a span. */
  readonly source: (series: readonly number[], span: Span) => Source;
}

/** What the readings of a period amount to; without `v` and `json` when they are counted, with those alone when one is picked. */
export interface Folded {
  readonly series_id: number;
  /** ms since 1970 */
  readonly period: number;
  n: number;
  /** Numbers among them. */
  v_n: number;
  min: number | null;
  max: number | null;
  sum: number | null;
  v: number | null;
  json: string | null;
}

/** By series one value for each period that has readings, in the order of time. */
export async function readBuckets(db: Db, query: PeriodQuery & { readonly agg: Aggregate }): Promise<Map<number, Row[]>> {
  const bySeries = await readPeriods(db, query, howFor(query.agg));
  return new Map([...bySeries].map(([series, periods]) => [series, periods.map((one) => rowOf(one, query.agg))]));
}

/** By series what each period amounts to: of roll-ups where they are true, else of the readings, wherever those are kept. */
export async function readPeriods(db: Db, query: PeriodQuery, how: How): Promise<Map<number, Folded[]>> {
  const level = LEVELS.find(({ periodMs }) => query.bucketMs % periodMs === 0);
  const bySeries = new Map(query.series.map((series): [number, Folded[]] => [series, []]));
  const add = (row: Folded): void => merge(bySeries.get(row.series_id) as Folded[], row, how);
  // Hours and days stay when what they were worked out of has had its days.
  const keptMs = level === undefined || level.periodMs === MINUTE_MS ? undefined : level.periodMs;
  for (const { series: some, before, window, after } of await sharesOf(db, { ...query, keptMs }, how)) {
    before.forEach(add);
    const kept = { ...query, series: some, window };
    const parts = window.from >= window.to ? [] : level === undefined ? wholly(kept) : await partsOf(db, kept, level);
    for (const { part, series } of parts) {
      const rows = await readPart(db, { ...query, series }, { part, level, how });
      rows.forEach(add);
    }
    after.forEach(add);
  }
  return bySeries;
}

export type How = "fold" | "first" | "last";
export const howFor = (agg: Aggregate): How => (agg === "first" || agg === "last" ? agg : "fold");
/** A part with all series that are read in it. */
interface SharedPart {
  readonly part: Part;
  readonly series: number[];
}

const wholly = ({ series, window }: PeriodQuery): SharedPart[] => [{ part: { ...window, of: "readings" }, series: [...series] }];

async function readPart(
  db: Db,
  query: PeriodQuery,
  { part, level, how }: { readonly part: Part; readonly level: Level | undefined; readonly how: How },
): Promise<Folded[]> {
  const { series, bucketMs } = query;
  if (part.of === "level" && level?.periodMs === MINUTE_MS) return await foldChunks(db, { ...part, series, bucketMs, how });
  const isRaw = level === undefined || part.of === "readings";
  const from = isRaw ? ofReadings(query.source(series, part)) : ofLevel(level, series, part);
  return await (how === "fold" ? fold(db, query, from) : pick(db, query, from, how));
}

/** In the order of time. Series of which the same hours count share their parts, which most do. */
async function partsOf(db: Db, { series, window }: PeriodQuery, level: Level): Promise<SharedPart[]> {
  const dirty = await dirtyHours(db, series, window);
  const others = level.periodMs === MINUTE_MS ? await hoursWithoutChunk(db, series, window) : undefined;
  const shared = new Map<string, SharedPart>();
  for (const one of series) {
    const marked = (dirty.get(one) ?? []).map((hour): [number, Instead] => [hour, "readings"]);
    for (const part of partsBeside(new Map([...(others?.get(one) ?? []), ...marked]), window, level)) {
      const key = `${part.from} ${part.to} ${part.of}`;
      const known = shared.get(key);
      if (known) known.series.push(one);
      else shared.set(key, { part, series: [one] });
    }
  }
  return [...shared.values()].toSorted((a, b) => a.part.from - b.part.from);
}

/** Where the level's periods lie wholly within the window, they count, but for those of hours that are read of something else. */
function partsBeside(hours: ReadonlyMap<number, Instead>, { from, to }: Span, { periodMs }: Level): Part[] {
  const unitMs = Math.max(periodMs, HOUR_MS);
  const others = new Map([...hours].map(([hour, instead]) => [Math.floor((hour * HOUR_MS) / unitMs), instead]));
  const parts: { from: number; to: number; of: Part["of"] }[] = [];
  const add = (start: number, end: number, of: Part["of"]): void => {
    const last = parts.at(-1);
    if (end <= start) return;
    if (last?.of === of) last.to = end;
    else parts.push({ from: start, to: end, of });
  };
  const [first, end] = [Math.ceil(from / periodMs) * periodMs, Math.floor(to / periodMs) * periodMs];
  add(from, Math.min(first, to), "readings");
  // From one that does not count to the next, however long the window is.
  let at = first;
  for (const [unit, instead] of [...others].toSorted(([a], [b]) => a - b)) {
    add(at, Math.min(end, Math.max(at, unit * unitMs)), "level");
    at = Math.max(at, Math.min(end, unit * unitMs));
    add(at, Math.min(end, (unit + 1) * unitMs), instead);
    at = Math.max(at, Math.min(end, (unit + 1) * unitMs));
  }
  add(at, end, "level");
  add(Math.max(end, first), to, "readings");
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

function ofLevel({ table }: Level, series: readonly number[], { from, to }: Part): Folding {
  return {
    sql: `select * from ${table} where series_id in (${placesFor(series)}) and ts >= ? and ts < ?`,
    bindings: [...series, from, to],
    columns: {
      n: "n",
      v_n: "v_n",
      v: (which) => (which === "first" || which === "last" ? `${which}_v` : `v_${which}`),
      json: (which) => `${which}_json`,
    },
  };
}

const periodIn = (db: Db): string =>
  engineOf(db) === "postgres" ? "(ts / ?::bigint) * ?::bigint" : "ts / cast(? as integer) * cast(? as integer)";

async function fold(db: Db, { bucketMs }: PeriodQuery, { sql, bindings, columns: { n, v_n, v } }: Folding): Promise<Folded[]> {
  return await rowsOf<Folded>(
    db,
    `select series_id, period, cast(sum(${n}) as bigint) as n, cast(sum(${v_n}) as bigint) as v_n, min(${v("min")}) as min, max(${v("max")}) as max, sum(${v("sum")}) as sum, null as v, null as json
     from (select r.*, ${periodIn(db)} as period from (${sql}) as r) as s group by series_id, period order by period`,
    [bucketMs, bucketMs, ...bindings],
  );
}

async function pick(db: Db, { bucketMs }: PeriodQuery, { sql, bindings, columns }: Folding, which: "first" | "last"): Promise<Folded[]> {
  return await rowsOf<Folded>(
    db,
    `select series_id, period, 1 as n, 0 as v_n, null as min, null as max, null as sum, ${columns.v(which)} as v, ${columns.json(which)} as json from (
       select s.*, row_number() over (partition by series_id, period order by ts ${which === "first" ? "asc" : "desc"}) as place
       from (select r.*, ${periodIn(db)} as period from (${sql}) as r) as s
     ) as ranked where place = 1 order by period`,
    [bucketMs, bucketMs, ...bindings],
  );
}

/** Rows come in the order of time. */
function merge(found: Folded[], row: Folded, how: How): void {
  const known = found.at(-1);
  if (known?.period !== row.period) return void found.push(row);
  if (how === "last") found[found.length - 1] = row;
  if (how !== "fold") return;
  known.n += row.n;
  known.v_n += row.v_n;
  known.min = combine(known.min, row.min, Math.min);
  known.max = combine(known.max, row.max, Math.max);
  known.sum = combine(known.sum, row.sum, (a, b) => a + b);
}

const combine = (a: number | null, b: number | null, how: (a: number, b: number) => number): number | null =>
  a === null ? b : b === null ? a : how(a, b);

/** What a period is shown as. */
export function rowOf(one: Folded, agg: Aggregate): Row {
  if (agg === "first" || agg === "last") return { ts: one.period, v: one.v, json: one.json };
  return { ts: one.period, v: numberOf(one, agg), json: null };
}

function numberOf({ n, v_n, min, max, sum }: Folded, agg: Exclude<Aggregate, "first" | "last">): number | null {
  if (agg === "count") return n;
  if (agg === "avg") return sum === null || v_n === 0 ? null : sum / v_n;
  return agg === "min" ? min : agg === "max" ? max : sum;
}
