import type { Facts } from "../core/condition.ts";
import type { Presence } from "../core/device.ts";
import type { LightState, OnOff } from "../core/state.ts";
import type { Db } from "./open.ts";
import { idsParameter, rowsOf, toJson } from "./sql.ts";
import { sensorValue } from "./state.ts";

/** What is known now of these devices by uid; of one that is not in the organisation nothing. */
export async function readFacts(
  db: Db,
  organizationId: string,
  uids: readonly string[],
  about: Pick<Facts, "now" | "timeZone" | "trigger">,
): Promise<Facts> {
  const wanted = [...new Set(uids)];
  const devices = wanted.length === 0 ? [] : await devicesOf(db, organizationId, wanted);
  const uidOf = new Map(devices.map(({ id, uid }) => [id, uid]));
  const presences = new Map(devices.map(({ uid, presence }) => [uid, presence]));
  const ids = toJson([...uidOf.keys()]);
  const outputs = new Map<string, Pick<LightState, "state" | "brightness" | "color_temp">>();
  const readings = new Map<string, ReturnType<typeof sensorValue>>();
  if (devices.length > 0) {
    for (const row of await outputsOf(db, ids)) {
      const more = {
        ...(row.brightness === null ? {} : { brightness: row.brightness }),
        ...(row.color_temp === null ? {} : { color_temp: row.color_temp }),
      };
      outputs.set(`${uidOf.get(row.device_id)} ${row.kind} ${row.output_index}`, { state: row.state, ...more });
    }
    for (const row of await readingsOf(db, ids))
      readings.set(`${uidOf.get(row.device_id)} ${row.sensor_key}`, sensorValue(row.v, row.json));
  }
  return {
    ...about,
    output: (device, kind, index) => outputs.get(`${device} ${kind} ${index}`),
    reading: (device, key) => readings.get(`${device} ${key}`),
    presence: (device) => presences.get(device),
  };
}

const devicesOf = (db: Db, organizationId: string, uids: readonly string[]) =>
  rowsOf<{ id: string; uid: string; presence: Presence }>(
    db,
    `select id, uid, connection_status as presence from devices where organization_id = ? and uid in ${idsParameter(db)}`,
    [organizationId, toJson(uids)],
  );

const outputsOf = (db: Db, ids: string) =>
  rowsOf<{ device_id: string; kind: string; output_index: number; state: OnOff; brightness: number | null; color_temp: number | null }>(
    db,
    `select device_id, 'relay' as kind, output_index, state, null as brightness, null as color_temp from relay_states where device_id in ${idsParameter(db)}
     union all select device_id, 'light', output_index, state, brightness, color_temp from light_states where device_id in ${idsParameter(db)}`,
    [ids, ids],
  );

const readingsOf = (db: Db, ids: string) =>
  rowsOf<{ device_id: string; sensor_key: string; v: number | null; json: string | null }>(
    db,
    `select device_id, sensor_key, v, cast(json as text) as json from device_sensor_state where device_id in ${idsParameter(db)}`,
    [ids],
  );
