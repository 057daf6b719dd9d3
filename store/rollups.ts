import { setTimeout as pause } from "node:timers/promises";
import type { Duties, Log } from "../core/bus.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS } from "../core/durations.ts";
import type { Db } from "./open.ts";
import { renewChunks } from "./reading-chunks.ts";
import { engineOf, placesFor, rowsOf, toJson } from "./sql.ts";
import { inSteps } from "./steps.ts";
import { inRelaxedTransaction, type Statement } from "./transaction.ts";

/** What the readings of one series amount to, by periods of one length. */
export interface Level {
  readonly table: "telemetry_minutes" | "telemetry_hours" | "telemetry_days";
  readonly periodMs: number;
}
/** Of hours that were summed up before there were chunks (store/reading-chunks.ts). */
const MINUTES: Level = { table: "telemetry_minutes", periodMs: MINUTE_MS };
const HOURS: Level = { table: "telemetry_hours", periodMs: HOUR_MS };
const DAYS: Level = { table: "telemetry_days", periodMs: DAY_MS };
/** The longest first. */
export const LEVELS: readonly Level[] = [DAYS, HOURS, MINUTES];

/** An hour is worked out so long after its end, when what is on its way by then has been committed. */
const SETTLED_MS = 5 * 60_000;
const MOST_AT_ONCE = 200;
const EVERY_MS = 10_000;
const PACE = { aimMs: 3, breathMs: 20, most: MOST_AT_ONCE };

export const hourOf = (ts: number): number => Math.floor(ts / HOUR_MS);

/**
 * Whether it is enough that somebody has marked the hour before: until it is over nobody takes the mark away. Later, a mark that is
 * there may be taken by somebody who does not see the reading yet.
 */
export const isMarkedFor = (hour: number, now: number): boolean => now < (hour + 1) * HOUR_MS;

/** The hours are to be worked out (again): part of the transaction of their readings. */
export function markHours(db: Db, marked: readonly { readonly seriesId: number; readonly hour: number }[]): Statement {
  const sorted = marked.toSorted((a, b) => a.seriesId - b.seriesId || a.hour - b.hour);
  const bindings = [toJson(sorted.map(({ seriesId, hour }) => [seriesId, hour]))];
  const sql =
    engineOf(db) === "postgres"
      ? // An update, so that whoever is about to take the mark waits for this transaction.
        `insert into telemetry_dirty (series_id, hour) select (e->>0)::int, (e->>1)::bigint from jsonb_array_elements(?::jsonb) as e
         on conflict (series_id, hour) do update set hour = excluded.hour`
      : "insert into telemetry_dirty (series_id, hour) select value->>0, value->>1 from json_each(?) where true on conflict do nothing";
  return { sql, bindings };
}

/** By series the hours that are not worked out, or not as they are now. */
export async function dirtyHours(
  db: Db,
  series: readonly number[],
  { from, to }: { readonly from: number; readonly to: number },
): Promise<Map<number, number[]>> {
  const rows = await rowsOf<SeriesHour>(
    db,
    `select series_id, hour from telemetry_dirty where series_id in (${placesFor(series)}) and hour >= ? and hour <= ? order by series_id, hour`,
    [...series, hourOf(from), hourOf(to - 1)],
  );
  return hoursBySeries(rows);
}

interface SeriesHour {
  readonly series_id: number;
  readonly hour: number;
}

const hoursBySeries = (rows: readonly SeriesHour[]): Map<number, number[]> =>
  new Map([...Map.groupBy(rows, ({ series_id }) => series_id)].map(([series, some]) => [series, some.map(({ hour }) => hour)]));

interface RollUpContext {
  readonly db: Db;
  readonly duties: Duties;
  readonly log: Log;
  /** ms since 1970 */
  readonly clock: () => number;
}

/** Works out what is over, and what came late: on one node of a cluster, though two at once do no harm. */
export function startRollUps({ db, duties, log, clock }: RollUpContext): AsyncDisposable {
  return duties.hold("roll-ups", async (signal) => {
    while (!signal.aborted) {
      await inSteps(PACE, signal, async (most) => (await rollUp(db, clock(), most)) < most).catch((error: unknown) =>
        log.error({ err: error }, "readings could not be summed up; it is tried again"),
      );
      await pause(EVERY_MS, undefined, { signal, ref: false }).catch(() => undefined);
    }
  });
}

/** At most so many of the hours that are marked and over at `now`, in ms since 1970. Answers how many. */
export async function rollUp(db: Db, now: number, most = MOST_AT_ONCE): Promise<number> {
  return await inRelaxedTransaction(db, async (trx) => {
    const lock = engineOf(trx) === "postgres" ? " for update skip locked" : "";
    const taken = await rowsOf<{ series_id: number; hour: number }>(
      trx,
      `delete from telemetry_dirty where (series_id, hour) in (
         select series_id, hour from telemetry_dirty where hour < ? order by hour, series_id limit ${most}${lock}
       ) returning series_id, hour`,
      [hourOf(now - SETTLED_MS)],
    );
    if (taken.length === 0) return 0;
    const whole = await withoutGone(trx, taken);
    if (whole.length === 0) return taken.length;
    const hours = toJson(whole.map(({ series_id: series, hour }) => [series, hour * HOUR_MS]));
    await removeSpans(trx, "telemetry_minutes", { spans: hours, spanMs: HOUR_MS });
    await renewChunks(trx, hours, readingsOf(trx, pairsOf(trx)));
    await renew(trx, HOURS, hours);
    const days = new Map(
      whole.map(({ series_id: series, hour }) => [`${series} ${Math.floor(hour / 24)}`, [series, Math.floor(hour / 24) * DAY_MS]]),
    );
    await renew(trx, DAYS, toJson([...days.values()]));
    return taken.length;
  });
}

const COLUMNS = "series_id, ts, n, v_n, v_min, v_max, v_sum, first_v, first_json, last_v, last_json";

/** Those whose readings are all there: of the others what they amounted to is all that is left. */
async function withoutGone(
  trx: Db,
  taken: readonly { readonly series_id: number; readonly hour: number }[],
): Promise<readonly { readonly series_id: number; readonly hour: number }[]> {
  const kept = await rowsOf<{ id: number; kept_from: number }>(
    trx,
    `select id, kept_from from series where kept_from > 0 and id in (select p.series_id from ${pairsOf(trx)})`,
    [toJson(taken.map(({ series_id: series, hour }) => [series, hour * HOUR_MS]))],
  );
  const from = new Map(kept.map((one) => [one.id, one.kept_from]));
  return taken.filter(({ series_id: series, hour }) => hour * HOUR_MS >= (from.get(series) ?? 0));
}

/** Works out the level anew for spans of a series: days of their hours, hours of the readings. */
async function renew(trx: Db, { table, periodMs }: Level, spans: string): Promise<void> {
  const pairs = pairsOf(trx);
  await removeSpans(trx, table, { spans, spanMs: periodMs });
  const isHours = table === "telemetry_hours";
  await rowsOf(
    trx,
    `insert into ${table} (${COLUMNS}${isHours ? ", has_minutes, has_chunk" : ""})
     select series_id, period, sum(n), sum(v_n), min(v_min), max(v_max), sum(v_sum),
       max(case when place = 1 then first_v end), max(case when place = 1 then first_json end),
       max(case when place_back = 1 then last_v end), max(case when place_back = 1 then last_json end)
       ${isHours ? ", false, true" : ""}
     from (
       select s.*, row_number() over (partition by series_id, period order by ts) as place,
         row_number() over (partition by series_id, period order by ts desc) as place_back
       from (select r.*, (r.ts / ${periodMs}) * ${periodMs} as period from (${isHours ? readingsOf(trx, pairs) : hoursOf(pairs)}) as r) as s
     ) as ranked group by series_id, period`,
    [spans],
  );
}

async function removeSpans(
  trx: Db,
  table: Level["table"],
  { spans, spanMs }: { readonly spans: string; readonly spanMs: number },
): Promise<void> {
  await rowsOf(
    trx,
    `delete from ${table} where (series_id, ts) in (
       select r.series_id, r.ts from ${pairsOf(trx)} cross join ${table} as r where r.series_id = p.series_id and r.ts >= p.ts and r.ts < p.ts + ${spanMs})`,
    [spans],
  );
}

/** Of one JSON parameter of [series, ms since 1970]. */
const pairsOf = (trx: Db): string =>
  engineOf(trx) === "postgres"
    ? "(select (e->>0)::int as series_id, (e->>1)::bigint as ts from jsonb_array_elements(?::jsonb) as e) as p"
    : "(select value->>0 as series_id, value->>1 as ts from json_each(?)) as p";

/** Each reading as what it amounts to alone. SQLite visits the six ten-minute buckets of each hour. */
function readingsOf(trx: Db, pairs: string): string {
  const one = (
    v: string,
    json: string,
  ): string => `1 as n, case when ${v} is null then 0 else 1 end as v_n, ${v} as v_min, ${v} as v_max, ${v} as v_sum,
    ${v} as first_v, ${json} as first_json, ${v} as last_v, ${json} as last_json`;
  if (engineOf(trx) === "postgres")
    return `select t.series_id, round(date_part('epoch', t.ts) * 1000)::bigint as ts, ${one("t.v", "t.json::text")} from ${pairs}
      join telemetry t on t.series_id = p.series_id and t.ts >= to_timestamp(p.ts / 1000) and t.ts < to_timestamp(p.ts / 1000 + ${HOUR_MS / 1_000})`;
  const parts = Array.from({ length: 6 }, (_, part) => `select ${part} as part`).join(" union all ");
  return `select t.series_id, t.ts, ${one("t.v", "t.json")} from ${pairs} cross join (${parts}) as q
    cross join telemetry as t on t.bucket = p.ts / 600000 + q.part and t.series_id = p.series_id`;
}

const hoursOf = (pairs: string): string =>
  `select h.series_id, h.ts, h.n, h.v_n, h.v_min, h.v_max, h.v_sum, h.first_v, h.first_json, h.last_v, h.last_json from ${pairs}
   cross join telemetry_hours as h where h.series_id = p.series_id and h.ts >= p.ts and h.ts < p.ts + ${DAY_MS}`;
