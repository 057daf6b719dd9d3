import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { type Access, includesAll, NO_PERMISSIONS, type PermissionSet, type Role, rolePermissions } from "../../core/permissions.ts";
import { getMember, listMembers, type Member, removeMember, setMemberRole } from "../../store/members.ts";
import { lockOrganization } from "../../store/organizations.ts";
import { Cursor, Limit, nullable, pageOf, Uuid } from "../fields.ts";
import { type AuditNote, defineRoute } from "../route.ts";
import { NullableRole, organizationFor } from "./organizations.ts";

export const InOrganization = Type.Object({ id: Uuid }, { additionalProperties: false });
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
  query: Type.Object({ limit: Limit(200, 200), cursor: Cursor }, { additionalProperties: false }),
  replies: { 200: { description: "Oldest account first", schema: pageOf(MemberView, "MemberPage") } },
  errors: ["not_found"],
  async handler({ context, rights, params, query: { limit = 200, cursor: after } }) {
    const { db } = context.store;
    const { id } = await organizationFor(rights, "member.read", db, params.id);
    const page = await listMembers(db, id, { limit, after });
    return { status: 200, body: { data: page.items.map(memberJson), next_cursor: page.next } };
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
      // Nobody gives them a role that is above the caller's between this and the change.
      await lockOrganization(db, id);
      const before = await getMember(db, id, params.user_id.toLowerCase());
      requireAll(rights, permissionsOfRole(before.role), permissionsOfRole(body.role));
      await setMemberRole(db, id, before.userId, body.role);
      const member = memberJson({ ...before, role: body.role });
      return {
        answer: { status: 200, body: { member } },
        audit: [
          {
            ...note(id, "member.update", before.userId, { role: body.role, before: before.role }),
            before: memberJson(before),
            after: member,
          },
        ],
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
      await lockOrganization(db, id);
      const before = await getMember(db, id, userId);
      if (!isOwn) requireAll(rights, permissionsOfRole(before.role));
      await removeMember(db, id, userId, context.clock());
      return {
        answer: { status: 204 },
        audit: [{ ...note(id, "member.remove", userId, { role: before.role }), before: memberJson(before) }],
        afterwards: () => context.access.changed([userId]),
      };
    }),
});

export function note(organizationId: string, action: string, userId: string, details: Record<string, unknown>): AuditNote {
  return { organizationId, action, resourceType: "user", resourceId: userId, details };
}
