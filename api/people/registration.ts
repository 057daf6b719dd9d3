import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { newAudit } from "../../core/event.ts";
import { SYSTEM } from "../../core/principal.ts";
import { insertAudit } from "../../store/audit.ts";
import { dropEmailTokens, findEmailToken, type Registration, takeEmailToken, tryRegistration } from "../../store/email-tokens.ts";
import { createOrganization, HOME } from "../../store/organizations.ts";
import type { Db } from "../../store/open.ts";
import { changeEmail, markEmailVerified } from "../../store/user-changes.ts";
import { createUser, findUser, type User, userIdOf } from "../../store/users.ts";
import type { ApiContext } from "../context.ts";
import { Email, line, Password } from "../fields.ts";
import { type Call, defineRoute, type Effect } from "../route.ts";
import { askForMail, MailedToken, mailNews, mailToken, Requested, strangersNote } from "./mail-request.ts";
import { noteOn } from "./own-account.ts";
import { userJson, UserView } from "./representation.ts";

const TTL_MS = 86_400_000;

export const register = defineRoute({
  method: "POST",
  path: "/api/v1/auth/register",
  tag: "Access",
  summary: "Ask for an account",
  description:
    "Where HEXA_REGISTRATION is open; everywhere else people come by invitation. A mail goes to the address, and the account is made when its token comes to POST /api/v1/auth/verify-email within 24 hours, together with this password, with an organisation of its own. The answer is the same for an address that has an account.",
  access: "none",
  body: Type.Object(
    { email: Email, password: Password, name: Type.Optional(line(120)), organization_name: Type.Optional(line(120)) },
    { additionalProperties: false, title: "RegistrationRequest" },
  ),
  bodyExample: { email: "ada@example.com", password: "correct horse battery", name: "Ada", organization_name: "Villa" },
  replies: { 202: { description: "A mail goes to the address", schema: Requested } },
  errors: ["forbidden", "unavailable"],
  async handler(call) {
    const { context, body, caller } = call;
    if (context.settings.registration !== "open")
      throw new HubError("forbidden", "people come to this hub by invitation: ask somebody who manages an organisation here");
    await askForMail(context, caller);
    const { email, name = null, organization_name: organizationName = null } = body;
    const registration: Registration = { passwordHash: await context.passwords.hash(body.password), name, organizationName };
    const audit = strangersNote("user.registration_requested", caller);
    return await mailToken(call, { kind: "registration", email, registration }, { ttlMs: TTL_MS, audit });
  },
});

const KINDS = ["registration", "email_verification", "email_change"] as const;

export const verifyEmail = defineRoute({
  method: "POST",
  path: "/api/v1/auth/verify-email",
  tag: "Access",
  summary: "Show that you read what is sent to your address",
  description:
    "With the token of a mail: makes the account that was asked for, verifies its address, or changes it. An account is made for whoever shows the password that was chosen when it was asked for: somebody else may have asked in your name. After five wrong ones the token is worth nothing.",
  access: "none",
  body: Type.Object(
    {
      token: MailedToken,
      password: Type.Optional(
        Type.String({ minLength: 1, maxLength: 1024, description: "For a registration: the one that was chosen there" }),
      ),
    },
    { additionalProperties: false, title: "EmailVerification" },
  ),
  bodyExample: { token: "hxv_…", password: "correct horse battery" },
  replies: {
    200: { description: "The person, whose address is verified", schema: Type.Object({ user: UserView }, { title: "EmailVerified" }) },
  },
  errors: ["unauthorized", "forbidden", "conflict"],
  async handler(call) {
    const { context, body, commit } = call;
    const { keys, store } = context;
    const found = await findEmailToken(store.db, keys, body.token, KINDS, context.clock());
    if (!found) throw unknown();
    if (found.kind === "registration") await confirmRegistration(call);
    return await commit(async (db) => {
      const token = await takeEmailToken(db, keys, body.token, KINDS, context.clock());
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
    });
  },
});

/** Whoever reads the mail need not be who asked for it, and must not get an account with a stranger's password. */
async function confirmRegistration({
  context,
  body,
  caller,
  requestId,
}: Pick<
  Call<"none", unknown, unknown, { readonly token: string; readonly password?: string }>,
  "context" | "body" | "caller" | "requestId"
>) {
  const { keys, store } = context;
  if (body.password === undefined)
    throw new HubError("validation_error", "this token makes an account: send the password that was chosen when it was asked for, too", {
      details: [{ path: "/password", message: "is missing" }],
    });
  const registration = await tryRegistration(store.db, keys, body.token, context.clock());
  if (!registration) throw unknown();
  if (await context.passwords.verify(body.password, registration.passwordHash)) return;
  const note = strangersNote("user.registration_refused", caller);
  await insertAudit(store.db, [newAudit({ actor: SYSTEM, requestId, now: context.clock(), ...note, details: note.details ?? {} })]);
  throw new HubError("forbidden", "this is not the password that was chosen when the account was asked for");
}

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
