import { HubError } from "../../core/errors.ts";
import {
  type Access,
  DEVICE_PERMISSIONS,
  includesAll,
  mayOn,
  maySomewhere,
  type Permission,
  permissionSet,
  scopeOf,
  SERVICE_PERMISSIONS,
} from "../../core/permissions.ts";
import type { Scope, TokenScope } from "../../core/principal.ts";
import { findDeviceRefs } from "../../store/devices.ts";
import type { Db } from "../../store/open.ts";

/** Of one token. */
export const MAX_TOKEN_DEVICES = 100;

export interface WantedScope {
  readonly kind: "personal" | "service";
  readonly permissions?: readonly Permission[];
  /** uids or UUIDs. */
  readonly devices?: readonly string[];
}

/**
 * What a new token of the organisation is limited to. Throws `forbidden` for more than its maker has, or than an account of a
 * machine can have, `not_found` for devices that are not theirs to see, and `validation_error` for what no single device has.
 */
export async function tokenScopeFor(
  db: Db,
  { rights, organizationId }: { readonly rights: Access; readonly organizationId: string },
  { kind, permissions, devices }: WantedScope,
): Promise<TokenScope> {
  for (const permission of permissions ?? []) {
    const isPossible = kind === "personal" || includesAll(SERVICE_PERMISSIONS, permissionSet([permission]));
    if (!isPossible || !maySomewhere(rights, permission)) throw tooMuch(permission);
  }
  const limits = permissions === undefined ? {} : { permissions };
  if (devices === undefined) return limits;

  const onDevices: readonly Permission[] = DEVICE_PERMISSIONS;
  const general = permissions?.find((permission) => !onDevices.includes(permission));
  if (general !== undefined)
    throw new HubError("validation_error", `${general} is nothing that can be allowed on single devices`, {
      details: [{ path: "/permissions", message: `with devices: ${DEVICE_PERMISSIONS.join(", ")}` }],
    });
  // An administrator of the hub sees the devices of others too, which a token of this organisation cannot be for.
  const visible: Scope = rights.kind === "platform" ? { kind: "organization", organizationId } : scopeOf(rights, "device.read");
  const found = await findDeviceRefs(db, visible, devices);
  if (found === undefined) throw new HubError("not_found", "there is no such device");
  for (const permission of permissions ?? []) if (!found.every((device) => mayOn(rights, permission, device))) throw tooMuch(permission);
  return { ...limits, deviceIds: found.map(({ id }) => id) };
}

const tooMuch = (permission: Permission): HubError =>
  new HubError("forbidden", `the token would have the permission ${permission}, which is not yours to give`, { details: { permission } });
