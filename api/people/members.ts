import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import {
  type Access,
  DEVICE_ROLES,
  deviceRolePermissions,
  includesAll,
  NO_PERMISSIONS,
  type PermissionSet,
  type Role,
  rolePermissions,
} from "../../core/permissions.ts";
import { getDevice } from "../../store/devices.ts";
import {
  getMember,
  listDeviceGrants,
  listMembers,
  type Member,
  putDeviceGrant,
  removeDeviceGrant,
  removeMember,
  setMemberRole,
} from "../../store/members.ts";
import { DeviceReference, nullable, Uuid } from "../fields.ts";
import { type AuditNote, defineRoute } from "../route.ts";
import { NullableRole, organizationFor } from "./organizations.ts";

const InOrganization = Type.Object({ id: Uuid }, { additionalProperties: false });
const OneMember = Type.Object({ id: Uuid, user_id: Uuid }, { additionalProperties: false });

const MemberView = Type.Object(
  { user_id: Type.String(), email: Type.String(), name: nullable("string"), role: NullableRole, created_at: Type.String() },
  { title: "Member" },
);

const memberJson = ({ userId, email, name, role, createdAt }: Member) => ({ user_id: userId, email, name, role, created_at: createdAt });

export const permissionsOfRole = (role: Role | null): PermissionSet => (role === null ? NO_PERMISSIONS : rolePermissions(role));

/** Nobody gives or takes what is beyond them. Throws `forbidden`. */
export function requireAll(rights: Access, ...sets: readonly PermissionSet[]): void {
  if (rights.kind === "platform" || sets.every((set) => includesAll(rights.everywhere, set))) return;
  throw new HubError("forbidden", "this role has more permissions than you");
}

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/organizations/:id/members",
  tag: "Organisations",
  summary: "The people in an organisation",
  access: "member.read",
  params: InOrganization,
  replies: {
    200: { description: "By the time of joining", schema: Type.Object({ data: Type.Array(MemberView) }, { title: "MemberList" }) },
  },
  errors: ["not_found"],
  async handler({ context, rights, params }) {
    const { db } = context.store;
    const { id } = await organizationFor(rights, "member.read", db, params.id);
    return { status: 200, body: { data: (await listMembers(db, id)).map(memberJson) } };
  },
});

export const setRole = defineRoute({
  method: "PATCH",
  path: "/api/v1/organizations/:id/members/:user_id",
  tag: "Organisations",
  summary: "Give somebody another role",
  description:
    "What it takes away holds no more within a second, on MQTT sessions that are open too. Nobody gives or takes a role above their own.",
  access: "member.manage",
  params: OneMember,
  body: Type.Object({ role: NullableRole }, { additionalProperties: false, title: "MemberPatch" }),
  bodyExample: { role: "operator" },
  replies: { 200: { description: "As it is now", schema: Type.Object({ member: MemberView }, { title: "MemberChanged" }) } },
  errors: ["not_found", "conflict"],
  handler: ({ context, rights, params, body, commit }) =>
    commit(async (db) => {
      const { id } = await organizationFor(rights, "member.manage", db, params.id);
      const before = await getMember(db, id, params.user_id.toLowerCase());
      requireAll(rights, permissionsOfRole(before.role), permissionsOfRole(body.role));
      await setMemberRole(db, id, before.userId, body.role);
      return {
        answer: { status: 200, body: { member: memberJson({ ...before, role: body.role }) } },
        audit: [note(id, "member.update", before.userId, { role: body.role, before: before.role })],
        afterwards: () => context.access.changed([before.userId]),
      };
    }),
});

export const remove = defineRoute({
  method: "DELETE",
  path: "/api/v1/organizations/:id/members/:user_id",
  tag: "Organisations",
  summary: "Take somebody out of an organisation, or leave it",
  description: "The grants there go too. What follows for open sessions holds within a second.",
  access: "self",
  params: OneMember,
  replies: { 204: { description: "No member any more" } },
  errors: ["not_found", "forbidden", "conflict"],
  handler: ({ context, principal, rights, params, commit }) =>
    commit(async (db) => {
      const userId = params.user_id.toLowerCase();
      const isOwn = principal.id === userId && principal.organizationId === params.id.toLowerCase();
      const id = isOwn ? principal.organizationId : (await organizationFor(rights, "member.manage", db, params.id)).id;
      const before = await getMember(db, id, userId);
      if (!isOwn) requireAll(rights, permissionsOfRole(before.role));
      await removeMember(db, id, userId, context.clock());
      return {
        answer: { status: 204 },
        audit: [note(id, "member.remove", userId, { role: before.role })],
        afterwards: () => context.access.changed([userId]),
      };
    }),
});

const GrantView = Type.Object(
  { user_id: Type.String(), device_id: Type.String(), role: Type.Enum([...DEVICE_ROLES]), created_at: Type.String() },
  { title: "DeviceGrant" },
);

export const grants = defineRoute({
  method: "GET",
  path: "/api/v1/organizations/:id/grants",
  tag: "Organisations",
  summary: "Who was given single devices",
  access: "member.manage",
  params: InOrganization,
  replies: { 200: { description: "By person", schema: Type.Object({ data: Type.Array(GrantView) }, { title: "DeviceGrantList" }) } },
  errors: ["not_found"],
  async handler({ context, rights, params }) {
    const { db } = context.store;
    const { id } = await organizationFor(rights, "member.manage", db, params.id);
    const rows = await listDeviceGrants(db, id);
    return {
      status: 200,
      body: { data: rows.map((row) => ({ user_id: row.userId, device_id: row.deviceId, role: row.role, created_at: row.createdAt })) },
    };
  },
});

export const grant = defineRoute({
  method: "POST",
  path: "/api/v1/organizations/:id/grants",
  tag: "Organisations",
  summary: "Give a member a role on one device",
  description: "Beside what the member may do anyway. Another role on the same device takes the place of the first.",
  access: "member.manage",
  params: InOrganization,
  body: Type.Object(
    { user_id: Uuid, device: DeviceReference, role: Type.Enum([...DEVICE_ROLES]) },
    { additionalProperties: false, title: "DeviceGrantRequest" },
  ),
  bodyExample: { user_id: "0193b0f2-7c1e-7d3a-9a51-3f1d5f0c7a10", device: "relay-k7qxm4td92", role: "operator" },
  replies: {
    200: {
      description: "Granted",
      schema: Type.Object({ user_id: Type.String(), device_id: Type.String(), role: Type.String() }, { title: "DeviceGranted" }),
    },
  },
  errors: ["not_found"],
  handler: ({ context, rights, params, body, commit }) =>
    commit(async (db) => {
      const { id } = await organizationFor(rights, "member.manage", db, params.id);
      const { userId } = await getMember(db, id, body.user_id.toLowerCase());
      const device = await getDevice(db, { kind: "organization", organizationId: id }, body.device);
      const { role } = body;
      requireAll(rights, deviceRolePermissions(role));
      await putDeviceGrant(db, id, { userId, deviceId: device.id, role });
      return {
        answer: { status: 200, body: { user_id: userId, device_id: device.id, role } },
        audit: [note(id, "member.grant", userId, { device_id: device.id, role })],
        afterwards: () => context.access.changed([userId]),
      };
    }),
});

export const revokeGrant = defineRoute({
  method: "DELETE",
  path: "/api/v1/organizations/:id/grants/:user_id/:device_id",
  tag: "Organisations",
  summary: "Take back what was given on one device",
  access: "member.manage",
  params: Type.Object({ id: Uuid, user_id: Uuid, device_id: Uuid }, { additionalProperties: false }),
  replies: { 204: { description: "Taken back" } },
  errors: ["not_found"],
  handler: ({ context, rights, params, commit }) =>
    commit(async (db) => {
      const { id } = await organizationFor(rights, "member.manage", db, params.id);
      const [userId, deviceId] = [params.user_id.toLowerCase(), params.device_id.toLowerCase()];
      if (!(await removeDeviceGrant(db, id, userId, deviceId))) throw new HubError("not_found", "there is no such grant");
      return {
        answer: { status: 204 },
        audit: [note(id, "member.revoke_grant", userId, { device_id: deviceId })],
        afterwards: () => context.access.changed([userId]),
      };
    }),
});

function note(organizationId: string, action: string, userId: string, details: Record<string, unknown>): AuditNote {
  return { organizationId, action, resourceType: "user", resourceId: userId, details };
}
