import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import type { Mail } from "../../core/mail.ts";
import { type EmailToken, putEmailToken } from "../../store/email-tokens.ts";
import { queueMail } from "../../store/mails.ts";
import type { Db } from "../../store/open.ts";
import { emailKey } from "../../store/users.ts";
import type { ApiContext } from "../context.ts";
import type { AuditNote, Answer, Call, Caller } from "../route.ts";

const NEWS_TTL_MS = 3 * 86_400_000;

/** `hxv_` and 256 random bits. */
export const MailedToken = Type.String({ minLength: 1, maxLength: 256, description: "From the mail; works once" });

export const Requested = Type.Object(
  { status: Type.Enum(["verification_sent", "reset_sent"], { description: "Whether somebody has the address is not told" }) },
  { title: "MailRequested" },
);

/** Throws `unavailable` on a hub that cannot send mails, and `rate_limited`. */
export async function askForMail({ mailer, rateLimits }: Pick<ApiContext, "mailer" | "rateLimits">, caller: Caller): Promise<void> {
  if (!mailer.isOn) throw new HubError("unavailable", "this hub sends no mails: its administrator sets HEXA_SMTP_URL and HEXA_MAIL_FROM");
  await rateLimits.askForMail(caller.address);
}

/**
 * A token and the mail that carries it, after `askForMail`; `ttlMs` is what both are worth. The same is done for every address:
 * what is known of one is looked up when its mail is sent, so that nobody can tell by the time who has an account.
 */
export async function mailToken(
  { context, caller, commit }: Pick<Call, "context" | "caller" | "commit">,
  token: EmailToken,
  { ttlMs, audit }: { readonly ttlMs: number; readonly audit: AuditNote },
): Promise<Answer> {
  const { keys, clock, mailer, rateLimits } = context;
  const isWanted = await rateLimits.mayWriteTo(token.email, token.kind);
  return await commit(async (db) => {
    if (isWanted) {
      const now = clock();
      const mail: Mail = { kind: token.kind, token: await putEmailToken(db, keys, token, ttlMs, now), address: caller.address };
      await queueMail(db, keys, { recipient: emailKey(token.email), mail, ttlMs }, now);
    }
    const status = token.kind === "password_reset" ? "reset_sent" : "verification_sent";
    return { answer: { status: 202, body: { status } }, audit: [audit], afterwards: () => mailer.wake() };
  });
}

/** Of whoever asks without saying who they are. */
export const strangersNote = (action: string, { address }: Caller): AuditNote => ({
  organizationId: null,
  action,
  resourceType: "user",
  resourceId: null,
  details: { address },
});

/** The news that something has happened, where the hub sends mails at all. */
export async function mailNews(
  { keys, clock, mailer }: Pick<ApiContext, "keys" | "clock" | "mailer">,
  db: Db,
  recipient: string,
  mail: Mail,
): Promise<void> {
  if (mailer.isOn) await queueMail(db, keys, { recipient, mail, ttlMs: NEWS_TTL_MS }, clock());
}
