import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { scopeOf } from "../../core/principal.ts";
import { createAccessToken, listAccessTokens, revokeAccessToken } from "../../store/access-tokens.ts";
import type { Db } from "../../store/open.ts";
import { isAdmin } from "../authenticate.ts";
import { IdParams, nullable } from "../fields.ts";
import { defineRoute, type Member } from "../route.ts";

const Kind = Type.Enum(["personal", "service"], {
  description: "personal acts as you; service is a machine's account, whose name is also its MQTT username",
});

const AccessTokenView = Type.Object(
  {
    id: Type.String(),
    kind: Kind,
    name: Type.String(),
    user_id: nullable("string"),
    organization_id: Type.String(),
    created_at: Type.String(),
    expires_at: nullable("string"),
    revoked_at: nullable("string"),
    last_used_at: nullable("string"),
  },
  { title: "AccessToken" },
);

export const create = defineRoute({
  method: "POST",
  path: "/api/v1/access-tokens",
  tag: "Access",
  summary: "Make a token for a script or a service",
  description: "Service accounts are for administrators to make.",
  access: "member",
  body: Type.Object(
    {
      kind: Kind,
      name: Type.String({ pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" }),
      expires_in_s: Type.Optional(Type.Integer({ minimum: 60, maximum: 315_360_000, description: "without it the token has no end" })),
    },
    { additionalProperties: false, title: "AccessTokenRequest" },
  ),
  bodyExample: { kind: "service", name: "home-assistant" },
  replies: {
    201: {
      description: "The token, shown once",
      schema: Type.Object(
        { id: Type.String(), kind: Kind, name: Type.String(), token: Type.String(), expires_at: nullable("string") },
        { title: "AccessTokenCreated" },
      ),
    },
  },
  errors: ["conflict"],
  handler: ({ context, principal, body, commit }) => {
    const { kind, name } = body;
    const userId = ownerOf(principal, kind);
    const expiresAt = body.expires_in_s === undefined ? null : new Date(context.clock() + body.expires_in_s * 1000).toISOString();
    const { organizationId } = principal;
    return commit(async (db) => {
      const made = await createAccessToken(db, context.keys, { kind, name, organizationId, userId, expiresAt });
      return {
        answer: { status: 201, body: { id: made.id, kind, name, token: made.token, expires_at: expiresAt } },
        audit: [
          {
            organizationId,
            action: "access_token.create",
            resourceType: "access_token",
            resourceId: made.id,
            details: { kind, name, expires_at: expiresAt },
          },
        ],
      };
    });
  },
});

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/access-tokens",
  tag: "Access",
  summary: "The tokens you may see, never their secrets",
  access: "member",
  replies: {
    200: {
      description: "Your own; all of them for an administrator",
      schema: Type.Object({ data: Type.Array(AccessTokenView) }, { title: "AccessTokenList" }),
    },
  },
  async handler({ context, principal }) {
    const rows = await visibleTokens(context.store.db, principal);
    return {
      status: 200,
      body: {
        data: rows.map((row) => ({
          id: row.id,
          kind: row.kind,
          name: row.name,
          user_id: row.userId,
          organization_id: row.organizationId,
          created_at: row.createdAt,
          expires_at: row.expiresAt,
          revoked_at: row.revokedAt,
          last_used_at: row.lastUsedAt,
        })),
      },
    };
  },
});

export const revoke = defineRoute({
  method: "DELETE",
  path: "/api/v1/access-tokens/:id",
  tag: "Access",
  summary: "Revoke a token",
  description: "MQTT sessions that began with it end at once.",
  access: "member",
  params: IdParams,
  replies: { 204: { description: "Revoked" } },
  errors: ["not_found"],
  handler: ({ context, principal, params, commit }) =>
    commit(async (db) => {
      const id = params.id.toLowerCase();
      const row = (await visibleTokens(db, principal)).find((one) => one.id === id);
      if (row === undefined || !(await revokeAccessToken(db, scopeOf(principal), id, context.clock())))
        throw new HubError("not_found", "there is no such token that is still valid");
      return {
        answer: { status: 204 },
        audit: [
          {
            organizationId: row.organizationId,
            action: "access_token.revoke",
            resourceType: "access_token",
            resourceId: id,
            details: { kind: row.kind, name: row.name },
          },
        ],
        afterwards: async () => {
          await context.sessions.disconnect({ credentialIds: [id] }, "revoked");
        },
      };
    }),
});

async function visibleTokens(db: Db, principal: Member) {
  const rows = await listAccessTokens(db, scopeOf(principal));
  return isAdmin(principal) ? rows : rows.filter((row) => row.userId === principal.id);
}

/** The user a personal token acts as. Throws `forbidden` where the caller may not make such a token. */
function ownerOf(principal: Member, kind: "personal" | "service"): string | undefined {
  if (kind === "service") {
    if (!isAdmin(principal)) throw new HubError("forbidden", "only an administrator may make service accounts");
    return undefined;
  }
  if (principal.kind !== "user") throw new HubError("forbidden", "a personal token belongs to a person: log in as one");
  return principal.id;
}
