import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { DEVICE_ROLES, deviceRolePermissions } from "../../core/permissions.ts";
import { getDevice } from "../../store/devices.ts";
import { getMember, listDeviceGrants, putDeviceGrant, removeDeviceGrant } from "../../store/members.ts";
import type { Db } from "../../store/open.ts";
import { lockOrganization } from "../../store/organizations.ts";
import { listSiteGrants, putSiteGrant, removeSiteGrant } from "../../store/site-grants.ts";
import { getSite } from "../../store/sites.ts";
import { DeviceReference, Uuid } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { InOrganization, note, requireAll } from "./members.ts";
import { organizationFor } from "./organizations.ts";

const RoleField = Type.Enum([...DEVICE_ROLES]);
/** One of the two. */
const Where = {
  device_id: Type.Optional(Type.String()),
  site_id: Type.Optional(Type.String({ description: "The role holds on every device there, those that come later too" })),
};

const GrantView = Type.Object({ user_id: Type.String(), ...Where, role: RoleField, created_at: Type.String() }, { title: "Grant" });

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/organizations/:id/grants",
  tag: "Organisations",
  summary: "Who was given single devices or sites",
  access: "member.manage",
  params: InOrganization,
  replies: {
    200: { description: "Devices first, by person", schema: Type.Object({ data: Type.Array(GrantView) }, { title: "GrantList" }) },
  },
  errors: ["not_found"],
  async handler({ context, rights, params }) {
    const { db } = context.store;
    const { id } = await organizationFor(rights, "member.manage", db, params.id);
    const [onDevices, onSites] = [await listDeviceGrants(db, id), await listSiteGrants(db, id)];
    const data = [
      ...onDevices.map((row) => ({ user_id: row.userId, device_id: row.deviceId, role: row.role, created_at: row.createdAt })),
      ...onSites.map((row) => ({ user_id: row.userId, site_id: row.siteId, role: row.role, created_at: row.createdAt })),
    ];
    return { status: 200, body: { data } };
  },
});

export const create = defineRoute({
  method: "POST",
  path: "/api/v1/organizations/:id/grants",
  tag: "Organisations",
  summary: "Give a member a role on one device or one site",
  description:
    "Beside what the member may do anyway: `device` or `site`, one of them. A role on a site holds on every device while it is there. Another role on the same takes the place of the first.",
  access: "member.manage",
  params: InOrganization,
  body: Type.Object(
    { user_id: Uuid, device: Type.Optional(DeviceReference), site: Type.Optional(Uuid), role: RoleField },
    { additionalProperties: false, title: "GrantRequest" },
  ),
  bodyExample: { user_id: "0193b0f2-7c1e-7d3a-9a51-3f1d5f0c7a10", device: "relay-k7qxm4td92", role: "operator" },
  replies: {
    200: {
      description: "Granted",
      schema: Type.Object({ user_id: Type.String(), ...Where, role: Type.String() }, { title: "Granted" }),
    },
  },
  errors: ["not_found", "quota_exceeded"],
  handler: ({ context, rights, params, body, commit }) =>
    commit(async (db) => {
      const { id } = await organizationFor(rights, "member.manage", db, params.id);
      // The member stays one, and what is on the site stays there.
      await lockOrganization(db, id);
      const { userId } = await getMember(db, id, body.user_id.toLowerCase());
      const { role } = body;
      requireAll(rights, deviceRolePermissions(role));
      const where = await putGrant(db, id, { ...body, userId });
      const granted = { user_id: userId, ...where, role };
      return {
        answer: { status: 200, body: granted },
        audit: [{ ...note(id, "member.grant", userId, { ...where, role }), after: granted }],
        afterwards: () => context.access.changed([userId]),
      };
    }),
});

export const revoke = defineRoute({
  method: "DELETE",
  path: "/api/v1/organizations/:id/grants/:user_id/:target_id",
  tag: "Organisations",
  summary: "Take back what was given on one device or site",
  access: "member.manage",
  params: Type.Object(
    { id: Uuid, user_id: Uuid, target_id: Type.Unsafe<string>({ ...Uuid, description: "The device's UUID or the site's" }) },
    { additionalProperties: false },
  ),
  replies: { 204: { description: "Taken back" } },
  errors: ["not_found"],
  handler: ({ context, rights, params, commit }) =>
    commit(async (db) => {
      const { id } = await organizationFor(rights, "member.manage", db, params.id);
      await lockOrganization(db, id);
      const [userId, targetId] = [params.user_id.toLowerCase(), params.target_id.toLowerCase()];
      const onDevice = await removeDeviceGrant(db, id, userId, targetId);
      if (!onDevice && !(await removeSiteGrant(db, id, userId, targetId))) throw new HubError("not_found", "there is no such grant");
      return {
        answer: { status: 204 },
        audit: [note(id, "member.revoke_grant", userId, onDevice ? { device_id: targetId } : { site_id: targetId })],
        afterwards: () => context.access.changed([userId]),
      };
    }),
});

interface Wanted {
  readonly userId: string;
  readonly device?: string;
  readonly site?: string;
  readonly role: (typeof DEVICE_ROLES)[number];
}

/** Throws `validation_error` unless it is about one thing, and `not_found` when that is not the organisation's. */
async function putGrant(db: Db, organizationId: string, { userId, device, site, role }: Wanted) {
  const own = { kind: "organization", organizationId } as const;
  if (device !== undefined && site === undefined) {
    const { id: deviceId } = await getDevice(db, own, device);
    await putDeviceGrant(db, organizationId, { userId, deviceId, role });
    return { device_id: deviceId };
  }
  if (site !== undefined && device === undefined) {
    const { id: siteId } = await getSite(db, own, site.toLowerCase());
    await putSiteGrant(db, organizationId, { userId, siteId, role });
    return { site_id: siteId };
  }
  throw new HubError("validation_error", "a grant is on one device or on one site", {
    details: [{ path: "/", message: "takes either device or site" }],
  });
}
