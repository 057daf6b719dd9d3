import assert from "node:assert/strict";
import { newId } from "../../core/id.ts";
import type { Cast, DeviceOf } from "./matrix-cast.ts";
import type { Ids, Row } from "./matrix-row.ts";

const KEY = "matrix";
const ONE = "/api/v1/devices/:id/sensors/:key";
const ON_SENSOR: Row = { isOnDevice: true, path: () => `/api/v1/devices/:id/sensors/${KEY}` };
const ON_VIRTUAL: Row = { isOnDevice: true, path: ({ virtualSensor }: Ids) => `/api/v1/virtual-sensors/${virtualSensor}` };

const virtualOf = (device: string) => ({
  device,
  key: `v_${newId().replaceAll("-", "")}`,
  name: "Of the matrix",
  expression: "m * 2",
  inputs: { m: { device, key: KEY } },
});

/** Of the routes about sensors: each is for whoever may do the same with the device whose sensor it is. */
export const SENSOR_ROWS: Readonly<Record<string, Row>> = {
  "GET /api/v1/devices/:id/sensors": { isOnDevice: true },
  [`GET ${ONE}`]: ON_SENSOR,
  [`PUT ${ONE}`]: { ...ON_SENSOR, body: () => ({ name: "Of the matrix", calibration: { kind: "linear", offset: 1 } }) },
  [`PATCH ${ONE}`]: { ...ON_SENSOR, body: () => ({ hidden: true }) },
  [`DELETE ${ONE}`]: ON_SENSOR,
  "GET /api/v1/virtual-sensors": { isOnDevice: true, path: ({ device }) => `/api/v1/virtual-sensors?device=${device.uid}` },
  "POST /api/v1/virtual-sensors": { isOnDevice: true, body: ({ device }) => virtualOf(device.uid) },
  "GET /api/v1/virtual-sensors/:id": ON_VIRTUAL,
  "PATCH /api/v1/virtual-sensors/:id": { ...ON_VIRTUAL, body: () => ({ expression: "m + 1" }) },
  "DELETE /api/v1/virtual-sensors/:id": ON_VIRTUAL,
};

/** A sensor of the device that somebody has said something about, and a virtual one, in the one organisation or the other. */
export async function addSensors(cast: Cast, isOurs: boolean, { uid }: Pick<DeviceOf, "uid">): Promise<string> {
  const { api } = cast.people[isOurs ? "owner" : "stranger"];
  const said = await api.call("PUT", `/api/v1/devices/${uid}/sensors/${KEY}`, { name: "Of the matrix" }, { "if-match": "*" });
  assert.equal(said.status, 200, JSON.stringify(said.body));
  const made = await api.call<{ virtual_sensor: { id: string } }>("POST", "/api/v1/virtual-sensors", virtualOf(uid));
  assert.equal(made.status, 201, JSON.stringify(made.body));
  return made.body.virtual_sensor.id;
}
