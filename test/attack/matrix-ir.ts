import assert from "node:assert/strict";
import type { Cast, DeviceOf } from "./matrix-cast.ts";
import type { Ids, Row } from "./matrix-row.ts";

const CODE = { format: "timings", name: "Of the matrix", timings: [900, -450] };
const FILE = { commandsEncoding: "Raw", commands: { power: [900, -450] } };
const ONE = "/api/v1/devices/:id/ir-codes/:code";
const code = ({ irCode }: Ids): string => `/api/v1/devices/:id/ir-codes/${irCode}`;
const ON_CODE: Row = { isOnDevice: true, path: code };

/** Of the routes about infrared codes. */
export const IR_ROWS: Readonly<Record<string, Row>> = {
  "GET /api/v1/devices/:id/ir-codes": { isOnDevice: true },
  "POST /api/v1/devices/:id/ir-codes": { isOnDevice: true, body: () => CODE },
  "POST /api/v1/devices/:id/ir-codes/import": { isOnDevice: true, body: () => FILE },
  "GET /api/v1/devices/:id/ir-codes/export": { isOnDevice: true },
  "POST /api/v1/devices/:id/ir-codes/learn": { isOnDevice: true, body: () => ({}) },
  [`GET ${ONE}`]: ON_CODE,
  [`PATCH ${ONE}`]: { ...ON_CODE, body: () => ({ name: "Another" }) },
  [`DELETE ${ONE}`]: ON_CODE,
  [`POST ${ONE}/send`]: { isOnDevice: true, path: (ids) => `${code(ids)}/send`, body: () => ({}) },
};

/** A code of the device, in the one organisation or the other. */
export async function addIrCode(cast: Cast, isOurs: boolean, { uid }: Pick<DeviceOf, "uid">): Promise<string> {
  const { api } = cast.people[isOurs ? "owner" : "stranger"];
  const made = await api.call<{ ir_code: { id: string } }>("POST", `/api/v1/devices/${uid}/ir-codes`, CODE);
  assert.equal(made.status, 201, JSON.stringify(made.body));
  return made.body.ir_code.id;
}
