import type { Mailer } from "../core/mail.ts";
import type { Notification, NotificationOwner } from "../core/notification.ts";
import { mailTime } from "../core/notification-settings.ts";
import type { Timers } from "../core/timer.ts";
import { queueMail } from "../store/mails.ts";
import type { Told } from "../store/notification-feeds.ts";
import { forgetWaiting, mailedSince, noteMailed, noteWaiting, setMailDue, takeWaiting } from "../store/notification-mails.ts";
import { findRecipient, type Recipient } from "../store/notification-recipients.ts";
import type { Db } from "../store/open.ts";
import type { SigningKeys } from "../store/secrets.ts";
import { afterCommit } from "../store/transaction.ts";

export interface NotificationMailsContext {
  readonly keys: SigningKeys;
  readonly timers: Timers<Db>;
  readonly mailer: Mailer;
  /** ms since 1970 */
  readonly clock: () => number;
}

/** So many notifications of ten minutes have a mail of their own; the others come in one, ten minutes later. */
export const SINGLE_MAILS = 5;
/** Critical ones wait for none of that, unless there are so many of them that nobody reads them one by one. */
export const SINGLE_CRITICAL_MAILS = 30;
const WINDOW_MS = 600_000;
/** What a mail names; it counts the others. */
const MOST_IN_A_MAIL = 50;
const TTL_MS = 86_400_000;

/** Decides when notifications go out by e-mail, and writes the mails: in the transaction that tells them, or that of a timer. */
export class NotificationMails {
  readonly #context: NotificationMailsContext;

  constructor(context: NotificationMailsContext) {
    this.#context = context;
  }

  async write(
    trx: Db,
    about: {
      readonly organizationId: string;
      readonly recipients: readonly Recipient[];
      readonly told: readonly Told[];
      readonly now: number;
    },
  ): Promise<void> {
    const { organizationId, told, now } = about;
    if (!this.#context.mailer.isOn) return;
    const byUser = new Map(about.recipients.map((recipient) => [recipient.userId, recipient]));
    const wanted = told.flatMap(({ notification, mailDueAt, isNews }) => {
      const recipient = byUser.get(notification.userId);
      if (!isNews || recipient?.email === undefined) return [];
      const at = mailTime(recipient.settings, notification.severity, now);
      return at === undefined ? [] : [{ notification, mailDueAt, at, email: recipient.email }];
    });
    if (wanted.length === 0) return;
    const userIds = wanted.map(({ notification }) => notification.userId);
    const lately = await mailedSince(trx, organizationId, userIds, now - WINDOW_MS);
    const isSingle = ({ notification: { userId, severity }, at }: (typeof wanted)[number]): boolean => {
      const { all = 0, critical = 0 } = lately.get(userId) ?? {};
      return at <= now && (severity === "critical" ? critical < SINGLE_CRITICAL_MAILS : all < SINGLE_MAILS);
    };
    const { single = [], waiting = [] } = Object.groupBy(wanted, (one) => (isSingle(one) ? "single" : "waiting"));
    for (const { notification, email } of single) await this.#queue(trx, notification, email, [notification]);
    if (single.length > 0) await noteMailed(trx, organizationId, idsOf(single), now);
    if (waiting.length > 0) await noteWaiting(trx, organizationId, idsOf(waiting));
    for (const { notification, at, mailDueAt } of waiting) {
      const dueAt = at > now ? at : now + WINDOW_MS;
      if (mailDueAt === undefined || dueAt < mailDueAt) await this.#wait(trx, notification, dueAt);
    }
    if (single.length > 0) afterCommit(trx, () => this.#context.mailer.wake());
  }

  /** What waits for this person and may go out now stands in one mail. True when there is one to be sent. */
  async writeWaiting(trx: Db, owner: NotificationOwner, now: number): Promise<boolean> {
    const { organizationId } = owner;
    const waiting = await takeWaiting(trx, owner);
    const recipient = await findRecipient(trx, owner);
    const email = this.#context.mailer.isOn ? recipient?.email : undefined;
    // What the person wants is asked again: it may be something else by now.
    const times = new Map(
      waiting.map(({ id, severity }) => [id, email && recipient ? mailTime(recipient.settings, severity, now) : undefined]),
    );
    const isDue = (id: string): boolean => (times.get(id) ?? Number.POSITIVE_INFINITY) <= now;
    const due = waiting.filter(({ id }) => isDue(id));
    const unwanted = waiting.filter(({ id }) => times.get(id) === undefined);
    const later = [...times.values()].filter((at) => at !== undefined && at > now) as number[];
    await forgetWaiting(
      trx,
      organizationId,
      unwanted.map(({ id }) => id),
    );
    await noteMailed(
      trx,
      organizationId,
      due.map(({ id }) => id),
      now,
    );
    if (later.length > 0) await this.#wait(trx, owner, Math.min(...later));
    else await setMailDue(trx, owner, undefined);
    if (due.length === 0 || email === undefined) return false;
    await this.#queue(trx, owner, email, due.toReversed());
    return true;
  }

  async #queue(trx: Db, owner: NotificationOwner, recipient: string, notifications: readonly Notification[]): Promise<void> {
    const { keys, clock } = this.#context;
    const ids = notifications.slice(0, MOST_IN_A_MAIL).map(({ id }) => id);
    const { userId, organizationId } = owner;
    const mail = { kind: "notifications", userId, organizationId, ids, more: notifications.length - ids.length } as const;
    await queueMail(trx, keys, { recipient, mail, ttlMs: TTL_MS }, clock());
  }

  async #wait(trx: Db, owner: NotificationOwner, dueAt: number): Promise<void> {
    const { userId, organizationId } = owner;
    const payload = { work: "mail", user_id: userId };
    const key = `mail:${organizationId}:${userId}`;
    await this.#context.timers.put(trx, [{ kind: "notification", key, organizationId, dueAt, isRelative: false, payload }]);
    await setMailDue(trx, owner, dueAt);
  }
}

const idsOf = (all: readonly { readonly notification: Notification }[]): string[] => all.map(({ notification }) => notification.id);
