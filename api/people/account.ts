import Type from "typebox";
import { removeUser, renameUser } from "../../store/user-changes.ts";
import { getUser, lockUser, type User } from "../../store/users.ts";
import { HubError } from "../../core/errors.ts";
import { PLATFORM } from "../../core/principal.ts";
import { line } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { confirmPassword, noteOn, requirePerson } from "./own-account.ts";
import { userJson, userVersion, UserView } from "./representation.ts";

export const UserChanged = Type.Object({ user: UserView }, { title: "UserChanged" });

export const answerOf = (user: User) => ({ status: 200, version: userVersion(user), body: { user: userJson(user) } });

const Name = line(120);
const NullableName = Type.Unsafe<string | null>({ anyOf: [Name, { type: "null" }], description: "null takes it away" });

export const update = defineRoute({
  method: "PATCH",
  path: "/api/v1/auth/me",
  tag: "Access",
  summary: "Change your name",
  access: "self",
  match: "optional",
  body: Type.Object({ name: NullableName }, { additionalProperties: false, title: "OwnAccountPatch" }),
  bodyExample: { name: "Ada" },
  replies: { 200: { description: "As it is now", schema: UserChanged } },
  errors: ["forbidden", "not_found"],
  handler: ({ principal, body, match, commit }) =>
    commit(async (db) => {
      const { id } = requirePerson(principal);
      const before = await lockUser(db, id);
      if (!before) throw new HubError("not_found", "the account is gone");
      match(userVersion(before));
      await renameUser(db, id, body.name);
      const user = await getUser(db, PLATFORM, id);
      return { answer: answerOf(user), audit: [noteOn(user, "user.update", { name: user.name })] };
    }),
});

export const remove = defineRoute({
  method: "DELETE",
  path: "/api/v1/auth/me",
  tag: "Access",
  summary: "Delete your account",
  description:
    "With everything that is yours alone: logins, tokens, rights, and organisations in which nobody and nothing else is. Refused while you are the only owner of one that has other members, devices, sites, rooms, projects or service accounts, or the only administrator of the hub.",
  access: "self",
  body: Type.Object(
    { password: Type.String({ minLength: 1, maxLength: 1024 }) },
    { additionalProperties: false, title: "OwnAccountRemoval" },
  ),
  replies: { 204: { description: "Deleted; your sessions have ended" } },
  errors: ["forbidden", "not_found", "conflict"],
  async handler(call) {
    const { context, body, commit } = call;
    const user = await confirmPassword(call, body.password);
    const answer = await commit(async (db) => {
      await removeUser(db, user.id, context.clock());
      return {
        answer: { status: 204 },
        audit: [noteOn(user, "user.remove")],
        afterwards: async () => {
          await context.access.changed([user.id]);
          await context.sessions.disconnect({ userIds: [user.id] }, "deleted");
        },
      };
    });
    return { ...answer, cookie: "cleared" };
  },
});
