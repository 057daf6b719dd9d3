import type { Device } from "../../core/device.ts";
import { HubError } from "../../core/errors.ts";
import { type Access, may, mayOn, type Permission, scopeOf } from "../../core/permissions.ts";
import { getDevice } from "../../store/devices.ts";
import type { Db } from "../../store/open.ts";

/**
 * The device, by its uid or UUID, for somebody with the permission on it. Throws `not_found` when it is not theirs to see, and
 * `forbidden` when it is theirs to see only.
 */
export async function deviceFor(rights: Access, permission: Permission, db: Db, ref: string): Promise<Device> {
  const device = await getDevice(db, scopeOf(rights, "device.read"), ref);
  if (!mayOn(rights, permission, device))
    throw new HubError("forbidden", `this takes the permission ${permission} on the device`, { details: { permission } });
  return device;
}

/** Throws `device_not_claimed`: what is kept of it is an organisation's. */
export function ownerOf({ id, organizationId }: Device): { readonly id: string; readonly organizationId: string } {
  if (organizationId === null) throw new HubError("device_not_claimed", "the device belongs to nobody");
  return { id, organizationId };
}

/** Throws `forbidden` for who has the permission on the device alone, or not at all. */
export function requireEverywhere(rights: Access, permission: Permission, { organizationId }: Pick<Device, "organizationId">): void {
  if (!may(rights, permission, organizationId))
    throw new HubError("forbidden", `this takes the permission ${permission}`, { details: { permission } });
}
