import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { countPersonalTokens } from "../../store/access-tokens.ts";
import { dropEmailTokens, findEmailToken, takeEmailToken } from "../../store/email-tokens.ts";
import { endLogins } from "../../store/logins.ts";
import type { Db } from "../../store/open.ts";
import { markEmailVerified, setPassword } from "../../store/user-changes.ts";
import { findUserWithPassword, passwordCredentialId, type User } from "../../store/users.ts";
import type { ApiContext } from "../context.ts";
import { Email, Password } from "../fields.ts";
import { defineRoute, type Effect } from "../route.ts";
import { askForMail, MailedToken, mailNews, mailToken, Requested, strangersNote } from "./mail-request.ts";
import { confirmPassword, noteOn } from "./own-account.ts";

const TTL_MS = 3_600_000;

const PasswordChanged = Type.Object(
  {
    logins_ended: Type.Integer({ description: "With the MQTT sessions that began with them, or with the old password" }),
    access_tokens: Type.Integer({ description: "Personal access tokens that still work: revoke what you do not know" }),
  },
  { title: "PasswordChanged" },
);

export const forgot = defineRoute({
  method: "POST",
  path: "/api/v1/auth/password/forgot",
  tag: "Access",
  summary: "Have a mail sent that resets your password",
  description:
    "Its token is for POST /api/v1/auth/password/reset within one hour; the one before it is worth nothing then. The answer is the same for an address that nobody has.",
  access: "none",
  body: Type.Object({ email: Email }, { additionalProperties: false, title: "PasswordForgotten" }),
  bodyExample: { email: "ada@example.com" },
  replies: { 202: { description: "A mail goes to the address, if it is somebody's here", schema: Requested } },
  errors: ["unavailable"],
  async handler(call) {
    await askForMail(call.context, call.caller);
    const audit = strangersNote("user.reset_requested", call.caller);
    return await mailToken(call, { kind: "password_reset", email: call.body.email }, { ttlMs: TTL_MS, audit });
  },
});

export const reset = defineRoute({
  method: "POST",
  path: "/api/v1/auth/password/reset",
  tag: "Access",
  summary: "Choose a new password with the token of a mail",
  description:
    "Ends every login, and the MQTT sessions that began with one or with the old password. Personal access tokens go on; the answer says how many there are.",
  access: "none",
  body: Type.Object({ token: MailedToken, password: Password }, { additionalProperties: false, title: "PasswordReset" }),
  bodyExample: { token: "hxv_…", password: "correct horse battery" },
  replies: { 200: { description: "The new password holds", schema: PasswordChanged } },
  errors: ["unauthorized"],
  async handler({ context, body, commit }) {
    const { keys, store } = context;
    const kinds = ["password_reset"] as const;
    // Before the work that a password is: whoever has no token shall not cause it.
    if (!(await findEmailToken(store.db, keys, body.token, kinds, context.clock()))) throw unknown();
    const passwordHash = await context.passwords.hash(body.password);
    return await commit(async (db) => {
      const token = await takeEmailToken(db, keys, body.token, kinds, context.clock());
      const user = token && (await findUserWithPassword(db, token.email));
      if (user) await dropEmailTokens(db, user);
      if (!user || !(await setPassword(db, user.id, passwordHash))) throw unknown();
      await markEmailVerified(db, user.id, user.email);
      const effect = await afterNewPassword(context, db, { user, keeps: undefined, action: "user.password_reset" });
      return { ...effect, answer: { ...effect.answer, cookie: "cleared" } };
    });
  },
});

export const change = defineRoute({
  method: "POST",
  path: "/api/v1/auth/password",
  tag: "Access",
  summary: "Change your password",
  description: "Ends every other login, and the MQTT sessions that began with one or with the old password.",
  access: "self",
  body: Type.Object(
    { current_password: Type.String({ minLength: 1, maxLength: 1024 }), password: Password },
    { additionalProperties: false, title: "PasswordChange" },
  ),
  bodyExample: { current_password: "correct horse battery", password: "battery horse staple" },
  replies: { 200: { description: "The new password holds", schema: PasswordChanged } },
  errors: ["forbidden", "conflict"],
  async handler(call) {
    const { context, body, principal, commit } = call;
    const user = await confirmPassword(call, body.current_password);
    const passwordHash = await context.passwords.hash(body.password);
    return await commit(async (db) => {
      await dropEmailTokens(db, user);
      if (!(await setPassword(db, user.id, passwordHash, user.passwordHash)))
        throw new HubError("conflict", "the password was changed by somebody else at the same time");
      return await afterNewPassword(context, db, { user, keeps: principal.credentialId, action: "user.password_changed" });
    });
  },
});

/** `user` as it was before; `keeps` is the login that goes on. */
async function afterNewPassword(
  context: Pick<ApiContext, "keys" | "clock" | "mailer" | "sessions">,
  db: Db,
  { user, keeps, action }: { readonly user: User & { passwordHash: string }; readonly keeps: string | undefined; readonly action: string },
): Promise<Effect> {
  const now = context.clock();
  const ended = await endLogins(db, user.id, keeps, now);
  const accessTokens = await countPersonalTokens(db, user.id, now);
  await mailNews(context, db, user.email, { kind: "password_changed", accessTokens });
  return {
    answer: { status: 200, body: { logins_ended: ended.length, access_tokens: accessTokens } },
    audit: [noteOn(user, action, { logins_ended: ended.length })],
    afterwards: async () => {
      context.mailer.wake();
      await context.sessions.disconnect({ credentialIds: [...ended, passwordCredentialId(user)] }, "revoked");
    },
  };
}

const unknown = (): HubError => new HubError("unauthorized", "the token is wrong, used, replaced by a newer one, or too old");
