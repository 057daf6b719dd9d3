import type { SensorValue } from "../core/payloads.ts";
import type { Scope } from "../core/principal.ts";
import type { Db } from "./open.ts";
import { type Page, pageOf, rowSource, rowsOf, scoped, toJson } from "./sql.ts";
import { sensorValue } from "./state.ts";

export interface LatestFilter {
  readonly siteId?: string | undefined;
  readonly roomId?: string | undefined;
  readonly deviceId?: string | undefined;
  readonly key?: string | undefined;
  readonly limit: number;
  /** `next` of the page before. */
  readonly after?: string | undefined;
}

export interface LatestReading {
  readonly deviceId: string;
  readonly uid: string;
  readonly key: string;
  readonly value: SensorValue;
  /** ms since 1970, of the device's clock */
  readonly ts: number;
  /** ISO 8601 */
  readonly receivedAt: string;
}

const COLUMNS = { organization: "d.organization_id", device: "d.id" };

/** The newest value of each sensor of each device, by device and key. */
export async function latestReadings(db: Db, scope: Scope, filter: LatestFilter): Promise<Page<LatestReading>> {
  const query = scoped(db("device_sensor_state as l").join("devices as d", "d.id", "l.device_id"), scope, COLUMNS)
    .orderByRaw("l.device_id, l.sensor_key")
    .limit(filter.limit + 1)
    .select("l.device_id", "d.uid", "l.sensor_key", "l.v", "l.ts", "l.received_at", db.raw("cast(l.json as text) as json"));
  if (filter.siteId !== undefined) query.join("rooms as r", "r.id", "d.room_id").where("r.site_id", filter.siteId);
  if (filter.roomId !== undefined) query.where("d.room_id", filter.roomId);
  if (filter.deviceId !== undefined) query.where("l.device_id", filter.deviceId);
  if (filter.key !== undefined) query.where("l.sensor_key", filter.key);
  if (filter.after !== undefined) query.whereRaw("(l.device_id, l.sensor_key) > (?, ?)", placeOf(filter.after));
  const rows = (await query) as Row[];
  return pageOf(rows.map(latestOf), filter.limit, ({ deviceId, key }) => `${deviceId} ${key}`);
}

export interface Sensor {
  readonly uid: string;
  readonly key: string;
}

/** The newest values of these sensors, and whose they are. */
export async function latestOfSensors(
  db: Db,
  sensors: readonly Sensor[],
): Promise<readonly (LatestReading & { readonly organizationId: string | null })[]> {
  const rows = await rowsOf<Row & { organization_id: string | null }>(
    db,
    `select l.device_id, d.uid, d.organization_id, l.sensor_key, l.v, l.ts, l.received_at, cast(l.json as text) as json
     from ${rowSource(db, { uid: "text", sensor: "text" })} join devices d on d.uid = r.uid
     join device_sensor_state l on l.device_id = d.id and l.sensor_key = r.sensor`,
    [toJson(sensors.map(({ uid, key }) => ({ uid, sensor: key })))],
  );
  return rows.map((row) => ({ ...latestOf(row), organizationId: row.organization_id }));
}

const placeOf = (cursor: string): [string, string] => {
  const [deviceId = "", key = ""] = cursor.split(" ");
  return [deviceId, key];
};

interface Row {
  readonly device_id: string;
  readonly uid: string;
  readonly sensor_key: string;
  readonly v: number | null;
  readonly json: string | null;
  readonly ts: number;
  readonly received_at: string;
}

const latestOf = (row: Row): LatestReading => ({
  deviceId: row.device_id,
  uid: row.uid,
  key: row.sensor_key,
  value: sensorValue(row.v, row.json),
  ts: row.ts,
  receivedAt: row.received_at,
});
