import type { Mail } from "../../core/mail.ts";
import type { Notification } from "../../core/notification.ts";
import { notificationWords } from "./notification-words.ts";
import { paragraphs, timeOf } from "./text.ts";

/** A mail as it is handed to a mail server. */
export interface Letter {
  /** Of its row: makes the Message-ID, so that a mail that was sent twice is seen to be one. */
  readonly id: string;
  readonly to: string;
  readonly subject: string;
  /** Plain text. */
  readonly text: string;
  /** What the reader is asked to open; undefined where nothing is asked. */
  readonly link: string | undefined;
  readonly writtenAt: Date;
}

export interface LetterContext {
  readonly mail: Mail;
  readonly recipient: string;
  /** How the outside reaches the hub. */
  readonly baseUrl: string;
  /** Whether somebody may log in by the recipient's address. */
  readonly hasAccount: boolean;
  /** Those that a mail of them still has to tell, the gravest first. */
  readonly notifications?: readonly Notification[];
  readonly writtenAt: Date;
  readonly expiresAt: Date;
}

type Words = Pick<Letter, "subject" | "text"> & { readonly link?: string };

/** What the mail says now, in words; undefined when there is nothing to say any more. */
export function wordsOf({ mail, ...context }: LetterContext): Words | undefined {
  if (mail.kind !== "notifications") return accountWords({ ...context, mail });
  return notificationWords(context.notifications ?? [], { baseUrl: context.baseUrl, more: mail.more });
}

type AccountContext = Omit<LetterContext, "mail"> & { readonly mail: Exclude<Mail, { readonly kind: "notifications" }> };

function accountWords({ mail, recipient, baseUrl, hasAccount, writtenAt, expiresAt }: AccountContext): Words | undefined {
  const on = timeOf(writtenAt);
  const until = timeOf(expiresAt);
  const verifying = (token: string) => ({ baseUrl, page: "verify-email", route: "verify-email", token, until });
  switch (mail.kind) {
    case "registration":
      if (hasAccount)
        return {
          subject: "You have an account already",
          text: paragraphs(
            `Somebody (from ${mail.address}, ${on}) tried to make an account for ${recipient} at the Hexahub ${baseUrl}. There is one already, and nothing was changed.`,
            "If it was you: log in, or have your password reset if you have forgotten it.",
            "If it was not you, there is nothing to do.",
          ),
        };
      return asking(
        "Confirm your e-mail address",
        [
          `Somebody (from ${mail.address}, ${on}) asked for an account for ${recipient} at the Hexahub ${baseUrl}. It is made when you confirm that this address is yours and give the password that was chosen there and then.`,
          "If it was not you, do nothing: no account is made, and without that password none can be.",
        ],
        { ...verifying(mail.token), beside: "password" },
      );
    case "email_verification":
      return asking(
        "Confirm your e-mail address",
        [
          `Please confirm that ${recipient} is your address. It is that of an account at the Hexahub ${baseUrl}; the mail was asked for from ${mail.address}, ${on}.`,
          "If it was not you, do nothing.",
        ],
        verifying(mail.token),
      );
    case "email_change":
      if (hasAccount)
        return {
          subject: "This address has an account already",
          text: paragraphs(
            `Somebody (from ${mail.address}, ${on}) wanted to make ${recipient} the address of their account at the Hexahub ${baseUrl}. It is that of another account already, and nothing was changed.`,
            "If it was not you, there is nothing to do.",
          ),
        };
      return asking(
        "Confirm your new e-mail address",
        [
          `Somebody (from ${mail.address}, ${on}) wants to make ${recipient} the address of their account at the Hexahub ${baseUrl}. That holds when you confirm it.`,
          "If it was not you, do nothing.",
        ],
        verifying(mail.token),
      );
    case "email_changed":
      return {
        subject: "Your e-mail address was changed",
        text: paragraphs(
          `Your account at the Hexahub ${baseUrl} has another address since ${on}: ${mail.email}. Log in with that one from now on; this is the last mail to the old one.`,
          "If it was not you, tell the administrator of the hub at once.",
        ),
      };
    case "password_reset":
      if (!hasAccount) return undefined;
      return asking(
        "Choose a new password",
        [
          `Somebody (from ${mail.address}, ${on}) asked to reset the password of your account at the Hexahub ${baseUrl}.`,
          "If it was not you, do nothing: the password stays as it is.",
        ],
        { baseUrl, page: "reset-password", route: "password/reset", token: mail.token, until },
      );
    case "password_changed":
      return {
        subject: "Your password was changed",
        text: paragraphs(
          `Your account at the Hexahub ${baseUrl} has a new password since ${on}. You are logged out everywhere else.`,
          tokensLeft(mail.accessTokens),
          "If it was not you, have the password reset, and tell the administrator of the hub.",
        ),
      };
  }
}

interface Request {
  readonly baseUrl: string;
  readonly page: string;
  readonly route: string;
  readonly token: string;
  readonly until: string;
  /** What programs send beside the token. */
  readonly beside?: string;
}

/** Behind `#`, the token reaches no server and no log on the way. */
function asking(subject: string, about: readonly string[], { baseUrl, page, route, token, until, beside }: Request): Words {
  const link = `${baseUrl.replace(/\/$/, "")}/auth/${page}#token=${token}`;
  return {
    subject,
    link,
    text: paragraphs(
      ...about,
      `Until ${until}, once:`,
      link,
      `The same for programs, as "token" of POST /api/v1/auth/${route}${beside === undefined ? "" : `, with "${beside}"`}:`,
      token,
    ),
  };
}

function tokensLeft(count: number): string {
  if (count === 0) return "You have no personal access tokens.";
  return `${count === 1 ? "One personal access token" : `${count} personal access tokens`} of yours still ${count === 1 ? "works" : "work"}. Revoke what you do not know.`;
}
