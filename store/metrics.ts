import { DAY_MS } from "../core/durations.ts";
import { type Measure, mergeMeasures, type MetricType } from "../core/metric.ts";
import { mergeSketches, type QuantileSketch } from "../core/quantile-sketch.ts";
import type { Scope } from "../core/principal.ts";
import type { Db } from "./open.ts";
import { engineOf, fromJson, idsParameter, rowSource, rowsOf, scoped, toJson } from "./sql.ts";

/** Hours are kept for so many days, days for so many. */
export const HOURS_KEPT_DAYS = 45;
export const DAYS_KEPT_DAYS = 731;

export type MetricTable = "metric_hours" | "metric_days";

/** Whose, and in which organisation. */
export interface Measured {
  readonly deviceId: string;
  readonly organizationId: string;
}

export const keyOf = ({ deviceId, organizationId }: Measured): string => `${deviceId} ${organizationId}`;

/** What a metric of a device amounts to in the hour or day (UTC) that begins at `ts`, in ms since 1970. */
export interface StoredMeasure extends Measure, Measured {
  readonly ts: number;
}

const COLUMNS = {
  device_id: "text",
  ts: "int",
  metric_type: "text",
  channel: "text",
  organization_id: "text",
  n: "int",
  v_sum: "float",
  v_min: "float",
  v_max: "float",
  v_last: "float",
  sketch: "text",
} as const;
const NAMES = Object.keys(COLUMNS).join(", ");
const MEASURED = Object.keys(COLUMNS)
  .map((name) => `m.${name}`)
  .join(", ");

export async function insertMeasures(trx: Db, table: MetricTable, measures: readonly StoredMeasure[]): Promise<void> {
  if (measures.length === 0) return;
  await rowsOf(trx, `insert into ${table} (${NAMES}) select ${NAMES} from ${rowSource(trx, COLUMNS)}`, [toJson(measures.map(rowOf))]);
}

/** Of one period; gives what went. */
export async function takeMeasures(trx: Db, table: MetricTable, of: readonly Measured[], ts: number): Promise<StoredMeasure[]> {
  if (of.length === 0) return [];
  const those = joinedTo(trx, table, "");
  const where =
    engineOf(trx) === "postgres"
      ? `ctid = any(array(select m.ctid from ${those}))`
      : `(device_id, ts, metric_type, channel, organization_id) in (select m.device_id, m.ts, m.metric_type, m.channel, m.organization_id from ${those})`;
  const rows = await rowsOf<Row>(trx, `delete from ${table} where ${where} returning ${NAMES}`, [toJson(of.map(pairOf)), ts, ts + 1]);
  return rows.map(measureOf);
}

export async function measuresBetween(
  db: Db,
  table: MetricTable,
  of: readonly Measured[],
  { from, to, types }: { readonly from: number; readonly to: number; readonly types?: readonly MetricType[] | undefined },
): Promise<StoredMeasure[]> {
  if (of.length === 0) return [];
  const typed = types === undefined ? "" : ` and m.metric_type in ${idsParameter(db)}`;
  const rows = await rowsOf<Row>(
    db,
    `select ${MEASURED} from ${joinedTo(db, table, typed)} order by m.device_id, m.ts, m.metric_type, m.channel`,
    [toJson(of.map(pairOf)), from, to, ...(types === undefined ? [] : [toJson(types)])],
  );
  return rows.map(measureOf);
}

/** The rows of each of {@link PAIRS} between two times, by the primary key. PostgreSQL, which does not know how few they are, would read the whole table. */
function joinedTo(db: Db, table: MetricTable, more: string): string {
  const own = `m.device_id = r.device_id and m.organization_id = r.organization_id and m.ts >= ? and m.ts < ?${more}`;
  return engineOf(db) === "postgres"
    ? `${PAIRS(db)} cross join lateral (select m.ctid, m.* from ${table} as m where ${own} offset 0) as m`
    : `${PAIRS(db)} cross join ${table} as m where ${own}`;
}

const PAIRS = (db: Db): string => rowSource(db, { device_id: "text", organization_id: "text" });
const pairOf = ({ deviceId, organizationId }: Measured) => ({ device_id: deviceId, organization_id: organizationId });

export interface MeasuredRange {
  /** ms since 1970, at whole hours */
  readonly from: number;
  readonly to: number;
  readonly types?: readonly MetricType[] | undefined;
}

/** By device: what each metric and channel amounts to over the range. Whole days are read as such, what is left at both ends by the hour. */
export async function totalsOf(db: Db, of: readonly Measured[], range: MeasuredRange): Promise<Map<string, Measure[]>> {
  const { from, to } = range;
  const [firstDay, lastDay] = [Math.ceil(from / DAY_MS) * DAY_MS, Math.floor(to / DAY_MS) * DAY_MS];
  const hasDays = firstDay < lastDay;
  const parts = hasDays
    ? [
        ...(await sumsOf(db, "metric_hours", of, { ...range, to: firstDay })),
        ...(await sumsOf(db, "metric_days", of, { ...range, from: firstDay, to: lastDay })),
        ...(await sumsOf(db, "metric_hours", of, { ...range, from: lastDay })),
      ]
    : await sumsOf(db, "metric_hours", of, range);
  const byDevice = Map.groupBy(parts, ({ deviceId }) => deviceId);
  return new Map([...byDevice].map(([id, measures]) => [id, mergeMeasures(measures)]));
}

/** One for each device, metric and channel: the database adds up, so that few rows come out of it. */
async function sumsOf(db: Db, table: MetricTable, of: readonly Measured[], { from, to, types }: MeasuredRange): Promise<StoredMeasure[]> {
  if (of.length === 0 || from >= to) return [];
  const typed = types === undefined ? "" : ` and m.metric_type in ${idsParameter(db)}`;
  const joined = engineOf(db) === "postgres" ? "string_agg(m.sketch, ',')" : "group_concat(m.sketch, ',')";
  const rows = await rowsOf<Row>(
    db,
    `select m.device_id, m.organization_id, m.metric_type, m.channel, 0 as ts, cast(sum(m.n) as bigint) as n, sum(m.v_sum) as v_sum,
       min(m.v_min) as v_min, max(m.v_max) as v_max, null as v_last, ${joined} as sketch
     from ${joinedTo(db, table, typed)} group by m.device_id, m.organization_id, m.metric_type, m.channel`,
    [toJson(of.map(pairOf)), from, to, ...(types === undefined ? [] : [toJson(types)])],
  );
  return rows.map(({ sketch, ...row }) => ({
    ...measureOf({ ...row, sketch: null }),
    sketch: sketch === null ? null : mergedSketch(sketch),
  }));
}

const mergedSketch = (joined: string): QuantileSketch => mergeSketches(JSON.parse(`[${joined}]`) as QuantileSketch[]);

export interface HourCount {
  /** ms since 1970 */
  readonly ts: number;
  readonly type: "command.success" | "command.by_hand";
  readonly n: number;
}

/** How many commands ended in each hour of UTC, and how many of them a person gave; those with any. */
export async function commandsByHour(
  db: Db,
  scope: Scope,
  { from, to, deviceIds }: { readonly from: number; readonly to: number; readonly deviceIds?: readonly string[] | undefined },
): Promise<HourCount[]> {
  const found: HourCount[] = [];
  // Day by day: what others ask of the database has its turn in between.
  for (let start = from; start < to; start += DAY_MS) {
    const query = scoped(db("metric_hours"), scope, { organization: "organization_id", device: "device_id" })
      .whereRaw("metric_type in ('command.success', 'command.by_hand')")
      .where("ts", ">=", start)
      .where("ts", "<", Math.min(to, start + DAY_MS))
      .groupBy("ts", "metric_type")
      .orderBy("ts")
      .select("ts", "metric_type as type")
      .sum({ n: "n" });
    if (deviceIds !== undefined) query.whereRaw(`device_id in ${idsParameter(query)}`, [toJson(deviceIds)]);
    const rows = (await query) as unknown as { ts: number | string; type: HourCount["type"]; n: number | string }[];
    found.push(...rows.map(({ ts, type, n }) => ({ ts: Number(ts), type, n: Number(n) })));
  }
  return found;
}

const DEVICES_AT_ONCE = 100;

/** Removes hours and days that have had their time. */
export async function purgeMetrics(db: Db, { now, signal }: { readonly now: number; readonly signal?: AbortSignal }): Promise<void> {
  for (let after = ""; ; ) {
    if (signal?.aborted) return;
    const devices = await rowsOf<{ id: string }>(db, `select id from devices where id > ? order by id limit ${DEVICES_AT_ONCE}`, [after]);
    const last = devices.at(-1);
    if (!last) return;
    const ids = toJson(devices.map(({ id }) => id));
    for (const [table, days] of [
      ["metric_hours", HOURS_KEPT_DAYS],
      ["metric_days", DAYS_KEPT_DAYS],
    ] as const)
      await rowsOf(db, `delete from ${table} where device_id in ${idsParameter(db)} and ts < ?`, [ids, now - days * DAY_MS]);
    after = last.id;
  }
}

interface Row {
  device_id: string;
  ts: number | string;
  metric_type: MetricType;
  channel: string;
  organization_id: string;
  n: number | string;
  v_sum: number;
  v_min: number;
  v_max: number;
  v_last: number | null;
  sketch: string | null;
}

const rowOf = (one: StoredMeasure): Row => ({
  device_id: one.deviceId,
  ts: one.ts,
  metric_type: one.type,
  channel: one.channel,
  organization_id: one.organizationId,
  n: one.n,
  v_sum: one.sum,
  v_min: one.min,
  v_max: one.max,
  v_last: one.last,
  sketch: one.sketch === null ? null : JSON.stringify(one.sketch),
});

const measureOf = (row: Row): StoredMeasure => ({
  deviceId: row.device_id,
  organizationId: row.organization_id,
  ts: Number(row.ts),
  type: row.metric_type,
  channel: row.channel,
  n: Number(row.n),
  sum: row.v_sum,
  min: row.v_min,
  max: row.v_max,
  last: row.v_last,
  sketch: fromJson(row.sketch) as QuantileSketch | null,
});
