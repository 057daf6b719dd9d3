import { PLATFORM, type Scope, type TokenScope } from "./principal.ts";

/** What can be allowed: everywhere in an organisation by a role, on one device by a grant. docs/security.md has the table. */
export const PERMISSIONS = [
  /** See devices: what they are, their states, readings, events and commands; in all of the organisation also its bus. */
  "device.read",
  "device.control",
  /** Change settings and credentials. */
  "device.manage",
  /** Enrol, claim, release and remove. */
  "device.own",
  /** Make sites, rooms, projects and relationships, and say where devices are. */
  "place.manage",
  "bus.publish",
  "member.read",
  /** Invite and remove people, give and take roles and grants. */
  "member.manage",
  /** Accounts of machines. */
  "service.manage",
  "audit.read",
  "organization.manage",
  /** See the phone numbers and e-mail addresses of contacts; their names are for whoever may see the members. */
  "contact.read",
  "contact.manage",
  /** See automations, scenes, schedules, alert rules and alerts, and what they did. */
  "automation.read",
  "automation.manage",
  /** Acknowledge, silence and resolve alerts. */
  "alert.handle",
  /** Webhooks, in and out. */
  "webhook.manage",
  /** Approve and reject what is too risky to be done at once. */
  "approval.decide",
] as const;
export type Permission = (typeof PERMISSIONS)[number];

export const isPermission = (text: string): text is Permission => (PERMISSIONS as readonly string[]).includes(text);

/** Each role has what the one before it has. */
export const ROLES = ["viewer", "operator", "admin", "owner"] as const;
export type Role = (typeof ROLES)[number];

const ROLE_PERMISSIONS: Readonly<Record<Role, readonly Permission[]>> = {
  viewer: ["device.read", "member.read", "automation.read"],
  operator: ["device.control", "bus.publish", "alert.handle"],
  admin: [
    "device.manage",
    "device.own",
    "place.manage",
    "member.manage",
    "service.manage",
    "audit.read",
    "contact.read",
    "contact.manage",
    "automation.manage",
    "webhook.manage",
    "approval.decide",
  ],
  owner: ["organization.manage"],
};

/** What a role means on a single device. */
export const DEVICE_ROLES = ["viewer", "operator", "admin"] as const satisfies readonly Role[];
export type DeviceRole = (typeof DEVICE_ROLES)[number];

/** A set of permissions as bits, so that a decision is one comparison. */
export type PermissionSet = number;

export const NO_PERMISSIONS: PermissionSet = 0;

const BITS = Object.fromEntries(PERMISSIONS.map((permission, index) => [permission, 1 << index])) as Record<Permission, number>;

export function permissionSet(permissions: readonly Permission[]): PermissionSet {
  return permissions.reduce((set, permission) => set | BITS[permission], NO_PERMISSIONS);
}

const ROLE_SETS = Object.fromEntries(
  ROLES.map((role, index) => [role, permissionSet(ROLES.slice(0, index + 1).flatMap((one) => ROLE_PERMISSIONS[one]))]),
) as Record<Role, PermissionSet>;

/** What can be allowed on a single device. */
export const DEVICE_PERMISSIONS = ["device.read", "device.control", "device.manage"] as const satisfies readonly Permission[];
const ON_A_DEVICE = permissionSet(DEVICE_PERMISSIONS);
const ALL = permissionSet(PERMISSIONS);

export const rolePermissions = (role: Role): PermissionSet => ROLE_SETS[role];
export const deviceRolePermissions = (role: DeviceRole): PermissionSet => ROLE_SETS[role] & ON_A_DEVICE;

/** A machine's account does what an administrator does, but for what is about people and accounts. */
export const SERVICE_PERMISSIONS: PermissionSet = permissionSet([
  "device.read",
  "device.control",
  "device.manage",
  "device.own",
  "place.manage",
  "bus.publish",
  "member.read",
  "automation.read",
  "automation.manage",
  "alert.handle",
  "webhook.manage",
]);

/** Whether everything in `part` is in `whole`. */
export const includesAll = (whole: PermissionSet, part: PermissionSet): boolean => (part & ~whole) === 0;

export const permissionsIn = (set: PermissionSet): Permission[] => PERMISSIONS.filter((permission) => (set & BITS[permission]) !== 0);

/** What somebody may do, compiled: the broker asks for every message. */
export type Access =
  | { readonly kind: "platform" }
  | {
      readonly kind: "organization";
      readonly organizationId: string;
      /** In all of it. */
      readonly everywhere: PermissionSet;
      /** On single devices, by their ids; what holds everywhere is not repeated. */
      readonly onDevices: ReadonlyMap<string, PermissionSet>;
    };

export const PLATFORM_ACCESS: Access = { kind: "platform" };
const NO_DEVICES: ReadonlyMap<string, PermissionSet> = new Map();

export function organizationAccess(organizationId: string, everywhere: PermissionSet, onDevices = NO_DEVICES): Access {
  return { kind: "organization", organizationId, everywhere, onDevices };
}

/**
 * What a limited token leaves of what its owner may do: never more, and never the platform. The organisation is the token's;
 * on single devices it keeps only what can be allowed on one.
 */
export function narrow(access: Access, { permissions, deviceIds }: TokenScope, organizationId: string): Access {
  const limit = permissions === undefined ? ALL : permissionSet(permissions);
  const { everywhere, onDevices } = access.kind === "platform" ? { everywhere: ALL, onDevices: NO_DEVICES } : access;
  const kept = (id: string, set: PermissionSet): [string, PermissionSet][] => ((set & limit) === 0 ? [] : [[id, set & limit]]);
  if (deviceIds === undefined)
    return organizationAccess(organizationId, everywhere & limit, new Map([...onDevices].flatMap(([id, set]) => kept(id, set))));
  const named = deviceIds.flatMap((id) => kept(id, (everywhere | (onDevices.get(id) ?? NO_PERMISSIONS)) & ON_A_DEVICE));
  return organizationAccess(organizationId, NO_PERMISSIONS, new Map(named));
}

/** In all of the organisation. */
export function may(access: Access, permission: Permission, organizationId: string | null): boolean {
  if (access.kind === "platform") return true;
  return access.organizationId === organizationId && (access.everywhere & BITS[permission]) !== 0;
}

/** On this device, which is in the organisation that it says. */
export function mayOn(
  access: Access,
  permission: Permission,
  device: { readonly id: string; readonly organizationId: string | null },
): boolean {
  if (access.kind === "platform") return true;
  if (access.organizationId !== device.organizationId) return false;
  const granted = access.onDevices.size === 0 ? NO_PERMISSIONS : (access.onDevices.get(device.id) ?? NO_PERMISSIONS);
  return ((access.everywhere | granted) & BITS[permission]) !== 0;
}

/** Somewhere at least: in the organisation, or on one of its devices. */
export function maySomewhere(access: Access, permission: Permission): boolean {
  if (access.kind === "platform" || (access.everywhere & BITS[permission]) !== 0) return true;
  for (const set of access.onDevices.values()) if ((set & BITS[permission]) !== 0) return true;
  return false;
}

/** The rows on which the permission holds. */
export function scopeOf(access: Access, permission: Permission): Scope {
  if (access.kind === "platform") return PLATFORM;
  const { organizationId, everywhere, onDevices } = access;
  if ((everywhere & BITS[permission]) !== 0) return { kind: "organization", organizationId };
  const deviceIds = [...onDevices].filter(([, set]) => (set & BITS[permission]) !== 0).map(([id]) => id);
  return { kind: "devices", organizationId, deviceIds };
}
