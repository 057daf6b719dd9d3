import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { dropEmailTokens, type Registration, takeEmailToken } from "../../store/email-tokens.ts";
import { createOrganization, HOME } from "../../store/organizations.ts";
import type { Db } from "../../store/open.ts";
import { hashPassword } from "../../store/passwords.ts";
import { changeEmail, markEmailVerified } from "../../store/user-changes.ts";
import { createUser, findUser, type User, userIdOf } from "../../store/users.ts";
import type { ApiContext } from "../context.ts";
import { Email, line, Password } from "../fields.ts";
import { defineRoute, type Effect } from "../route.ts";
import { askForMail, MailedToken, mailNews, mailToken, Requested } from "./mail-request.ts";
import { noteOn } from "./own-account.ts";
import { userJson, UserView } from "./representation.ts";

const TTL_MS = 86_400_000;

export const register = defineRoute({
  method: "POST",
  path: "/api/v1/auth/register",
  tag: "Access",
  summary: "Ask for an account",
  description:
    "Where HEXA_REGISTRATION is open; everywhere else people come by invitation. A mail goes to the address, and the account is made when its token comes to POST /api/v1/auth/verify-email within 24 hours, with an organisation of its own. The answer is the same for an address that has an account.",
  access: "none",
  body: Type.Object(
    { email: Email, password: Password, name: Type.Optional(line(120)), organization_name: Type.Optional(line(120)) },
    { additionalProperties: false, title: "RegistrationRequest" },
  ),
  bodyExample: { email: "ada@example.com", password: "correct horse battery", name: "Ada", organization_name: "Villa" },
  replies: { 202: { description: "A mail goes to the address", schema: Requested } },
  errors: ["forbidden", "unavailable"],
  async handler({ context, body, caller, commit }) {
    if (context.settings.registration !== "open")
      throw new HubError("forbidden", "people come to this hub by invitation: ask somebody who manages an organisation here");
    await askForMail(context, caller);
    const { email, name = null, organization_name: organizationName = null } = body;
    const registration: Registration = { passwordHash: await hashPassword(body.password), name, organizationName };
    const isWanted = await context.rateLimits.mayWriteTo(email, "registration");
    return await commit(async (db) => {
      if (isWanted) await mailToken(context, db, { kind: "registration", email, registration }, { address: caller.address, ttlMs: TTL_MS });
      return {
        answer: { status: 202, body: { status: "verification_sent" } },
        audit: [
          {
            organizationId: null,
            action: "user.registration_requested",
            resourceType: "user",
            resourceId: null,
            details: { address: caller.address },
          },
        ],
        afterwards: () => context.mailer.wake(),
      };
    });
  },
});

export const verifyEmail = defineRoute({
  method: "POST",
  path: "/api/v1/auth/verify-email",
  tag: "Access",
  summary: "Show that you read what is sent to your address",
  description: "With the token of a mail: makes the account that was asked for, verifies its address, or changes it.",
  access: "none",
  body: Type.Object({ token: MailedToken }, { additionalProperties: false, title: "EmailVerification" }),
  bodyExample: { token: "hxv_…" },
  replies: {
    200: { description: "The person, whose address is verified", schema: Type.Object({ user: UserView }, { title: "EmailVerified" }) },
  },
  errors: ["unauthorized", "conflict"],
  handler: ({ context, body, commit }) =>
    commit(async (db) => {
      const kinds = ["registration", "email_verification", "email_change"] as const;
      const token = await takeEmailToken(db, context.keys, body.token, kinds, context.clock());
      switch (token?.kind) {
        case "registration":
          return await makePerson(context, db, token.email, token.registration);
        case "email_verification":
          if (!(await markEmailVerified(db, token.userId, token.email))) throw unknown();
          return verified(await findUser(db, token.userId), "user.email_verified");
        case "email_change":
          return await moveTo(context, db, token.userId, token.email);
        default:
          throw unknown();
      }
    }),
});

/** Throws `conflict` when somebody was made with the address meanwhile. */
async function makePerson(
  context: Pick<ApiContext, "access">,
  db: Db,
  email: string,
  { passwordHash, name, organizationName }: Registration,
): Promise<Effect> {
  if ((await userIdOf(db, email)) !== undefined)
    throw new HubError("conflict", "this address has an account: log in, or have the password reset");
  const { id: organizationId } = await createOrganization(db, { name: organizationName ?? HOME });
  const wanted = { email, passwordHash, name, organizationId, role: "user", memberRole: "owner", isEmailVerified: true } as const;
  const user = await createUser(db, wanted);
  await dropEmailTokens(db, user);
  return { ...verified(user, "user.register"), afterwards: () => context.access.changed([user.id]) };
}

/** The old address hears of it. Throws `conflict` when somebody else has the new one by now. */
async function moveTo(context: Pick<ApiContext, "keys" | "clock" | "mailer">, db: Db, userId: string, email: string): Promise<Effect> {
  const before = await changeEmail(db, userId, email);
  if (before === undefined) throw unknown();
  // A reset that was sent to the old address must not come true at the one who gets it next.
  for (const address of [before, email]) await dropEmailTokens(db, { id: userId, email: address });
  await mailNews(context, db, before, { kind: "email_changed", email });
  return { ...verified(await findUser(db, userId), "user.email_changed", { before }), afterwards: () => context.mailer.wake() };
}

function verified(user: User | undefined, action: string, details: Record<string, unknown> = {}): Effect {
  if (!user) throw unknown();
  return {
    answer: { status: 200, body: { user: userJson(user) } },
    audit: [noteOn(user, action, { email: user.email, ...details })],
  };
}

const unknown = (): HubError => new HubError("unauthorized", "the token is wrong, used, replaced by a newer one, or too old");
