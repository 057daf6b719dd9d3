import Type from "typebox";
import { listUsers } from "../../store/users.ts";
import { defineRoute } from "../route.ts";
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
