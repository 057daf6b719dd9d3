import { setTimeout as pause } from "node:timers/promises";
import { DAY_MS } from "../core/durations.ts";
import { READING_RETENTION_SETTING } from "../core/service-settings.ts";
import { outboxOf } from "./clickhouse-outbox.ts";
import type { Db } from "./open.ts";
import { ownRetentions } from "./own-retentions.ts";
import { rollUp } from "./rollups.ts";
import { daysOfSeries, organizationRetention, seriesRetentions } from "./series-retentions.ts";
import { engineOf, numbersParameter, rowsOf, toJson } from "./sql.ts";
import { inSteps, type StepPace } from "./steps.ts";
import { dropPartitionsBefore } from "./telemetry-partitions.ts";
import { inRelaxedTransaction, inTransaction } from "./transaction.ts";

export interface ReadingRetention {
  /** Of the hub; 0 is for ever. */
  readonly days: number;
  /** ms since 1970 */
  readonly now: number;
  /** Nothing more is begun when it aborts. */
  readonly signal?: AbortSignal;
}

const BUCKET_MS = 600_000;
const SERIES_AT_ONCE = 200;
const BREATH_MS = 15;
/** A statement takes about a millisecond: a commit that comes meanwhile waits for no more than that. */
const paceOf = (most: number): StepPace => ({ aimMs: 1, breathMs: BREATH_MS, most });
const MOST_ROWS = 2_000;
/** Hours of series. */
const MOST_SUMMED = 10;

/**
 * Removes readings, and what they amount to by minute, that have had their days (UTC): those of the hub, and of organisations and
 * series that keep theirs for less. What they amount to by hour and day stays. PostgreSQL drops whole days.
 */
export async function purgeReadings(db: Db, { days, now, signal }: ReadingRetention): Promise<void> {
  const own = [...(await ownRetentions(db, READING_RETENTION_SETTING))].filter(([, kept]) => days === 0 || kept < days);
  const single = (await seriesRetentions(db)).filter((kept) => days === 0 || kept < days);
  if (days === 0 && own.length === 0 && single.length === 0) return;
  // What goes has to be summed up first.
  await inSteps(paceOf(MOST_SUMMED), signal, async (most) => (await rollUp(db, now, most)) < most);
  if (days !== 0) await removeOfHub(db, firstKept(days, now), signal);
  for (const [organizationId, kept] of own)
    await removeOfSeries(db, { of: { column: "organization_id", value: organizationId }, before: firstKept(kept, now), signal });
  for (const kept of single)
    await removeOfSeries(db, { of: { column: "retention_days", value: kept }, before: firstKept(kept, now), signal });
}

const firstKept = (days: number, now: number): number => Math.floor((now - days * DAY_MS) / DAY_MS) * DAY_MS;

/** Since when readings are kept, in ms since 1970. */
export interface Kept {
  readonly from: number;
  /** Of series with days of their own, by device and key with a blank between. */
  readonly bySeries: ReadonlyMap<string, number>;
}

export async function keptReadings(db: Db, organizationId: string, { days, now }: Pick<ReadingRetention, "days" | "now">): Promise<Kept> {
  const kept = await organizationRetention(db, organizationId, days);
  const own = await daysOfSeries(db, organizationId);
  return {
    from: kept === 0 ? 0 : firstKept(kept, now),
    bySeries: new Map(own.map((one) => [`${one.deviceId} ${one.key}`, firstKept(one.days, now)])),
  };
}

async function removeOfHub(db: Db, before: number, signal: AbortSignal | undefined): Promise<void> {
  await rowsOf(db, "update series set kept_from = ? where kept_from < ?", [before, before]);
  if (engineOf(db) === "postgres") await dropPartitionsBefore(db, before);
  else
    await inBatches(signal, (most) =>
      removed(
        db,
        `delete from telemetry where (bucket, series_id, ts) in (
           select bucket, series_id, ts from telemetry where bucket < cast(? as integer) order by bucket, series_id, ts limit ${most}) returning 1`,
        [before / BUCKET_MS],
      ),
    );
  await removeOfSeries(db, { of: undefined, before, signal });
}

interface Removal {
  /** Whose; undefined: of all, whose readings have gone already. */
  readonly of: { readonly column: "organization_id" | "retention_days"; readonly value: string | number } | undefined;
  readonly before: number;
  readonly signal: AbortSignal | undefined;
}

async function removeOfSeries(db: Db, { of, before, signal }: Removal): Promise<void> {
  const condition = of === undefined ? "first_ts < ?" : `first_ts < ? and ${of.column} = ?`;
  for (let after = 0; ; ) {
    if (signal?.aborted) return;
    const series = await rowsOf<{ id: number; from: number }>(
      db,
      `select id, case when kept_from > first_ts then kept_from else first_ts end as "from" from series
       where id > ? and ${condition} order by id limit ${SERIES_AT_ONCE}`,
      [after, before, ...(of === undefined ? [] : [of.value])],
    );
    const last = series.at(-1);
    if (!last) return;
    const ids = toJson(series.map(({ id }) => id));
    if (of !== undefined) await removeReadings(db, { ids, from: Math.min(...series.map((one) => one.from)), before, signal });
    for (const table of ["telemetry_minutes", "telemetry_chunks"])
      await inBatches(signal, (most) =>
        removed(
          db,
          `delete from ${table} where (series_id, ts) in (
             select series_id, ts from ${table} where series_id in ${numbersParameter(db)} and ts < ? limit ${most}) returning 1`,
          [ids, before],
        ),
      );
    after = last.id;
  }
}

interface SeriesRemoval {
  /** JSON of their ids. */
  readonly ids: string;
  readonly from: number;
  readonly before: number;
  readonly signal: AbortSignal | undefined;
}

/** What comes of such an age afterwards is not summed up any more: the rest of its hour has gone. */
async function removeReadings(db: Db, { ids, from, before, signal }: SeriesRemoval): Promise<void> {
  await inTransaction(db, async (trx) => {
    const raised = await rowsOf<{ id: number }>(
      trx,
      `update series set kept_from = ? where kept_from < ? and id in ${numbersParameter(trx)} returning id`,
      [before, before, ids],
    );
    // Whoever keeps them for less than the hub does not want them elsewhere either.
    const seriesIds = raised.map(({ id }) => id);
    if (seriesIds.length > 0) await outboxOf(trx)?.removal(trx, { seriesIds, before });
  });
  const first = Math.floor(from / DAY_MS) * DAY_MS;
  if (engineOf(db) === "postgres") await removeDays(db, { ids, from: first, before, signal });
  else await removeBuckets(db, { ids, from: first, before, signal });
}

/** On PostgreSQL nobody waits for it. */
async function removeDays(db: Db, { ids, from, before, signal }: SeriesRemoval): Promise<void> {
  for (let day = from; day < before; day += DAY_MS) {
    if (signal?.aborted) return;
    await removed(
      db,
      `delete from telemetry where series_id in ${numbersParameter(db)}
       and ts >= to_timestamp(?::float8 / 1000) and ts < to_timestamp(?::float8 / 1000)`,
      [ids, day, day + DAY_MS],
    );
    await pause(BREATH_MS);
  }
}

async function removeBuckets(db: Db, { ids, from, before, signal }: SeriesRemoval): Promise<void> {
  const end = before / BUCKET_MS;
  let bucket = from / BUCKET_MS;
  await inSteps(paceOf(DAY_MS / BUCKET_MS), signal, async (most) => {
    const next = Math.min(bucket + most, end);
    await removed(
      db,
      `with recursive buckets(bucket) as (select cast(? as integer) union all select bucket + 1 from buckets where bucket < cast(? as integer) - 1)
       delete from telemetry where (bucket, series_id, ts) in (
         select t.bucket, t.series_id, t.ts from buckets cross join json_each(?) as s
         cross join telemetry as t on t.bucket = buckets.bucket and t.series_id = s.value)`,
      [bucket, next, ids],
    );
    bucket = next;
    return bucket >= end;
  });
}

const inBatches = (signal: AbortSignal | undefined, remove: (most: number) => Promise<readonly unknown[]>): Promise<void> =>
  inSteps(paceOf(MOST_ROWS), signal, async (most) => (await remove(most)).length < most);

/** What comes back with a power cut is removed again. */
const removed = (db: Db, sql: string, bindings: readonly unknown[]): Promise<unknown[]> =>
  inRelaxedTransaction(db, (trx) => rowsOf(trx, sql, bindings));
