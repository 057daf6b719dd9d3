import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import type { Member } from "../../core/principal.ts";
import { endLogin, listLogins, type Refreshed, refreshLogin } from "../../store/logins.ts";
import type { ApiContext } from "../context.ts";
import { IdParams, nullable } from "../fields.ts";
import { type AuditNote, type Call, defineRoute, type Effect } from "../route.ts";
import { Session, sessionJson } from "./representation.ts";

const LoginView = Type.Object(
  {
    id: Type.String(),
    is_current: Type.Boolean(),
    client_id: nullable("string", { description: "The program that your account is linked with by it; null: you came yourself" }),
    address: nullable("string"),
    user_agent: nullable("string"),
    created_at: Type.String(),
    last_used_at: Type.String(),
    expires_at: Type.String(),
  },
  { title: "Login" },
);

export const refresh = defineRoute({
  method: "POST",
  path: "/api/v1/auth/refresh",
  tag: "Access",
  summary: "The next tokens of a login",
  description:
    "A refresh token works once. Whoever lost the answer may ask again within 10 s and gets the same one; a token that comes later than that is taken for stolen, and ends the login.",
  access: "none",
  // The token is its own key: asked again, it gives the same.
  idempotent: false,
  body: Type.Object(
    { refresh_token: Type.String({ minLength: 1, maxLength: 256 }) },
    { additionalProperties: false, title: "RefreshRequest" },
  ),
  replies: { 200: { description: "New tokens; the old refresh token has done its work", schema: Session } },
  errors: ["unauthorized"],
  async handler({ context, body, commit }) {
    const { keys, clock } = context;
    let refreshed: Refreshed = { kind: "refused" };
    const answer = await commit(async (db): Promise<Effect> => {
      refreshed = await refreshLogin(db, keys, body.refresh_token, clock());
      if (refreshed.kind === "refreshed") {
        const { user, id } = refreshed;
        const note = { organizationId: user.organizationId, action: "user.token_refreshed", resourceType: "login", resourceId: id };
        return {
          answer: { status: 200, body: sessionJson(context, user, refreshed) },
          audit: [{ ...note, details: { user_id: user.id } }],
        };
      }
      if (refreshed.kind === "refused") return { answer: { status: 401 }, audit: [] };
      const { id, organizationId } = refreshed;
      return ending(context, { id, answer: { status: 401 } }, { organizationId, action: "user.refresh_token_reused" });
    });
    // Thrown after the commit: that the login has ended must stay.
    if (answer.status === 401) throw new HubError("unauthorized", "the refresh token is wrong, used, expired or revoked");
    return answer;
  },
});

export const logout = defineRoute({
  method: "POST",
  path: "/api/v1/auth/logout",
  tag: "Access",
  summary: "End the login that the token belongs to",
  description: "Its tokens stop to work, and the MQTT sessions that began with it end at once.",
  access: "self",
  idempotent: false,
  replies: { 204: { description: "Logged out" } },
  errors: ["not_found"],
  async handler(call) {
    return { ...(await endOwn(call, call.principal.credentialId)), cookie: "cleared" };
  },
});

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/auth/logins",
  tag: "Access",
  summary: "Where you are logged in",
  access: "self",
  replies: {
    200: { description: "The logins that go on", schema: Type.Object({ data: Type.Array(LoginView) }, { title: "LoginList" }) },
  },
  async handler({ context, principal }) {
    const logins = principal.kind === "user" ? await listLogins(context.store.db, principal.id, context.clock()) : [];
    return {
      status: 200,
      body: {
        data: logins.map((login) => ({
          id: login.id,
          is_current: login.id === principal.credentialId,
          client_id: login.clientId,
          address: login.address,
          user_agent: login.userAgent,
          created_at: login.createdAt,
          last_used_at: login.lastUsedAt,
          expires_at: login.expiresAt,
        })),
      },
    };
  },
});

export const end = defineRoute({
  method: "DELETE",
  path: "/api/v1/auth/logins/:id",
  tag: "Access",
  summary: "Log out somewhere else",
  access: "self",
  params: IdParams,
  replies: { 204: { description: "That login has ended" } },
  errors: ["not_found"],
  handler: (call) => endOwn(call, call.params.id.toLowerCase()),
});

/** Throws `not_found` for a login of somebody else, and for what is no login. */
function endOwn({ context, principal, commit }: Pick<Call, "context" | "commit"> & { readonly principal: Member }, id: string) {
  return commit(async (db) => {
    const now = context.clock();
    const mine = principal.kind === "user" ? await listLogins(db, principal.id, now) : [];
    if (!mine.some((login) => login.id === id) || !(await endLogin(db, id, now)))
      throw new HubError("not_found", "there is no such login of yours");
    return ending(context, { id, answer: { status: 204 } }, { organizationId: principal.organizationId, action: "user.logout" });
  });
}

/** Whatever began with the login ends with it. */
function ending(
  { sessions }: Pick<ApiContext, "sessions">,
  { id, answer }: { readonly id: string; readonly answer: Effect["answer"] },
  note: Pick<AuditNote, "organizationId" | "action">,
): Effect {
  return {
    answer,
    audit: [{ ...note, resourceType: "login", resourceId: id }],
    afterwards: async () => {
      await sessions.disconnect({ credentialIds: [id] }, "revoked");
    },
  };
}
