import Type from "typebox";
import { endLogins } from "../../store/logins.ts";
import { changeUser } from "../../store/user-changes.ts";
import { listUsers } from "../../store/users.ts";
import { IdParams } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { UserChanged } from "./account.ts";
import { noteOn } from "./own-account.ts";
import { userJson, UserView } from "./representation.ts";

export const users = defineRoute({
  method: "GET",
  path: "/api/v1/users",
  tag: "Access",
  summary: "The people you may see",
  access: "member.read",
  replies: { 200: { description: "The users", schema: Type.Object({ data: Type.Array(UserView) }, { title: "UserList" }) } },
  async handler({ context, scope }) {
    const all = await listUsers(context.store.db, scope);
    return { status: 200, body: { data: all.map(userJson) } };
  },
});

export const update = defineRoute({
  method: "PATCH",
  path: "/api/v1/users/:id",
  tag: "Access",
  summary: "Let somebody in or not, and make them an administrator of the hub or not",
  description:
    "Whoever is not active has no logins, and their tokens and sessions stop at once. Sessions end with another role too, since they began with the old one. The hub keeps at least one active administrator.",
  access: "platform",
  params: IdParams,
  body: Type.Object(
    { is_active: Type.Optional(Type.Boolean()), role: Type.Optional(Type.Enum(["admin", "user"])) },
    { additionalProperties: false, minProperties: 1, title: "UserPatch" },
  ),
  bodyExample: { is_active: false },
  replies: { 200: { description: "As it is now", schema: UserChanged } },
  errors: ["not_found", "conflict"],
  handler: ({ context, params, body, commit }) =>
    commit(async (db) => {
      const { before, after } = await changeUser(db, params.id.toLowerCase(), { isActive: body.is_active, role: body.role });
      const { id, isActive, role } = after;
      const hasChanged = isActive !== before.isActive || role !== before.role;
      if (!isActive) await endLogins(db, id, undefined, context.clock());
      return {
        answer: { status: 200, body: { user: userJson(after) } },
        audit: [noteOn(after, "user.update", { is_active: isActive, role, before: { is_active: before.isActive, role: before.role } })],
        afterwards: async () => {
          if (hasChanged) await context.sessions.disconnect({ userIds: [id] }, "revoked");
        },
      };
    }),
});
