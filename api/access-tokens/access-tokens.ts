import Type, { type Static } from "typebox";
import { fault } from "../../core/definition.ts";
import { HubError } from "../../core/errors.ts";
import { DEVICE_PERMISSIONS, may, type Permission, PERMISSIONS } from "../../core/permissions.ts";
import { actorOf, SERVICE_PURPOSES, type ServicePurpose } from "../../core/principal.ts";
import { type AccessToken, createAccessToken, findAccessToken, listAccessTokens, revokeAccessToken } from "../../store/access-tokens.ts";
import { personBehind } from "../../store/authors.ts";
import { requireAccess } from "../authenticate.ts";
import { Cursor, DeviceReference, IdParams, Limit, nullable, pageOf } from "../fields.ts";
import { type Call, defineRoute } from "../route.ts";
import { MAX_TOKEN_DEVICES, tokenScopeFor } from "./token-scope.ts";

const Kind = Type.Enum(["personal", "service"], {
  description: "personal acts as you; service is a machine's account, whose name is also its MQTT username",
});

const AccessTokenView = Type.Object(
  {
    id: Type.String(),
    kind: Kind,
    name: Type.String(),
    purpose: Type.Unsafe<ServicePurpose | null>({
      anyOf: [Type.Enum([...SERVICE_PURPOSES]), { type: "null" }],
      description: "What a service is for: its commands come from there, in the state's reasons and in the audit",
    }),
    user_id: nullable("string"),
    organization_id: Type.String(),
    permissions: Type.Unsafe<Permission[] | null>({
      anyOf: [Type.Array(Type.Enum([...PERMISSIONS])), { type: "null" }],
      description: "What it is limited to; null: not limited",
    }),
    devices: Type.Unsafe<string[] | null>({
      anyOf: [Type.Array(Type.String()), { type: "null" }],
      description: "The devices that it is limited to, by UUID; null: all of the organisation",
    }),
    created_at: Type.String(),
    expires_at: nullable("string"),
    revoked_at: nullable("string"),
    last_used_at: nullable("string"),
  },
  { title: "AccessToken" },
);

function tokenJson(token: AccessToken): Static<typeof AccessTokenView> {
  return {
    id: token.id,
    kind: token.kind,
    name: token.name,
    purpose: token.purpose,
    user_id: token.userId,
    organization_id: token.organizationId,
    permissions: token.permissions === undefined ? null : [...token.permissions],
    devices: token.deviceIds === undefined ? null : [...token.deviceIds],
    created_at: token.createdAt,
    expires_at: token.expiresAt,
    revoked_at: token.revokedAt,
    last_used_at: token.lastUsedAt,
  };
}

const { id, kind, name, purpose, permissions, devices, expires_at } = AccessTokenView.properties;

export const create = defineRoute({
  method: "POST",
  path: "/api/v1/access-tokens",
  tag: "Access",
  summary: "Make a token for a script or a service",
  description:
    "Service accounts take the permission `service.manage`. With `permissions` or `devices` the token may do what is in both: what they say, and what its owner may when it is used. Such a token makes and ends no tokens and logins.",
  access: "self",
  body: Type.Object(
    {
      kind: Kind,
      name: Type.String({ pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" }),
      purpose: Type.Optional(Type.Enum([...SERVICE_PURPOSES], { description: "Of a service account" })),
      expires_in_s: Type.Optional(Type.Integer({ minimum: 60, maximum: 315_360_000, description: "without it the token has no end" })),
      permissions: Type.Optional(
        Type.Array(Type.Enum([...PERMISSIONS]), {
          minItems: 1,
          maxItems: PERMISSIONS.length,
          uniqueItems: true,
          description: "Of yours; without it all of them",
        }),
      ),
      devices: Type.Optional(
        Type.Array(DeviceReference, {
          minItems: 1,
          maxItems: MAX_TOKEN_DEVICES,
          uniqueItems: true,
          description: `Of your organisation; on single devices these count: ${DEVICE_PERMISSIONS.join(", ")}`,
        }),
      ),
    },
    { additionalProperties: false, title: "AccessTokenRequest" },
  ),
  bodyExample: { kind: "service", name: "home-assistant" },
  replies: {
    201: {
      description: "The token, shown once",
      schema: Type.Object(
        { id, kind, name, purpose, token: Type.String(), permissions, devices, expires_at },
        { title: "AccessTokenCreated" },
      ),
    },
  },
  errors: ["conflict", "not_found", "quota_exceeded"],
  handler: ({ context, principal, rights, body, commit }) => {
    const userId = ownerOf({ principal, rights }, body.kind);
    if (body.kind === "personal" && body.purpose !== undefined) throw fault("/purpose", "is of service accounts: yours acts as you");
    const expiresAt = body.expires_in_s === undefined ? null : new Date(context.clock() + body.expires_in_s * 1000).toISOString();
    const { organizationId } = principal;
    return commit(async (db) => {
      const scope = await tokenScopeFor(db, { rights, organizationId }, body);
      const made = await createAccessToken(db, context.keys, {
        kind: body.kind,
        name: body.name,
        purpose: body.purpose,
        organizationId,
        userId,
        createdBy: await personBehind(db, actorOf(principal), null),
        expiresAt,
        ...scope,
      });
      const said = {
        kind: body.kind,
        name: body.name,
        purpose: body.purpose ?? null,
        permissions: scope.permissions ?? null,
        devices: scope.deviceIds ?? null,
        expires_at: expiresAt,
      };
      return {
        answer: { status: 201, body: { id: made.id, token: made.token, ...said } },
        audit: [
          {
            organizationId,
            action: "access_token.create",
            resourceType: "access_token",
            resourceId: made.id,
            details: said,
            after: { id: made.id, ...said },
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
  description: "Those that ended are shown for a month.",
  access: "self",
  query: Type.Object({ limit: Limit(500, 200), cursor: Cursor }, { additionalProperties: false }),
  replies: {
    200: {
      description: "A page of your own, oldest first; with `service.manage` of those of the organisation",
      schema: pageOf(AccessTokenView, "AccessTokenPage"),
    },
  },
  async handler({ context, principal, rights, query }) {
    const { scope, userId } = visibleTo({ principal, rights });
    const page = await listAccessTokens(context.store.db, scope, { userId, limit: query.limit ?? 200, after: query.cursor });
    return { status: 200, body: { data: page.items.map(tokenJson), next_cursor: page.next } };
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
      const { scope, userId } = visibleTo({ principal, rights });
      const row = await findAccessToken(db, scope, { id: params.id.toLowerCase(), userId });
      if (row === undefined || !(await revokeAccessToken(db, scope, row.id, context.clock())))
        throw new HubError("not_found", "there is no such token that is still valid");
      return {
        answer: { status: 204 },
        audit: [
          {
            organizationId: row.organizationId,
            action: "access_token.revoke",
            resourceType: "access_token",
            resourceId: row.id,
            details: { kind: row.kind, name: row.name },
            before: tokenJson(row),
          },
        ],
        afterwards: async () => {
          await context.sessions.disconnect({ credentialIds: [row.id] }, "revoked");
        },
      };
    }),
});

type Caller = Pick<Call<"self">, "principal" | "rights">;

/** All of the organisation for who manages its accounts, all of the hub for its administrators; else one's own. */
function visibleTo({ principal, rights }: Caller) {
  const { organizationId } = principal;
  if (rights.kind === "platform") return { scope: { kind: "platform" } as const, userId: undefined };
  const userId = may(rights, "service.manage", organizationId) ? undefined : principal.id;
  return { scope: { kind: "organization", organizationId } as const, userId };
}

/** The user a personal token acts as. Throws `forbidden` where the caller may not make such a token. */
function ownerOf({ principal, rights }: Caller, wanted: "personal" | "service"): string | undefined {
  if (wanted === "service") {
    requireAccess("service.manage", rights);
    return undefined;
  }
  if (principal.kind !== "user") throw new HubError("forbidden", "a personal token belongs to a person: log in as one");
  return principal.id;
}
