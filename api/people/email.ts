import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { emailKey, findUser } from "../../store/users.ts";
import { Email } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { askForMail, mailToken, Requested } from "./mail-request.ts";
import { confirmPassword, noteOn, requirePerson } from "./own-account.ts";

const TTL_MS = 86_400_000;

export const verification = defineRoute({
  method: "POST",
  path: "/api/v1/auth/verification",
  tag: "Access",
  summary: "Have a mail sent that verifies your address",
  description: "Its token is for POST /api/v1/auth/verify-email within 24 hours; the one before it is worth nothing then.",
  access: "self",
  replies: { 202: { description: "The mail goes to your address", schema: Requested } },
  errors: ["forbidden", "conflict", "unavailable"],
  async handler(call) {
    const { context, caller } = call;
    const { id } = requirePerson(call.principal);
    await askForMail(context, caller);
    const user = await findUser(context.store.db, id);
    if (!user || user.isEmailVerified) throw new HubError("conflict", "your address is verified already");
    const audit = noteOn(user, "user.verification_requested");
    return await mailToken(call, { kind: "email_verification", email: user.email, userId: id }, { ttlMs: TTL_MS, audit });
  },
});

export const changeEmail = defineRoute({
  method: "POST",
  path: "/api/v1/auth/email",
  tag: "Access",
  summary: "Change your e-mail address",
  description:
    "A mail goes to the new address, and it becomes yours when the token comes to POST /api/v1/auth/verify-email within 24 hours. The old one is told then.",
  access: "self",
  body: Type.Object(
    { email: Email, password: Type.String({ minLength: 1, maxLength: 1024, description: "The present one" }) },
    { additionalProperties: false, title: "EmailChange" },
  ),
  bodyExample: { email: "ada@example.org", password: "correct horse battery" },
  replies: { 202: { description: "A mail goes to the new address", schema: Requested } },
  errors: ["forbidden", "conflict", "unavailable"],
  async handler(call) {
    const { context, body, caller } = call;
    requirePerson(call.principal);
    await askForMail(context, caller);
    const user = await confirmPassword(call, body.password);
    const { email } = body;
    if (emailKey(email) === user.email) throw new HubError("conflict", "this is your address already");
    const audit = noteOn(user, "user.email_change_requested", { email: emailKey(email) });
    return await mailToken(call, { kind: "email_change", email, userId: user.id }, { ttlMs: TTL_MS, audit });
  },
});
