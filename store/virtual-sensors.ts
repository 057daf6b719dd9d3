import { HubError } from "../core/errors.ts";
import { newId } from "../core/id.ts";
import type { Scope } from "../core/principal.ts";
import { type Known, type SeriesRef, seriesKey, type VirtualInput, type VirtualSensorText } from "../core/virtual-sensor.ts";
import type { Db } from "./open.ts";
import { lockOrganization } from "./organizations.ts";
import { engineOf, fromJson, idsParameter, isoOf, type Page, pageOf, rowSource, rowsOf, scoped, toJson } from "./sql.ts";
import type { SensorOwner } from "./sensor-settings.ts";
import { sensorValue } from "./state.ts";

/** A sensor that is worked out of others. */
export interface VirtualSensor {
  readonly id: string;
  readonly organizationId: string;
  readonly target: SeriesRef;
  readonly inputs: readonly VirtualInput[];
  readonly text: VirtualSensorText;
  readonly version: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}

export const MOST_VIRTUAL_SENSORS = 200;

const COLUMNS = { organization: "v.organization_id", device: "v.device_id" };

/** Oldest first. */
export async function listVirtualSensors(
  db: Db,
  scope: Scope,
  { limit, after, deviceId }: { limit: number; after?: string | undefined; deviceId?: string | undefined },
): Promise<Page<VirtualSensor>> {
  const query = scoped(sensors(db), scope, COLUMNS)
    .orderBy("v.id")
    .limit(limit + 1);
  if (after !== undefined) query.where("v.id", ">", after);
  if (deviceId !== undefined) query.where("v.device_id", deviceId);
  return pageOf(((await query) as Row[]).map(sensorOf), limit, ({ id }) => id);
}

/** Those that are sensors of the device, or the one with this key, by key. */
export async function virtualSensorsOn(db: Db, owner: SensorOwner, key?: string): Promise<Map<string, VirtualSensor>> {
  const query = sensors(db).where({ "v.device_id": owner.id, "v.organization_id": owner.organizationId });
  if (key !== undefined) query.where("v.sensor_key", key);
  return new Map(((await query) as Row[]).map((row) => [row.sensor_key, sensorOf(row)]));
}

/** Of one organisation, or of all. */
export async function readVirtualSensors(db: Db, organizationIds?: readonly string[]): Promise<Map<string, VirtualSensor[]>> {
  const query = sensors(db).orderBy("v.id");
  if (organizationIds) query.whereIn("v.organization_id", organizationIds);
  return Map.groupBy(((await query) as Row[]).map(sensorOf), (one) => one.organizationId);
}

/** Throws `not_found`. */
export async function getVirtualSensor(db: Db, scope: Scope, id: string): Promise<VirtualSensor> {
  const row = (await scoped(sensors(db).where("v.id", id), scope, COLUMNS).first()) as Row | undefined;
  if (!row) throw new HubError("not_found", "there is no such virtual sensor");
  return sensorOf(row);
}

/** All of the organisation: none comes, goes or changes until the transaction ends. */
export async function lockVirtualSensors(trx: Db, organizationId: string): Promise<VirtualSensor[]> {
  await lockOrganization(trx, organizationId);
  return (await readVirtualSensors(trx, [organizationId])).get(organizationId) ?? [];
}

export type NewVirtualSensor = Pick<VirtualSensor, "organizationId" | "target" | "inputs" | "text">;

/** Where all of the organisation are locked. */
export async function insertVirtualSensor(
  trx: Db,
  { organizationId, target, inputs, text }: NewVirtualSensor,
  now: number,
): Promise<VirtualSensor> {
  const id = newId();
  await trx("virtual_sensors").insert({
    id,
    organization_id: organizationId,
    device_id: target.deviceId,
    sensor_key: target.key,
    content: toJson(text),
    inputs: toJson(inputs),
    created_at: isoOf(now),
    updated_at: isoOf(now),
  });
  return await getVirtualSensor(trx, { kind: "organization", organizationId }, id);
}

/** Where all of the organisation are locked. */
export async function updateVirtualSensor(
  trx: Db,
  { id, organizationId, version }: VirtualSensor,
  { inputs, text }: Pick<VirtualSensor, "inputs" | "text">,
  now: number,
): Promise<VirtualSensor> {
  await trx("virtual_sensors")
    .where({ id })
    .update({ content: toJson(text), inputs: toJson(inputs), version: version + 1, updated_at: isoOf(now) });
  return await getVirtualSensor(trx, { kind: "organization", organizationId }, id);
}

/** With its last value; what it has said stays. Where all of the organisation are locked. */
export async function deleteVirtualSensor(trx: Db, { id, target }: VirtualSensor): Promise<void> {
  await trx("virtual_sensors").where({ id }).del();
  await trx("device_sensor_state").where({ device_id: target.deviceId, sensor_key: target.key }).del();
}

/**
 * Those of these that are as the caller knows them. Whoever else works them out waits until the transaction ends, and sees what it has left:
 * of two inputs that come at once the second one's result holds both.
 */
export async function holdVirtualSensors<V extends Pick<VirtualSensor, "id" | "version">>(trx: Db, wanted: readonly V[]): Promise<V[]> {
  const rows = await rowsOf<{ id: string; version: number }>(
    trx,
    `select id, version from virtual_sensors where id in ${idsParameter(trx)} order by id
     ${engineOf(trx) === "postgres" ? "for no key update" : ""}`,
    [toJson(wanted.map(({ id }) => id))],
  );
  const versions = new Map(rows.map(({ id, version }) => [id, version]));
  return wanted.filter(({ id, version }) => versions.get(id) === version);
}

/** What is newest of these series, as far as their devices are the organisation's; `owned` are those devices, until the transaction ends. */
export async function newestOf(
  trx: Db,
  organizationId: string,
  series: readonly SeriesRef[],
): Promise<{ readonly known: Map<string, Known>; readonly owned: ReadonlySet<string> }> {
  const rows = await rowsOf<{ id: string; key: string; ts: number | string | null; v: number | null; json: string | null }>(
    trx,
    `select d.id, r.sensor_key as key, s.ts, s.v, cast(s.json as text) as json
     from ${rowSource(trx, { device_id: "text", sensor_key: "text" })}
     join devices d on d.id = r.device_id and d.organization_id = ?
     left join device_sensor_state s on s.device_id = r.device_id and s.sensor_key = r.sensor_key
     order by d.id ${engineOf(trx) === "postgres" ? "for key share of d" : ""}`,
    [toJson(series.map(({ deviceId, key }) => ({ device_id: deviceId, sensor_key: key }))), organizationId],
  );
  const known = new Map<string, Known>();
  for (const { id, key, ts, v, json } of rows)
    if (ts !== null) known.set(seriesKey({ deviceId: id, key }), { ts: Number(ts), value: sensorValue(v, json) });
  return { known, owned: new Set(rows.map(({ id }) => id)) };
}

interface Row {
  id: string;
  organization_id: string;
  device_id: string;
  uid: string;
  sensor_key: string;
  content: unknown;
  inputs: unknown;
  version: number;
  created_at: string;
  updated_at: string;
}

const sensors = (db: Db) => db("virtual_sensors as v").join("devices as d", "d.id", "v.device_id").select("v.*", "d.uid");

const sensorOf = (row: Row): VirtualSensor => ({
  id: row.id,
  organizationId: row.organization_id,
  target: { deviceId: row.device_id, uid: row.uid, key: row.sensor_key },
  inputs: fromJson(row.inputs) as VirtualInput[],
  text: fromJson(row.content) as VirtualSensorText,
  version: row.version,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});
