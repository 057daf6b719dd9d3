import type { NotificationOwner } from "./notification.ts";

/** `address`: where it was asked from. */
interface Asking {
  readonly token: string;
  readonly address: string;
}

/**
 * What each kind of mail says. Nothing in it is a stranger's wording, or the hub would write to people what others like; what
 * notifications say comes from those who may make automations where the reader is a member.
 */
interface MailContents {
  /** To whoever may own the address; it tells them to reset the password instead when they have an account. */
  registration: Asking;
  email_verification: Asking;
  /** To the new address. */
  email_change: Asking;
  /** To the old one. */
  email_changed: { readonly email: string };
  /** Sent only where there is an account. */
  password_reset: Asking;
  /** `accessTokens`: personal ones that still work. */
  password_changed: { readonly accessTokens: number };
  /** Of these what is unread when it is sent, and `more` others; to a member whose address was verified. */
  notifications: NotificationOwner & { readonly ids: readonly string[]; readonly more: number };
}

export type MailKind = keyof MailContents;
export type Mail = { [Kind in MailKind]: { readonly kind: Kind } & MailContents[Kind] }[MailKind];

/** Mails are rows, written with what they tell of; this is who sends them. */
export interface Mailer {
  /** Whether mails can be sent at all. Without it none may be written. */
  readonly isOn: boolean;
  /** A mail was committed: it is sent now, and not when it is looked for anyway. */
  wake(): void;
}
