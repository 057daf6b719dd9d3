import { HubError } from "../core/errors.ts";
import {
  type Access,
  type DeviceRole,
  deviceRolePermissions,
  NO_PERMISSIONS,
  organizationAccess,
  type PermissionSet,
  type Role,
  rolePermissions,
} from "../core/permissions.ts";
import type { Db } from "./open.ts";
import { lockOrganization } from "./organizations.ts";
import { engineOf, idsParameter, isoOf, type Page, pageOf, rowsOf, toJson } from "./sql.ts";
import { inTransaction } from "./transaction.ts";
import type { PageOfPeople } from "./users.ts";

/** A person in an organisation. Without a role only what was granted on single devices. */
export interface Member {
  readonly userId: string;
  readonly email: string;
  readonly name: string | null;
  readonly role: Role | null;
  readonly createdAt: string;
}

export interface DeviceGrant {
  readonly userId: string;
  readonly deviceId: string;
  readonly role: DeviceRole;
  readonly createdAt: string;
}

/** Puts the person into the organisation; false when it is in there already, with whatever role. */
export async function addMember(db: Db, organizationId: string, userId: string, role: Role | null): Promise<boolean> {
  const row = { user_id: userId, organization_id: organizationId, role, created_at: isoOf(Date.now()) };
  const added = (await db("memberships").insert(row).onConflict(["user_id", "organization_id"]).ignore().returning("user_id")) as unknown[];
  return added.length > 0;
}

/** The role of the person in each of their organisations. */
export async function rolesOf(db: Db, userId: string): Promise<Map<string, Role | null>> {
  const rows = (await db("memberships").where({ user_id: userId }).select("organization_id", "role")) as {
    organization_id: string;
    role: Role | null;
  }[];
  return new Map(rows.map(({ organization_id, role }) => [organization_id, role]));
}

/** Oldest account first. */
export async function listMembers(db: Db, organizationId: string, { limit, after }: PageOfPeople): Promise<Page<Member>> {
  const query = members(db)
    .where("m.organization_id", organizationId)
    .orderBy("m.user_id")
    .limit(limit + 1);
  if (after !== undefined) query.where("m.user_id", ">", after);
  return pageOf(((await query) as MemberRow[]).map(memberOf), limit, ({ userId }) => userId);
}

/** Throws `not_found`. */
export async function getMember(db: Db, organizationId: string, userId: string): Promise<Member> {
  const row = (await members(db).where({ "m.organization_id": organizationId, "m.user_id": userId }).first()) as MemberRow | undefined;
  if (!row) throw new HubError("not_found", "there is no such member");
  return memberOf(row);
}

/** Throws `not_found`, and `conflict` when it would leave the organisation without an owner. */
export async function setMemberRole(db: Db, organizationId: string, userId: string, role: Role | null): Promise<void> {
  await inTransaction(db, async (trx) => {
    await lockOrganization(trx, organizationId);
    await keepAnOwner(trx, organizationId, userId, role);
    await trx("memberships").where({ organization_id: organizationId, user_id: userId }).update({ role });
  });
}

/** With the grants and the logins of the person there, and what linked them with things there. Throws as {@link setMemberRole} does. */
export async function removeMember(db: Db, organizationId: string, userId: string, now: number): Promise<void> {
  await inTransaction(db, async (trx) => {
    await lockOrganization(trx, organizationId);
    await keepAnOwner(trx, organizationId, userId, null);
    await trx("memberships").where({ organization_id: organizationId, user_id: userId }).del();
    await leaveGraph(trx, organizationId, userId);
    await trx("logins")
      .where({ organization_id: organizationId, user_id: userId })
      .whereNull("ended_at")
      .update({ ended_at: isoOf(now) });
  });
}

/** Gives the member a role on one device, or another one than before. Throws `not_found` when the device is not the organisation's. */
export async function putDeviceGrant(
  db: Db,
  organizationId: string,
  { userId, deviceId, role }: Omit<DeviceGrant, "createdAt">,
): Promise<void> {
  const isPostgres = engineOf(db) === "postgres";
  const [text, time] = isPostgres ? ["?::text", "?::timestamptz"] : ["?", "?"];
  // The lock lets no release or deletion of the device come in between.
  const lock = isPostgres ? "for key share" : "";
  const rows = await rowsOf(
    db,
    `insert into device_grants (user_id, device_id, organization_id, role, created_at)
     select ${text}, d.id, d.organization_id, ${text}, ${time} from devices d where d.id = ? and d.organization_id = ? ${lock}
     on conflict (user_id, device_id) do update set role = excluded.role, organization_id = excluded.organization_id returning user_id`,
    [userId, role, isoOf(Date.now()), deviceId, organizationId],
  );
  if (rows.length === 0) throw new HubError("not_found", "there is no such device");
}

/** False when there was none. */
export async function removeDeviceGrant(db: Db, organizationId: string, userId: string, deviceId: string): Promise<boolean> {
  return (await db("device_grants").where({ organization_id: organizationId, user_id: userId, device_id: deviceId }).del()) > 0;
}

/** Takes back what anybody was granted on the device; gives the users. */
export async function removeGrantsOn(db: Db, deviceId: string): Promise<string[]> {
  const rows = await rowsOf<{ user_id: string }>(db, "delete from device_grants where device_id = ? returning user_id", [deviceId]);
  return rows.map(({ user_id }) => user_id);
}

export async function listDeviceGrants(db: Db, organizationId: string): Promise<DeviceGrant[]> {
  return (await db("device_grants")
    .where({ organization_id: organizationId })
    .orderBy(["user_id", "device_id"])
    .select({ userId: "user_id", deviceId: "device_id", role: "role", createdAt: "created_at" })) as DeviceGrant[];
}

/** What each of these users, or of all, may do in each of their organisations. Users in none are not in it. */
export async function readAccess(db: Db, userIds?: readonly string[]): Promise<Map<string, ReadonlyMap<string, Access>>> {
  const only = (column: string): string => (userIds === undefined ? "" : `where ${column} in ${idsParameter(db)}`);
  // One statement, so that a device that moves meanwhile is seen in one place. A grant on a site is one on each device that is there.
  const rows = await rowsOf<AccessRow>(
    db,
    `select m.user_id, m.organization_id, m.role, cast(null as text) as device_id, cast(null as text) as device_role
     from memberships m ${only("m.user_id")}
     union all
     select g.user_id, g.organization_id, null, g.device_id, g.role from device_grants g ${only("g.user_id")}
     union all
     select s.user_id, s.organization_id, null, d.id, s.role from site_grants s join rooms r on r.site_id = s.site_id
     join devices d on d.room_id = r.id and d.organization_id = s.organization_id ${only("s.user_id")}`,
    userIds === undefined ? [] : [toJson(userIds), toJson(userIds), toJson(userIds)],
  );
  const found = new Map<string, Map<string, Access>>();
  for (const [userId, ofUser] of Map.groupBy(rows, (row) => row.user_id)) {
    const byOrganization = new Map<string, Access>();
    for (const [organizationId, own] of Map.groupBy(ofUser, (row) => row.organization_id))
      byOrganization.set(organizationId, accessOf(organizationId, own));
    found.set(userId, byOrganization);
  }
  return found;
}

function accessOf(organizationId: string, rows: readonly AccessRow[]): Access {
  let everywhere = NO_PERMISSIONS;
  const onDevices = new Map<string, PermissionSet>();
  for (const { role, device_id: id, device_role: deviceRole } of rows) {
    if (role !== null) everywhere = rolePermissions(role);
    if (id !== null && deviceRole !== null) onDevices.set(id, (onDevices.get(id) ?? NO_PERMISSIONS) | deviceRolePermissions(deviceRole));
  }
  return organizationAccess(organizationId, everywhere, onDevices);
}

interface AccessRow {
  user_id: string;
  organization_id: string;
  role: Role | null;
  device_id: string | null;
  device_role: DeviceRole | null;
}
interface MemberRow {
  user_id: string;
  email: string;
  name: string;
  role: Role | null;
  created_at: string;
}

function members(db: Db) {
  return db("memberships as m")
    .join("users as u", "u.id", "m.user_id")
    .join("entities as e", "e.id", "m.user_id")
    .select("m.user_id", "u.email", "e.name", "m.role", "m.created_at");
}

const memberOf = ({ user_id, email, name, role, created_at }: MemberRow): Member => ({
  userId: user_id,
  email,
  name: name || null,
  role,
  createdAt: created_at,
});

/** Of two owners who step down at once the second one stays. */
async function keepAnOwner(trx: Db, organizationId: string, userId: string, role: Role | null): Promise<void> {
  const rows = (await trx("memberships")
    .where({ organization_id: organizationId })
    .andWhere((either) => void either.where({ role: "owner" }).orWhere({ user_id: userId }))
    .orderBy("user_id")
    .forUpdate()
    .select("user_id", "role")) as { user_id: string; role: Role | null }[];
  const member = rows.find((row) => row.user_id === userId);
  if (!member) throw new HubError("not_found", "there is no such member");
  const hasOther = rows.some((row) => row.role === "owner" && row.user_id !== userId);
  if (member.role === "owner" && role !== "owner" && !hasOther)
    throw new HubError("conflict", "an organisation has at least one owner: make somebody else one first");
}

/** Nobody leads a project or is linked with anything where they are not. Whose a device is stands in the device too, and stays. */
async function leaveGraph(trx: Db, organizationId: string, userId: string): Promise<void> {
  await trx("projects").where({ organization_id: organizationId, project_lead_id: userId }).update({ project_lead_id: null });
  await trx("relationships")
    .where({ organization_id: organizationId })
    .whereNot({ relationship_type: "owns" })
    .andWhere((either) => void either.where({ from_entity: userId }).orWhere({ to_entity: userId }))
    .del();
}
