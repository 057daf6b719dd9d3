import type { Command } from "../core/command.ts";
import { DAY_MS } from "../core/durations.ts";
import { COMPARED_DAYS, type DayValue } from "../core/insight-changes.ts";
import type { SensorHour } from "../core/insight-sensors.ts";
import { type HandCommand, USAGE_DAYS } from "../core/insight-usage.ts";
import { channelOf, mergeAggregates, shareQuantile } from "../core/metric.ts";
import { measuresBetween, type StoredMeasure } from "./metrics.ts";
import type { Db } from "./open.ts";
import { fromJson, idsParameter, isoOf, numbersParameter, rowsOf, toJson } from "./sql.ts";

const BATTERY_DAYS = 60;
const SENSOR_DAYS = 14;
/** More of one device are not looked at: the newest count. */
const MOST_HAND_COMMANDS = 1_000;
const LEAST_BY_HAND = 6;
const SERIES_AT_ONCE = 20;

export interface ExaminedDevice {
  readonly id: string;
  readonly uid: string;
  readonly isConnected: boolean;
  /** Of its site, else UTC. */
  readonly timeZone: string;
}

/** Of an organisation, by id, after `after`. */
export async function devicesToExamine(
  db: Db,
  organizationId: string,
  { after, limit }: { readonly after: string; readonly limit: number },
): Promise<ExaminedDevice[]> {
  const rows = await rowsOf<{ id: string; uid: string; status: string; time_zone: string | null }>(
    db,
    `select d.id, d.uid, d.connection_status as status, s.time_zone from devices as d left join rooms as r on r.id = d.room_id
     left join sites as s on s.id = r.site_id where d.organization_id = ? and d.id > ? order by d.id limit ?`,
    [organizationId, after, limit],
  );
  return rows.map(({ id, uid, status, time_zone: timeZone }) => ({
    id,
    uid,
    isConnected: status !== "offline",
    timeZone: timeZone ?? "UTC",
  }));
}

/** What the days of a device were like. */
export interface DeviceDays {
  /** Medians in ms, by channel. */
  readonly latencies: ReadonlyMap<string, readonly DayValue[]>;
  readonly success: readonly DayValue[];
  /** Of the days on which it was connected. */
  readonly disconnects: readonly DayValue[];
  /** Commands that a person gave in {@link USAGE_DAYS}. */
  readonly byHand: number;
}

/** By device: the days (UTC) before `day`, in ms since 1970. */
export async function daysOf(db: Db, organizationId: string, deviceIds: readonly string[], day: number): Promise<Map<string, DeviceDays>> {
  const measures = await measuresBetween(
    db,
    "metric_days",
    deviceIds.map((deviceId) => ({ deviceId, organizationId })),
    { from: day - COMPARED_DAYS * DAY_MS, to: day },
  );
  const byDevice = Map.groupBy(measures, ({ deviceId }) => deviceId);
  return new Map(deviceIds.map((id) => [id, deviceDays(byDevice.get(id) ?? [], day)]));
}

function deviceDays(measures: readonly StoredMeasure[], day: number): DeviceDays {
  const of = (type: StoredMeasure["type"]): StoredMeasure[] => measures.filter((one) => one.type === type);
  const disconnects = new Map(of("presence.disconnects").map(({ ts, n }) => [ts, n]));
  const byHand = of("command.by_hand").filter(({ ts }) => ts >= day - USAGE_DAYS * DAY_MS);
  return {
    latencies: new Map(
      [...Map.groupBy(of("command.latency"), ({ channel }) => channel)].map(([channel, days]) => [
        channel,
        days.map((one) => ({ day: one.ts, value: shareQuantile(one, 0.5) ?? 0, n: one.n })),
      ]),
    ),
    success: [...Map.groupBy(of("command.success"), ({ ts }) => ts)].map(([ts, parts]) => {
      const { n = 0, sum = 0 } = mergeAggregates(parts) ?? {};
      return { day: ts, value: n === 0 ? 1 : sum / n, n };
    }),
    disconnects: of("presence.online").map(({ ts, n }) => ({ day: ts, value: disconnects.get(ts) ?? 0, n })),
    byHand: byHand.reduce((sum, { n }) => sum + n, 0),
  };
}

/** What a device has said of one thing, in numbers. */
export interface SensorPast {
  readonly deviceId: string;
  readonly key: string;
  readonly isBattery: boolean;
  /** Means of the days of {@link BATTERY_DAYS}; of a battery alone. */
  readonly days: readonly { readonly day: number; readonly value: number }[];
  /** Of {@link SENSOR_DAYS}. */
  readonly hours: readonly SensorHour[];
  /** Of the newest reading, in ms since 1970. */
  readonly lastAt: number;
}

export async function sensorPasts(db: Db, organizationId: string, deviceIds: readonly string[], now: number): Promise<SensorPast[]> {
  const series = await rowsOf<{ id: number; device_id: string; key: string; device_class: string | null; last_at: number | string }>(
    db,
    `select s.id, s.device_id, s.sensor_key as key, c.device_class, l.ts as last_at from series as s
     join device_sensor_state as l on l.device_id = s.device_id and l.sensor_key = s.sensor_key
     left join device_capabilities as c on c.device_id = s.device_id and c.kind = 'sensor' and c.capability_key = s.sensor_key
     where s.organization_id = ? and l.v is not null and s.device_id in ${idsParameter(db)} order by s.id`,
    [organizationId, toJson(deviceIds)],
  );
  const ids = series.map(({ id }) => id);
  const hours = await rolledOf(db, "telemetry_hours", ids, { from: now - SENSOR_DAYS * DAY_MS, to: now });
  const batteries = series.filter((one) => isBattery(one.key, one.device_class)).map(({ id }) => id);
  const days = await rolledOf(db, "telemetry_days", batteries, { from: now - BATTERY_DAYS * DAY_MS, to: now });
  return series.map((one) => ({
    deviceId: one.device_id,
    key: one.key,
    isBattery: batteries.includes(one.id),
    days: (days.get(one.id) ?? []).map(({ ts, mean }) => ({ day: ts, value: mean })),
    hours: (hours.get(one.id) ?? []).map(({ ts, min, max }) => ({ ts, min, max })),
    lastAt: Number(one.last_at),
  }));
}

/** By what the device says it is, else by its name. */
export const isBattery = (key: string, deviceClass: string | null): boolean =>
  deviceClass === null ? /(^|_)battery(_level|_percent)?$/.test(key) : deviceClass === "battery";

async function rolledOf(
  db: Db,
  table: "telemetry_hours" | "telemetry_days",
  ids: readonly number[],
  { from, to }: { readonly from: number; readonly to: number },
): Promise<Map<number, { ts: number; min: number; max: number; mean: number }[]>> {
  const found: { id: number; ts: number; min: number; max: number; mean: number }[] = [];
  // A few at a time: SQLite has one connection, and devices wait for it.
  for (let first = 0; first < ids.length; first += SERIES_AT_ONCE) {
    const rows = await rowsOf<{ series_id: number; ts: number | string; v_min: number; v_max: number; mean: number }>(
      db,
      `select series_id, ts, v_min, v_max, v_sum / v_n as mean from ${table}
       where series_id in ${numbersParameter(db)} and ts >= ? and ts < ? and v_n > 0 order by series_id, ts`,
      [toJson(ids.slice(first, first + SERIES_AT_ONCE)), from, to],
    );
    found.push(...rows.map((row) => ({ id: row.series_id, ts: Number(row.ts), min: row.v_min, max: row.v_max, mean: row.mean })));
  }
  return Map.groupBy(found, ({ id }) => id);
}

/** Of a device, what people asked for and it did; none where they are too few for a habit. */
export async function handCommands(db: Db, deviceId: string, { byHand }: Pick<DeviceDays, "byHand">, now: number): Promise<HandCommand[]> {
  if (byHand < LEAST_BY_HAND) return [];
  const rows = await rowsOf<{ command: unknown; created_at: string }>(
    db,
    `select command, created_at from commands where device_id = ? and created_at >= ? and actor_kind = 'user' and status = 'ok'
     order by created_at desc, id desc limit ${MOST_HAND_COMMANDS}`,
    [deviceId, isoOf(now - USAGE_DAYS * DAY_MS)],
  );
  return rows.flatMap(({ command, created_at: at }) => {
    const asked = fromJson(command) as Command;
    const state = "state" in asked ? asked.state : undefined;
    return state === undefined ? [] : [{ what: `${channelOf(asked)} ${state}`, at: Date.parse(at) }];
  });
}
