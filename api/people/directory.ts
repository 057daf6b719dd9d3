import Type from "typebox";
import { endLogins } from "../../store/logins.ts";
import { changeUser } from "../../store/user-changes.ts";
import { getUser, listUsers } from "../../store/users.ts";
import { Cursor, IdParams, Limit, pageOf } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { answerOf, UserChanged } from "./account.ts";
import { noteOn } from "./own-account.ts";
import { userJson, userVersion, UserView } from "./representation.ts";

export const users = defineRoute({
  method: "GET",
  path: "/api/v1/users",
  tag: "Access",
  summary: "The people you may see",
  access: "member.read",
  query: Type.Object({ limit: Limit(200, 200), cursor: Cursor }, { additionalProperties: false }),
  replies: { 200: { description: "Oldest account first", schema: pageOf(UserView, "UserPage") } },
  async handler({ context, scope, query: { limit = 200, cursor: after } }) {
    const page = await listUsers(context.store.db, scope, { limit, after });
    return { status: 200, body: { data: page.items.map(userJson), next_cursor: page.next } };
  },
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/users/:id",
  tag: "Access",
  summary: "One of the people you may see",
  access: "member.read",
  params: IdParams,
  replies: { 200: { description: "The person", schema: Type.Object({ user: UserView }, { title: "OneUser" }) } },
  errors: ["not_found"],
  async handler({ context, scope, params }) {
    return answerOf(await getUser(context.store.db, scope, params.id.toLowerCase()));
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
  match: "optional",
  params: IdParams,
  body: Type.Object(
    { is_active: Type.Optional(Type.Boolean()), role: Type.Optional(Type.Enum(["admin", "user"])) },
    { additionalProperties: false, minProperties: 1, title: "UserPatch" },
  ),
  bodyExample: { is_active: false },
  replies: { 200: { description: "As it is now", schema: UserChanged } },
  errors: ["not_found", "conflict"],
  handler: ({ context, params, body, match, commit }) =>
    commit(async (db) => {
      const { before, after } = await changeUser(db, params.id.toLowerCase(), { isActive: body.is_active, role: body.role });
      match(userVersion(before));
      const { id, isActive, role } = after;
      const hasChanged = isActive !== before.isActive || role !== before.role;
      if (!isActive) await endLogins(db, id, undefined, context.clock());
      return {
        answer: answerOf(after),
        audit: [noteOn(after, "user.update", { is_active: isActive, role, before: { is_active: before.isActive, role: before.role } })],
        afterwards: async () => {
          if (hasChanged) await context.sessions.disconnect({ userIds: [id] }, "revoked");
        },
      };
    }),
});
