import { effectiveSensor, reportedSensors, type Sensor, type SensorSettings } from "../core/sensor.ts";
import type { Device } from "../core/device.ts";
import type { HomeDevice } from "../core/smart-home.ts";
import { metadataOf } from "../core/virtual-sensor.ts";
import { EXPOSED, readExposures } from "./bridge-exposures.ts";
import { type DeviceRow, devices, toDevice } from "./device-rows.ts";
import type { Db } from "./open.ts";
import { fromJson, rowsOf } from "./sql.ts";
import { readVirtualSensors, type VirtualSensor } from "./virtual-sensors.ts";

/** The devices of an organisation as smart homes see them, in the order of enrolment. */
export async function readHomeDevices(db: Db, organizationId: string): Promise<HomeDevice[]> {
  const rows = (await devices(db)
    .leftJoin("entities as re", "re.id", "d.room_id")
    .select("re.name as room_name")
    .where("d.organization_id", organizationId)
    .orderBy("d.id")) as (DeviceRow & { room_name: string | null })[];
  const [said, sent, virtual, codes, exposures, tunable] = await Promise.all([
    readSaid(db, organizationId),
    readSent(db, organizationId),
    readVirtualSensors(db, [organizationId]),
    readIrNames(db, organizationId),
    readExposures(db, organizationId),
    readTunableLights(db, organizationId),
  ]);
  const virtualOf = Map.groupBy(virtual.get(organizationId) ?? [], ({ target }) => target.deviceId);
  return rows.map((row): HomeDevice => {
    const device = toDevice(row);
    const { id, uid, name, deviceClass, model, serialNumber, firmwareVersion, settings } = device;
    const { relays = 0, lights = 0, inputs = 0, ir = false } = device.capabilities;
    return {
      id,
      uid,
      organizationId,
      name,
      deviceClass,
      model,
      serialNumber,
      firmwareVersion,
      room: row.room_name,
      relays,
      lights,
      inputs,
      tunableLights: tunable.get(id) ?? [],
      hasIr: ir,
      settings,
      sensors: sensorsOf(device, { said: said.get(id) ?? [], sent: sent.get(id) ?? [], virtual: virtualOf.get(id) ?? [] }),
      irCodes: codes.get(id) ?? [],
      exposure: exposures.get(id) ?? EXPOSED,
    };
  });
}

interface Known {
  readonly said: readonly { sensor_key: string; settings: unknown }[];
  readonly sent: readonly { sensor_key: string }[];
  readonly virtual: readonly VirtualSensor[];
}

function sensorsOf({ capabilities }: Device, { said, sent, virtual }: Known): Map<string, Sensor> {
  const base = new Map(sent.map(({ sensor_key: key }) => [key, {}]));
  for (const [key, metadata] of reportedSensors(capabilities)) base.set(key, metadata);
  for (const { target, text } of virtual) base.set(target.key, metadataOf(text));
  const settings = new Map(said.map((row) => [row.sensor_key, fromJson(row.settings) as SensorSettings]));
  const sensors = [...new Set([...base.keys(), ...settings.keys()])].toSorted().map((key): [string, Sensor] => {
    const { calibration: _calibration, ...words } = settings.get(key) ?? {};
    return [key, effectiveSensor(base.get(key) ?? {}, words)];
  });
  return new Map(sensors.filter(([, { hidden }]) => hidden !== true));
}

async function readSaid(db: Db, organizationId: string) {
  const rows = await rowsOf<{ device_id: string; sensor_key: string; settings: unknown }>(
    db,
    "select device_id, sensor_key, settings from sensor_settings where organization_id = ?",
    [organizationId],
  );
  return Map.groupBy(rows, (row) => row.device_id);
}

async function readSent(db: Db, organizationId: string) {
  const rows = await rowsOf<{ device_id: string; sensor_key: string }>(
    db,
    "select s.device_id, s.sensor_key from series as s join devices as d on d.id = s.device_id and d.organization_id = s.organization_id where d.organization_id = ?",
    [organizationId],
  );
  return Map.groupBy(rows, (row) => row.device_id);
}

async function readTunableLights(db: Db, organizationId: string): Promise<Map<string, number[]>> {
  const rows = await rowsOf<{ device_id: string; index: number }>(
    db,
    'select device_id, output_index as "index" from light_states join devices on devices.id = device_id where devices.organization_id = ? and color_temp is not null order by output_index',
    [organizationId],
  );
  return new Map([...Map.groupBy(rows, (row) => row.device_id)].map(([id, of]) => [id, of.map(({ index }) => index)]));
}

async function readIrNames(db: Db, organizationId: string): Promise<Map<string, { id: string; name: string }[]>> {
  const rows = await rowsOf<{ device_id: string; id: string; name: string }>(
    db,
    "select device_id, id, name from device_ir_codes where organization_id = ? order by id",
    [organizationId],
  );
  return new Map([...Map.groupBy(rows, (row) => row.device_id)].map(([id, of]) => [id, of.map((row) => ({ id: row.id, name: row.name }))]));
}
