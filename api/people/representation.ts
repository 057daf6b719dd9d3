import Type from "typebox";
import { versionOf } from "../../core/version.ts";
import { issueUserJwt, type LoginTokens } from "../../store/logins.ts";
import type { Organization } from "../../store/organizations.ts";
import type { User } from "../../store/users.ts";
import type { ApiContext } from "../context.ts";
import { nullable } from "../fields.ts";

export const UserView = Type.Object(
  {
    id: Type.String(),
    email: Type.String(),
    name: nullable("string"),
    role: Type.Enum(["admin", "user"]),
    organization_id: Type.String(),
    is_active: Type.Boolean(),
    is_email_verified: Type.Boolean(),
    created_at: Type.String(),
  },
  { title: "User" },
);

export function userJson(user: User): Record<string, unknown> {
  return {
    id: user.id,
    email: user.email,
    name: user.name,
    role: user.role,
    organization_id: user.organizationId,
    is_active: user.isActive,
    is_email_verified: user.isEmailVerified,
    created_at: user.createdAt,
  };
}

/** Whichever organisation they are seen in. */
export const userVersion = (user: User): string => versionOf({ ...userJson(user), organization_id: null });

export const OrganizationView = Type.Object(
  { id: Type.String(), name: Type.String(), created_at: Type.String() },
  { title: "Organization" },
);

export function organizationJson(organization: Organization): Record<string, unknown> {
  return { id: organization.id, name: organization.name, created_at: organization.createdAt };
}

const SessionFields = {
  access_token: Type.String(),
  token_type: Type.Literal("Bearer"),
  expires_in: Type.Integer({ description: "seconds" }),
  refresh_token: Type.String({ description: "For POST /api/v1/auth/refresh, once" }),
  refresh_expires_in: Type.Integer({ description: "seconds" }),
};

export const Session = Type.Object({ ...SessionFields, user: UserView }, { title: "Session" });

export const CookieSession = Type.Object({ user: UserView }, { title: "CookieSession" });

/** The tokens of a login that begins or goes on. */
export function sessionJson(
  context: Pick<ApiContext, "keys" | "settings" | "clock">,
  user: User,
  login: LoginTokens,
): Record<string, unknown> {
  const { accessTokenTtlMs } = context.settings;
  return {
    access_token: issueUserJwt(context.keys, { loginId: login.id, userId: user.id }, accessTokenTtlMs, context.clock()),
    token_type: "Bearer",
    expires_in: Math.floor(accessTokenTtlMs / 1000),
    refresh_token: login.refreshToken,
    refresh_expires_in: Math.floor(login.ttlMs / 1000),
    user: userJson(user),
  };
}
