import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { may, scopeOf } from "../../core/permissions.ts";
import { PLATFORM } from "../../core/principal.ts";
import { type AccessToken, createAccessToken, listAccessTokens, revokeAccessToken } from "../../store/access-tokens.ts";
import type { Db } from "../../store/open.ts";
import { requireAccess } from "../authenticate.ts";
import { IdParams, nullable } from "../fields.ts";
import { type Call, defineRoute } from "../route.ts";

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
  description: "Service accounts take the permission `service.manage`.",
  access: "self",
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
  errors: ["conflict", "forbidden"],
  handler: ({ context, principal, rights, body, commit }) => {
    const { kind, name } = body;
    const userId = ownerOf({ principal, rights }, kind);
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
  access: "self",
  replies: {
    200: {
      description: "Your own; with `service.manage` those of the organisation",
      schema: Type.Object({ data: Type.Array(AccessTokenView) }, { title: "AccessTokenList" }),
    },
  },
  async handler({ context, principal, rights }) {
    const rows = await visibleTokens(context.store.db, { principal, rights });
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
  access: "self",
  params: IdParams,
  replies: { 204: { description: "Revoked" } },
  errors: ["not_found"],
  handler: ({ context, principal, rights, params, commit }) =>
    commit(async (db) => {
      const id = params.id.toLowerCase();
      const row = (await visibleTokens(db, { principal, rights })).find((one) => one.id === id);
      if (row === undefined || !(await revokeAccessToken(db, PLATFORM, id, context.clock())))
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

type Caller = Pick<Call<"self">, "principal" | "rights">;

/** All of the organisation for who manages its accounts; else one's own. */
async function visibleTokens(db: Db, { principal, rights }: Caller): Promise<AccessToken[]> {
  const { organizationId } = principal;
  if (may(rights, "service.manage", organizationId)) return await listAccessTokens(db, scopeOf(rights, "service.manage"));
  const rows = await listAccessTokens(db, { kind: "organization", organizationId });
  return rows.filter((row) => row.userId === principal.id);
}

/** The user a personal token acts as. Throws `forbidden` where the caller may not make such a token. */
function ownerOf({ principal, rights }: Caller, kind: "personal" | "service"): string | undefined {
  if (kind === "service") {
    requireAccess("service.manage", rights);
    return undefined;
  }
  if (principal.kind !== "user") throw new HubError("forbidden", "a personal token belongs to a person: log in as one");
  return principal.id;
}
