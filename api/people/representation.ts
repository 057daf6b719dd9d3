import Type from "typebox";
import type { Organization } from "../../store/organizations.ts";
import type { User } from "../../store/users.ts";
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

export const OrganizationView = Type.Object(
  { id: Type.String(), name: Type.String(), created_at: Type.String() },
  { title: "Organization" },
);

export function organizationJson(organization: Organization): Record<string, unknown> {
  return { id: organization.id, name: organization.name, created_at: organization.createdAt };
}

export const SessionFields = {
  access_token: Type.String(),
  token_type: Type.Literal("Bearer"),
  expires_in: Type.Integer({ description: "seconds" }),
};
