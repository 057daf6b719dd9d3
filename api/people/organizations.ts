import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { type Access, may, type Permission, PERMISSIONS, permissionsIn, ROLES } from "../../core/permissions.ts";
import { setLoginOrganization } from "../../store/logins.ts";
import { addMember, readAccess, rolesOf } from "../../store/members.ts";
import type { Db } from "../../store/open.ts";
import {
  createOrganization,
  findOrganization,
  listOrganizations,
  lockOrganization,
  type Organization,
  renameOrganization,
} from "../../store/organizations.ts";
import { IdParams, line, nullable, Uuid } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { organizationJson, OrganizationView } from "./representation.ts";

export const RoleField = Type.Enum([...ROLES], { description: "Each has what the one before it has" });
export const NullableRole = Type.Unsafe<(typeof ROLES)[number] | null>({
  anyOf: [RoleField, { type: "null" }],
  description: "null: only what is granted on single devices",
});

export const PermissionField = Type.Enum([...PERMISSIONS]);

/**
 * The organisation, for somebody with the permission in it. Throws `not_found` when it is not theirs to see, and `forbidden`
 * when the permission is missing.
 */
export async function organizationFor(rights: Access, permission: Permission, db: Db, ref: string): Promise<Organization> {
  const id = ref.toLowerCase();
  const isMine = rights.kind === "platform" || rights.organizationId === id;
  const organization = isMine ? await findOrganization(db, id) : undefined;
  if (!organization) throw new HubError("not_found", "there is no such organisation");
  if (!may(rights, permission, id)) throw new HubError("forbidden", `this takes the permission ${permission}`, { details: { permission } });
  return organization;
}

const OwnOrganization = Type.Object(
  { ...OrganizationView.properties, role: nullable("string", { description: "Yours; null without one" }), is_current: Type.Boolean() },
  { title: "OwnOrganization" },
);

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/organizations",
  tag: "Organisations",
  summary: "The organisations that you are in",
  description: "An administrator of the hub sees all of them. `is_current` is the one that you act in.",
  access: "self",
  replies: {
    200: { description: "Oldest first", schema: Type.Object({ data: Type.Array(OwnOrganization) }, { title: "OrganizationList" }) },
  },
  async handler({ context, principal, rights }) {
    const { db } = context.store;
    const roles = principal.kind === "user" ? await rolesOf(db, principal.id) : new Map<string, string | null>();
    const mine = new Set(roles.keys());
    if (principal.kind === "service") mine.add(principal.organizationId);
    const rows = await listOrganizations(db, rights.kind === "platform" ? undefined : [...mine]);
    return {
      status: 200,
      body: {
        data: rows.map((row) => ({
          ...organizationJson(row),
          role: roles.get(row.id) ?? null,
          is_current: row.id === principal.organizationId,
        })),
      },
    };
  },
});

export const create = defineRoute({
  method: "POST",
  path: "/api/v1/organizations",
  tag: "Organisations",
  summary: "Make an organisation",
  description: "You are its owner.",
  access: "platform",
  body: Type.Object({ name: line(120) }, { additionalProperties: false, title: "OrganizationRequest" }),
  bodyExample: { name: "Villa" },
  replies: { 201: { description: "Made", schema: Type.Object({ organization: OrganizationView }, { title: "OrganizationMade" }) } },
  handler: ({ context, principal, body, commit }) =>
    commit(async (db) => {
      const organization = await createOrganization(db, body);
      if (principal.kind === "user") await addMember(db, organization.id, principal.id, "owner");
      return {
        answer: { status: 201, body: { organization: organizationJson(organization) } },
        audit: [{ ...note(organization, "organization.create"), after: organizationJson(organization) }],
        afterwards: () => (principal.kind === "user" ? context.access.changed([principal.id]) : undefined),
      };
    }),
});

export const rename = defineRoute({
  method: "PATCH",
  path: "/api/v1/organizations/:id",
  tag: "Organisations",
  summary: "Rename an organisation",
  access: "organization.manage",
  params: IdParams,
  body: Type.Object({ name: line(120) }, { additionalProperties: false, title: "OrganizationPatch" }),
  bodyExample: { name: "Villa" },
  replies: {
    200: { description: "As it is now", schema: Type.Object({ organization: OrganizationView }, { title: "OrganizationChanged" }) },
  },
  errors: ["not_found"],
  handler: ({ rights, params, body, commit }) =>
    commit(async (db) => {
      const before = await organizationFor(rights, "organization.manage", db, params.id);
      await renameOrganization(db, before.id, body.name);
      const organization = { ...before, name: body.name };
      return {
        answer: { status: 200, body: { organization: organizationJson(organization) } },
        audit: [
          {
            ...note(organization, "organization.update"),
            details: { name: body.name, before: before.name },
            before: organizationJson(before),
            after: organizationJson(organization),
          },
        ],
      };
    }),
});

export const change = defineRoute({
  method: "POST",
  path: "/api/v1/auth/organization",
  tag: "Access",
  summary: "Act in another of your organisations",
  description: "Holds for this login, from now on; its tokens stay.",
  access: "self",
  body: Type.Object({ organization_id: Uuid }, { additionalProperties: false, title: "OrganizationChoice" }),
  replies: {
    200: {
      description: "The organisation, and what you may do in it",
      schema: Type.Object({ organization: OrganizationView, permissions: Type.Array(PermissionField) }, { title: "OrganizationChosen" }),
    },
  },
  errors: ["not_found", "conflict"],
  handler: ({ principal, rights, body, commit }) =>
    commit(async (db) => {
      const id = body.organization_id.toLowerCase();
      // Whoever is taken out of it at the same time does not act in it afterwards.
      await lockOrganization(db, id);
      const access = principal.kind === "user" ? (await readAccess(db, [principal.id])).get(principal.id)?.get(id) : undefined;
      const organization = access || rights.kind === "platform" ? await findOrganization(db, id) : undefined;
      if (!organization) throw new HubError("not_found", "you are in no such organisation");
      if (!(await setLoginOrganization(db, principal.credentialId, id)))
        throw new HubError("conflict", "this credential is bound to its organisation: log in with the password");
      return {
        answer: { status: 200, body: { organization: organizationJson(organization), permissions: permissionsOf(access ?? rights) } },
        audit: [note(organization, "user.organization_changed")],
      };
    }),
});

export function permissionsOf(access: Access): Permission[] {
  return access.kind === "platform" ? [...PERMISSIONS] : permissionsIn(access.everywhere);
}

const note = ({ id }: Organization, action: string) => ({ organizationId: id, action, resourceType: "organization", resourceId: id });
