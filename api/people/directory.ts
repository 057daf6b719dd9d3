import Type from "typebox";
import { scopeOf } from "../../core/principal.ts";
import { findOrganization } from "../../store/organizations.ts";
import { listUsers } from "../../store/users.ts";
import { defineRoute } from "../route.ts";
import { organizationJson, OrganizationView, userJson, UserView } from "./representation.ts";

export const organizations = defineRoute({
  method: "GET",
  path: "/api/v1/organizations",
  tag: "Access",
  summary: "The organisation you act in",
  access: "member",
  replies: {
    200: { description: "The organisations", schema: Type.Object({ data: Type.Array(OrganizationView) }, { title: "OrganizationList" }) },
  },
  async handler({ context, principal }) {
    const organization = await findOrganization(context.store.db, principal.organizationId);
    return { status: 200, body: { data: organization === undefined ? [] : [organizationJson(organization)] } };
  },
});

export const users = defineRoute({
  method: "GET",
  path: "/api/v1/users",
  tag: "Access",
  summary: "The people you may see",
  access: "member",
  replies: { 200: { description: "The users", schema: Type.Object({ data: Type.Array(UserView) }, { title: "UserList" }) } },
  async handler({ context, principal }) {
    const all = await listUsers(context.store.db, scopeOf(principal));
    return { status: 200, body: { data: all.map(userJson) } };
  },
});
