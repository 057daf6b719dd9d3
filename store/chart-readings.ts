import { changesOf, downsample, type Point } from "../core/downsample.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS } from "../core/durations.ts";
import { HubError } from "../core/errors.ts";
import type { Scope } from "../core/principal.ts";
import { findDeviceRefs } from "./devices.ts";
import type { Db } from "./open.ts";
import { type Aggregate, endOf, readingsOf, readInWindows, readRaw, type Row } from "./readings.ts";
import { type Folded, howFor, readBuckets, readPeriods, rowOf, type Span } from "./rolled-readings.ts";
import { placesFor, rowsOf } from "./sql.ts";
import { sensorValue } from "./state.ts";

export interface ChartQuery extends Span {
  /** A device by its uid or UUID, and a key. */
  readonly series: readonly { readonly device: string; readonly key: string }[];
  /** One value for each period of this length, else at most `points` of each series. */
  readonly bucketMs?: number | undefined;
  readonly agg: Aggregate;
  readonly points: number;
}

export interface ChartLine {
  readonly deviceId: string;
  readonly uid: string;
  readonly key: string;
  /** ms; null where the points are readings. */
  readonly bucketMs: number | null;
  readonly points: readonly Point[];
}

/** Of all series together: what is read and given at once. */
const MOST_POINTS = 50_000;
const MOST_RAW = 20_000;
/** A longer range is counted by its days. */
const COUNTED_BY_HOURS_MS = 60 * DAY_MS;

/**
 * Several series over one range, in the order asked for; one that has no readings has no points. Throws `not_found` for a device
 * that is not in scope, and `validation_error` for more points than are given at once.
 */
export async function chartReadings(db: Db, scope: Scope, query: ChartQuery): Promise<ChartLine[]> {
  const { bucketMs, from, to } = query;
  const each = bucketMs === undefined ? query.points : Math.ceil(to / bucketMs) - Math.floor(from / bucketMs);
  if (each * query.series.length > MOST_POINTS)
    throw new HubError("validation_error", `more than ${MOST_POINTS} points: ask for longer periods, a shorter range or fewer series`);
  const refs = await findDeviceRefs(db, scope, [...new Set(query.series.map(({ device }) => device))]);
  if (!refs) throw new HubError("not_found", "no such device");
  const asked = query.series.map(({ device, key }) => {
    const { id, uid } = refs.find((ref) => ref.uid === device || ref.id === device.toLowerCase()) as (typeof refs)[number];
    return { deviceId: id, uid, key };
  });
  const found = await findSeries(db, asked);
  const lines = found.size === 0 ? new Map<number, Line>() : await linesOf(db, [...found.values()], query);
  const none: Line = { bucketMs: bucketMs ?? null, points: [] };
  return asked.map((one) => ({ ...one, ...(lines.get(found.get(nameOf(one))?.id ?? -1) ?? none) }));
}

interface Series {
  readonly id: number;
  readonly firstTs: number;
}
type Line = Pick<ChartLine, "bucketMs" | "points">;
const nameOf = ({ deviceId, key }: { readonly deviceId: string; readonly key: string }): string => `${deviceId} ${key}`;

/** Those of whom the devices belong to now. */
async function findSeries(db: Db, asked: readonly Pick<ChartLine, "deviceId" | "key">[]): Promise<Map<string, Series>> {
  const devices = [...new Set(asked.map(({ deviceId }) => deviceId))];
  const keys = [...new Set(asked.map(({ key }) => key))];
  const rows = await rowsOf<{ id: number; device_id: string; sensor_key: string; first_ts: number }>(
    db,
    `select s.id, s.device_id, s.sensor_key, s.first_ts from series s join devices d on d.id = s.device_id
     where s.device_id in (${placesFor(devices)}) and s.sensor_key in (${placesFor(keys)})
     and coalesce(s.organization_id, '') = coalesce(d.organization_id, '')`,
    [...devices, ...keys],
  );
  const wanted = new Set(asked.map(nameOf));
  const named = rows.map(
    (row) => [nameOf({ deviceId: row.device_id, key: row.sensor_key }), { id: row.id, firstTs: row.first_ts }] as const,
  );
  return new Map(named.filter(([name]) => wanted.has(name)));
}

async function linesOf(db: Db, series: readonly Series[], query: ChartQuery): Promise<Map<number, Line>> {
  const { bucketMs, agg } = query;
  const ids = series.map(({ id }) => id);
  const first = Math.min(...series.map(({ firstTs }) => firstTs));
  const window = { from: Math.max(query.from, first), to: Math.min(query.to, await endOf(db, ids)) };
  if (window.from >= window.to) return new Map();
  if (bucketMs === undefined) return await fewPoints(db, ids, window, query.points);
  const bySeries = await readPeriods(db, { series: ids, window, bucketMs, source: readingsOf(db) }, howFor(agg));
  return new Map([...bySeries].map(([one, periods]) => [one, { bucketMs, points: periods.map((period) => pointOf(rowOf(period, agg))) }]));
}

const pointOf = ({ ts, v, json }: Row): Point => [ts, v === null && json === null ? null : sensorValue(v, json)];

/** The readings where they are few, else the extremes of periods; thinned so that the line keeps its shape. */
async function fewPoints(db: Db, series: readonly number[], window: Span, most: number): Promise<Map<number, Line>> {
  const rawEach = Math.max(most, Math.floor(MOST_RAW / series.length));
  const counts = await countAbout(db, series, window);
  const lines = new Map<number, Line>();
  for (const one of series) {
    if ((counts.get(one) ?? 0) > rawEach) continue;
    const rows = await readInWindows((part) => readRaw(db, one, part), { ...window, limit: rawEach + 1 }, 1);
    if (rows.length <= rawEach) lines.set(one, { bucketMs: null, points: thinned(rows.map(pointOf), most) });
  }
  const many = series.filter((one) => !lines.has(one));
  return many.length === 0 ? lines : new Map([...lines, ...(await extremesOf(db, many, window, most))]);
}

/** As far as it is summed up. */
async function countAbout(db: Db, series: readonly number[], { from, to }: Span): Promise<Map<number, number>> {
  const [table, periodMs] = to - from > COUNTED_BY_HOURS_MS ? ["telemetry_days", DAY_MS] : ["telemetry_hours", HOUR_MS];
  const rows = await rowsOf<{ series_id: number; n: number }>(
    db,
    `select series_id, cast(sum(n) as bigint) as n from ${table} where series_id in (${placesFor(series)}) and ts >= ? and ts < ? group by series_id`,
    [...series, Math.ceil(from / periodMs) * periodMs, to],
  );
  return new Map(rows.map(({ series_id, n }) => [series_id, n]));
}

async function extremesOf(db: Db, series: readonly number[], window: Span, most: number): Promise<Map<number, Line>> {
  const bucketMs = periodFor((window.to - window.from) / most);
  const query = { series, window, bucketMs, source: readingsOf(db) };
  const lines = new Map<number, Line>();
  for (const [one, periods] of await readPeriods(db, query, "fold"))
    if (periods.some(({ v_n }) => v_n > 0)) lines.set(one, { bucketMs, points: downsample(extremes(periods, bucketMs), most) });
  const others = series.filter((one) => !lines.has(one));
  if (others.length > 0)
    for (const [one, rows] of await readBuckets(db, { ...query, series: others, agg: "last" }))
      lines.set(one, { bucketMs, points: changesOf(rows.map(pointOf), most) });
  return lines;
}

/** At least so long, and of whole days, hours or minutes where that is as much: those are summed up. */
function periodFor(ms: number): number {
  const unit = [DAY_MS, HOUR_MS, MINUTE_MS, 1].find((one) => ms >= one) ?? 1;
  return Math.ceil(ms / unit) * unit;
}

/** Two points a period, the nearer to the point before first: which of them came first is not known. */
function extremes(periods: readonly Folded[], bucketMs: number): Point<number>[] {
  const points: Point<number>[] = [];
  for (const { period, min, max } of periods) {
    if (min === null || max === null) continue;
    const before = points.at(-1)?.[1] ?? min;
    const [first, second] = Math.abs(before - min) <= Math.abs(before - max) ? [min, max] : [max, min];
    points.push([period, first]);
    if (first !== second) points.push([period + Math.floor(bucketMs / 2), second]);
  }
  return points;
}

function thinned(points: readonly Point[], most: number): Point[] {
  if (points.length <= most) return [...points];
  return points.every(isNumber) ? downsample(points, most) : changesOf(points, most);
}

const isNumber = (point: Point): point is Point<number> => typeof point[1] === "number";
