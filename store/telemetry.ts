import type { LRUCache } from "lru-cache";
import { boundedCache } from "../core/bounded-cache.ts";
import { DAY_MS } from "../core/durations.ts";
import type { SensorValue } from "../core/payloads.ts";
import { outboxOf } from "./clickhouse-outbox.ts";
import type { Db, Store } from "./open.ts";
import { hourOf, isMarkedFor, markHours } from "./rollups.ts";
import { engineOf, isoOf, rowSource, rowsOf, toJson } from "./sql.ts";
import { dayOf, makePartitions } from "./telemetry-partitions.ts";
import { afterCommit, believe, inOrder, inTransaction, type Statement, type StatementOfEach } from "./transaction.ts";

export { listSeries, queryReadings, type ReadingsQuery } from "./readings.ts";

export interface SeriesReading {
  readonly deviceId: string;
  readonly organizationId: string | null;
  readonly key: string;
  /** ms since 1970 */
  readonly ts: number;
  readonly value: SensorValue;
}

/** Of readings that nobody tells as they happen: their devices were heard when they were taken, not now. */
export interface History {
  /** Before anything that is done after the commit: how many were not there yet. */
  readonly onStored: (count: number) => void;
}

export interface TelemetryStore {
  /**
   * Stores the readings and the newest value of each sensor, in the caller's transaction; once in a transaction.
   * A reading that is there already changes nothing. It goes to the organisation that the device belongs to now, whatever the reading
   * says; readings of deleted devices are dropped. On SQLite the transaction is run a second time when a device has just changed
   * hands. Returns what says after the commit which of them are the newest of their sensor now.
   */
  insert(db: Db, readings: readonly SeriesReading[], history?: History): Promise<() => readonly SeriesReading[]>;
  /** Makes sure that readings of these times have a place. Cheap when they have. */
  ensurePartitions(timestamps: readonly number[]): Promise<void>;
  /** At the start and every hour. */
  maintain(now: number): Promise<void>;
  forgetDevice(deviceId: string): void;
}

const DAYS_AHEAD = 3;
const CACHED_DEVICES = 50_000;

interface Series {
  readonly id: number;
  firstTs: number;
  /** The hour of its readings that was marked last, to be worked out (store/rollups.ts). */
  markedHour: number;
}
/** A reading on its way into the tables. */
interface Row {
  readonly reading: SeriesReading;
  readonly series: Series;
}
/** The known series of a device while it belongs to `organizationId`. */
interface DeviceSeries {
  readonly organizationId: string;
  readonly byKey: Map<string, Series>;
}

export function createTelemetryStore(store: Store, clock: () => number = Date.now): TelemetryStore {
  const cache = boundedCache<DeviceSeries>(CACHED_DEVICES);
  const days = new Set<number>();

  async function ensure(db: Db, timestamps: readonly number[]): Promise<void> {
    if (store.engine !== "postgres") return;
    const missing = new Set<number>();
    for (const ts of timestamps) if (!days.has(dayOf(ts))) missing.add(dayOf(ts));
    if (missing.size === 0) return;
    await inTransaction(db, async (trx) => {
      await makePartitions(
        trx,
        [...missing].toSorted((a, b) => a - b),
      );
      afterCommit(trx, () => missing.forEach((day) => days.add(day)));
    });
  }

  return {
    async insert(db, readings, history) {
      let newest: readonly SeriesReading[] = [];
      if (readings.length === 0) return () => newest;
      await inTransaction(db, async (trx) => {
        await ensure(
          trx,
          readings.map((reading) => reading.ts),
        );
        // Somebody may have dropped one of them, whose days are over.
        if (engineOf(trx) === "postgres") believe(trx, () => days.clear());
        const believed = engineOf(trx) === "sqlite" ? cachedOwners(cache, readings) : undefined;
        if (believed) believe(trx, () => believed.forEach((_owner, id) => cache.delete(id)));
        const owners = believed ?? (await lockDevices(trx, readings));
        const kept = readings.filter((reading) => owners.has(reading.deviceId));
        if (kept.length === 0) return;
        const seriesOf = await resolveSeries(trx, cache, owners, kept);
        const rows = kept.map((reading) => ({ reading, series: seriesOf(reading) }));
        const isHistory = history !== undefined;
        const upsert = upsertSensorState(trx, rows, { now: clock(), isHistory, onChanged: (changed) => (newest = changed) });
        const values = valuesOf(rows);
        await inOrder(trx, [
          ...(believed ? [checkOwners(believed)] : []),
          insertTelemetry(trx, values, { count: rows.length, history }),
          ...putDown(trx, rows, values),
          ...mark(trx, rows, clock()),
          ...lowerFirstTs(trx, rows),
          upsert,
        ]);
      });
      return () => newest;
    },
    ensurePartitions: (timestamps) => ensure(store.db, timestamps),
    async maintain(now) {
      await ensure(
        store.db,
        Array.from({ length: DAYS_AHEAD + 2 }, (_, index) => now + (index - 1) * DAY_MS),
      );
    },
    forgetDevice: (deviceId) => void cache.delete(deviceId),
  };
}

/** Who each device belongs to now. PostgreSQL holds claims and deletions back until the batch is committed. */
async function lockDevices(trx: Db, readings: readonly SeriesReading[]): Promise<Map<string, string | null>> {
  const ids = [...new Set(readings.map((reading) => reading.deviceId))];
  const sql =
    engineOf(trx) === "postgres"
      ? "select id, organization_id from devices where id in (select jsonb_array_elements_text(?::jsonb)) order by id for key share"
      : "select id, organization_id from devices where id in (select value from json_each(?))";
  const rows = await rowsOf<{ id: string; organization_id: string | null }>(trx, sql, [toJson(ids)]);
  return new Map(rows.map((row) => [row.id, row.organization_id]));
}

/** Who each device belonged to when it was last asked; undefined when one was not. */
function cachedOwners(cache: LRUCache<string, DeviceSeries>, readings: readonly SeriesReading[]): Map<string, string> | undefined {
  const owners = new Map<string, string>();
  for (const { deviceId } of readings) {
    if (owners.has(deviceId)) continue;
    const device = cache.get(deviceId);
    if (!device) return undefined;
    owners.set(deviceId, device.organizationId);
  }
  return owners;
}

/** Fails, and the transaction with it, when a device belongs to somebody else by now: nobody has to wait for an answer. */
function checkOwners(owners: ReadonlyMap<string, string>): Statement {
  // An id is no JSON.
  const sql = `select json(r.value->>0) from json_each(?) as r left join devices as d on d.id = r.value->>0
     where d.organization_id is not r.value->>1`;
  return { sql, bindings: [toJson([...owners])] };
}

/**
 * The series of each reading; unknown ones are looked up and made. What a transaction made is remembered once it is committed.
 * Series of unclaimed devices are never remembered: the first claim gives them to its organisation.
 */
async function resolveSeries(
  trx: Db,
  cache: LRUCache<string, DeviceSeries>,
  owners: ReadonlyMap<string, string | null>,
  readings: readonly SeriesReading[],
): Promise<(reading: SeriesReading) => Series> {
  const wanted = new Map<string, WantedSeries>();
  const found = new Map<string, Series>();
  for (const { deviceId, key, ts } of readings) {
    const name = `${deviceId} ${key}`;
    if (found.has(name)) continue;
    const organizationId = owners.get(deviceId) ?? null;
    const device = cache.get(deviceId);
    const known = device?.organizationId === organizationId ? device.byKey.get(key) : undefined;
    if (known) {
      found.set(name, known);
      continue;
    }
    const before = wanted.get(name);
    wanted.set(name, {
      device_id: deviceId,
      organization_id: organizationId,
      sensor_key: key,
      first_ts: Math.min(ts, before?.first_ts ?? ts),
    });
  }
  if (wanted.size > 0) {
    const rows = await findOrMakeSeries(
      trx,
      [...wanted.values()].toSorted((a, b) => (`${a.device_id} ${a.sensor_key}` < `${b.device_id} ${b.sensor_key}` ? -1 : 1)),
    );
    for (const row of rows) found.set(`${row.device_id} ${row.sensor_key}`, { id: row.id, firstTs: row.first_ts, markedHour: -1 });
    afterCommit(trx, () => rows.forEach((row) => remember(cache, row, found.get(`${row.device_id} ${row.sensor_key}`))));
  }
  return ({ deviceId, key }) => {
    const series = found.get(`${deviceId} ${key}`);
    if (!series) throw new Error("a series was neither found nor made");
    return series;
  };
}

interface WantedSeries {
  readonly device_id: string;
  readonly organization_id: string | null;
  readonly sensor_key: string;
  readonly first_ts: number;
}

async function findOrMakeSeries(trx: Db, wanted: readonly WantedSeries[]): Promise<(WantedSeries & { id: number })[]> {
  const source = rowSource(trx, { device_id: "text", organization_id: "text", sensor_key: "text", first_ts: "int" });
  const find = () =>
    rowsOf<WantedSeries & { id: number }>(
      trx,
      `select s.id, s.device_id, s.organization_id, s.sensor_key, s.first_ts from ${source}
       join series s on s.device_id = r.device_id and s.sensor_key = r.sensor_key and coalesce(s.organization_id, '') = coalesce(r.organization_id, '')`,
      [toJson(wanted)],
    );
  const found = await find();
  if (found.length === wanted.length) return found;
  await rowsOf(
    trx,
    `insert into series (device_id, organization_id, sensor_key, first_ts, created_at) select r.device_id, r.organization_id, r.sensor_key, r.first_ts, ${engineOf(trx) === "postgres" ? "?::timestamptz" : "?"} from ${source} where true on conflict do nothing`,
    [isoOf(Date.now()), toJson(wanted)],
  );
  return await find();
}

function remember(cache: LRUCache<string, DeviceSeries>, row: WantedSeries, series: Series | undefined): void {
  if (row.organization_id === null || !series) return;
  let device = cache.get(row.device_id);
  if (device?.organizationId !== row.organization_id) {
    device = { organizationId: row.organization_id, byKey: new Map() };
    cache.set(row.device_id, device);
  }
  device.byKey.set(row.sensor_key, series);
}

/** JSON of [series, ts, number, JSON text] rows, in the order of the primary key, so that writers never wait in a circle. */
function valuesOf(rows: readonly Row[]): string {
  const sorted = rows.toSorted((a, b) => a.series.id - b.series.id || a.reading.ts - b.reading.ts);
  return toJson(sorted.map(({ series, reading: { ts, value } }) => [series.id, ts, ...stored(value)]));
}

const stored = (value: SensorValue): readonly [v: number | null, json: string | null] =>
  typeof value === "number" ? [value, null] : [null, toJson(value)];

function insertTelemetry(
  trx: Db,
  values: string,
  { count, history }: { readonly count: number; readonly history: History | undefined },
): Statement | StatementOfEach {
  if (engineOf(trx) === "sqlite")
    return {
      sql: "insert into telemetry values (cast(?2 as integer) / 600000, ?1, ?2, ?3, ?4) on conflict do nothing",
      rows: values,
      onUnchanged: (places) => history?.onStored(count - places.length),
    };
  const sql = `insert into telemetry (series_id, ts, v, json)
     select (e->>0)::int, to_timestamp((e->>1)::float8 / 1000), (e->>2)::float8, (e->>3)::jsonb from jsonb_array_elements(?::jsonb) as e on conflict do nothing`;
  const bindings = [values];
  return history ? { sql: `${sql} returning 1 as stored`, bindings, onRows: (added) => history.onStored(added.length) } : { sql, bindings };
}

/** For ClickHouse, where there is one. */
function putDown(trx: Db, rows: readonly Row[], body: string): Statement[] {
  const hours = (): { seriesId: number; hour: number }[] =>
    rows.map(({ series, reading }) => ({ seriesId: series.id, hour: hourOf(reading.ts) }));
  const outbox = outboxOf(trx);
  return outbox === undefined ? [] : [outbox.readings(trx, { body, n: rows.length, hours })];
}

/** Once an hour and series, as long as what it measures is told as it happens. */
function mark(trx: Db, rows: readonly Row[], now: number): Statement[] {
  const marked = new Map<string, { series: Series; seriesId: number; hour: number }>();
  for (const { reading, series } of rows) {
    const hour = hourOf(reading.ts);
    if (series.markedHour === hour && isMarkedFor(hour, now)) continue;
    marked.set(`${series.id} ${hour}`, { series, seriesId: series.id, hour });
  }
  if (marked.size === 0) return [];
  afterCommit(trx, () => marked.forEach(({ series, hour }) => void (series.markedHour = Math.max(series.markedHour, hour))));
  return [markHours(trx, [...marked.values()])];
}

function lowerFirstTs(trx: Db, rows: readonly Row[]): Statement[] {
  const lower = new Map<Series, number>();
  for (const { reading, series } of rows) if (reading.ts < (lower.get(series) ?? series.firstTs)) lower.set(series, reading.ts);
  if (lower.size === 0) return [];
  const bindings = [toJson([...lower].map(([series, ts]) => ({ id: series.id, ts })))];
  const source = rowSource(trx, { id: "int", ts: "int" });
  afterCommit(trx, () => lower.forEach((ts, series) => void (series.firstTs = Math.min(series.firstTs, ts))));
  const lock = `select s.id from series s join ${source} on r.id = s.id order by s.id for no key update of s`;
  const update = `update series set first_ts = r.ts from ${source} where series.id = r.id and series.first_ts > r.ts`;
  return (engineOf(trx) === "postgres" ? [lock, update] : [update]).map((sql) => ({ sql, bindings }));
}

interface StateContext {
  readonly now: number;
  readonly isHistory: boolean;
  readonly onChanged: (newest: readonly SeriesReading[]) => void;
}

/** One row a sensor, sorted: concurrent writers would otherwise wait in a circle. An older reading never replaces a newer one. */
function upsertSensorState(trx: Db, rows: readonly Row[], { now, isHistory, onChanged }: StateContext): Statement | StatementOfEach {
  const newest = new Map<Series, SeriesReading>();
  for (const { reading, series } of rows) {
    const known = newest.get(series);
    if (!known || known.ts < reading.ts) newest.set(series, reading);
  }
  const sorted = [...newest.values()].toSorted((a, b) =>
    a.deviceId < b.deviceId || (a.deviceId === b.deviceId && a.key < b.key) ? -1 : 1,
  );
  const receivedAt = ({ ts }: SeriesReading): string => isoOf(isHistory ? Math.min(ts, now) : now);
  const later = engineOf(trx) === "postgres" ? "greatest" : "max";
  const received = isHistory ? `${later}(device_sensor_state.received_at, excluded.received_at)` : "excluded.received_at";
  const ifNewer = `on conflict (device_id, sensor_key) do update set ts = excluded.ts, v = excluded.v, json = excluded.json, received_at = ${received}
     where excluded.ts > device_sensor_state.ts`;
  const into = "insert into device_sensor_state (device_id, sensor_key, ts, v, json, received_at)";
  if (engineOf(trx) === "sqlite")
    return {
      sql: `${into} values (?, ?, ?, ?, ?, ?) ${ifNewer}`,
      rows: toJson(sorted.map((reading) => [reading.deviceId, reading.key, reading.ts, ...stored(reading.value), receivedAt(reading)])),
      onUnchanged(places) {
        const older = new Set(places);
        onChanged(sorted.filter((_, place) => !older.has(place)));
      },
    };
  const states = sorted.map((reading) => ({
    device_id: reading.deviceId,
    sensor_key: reading.key,
    ts: reading.ts,
    ...(typeof reading.value === "number" ? { v: reading.value } : { json: reading.value }),
    received_at: receivedAt(reading),
  }));
  const source = rowSource(trx, { device_id: "text", sensor_key: "text", ts: "int", v: "float", json: "json", received_at: "time" });
  return {
    sql: `${into} select device_id, sensor_key, ts, v, json, received_at from ${source} where true ${ifNewer} returning device_id || ' ' || sensor_key as name`,
    bindings: [toJson(states)],
    onRows(changed) {
      const names = new Set(changed.map(({ name }) => name));
      onChanged(sorted.filter(({ deviceId, key }) => names.has(`${deviceId} ${key}`)));
    },
  };
}
