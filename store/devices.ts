import type { DeviceRef } from "../core/bus.ts";
import type { Capabilities, Device, DeviceClass, DeviceSettings, Presence, Sensitivity } from "../core/device.ts";
import { MEMBER_OF } from "../core/entity.ts";
import { HubError } from "../core/errors.ts";
import { isUuid, newDeviceUid, newId } from "../core/id.ts";
import type { Scope } from "../core/principal.ts";
import { isUniqueViolation } from "./database-errors.ts";
import { writeCapabilities } from "./device-capabilities.ts";
import { claimCodeHash, type DeviceRow, deviceOf, devices, notFound, readDevice, toDevice } from "./device-rows.ts";
import type { Db } from "./open.ts";
import { lockOrganization } from "./organizations.ts";
import { inTransaction } from "./transaction.ts";
import { forgetReceived } from "./received-messages.ts";
import { containing, fromJson, isoOf, type Page, pageOf, scoped, storableText, toJson } from "./sql.ts";
import { deleteTelemetry } from "./telemetry-removal.ts";

const COLUMNS = { organization: "d.organization_id", device: "d.id" };
const OWN_COLUMNS = { organization: "organization_id", device: "id" };
const UID_PREFIX: Record<DeviceClass, string> = { relay_controller: "relay", ir_hub: "ir", sensor_hub: "sensor", hybrid: "hybrid" };

export interface NewDevice {
  readonly name: string;
  readonly deviceClass: DeviceClass;
  readonly model?: string | null | undefined;
  readonly serialNumber?: string | null | undefined;
  readonly capabilities?: Capabilities | undefined;
  readonly organizationId: string | null;
  readonly ownerId: string | null;
  readonly isDemo?: boolean | undefined;
  readonly claimCode?: string | undefined;
  readonly uid?: string | undefined;
}

/** Throws `conflict` for a uid or serial number that another device has. */
export async function createDevice(db: Db, device: NewDevice): Promise<Device> {
  const id = newId();
  const now = isoOf(Date.now());
  const name = storableText(device.name);
  const model = device.model ? storableText(device.model) : null;
  const serialNumber = device.serialNumber ? storableText(device.serialNumber) : null;
  const capabilities = device.capabilities ?? {};
  const properties = toJson({
    device_class: device.deviceClass,
    ...(serialNumber === null ? {} : { serial_number: serialNumber }),
    ...(model === null ? {} : { model }),
  });
  try {
    return await inTransaction(db, async (trx) => {
      if (device.organizationId !== null) await lockOrganization(trx, device.organizationId);
      await trx("entities").insert({
        id,
        entity_type: `device.${device.deviceClass}`,
        name,
        organization_id: device.organizationId,
        properties,
        created_at: now,
        last_updated: now,
      });
      await trx("devices").insert({
        id,
        uid: device.uid ?? newDeviceUid(UID_PREFIX[device.deviceClass]),
        device_class: device.deviceClass,
        model,
        serial_number: serialNumber,
        organization_id: device.organizationId,
        owner_id: device.ownerId,
        capabilities: toJson(capabilities),
        is_demo: device.isDemo ?? false,
        claim_code_hash: device.claimCode === undefined ? null : claimCodeHash(device.claimCode),
        claimed_at: device.organizationId === null ? null : now,
        created_at: now,
        updated_at: now,
      });
      await writeCapabilities(trx, id, capabilities);
      return await readDevice(trx, id);
    });
  } catch (error) {
    if (isUniqueViolation(error)) throw new HubError("conflict", "another device has this uid or serial number", { cause: error });
    throw error;
  }
}

/** `ref` is the uid or the UUID. */
export async function findDevice(db: Db, scope: Scope, ref: string): Promise<Device | undefined> {
  const query = isUuid(ref) ? devices(db).where("d.id", ref.toLowerCase()) : devices(db).where("d.uid", ref);
  return deviceOf(await scoped(query, scope, COLUMNS).first());
}

/** Like {@link findDevice}; throws `not_found`. */
export async function getDevice(db: Db, scope: Scope, ref: string): Promise<Device> {
  const device = await findDevice(db, scope, ref);
  if (!device) throw notFound();
  return device;
}

/** As it is now, and until the transaction ends. Throws `not_found` when it went in the meantime. */
export async function lockDevice(trx: Db, { id, organizationId }: Pick<Device, "id" | "organizationId">): Promise<Device> {
  // Telemetry, which refers to the row, need not wait.
  const row: unknown = await trx("devices").where({ id, organization_id: organizationId }).forNoKeyUpdate().first("id");
  if (row === undefined) throw notFound();
  return await readDevice(trx, id);
}

export async function findDeviceBySerial(db: Db, serialNumber: string): Promise<Device | undefined> {
  return deviceOf(await devices(db).where("d.serial_number", storableText(serialNumber)).first());
}

export interface DeviceFilter {
  readonly limit: number;
  readonly after?: string | undefined;
  readonly deviceClass?: DeviceClass | undefined;
  readonly status?: Presence | undefined;
  /** Part of the name, uid or serial number. */
  readonly search?: string | undefined;
  readonly siteId?: string | undefined;
  readonly roomId?: string | undefined;
  readonly projectId?: string | undefined;
}

/** Oldest first. */
export async function listDevices(db: Db, scope: Scope, filter: DeviceFilter): Promise<Page<Device>> {
  const query = scoped(devices(db), scope, COLUMNS)
    .orderBy("d.id")
    .limit(filter.limit + 1);
  if (filter.after !== undefined) query.where("d.id", ">", filter.after);
  if (filter.deviceClass !== undefined) query.where("d.device_class", filter.deviceClass);
  if (filter.status !== undefined) query.where("d.connection_status", filter.status);
  if (filter.siteId !== undefined) query.where("r.site_id", filter.siteId);
  if (filter.roomId !== undefined) query.where("d.room_id", filter.roomId);
  if (filter.projectId !== undefined) {
    const members = db("relationships").where({ to_entity: filter.projectId, relationship_type: MEMBER_OF }).select("from_entity");
    // Who may see single devices knows of no project.
    query.whereIn("d.id", scope.kind === "devices" ? [] : members);
  }
  if (filter.search) {
    const pattern = containing(filter.search);
    query.whereRaw("(hub_lower(e.name) like ? escape '\\' or d.uid like ? escape '\\' or hub_lower(d.serial_number) like ? escape '\\')", [
      pattern,
      pattern,
      pattern,
    ]);
  }
  const rows = (await query) as DeviceRow[];
  return pageOf(rows.map(toDevice), filter.limit, (device) => device.id);
}

export interface DevicePatch {
  readonly name?: string | undefined;
  readonly settings?: DeviceSettings | undefined;
  readonly sensitivity?: Sensitivity | undefined;
  readonly firmwareVersion?: string | undefined;
  readonly model?: string | undefined;
  readonly capabilities?: Capabilities | undefined;
}

/** Throws `not_found`. */
export async function updateDevice(db: Db, scope: Scope, id: string, patch: DevicePatch): Promise<Device> {
  const now = isoOf(Date.now());
  return await inTransaction(db, async (trx) => {
    const columns = {
      updated_at: now,
      ...(patch.settings === undefined ? {} : { settings: toJson(patch.settings) }),
      ...(patch.sensitivity === undefined ? {} : { sensitivity: patch.sensitivity }),
      ...(patch.firmwareVersion === undefined ? {} : { firmware_version: storableText(patch.firmwareVersion) }),
      ...(patch.model === undefined ? {} : { model: storableText(patch.model) }),
      ...(patch.capabilities === undefined ? {} : { capabilities: toJson(patch.capabilities) }),
    };
    const updated = await scoped(trx("devices").where({ id }), scope, OWN_COLUMNS).update(columns);
    if (updated === 0) throw notFound();
    if (patch.capabilities !== undefined) await writeCapabilities(trx, id, patch.capabilities);
    if (patch.name !== undefined || patch.model !== undefined) await updateEntity(trx, id, patch, now);
    return await readDevice(trx, id);
  });
}

/** Takes the device with everything that hangs on it, telemetry included; events and audit stay. False when there is none in scope. */
export async function deleteDevice(db: Db, scope: Scope, id: string): Promise<boolean> {
  return await inTransaction(db, async (trx) => {
    // The lock waits for telemetry batches of this device that are under way, and lets later ones find it gone.
    const query = scoped(trx("devices").where({ id }).select("uid"), scope, OWN_COLUMNS).forUpdate();
    const row = (await query.first()) as { uid: string } | undefined;
    if (!row) return false;
    await deleteTelemetry(trx, id);
    await forgetReceived(trx, row.uid);
    await trx("entities").where({ id }).del();
    return true;
  });
}

/** Every device of the hub, or those with these uids, for the directory that turns topics into devices. */
export async function listDeviceRefs(db: Db, uids?: readonly string[]): Promise<DeviceRef[]> {
  const query = db("devices").orderBy("id").select({ id: "id", uid: "uid", organizationId: "organization_id" });
  if (uids) query.whereIn("uid", uids);
  return (await query) as DeviceRef[];
}

/** These, each by its uid or UUID; undefined when one of them is not there to see. */
export async function findDeviceRefs(db: Db, scope: Scope, refs: readonly string[]): Promise<DeviceRef[] | undefined> {
  const query = scoped(db("devices as d"), scope, COLUMNS).select({ id: "d.id", uid: "d.uid", organizationId: "d.organization_id" });
  const ids = refs.filter(isUuid).map((ref) => ref.toLowerCase());
  const uids = refs.filter((ref) => !isUuid(ref));
  const found = (await query.andWhere((either) => void either.whereIn("d.id", ids).orWhereIn("d.uid", uids))) as DeviceRef[];
  const isThere = (ref: string): boolean => found.some(({ id, uid }) => uid === ref || id === ref.toLowerCase());
  return refs.every(isThere) ? found : undefined;
}

async function updateEntity(trx: Db, id: string, patch: DevicePatch, now: string): Promise<void> {
  const row = (await trx("entities").where({ id }).first("properties")) as { properties: unknown } | undefined;
  const properties = fromJson(row?.properties ?? {}) as Record<string, unknown>;
  await trx("entities")
    .where({ id })
    .update({
      last_updated: now,
      ...(patch.name === undefined ? {} : { name: storableText(patch.name) }),
      ...(patch.model === undefined ? {} : { properties: toJson({ ...properties, model: patch.model }) }),
    });
}
