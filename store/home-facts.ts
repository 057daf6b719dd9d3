import type { SensorValue } from "../core/payloads.ts";
import type { Db } from "./open.ts";
import { rowsOf } from "./sql.ts";
import { type DescribedOutput, describeOutputs, sensorValue } from "./state.ts";

/** How a device is right now, as far as is known. */
export interface HomeFacts {
  readonly isOnline: boolean;
  /** Those that have reported a state. */
  readonly outputs: readonly DescribedOutput[];
  /** The newest of each sensor. */
  readonly values: ReadonlyMap<string, HomeValue>;
}

export interface HomeValue {
  readonly value: SensorValue;
  /** ms since 1970: when it was measured, and by the hub's clock at the latest when it came. */
  readonly at: number;
}

/** Of all devices of the organisation, or of one, by their ids. */
export async function readHomeFacts(db: Db, organizationId: string, deviceId?: string): Promise<Map<string, HomeFacts>> {
  const [one, bindings] = deviceId === undefined ? ["", [organizationId]] : [" and d.id = ?", [organizationId, deviceId]];
  const [devices, outputs, values] = await Promise.all([
    rowsOf<{ id: string; connection_status: string }>(
      db,
      `select d.id, d.connection_status from devices d where d.organization_id = ?${one}`,
      bindings,
    ),
    describeOutputs(db, organizationId, deviceId),
    rowsOf<ValueRow>(
      db,
      `select l.device_id, l.sensor_key, l.v, cast(l.json as text) as json, l.ts, l.received_at
       from device_sensor_state l join devices d on d.id = l.device_id where d.organization_id = ?${one}`,
      bindings,
    ),
  ]);
  const valuesOf = Map.groupBy(values, (row) => row.device_id);
  return new Map(
    devices.map(({ id, connection_status: status }) => [
      id,
      {
        isOnline: status !== "offline",
        outputs: outputs.get(id) ?? [],
        values: new Map((valuesOf.get(id) ?? []).map((row) => [row.sensor_key, homeValue(row)])),
      },
    ]),
  );
}

interface ValueRow {
  readonly device_id: string;
  readonly sensor_key: string;
  readonly v: number | null;
  readonly json: string | null;
  readonly ts: number;
  readonly received_at: string;
}

const homeValue = ({ v, json, ts, received_at: receivedAt }: ValueRow): HomeValue => ({
  value: sensorValue(v, json),
  at: Math.min(ts, Date.parse(receivedAt)),
});
