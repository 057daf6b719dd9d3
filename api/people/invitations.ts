import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import {
  createInvitation,
  findInvitation,
  type Invitation,
  listInvitations,
  takeInvitation,
  withdrawInvitation,
} from "../../store/invitations.ts";
import { openLogin, setLoginOrganization } from "../../store/logins.ts";
import { addMember } from "../../store/members.ts";
import { findOrganization } from "../../store/organizations.ts";
import type { Db } from "../../store/open.ts";
import { createUser, findUser, userIdOf } from "../../store/users.ts";
import { Email, IdParams, line, nullable, Password, Uuid } from "../fields.ts";
import { type AuditNote, type Call, defineRoute } from "../route.ts";
import { permissionsOfRole, requireAll } from "./members.ts";
import { NullableRole, organizationFor } from "./organizations.ts";
import { organizationJson, OrganizationView, Session, sessionJson } from "./representation.ts";

const TTL_MS = 7 * 86_400_000;

const InvitationView = Type.Object(
  {
    id: Type.String(),
    email: Type.String(),
    role: NullableRole,
    invited_by: nullable("string"),
    created_at: Type.String(),
    expires_at: Type.String(),
  },
  { title: "Invitation" },
);
const Token = Type.String({ minLength: 1, maxLength: 256, description: "From the invitation" });

const invitationJson = ({ id, email, role, invitedBy, createdAt, expiresAt }: Invitation) => ({
  id,
  email,
  role,
  invited_by: invitedBy,
  created_at: createdAt,
  expires_at: expiresAt,
});

export const create = defineRoute({
  method: "POST",
  path: "/api/v1/organizations/:id/invitations",
  tag: "Organisations",
  summary: "Invite somebody",
  description: "By e-mail address, for seven days; nobody else can use the token. Another invitation of the same address takes its place.",
  access: "member.manage",
  params: IdParams,
  body: Type.Object({ email: Email, role: NullableRole }, { additionalProperties: false, title: "InvitationRequest" }),
  bodyExample: { email: "grace@example.com", role: "operator" },
  replies: {
    201: {
      description: "The invitation, with its token shown once",
      schema: Type.Object({ invitation: InvitationView, token: Type.String() }, { title: "Invited" }),
    },
  },
  errors: ["not_found", "quota_exceeded"],
  handler: ({ context, principal, rights, params, body, commit }) =>
    commit(async (db) => {
      const { id: organizationId } = await organizationFor(rights, "member.manage", db, params.id);
      requireAll(rights, permissionsOfRole(body.role));
      const invitedBy = principal.kind === "user" ? principal.id : null;
      const { token, ...invitation } = await createInvitation(
        db,
        context.keys,
        { organizationId, ...body, invitedBy, ttlMs: TTL_MS },
        context.clock(),
      );
      const { email, role } = invitation;
      return {
        answer: { status: 201, body: { invitation: invitationJson(invitation), token } },
        audit: [{ ...note(invitation, "invitation.create", { email, role }), after: invitationJson(invitation) }],
      };
    }),
});

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/organizations/:id/invitations",
  tag: "Organisations",
  summary: "Invitations that nobody has taken yet",
  access: "member.manage",
  params: IdParams,
  replies: { 200: { description: "Oldest first", schema: Type.Object({ data: Type.Array(InvitationView) }, { title: "InvitationList" }) } },
  errors: ["not_found"],
  async handler({ context, rights, params }) {
    const { db } = context.store;
    const { id } = await organizationFor(rights, "member.manage", db, params.id);
    return { status: 200, body: { data: (await listInvitations(db, id, context.clock())).map(invitationJson) } };
  },
});

export const withdraw = defineRoute({
  method: "DELETE",
  path: "/api/v1/organizations/:id/invitations/:invitation_id",
  tag: "Organisations",
  summary: "Withdraw an invitation",
  access: "member.manage",
  params: Type.Object({ id: Uuid, invitation_id: Uuid }, { additionalProperties: false }),
  replies: { 204: { description: "Its token is worth nothing now" } },
  errors: ["not_found"],
  handler: ({ rights, params, commit }) =>
    commit(async (db) => {
      const { id: organizationId } = await organizationFor(rights, "member.manage", db, params.id);
      const id = params.invitation_id.toLowerCase();
      if (!(await withdrawInvitation(db, organizationId, id))) throw new HubError("not_found", "there is no such invitation");
      return { answer: { status: 204 }, audit: [note({ id, organizationId }, "invitation.withdraw", {})] };
    }),
});

export const accept = defineRoute({
  method: "POST",
  path: "/api/v1/invitations/accept",
  tag: "Organisations",
  summary: "Join the organisation that invited you",
  description: "A role that you have there already stays. POST /api/v1/auth/organization acts in it.",
  access: "self",
  body: Type.Object({ token: Token }, { additionalProperties: false, title: "InvitationAcceptance" }),
  replies: { 200: { description: "You are in", schema: Type.Object({ organization: OrganizationView }, { title: "Joined" }) } },
  errors: ["not_found"],
  handler: ({ context, principal, body, commit }) =>
    commit(async (db) => {
      const user = principal.kind === "user" ? await findUser(db, principal.id) : undefined;
      const taken = await take({ context }, db, body.token);
      // Whose it is not learns nothing, and does not use it up: the transaction is rolled back.
      if (!user || taken.invitation.email !== user.email) throw unknown();
      await addMember(db, taken.organization.id, user.id, taken.invitation.role);
      return {
        answer: { status: 200, body: { organization: organizationJson(taken.organization) } },
        audit: [note(taken.invitation, "invitation.accept", { user_id: user.id })],
        afterwards: () => context.access.changed([user.id]),
      };
    }),
});

export const register = defineRoute({
  method: "POST",
  path: "/api/v1/invitations/register",
  tag: "Organisations",
  summary: "Make an account by an invitation",
  description:
    "For the address that was invited, which counts as verified, since the token was sent there. Whoever has an account accepts instead.",
  access: "none",
  body: Type.Object(
    { token: Token, password: Password, name: Type.Optional(line(120)) },
    { additionalProperties: false, title: "InvitationRegistration" },
  ),
  bodyExample: { token: "hxi_…", password: "correct horse battery", name: "Grace" },
  replies: { 201: { description: "The account, logged in", schema: Session } },
  errors: ["not_found", "conflict"],
  async handler({ context, body, commit, caller }) {
    // Before the work that a password is: whoever has no token shall not cause it.
    if (!(await findInvitation(context.store.db, context.keys, body.token, context.clock()))) throw unknown();
    const passwordHash = await context.passwords.hash(body.password);
    return await commit(async (db) => {
      const { invitation } = await take({ context }, db, body.token);
      const { email, organizationId, role } = invitation;
      if ((await userIdOf(db, email)) !== undefined)
        throw new HubError("conflict", "this address has an account: log in and accept the invitation");
      const user = await createUser(db, {
        email,
        passwordHash,
        role: "user",
        organizationId,
        memberRole: role,
        name: body.name,
        isEmailVerified: true,
      });
      const login = await openLogin(db, context.keys, { userId: user.id, ttlMs: context.settings.loginTtlMs, ...caller }, context.clock());
      await setLoginOrganization(db, login.id, organizationId);
      return {
        answer: { status: 201, body: sessionJson(context, user, login) },
        audit: [note(invitation, "invitation.register", { user_id: user.id })],
        afterwards: () => context.access.changed([user.id]),
      };
    });
  },
});

/** Throws `not_found` for a token that nobody may use any more. */
async function take({ context }: Pick<Call, "context">, db: Db, token: string) {
  const invitation = await takeInvitation(db, context.keys, token, context.clock());
  const organization = invitation && (await findOrganization(db, invitation.organizationId));
  if (!invitation || !organization) throw unknown();
  return { invitation, organization };
}

const unknown = (): HubError => new HubError("not_found", "the invitation is unknown, used or too old");

function note(
  { id, organizationId }: Pick<Invitation, "id" | "organizationId">,
  action: string,
  details: Record<string, unknown>,
): AuditNote {
  return { organizationId, action, resourceType: "invitation", resourceId: id, details };
}
