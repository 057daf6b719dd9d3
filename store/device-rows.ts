import { createHash } from "node:crypto";
import type { Capabilities, Device, DeviceClass, DeviceSettings, Presence, Sensitivity } from "../core/device.ts";
import { HubError } from "../core/errors.ts";
import type { Db } from "./open.ts";
import { fromJson } from "./sql.ts";

/** The device by its id, for the functions of this folder that have just written it. */
export async function readDevice(db: Db, id: string): Promise<Device> {
  const device = deviceOf(await devices(db).where("d.id", id).first());
  if (!device) throw notFound();
  return device;
}

/** Codes are typed by people: case and separators do not matter. */
export function claimCodeHash(code: string): string {
  return createHash("sha256")
    .update(code.toUpperCase().replaceAll(/[^A-Z0-9]/g, ""))
    .digest("hex");
}

export const notFound = (): HubError => new HubError("not_found", "there is no such device");

export interface DeviceRow {
  id: string;
  uid: string;
  name: string;
  device_class: DeviceClass;
  model: string | null;
  serial_number: string | null;
  firmware_version: string | null;
  organization_id: string | null;
  owner_id: string | null;
  room_id: string | null;
  site_id: string | null;
  capabilities: unknown;
  settings: unknown;
  sensitivity: Sensitivity;
  ota_security_version: number;
  is_demo: boolean | number;
  connection_status: Presence;
  last_seen_at: string | null;
  last_ip: string | null;
  clock_offset_ms: number | null;
  clock_wrong_since: string | null;
  claimed_at: string | null;
  created_at: string;
  updated_at: string;
}

export function devices(db: Db) {
  return db("devices as d")
    .join("entities as e", "e.id", "d.id")
    .leftJoin("rooms as r", "r.id", "d.room_id")
    .select("d.*", "e.name", "r.site_id");
}

export function deviceOf(row: unknown): Device | undefined {
  return row === undefined ? undefined : toDevice(row as DeviceRow);
}

export function toDevice(row: DeviceRow): Device {
  return {
    id: row.id,
    uid: row.uid,
    name: row.name,
    deviceClass: row.device_class,
    model: row.model,
    serialNumber: row.serial_number,
    firmwareVersion: row.firmware_version,
    organizationId: row.organization_id,
    ownerId: row.owner_id,
    roomId: row.room_id,
    siteId: row.site_id,
    capabilities: fromJson(row.capabilities) as Capabilities,
    settings: fromJson(row.settings) as DeviceSettings,
    sensitivity: row.sensitivity,
    otaSecurityVersion: row.ota_security_version,
    isDemo: Boolean(row.is_demo),
    connectionStatus: row.connection_status,
    lastSeenAt: row.last_seen_at,
    lastIp: row.last_ip,
    clockError: row.clock_wrong_since === null ? null : { offsetMs: row.clock_offset_ms ?? 0, since: row.clock_wrong_since },
    claimedAt: row.claimed_at,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
