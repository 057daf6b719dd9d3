import type { Calibration } from "../core/calibration.ts";
import { HubError } from "../core/errors.ts";
import type { SensorSettings } from "../core/sensor.ts";
import type { Db } from "./open.ts";
import { fromJson, idsParameter, isoOf, rowsOf, toJson } from "./sql.ts";

/** Whose sensors they are. What the former organisation of a device has said of them is none of the next one's. */
export interface SensorOwner {
  readonly id: string;
  readonly organizationId: string;
}

/** What people have said of one sensor. */
export interface StoredSensor {
  readonly key: string;
  readonly settings: SensorSettings;
  /** 0 when nobody has said anything. */
  readonly version: number;
  /** null when nobody has said anything. */
  readonly createdAt: string | null;
}

/** People say something of at most so many sensors of a device. */
export const MOST_SENSORS = 256;

/** In the order of their keys. */
export async function listSensorSettings(db: Db, owner: SensorOwner): Promise<StoredSensor[]> {
  return ((await settingsOf(db, owner).orderBy("sensor_key")) as SensorRow[]).map(storedOf);
}

export async function findSensorSettings(db: Db, owner: SensorOwner, key: string): Promise<StoredSensor> {
  return storedOf((await settingsOf(db, owner).where({ sensor_key: key }).first()) as SensorRow | undefined, key);
}

/** Nobody else changes what is said of the device's sensors until the transaction ends. Throws `not_found` when it has left the organisation. */
export async function lockSensorSettings(trx: Db, owner: SensorOwner, key: string): Promise<StoredSensor> {
  const { id, organizationId } = owner;
  const device: unknown = await trx("devices").where({ id, organization_id: organizationId }).forNoKeyUpdate().first("id");
  if (device === undefined) throw new HubError("not_found", "there is no such device");
  return await findSensorSettings(trx, owner, key);
}

/** In place of `before`, which is locked. Throws `quota_exceeded`. */
export async function putSensorSettings(
  trx: Db,
  owner: SensorOwner,
  { key, version, createdAt }: StoredSensor,
  { settings, now }: { readonly settings: SensorSettings; readonly now: number },
): Promise<StoredSensor> {
  const row = {
    settings: toJson(settings),
    is_calibrated: settings.calibration !== undefined,
    version: version + 1,
    updated_at: isoOf(now),
  };
  if (createdAt === null) {
    await requireRoom(trx, owner);
    const about = { device_id: owner.id, sensor_key: key, organization_id: owner.organizationId, created_at: isoOf(now) };
    await trx("sensor_settings").insert({ ...about, ...row });
  } else await settingsOf(trx, owner).where({ sensor_key: key }).update(row);
  return await findSensorSettings(trx, owner, key);
}

/** Of one that is locked. */
export async function removeSensorSettings(trx: Db, owner: SensorOwner, key: string): Promise<void> {
  await settingsOf(trx, owner).where({ sensor_key: key }).del();
}

/** The calibrations of a device while it belongs to `organizationId`. */
export interface DeviceCalibrations {
  readonly organizationId: string;
  readonly byKey: ReadonlyMap<string, Calibration>;
}

/** Of all devices that have any, or of these, by their ids. */
export async function readCalibrations(db: Db, deviceIds?: readonly string[]): Promise<Map<string, DeviceCalibrations>> {
  const rows = await rowsOf<SensorRow & { device_id: string; organization_id: string }>(
    db,
    `select device_id, organization_id, sensor_key, settings from sensor_settings where is_calibrated
     ${deviceIds === undefined ? "" : `and device_id in ${idsParameter(db)}`}`,
    deviceIds === undefined ? [] : [toJson(deviceIds)],
  );
  return new Map(
    [...Map.groupBy(rows, (row) => row.device_id)].map(([id, of]) => [
      id,
      {
        organizationId: of[0]?.organization_id as string,
        byKey: new Map(of.map((row) => [row.sensor_key, (fromJson(row.settings) as SensorSettings).calibration as Calibration])),
      },
    ]),
  );
}

interface SensorRow {
  sensor_key: string;
  settings: unknown;
  version: number;
  created_at: string;
}

const settingsOf = (db: Db, { id, organizationId }: SensorOwner) =>
  db("sensor_settings").where({ device_id: id, organization_id: organizationId });

async function requireRoom(trx: Db, owner: SensorOwner): Promise<void> {
  const row = (await settingsOf(trx, owner).count({ n: "*" }).first()) as { n: number | string } | undefined;
  if (Number(row?.n ?? 0) >= MOST_SENSORS) throw new HubError("quota_exceeded", `a device has settings of at most ${MOST_SENSORS} sensors`);
}

function storedOf(row: SensorRow): StoredSensor;
function storedOf(row: SensorRow | undefined, key: string): StoredSensor;
function storedOf(row: SensorRow | undefined, key = ""): StoredSensor {
  if (!row) return { key, settings: {}, version: 0, createdAt: null };
  return { key: row.sensor_key, settings: fromJson(row.settings) as SensorSettings, version: row.version, createdAt: row.created_at };
}
