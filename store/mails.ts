import { newId } from "../core/id.ts";
import type { Mail, MailKind } from "../core/mail.ts";
import type { Db } from "./open.ts";
import { openText, sealText, type SigningKeys } from "./secrets.ts";
import { isoOf, rowsOf, toJson } from "./sql.ts";

/** `refused`: the mail server will not have it, ever. `unneeded`: there was nothing to say any more. */
export type MailOutcome = "sent" | "refused" | "expired" | "unneeded";

export interface NewMail {
  readonly recipient: string;
  readonly mail: Mail;
  /** After that nobody wants it any more. */
  readonly ttlMs: number;
}

/** One that is to be sent now, by whoever claimed it. */
export interface DueMail {
  readonly id: string;
  readonly kind: MailKind;
  readonly recipient: string;
  /** undefined when the key that sealed it is gone. */
  readonly mail: Mail | undefined;
  /** With this one. */
  readonly attempts: number;
  readonly createdAt: string;
  readonly expiresAt: string;
}

const PURPOSE = "mails";
const KEPT_MS = 7 * 86_400_000;

/** Belongs into the transaction of what the mail tells of. */
export async function queueMail(db: Db, keys: SigningKeys, { recipient, mail, ttlMs }: NewMail, now: number): Promise<void> {
  await db("mails").insert({
    id: newId(),
    kind: mail.kind,
    recipient,
    content_sealed: sealText(keys, PURPOSE, toJson(mail)),
    created_at: isoOf(now),
    next_attempt_at: isoOf(now),
    expires_at: isoOf(now + ttlMs),
  });
}

/** Gives mails that are due to this caller alone, for `holdMs`: whoever dies with one does not keep it. */
export async function claimMails(
  db: Db,
  keys: SigningKeys,
  { now, holdMs, limit }: { readonly now: number; readonly holdMs: number; readonly limit: number },
): Promise<DueMail[]> {
  const isDue = "ended_at is null and next_attempt_at <= ?";
  const rows = await rowsOf<MailRow>(
    db,
    `update mails set attempts = attempts + 1, next_attempt_at = ?
     where id in (select id from mails where ${isDue} order by next_attempt_at limit ?) and ${isDue}
     returning id, kind, recipient, content_sealed, attempts, created_at, expires_at`,
    [isoOf(now + holdMs), isoOf(now), limit, isoOf(now)],
  );
  return rows.map((row) => ({
    id: row.id,
    kind: row.kind,
    recipient: row.recipient,
    mail: mailOf(keys, row.content_sealed),
    attempts: row.attempts,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  }));
}

/** When the next one is due, in ms since 1970; undefined when none waits. */
export async function nextMailAt(db: Db): Promise<number | undefined> {
  const row: { next_attempt_at: string } | undefined = await db("mails")
    .whereRaw("ended_at is null")
    .orderBy("next_attempt_at")
    .first("next_attempt_at");
  return row && Date.parse(row.next_attempt_at);
}

/** Nothing is to be done for it any more, and what it says is forgotten. */
export async function endMail(db: Db, id: string, outcome: MailOutcome, now: number): Promise<void> {
  await db("mails")
    .where({ id })
    .update({ outcome, ended_at: isoOf(now), content_sealed: null });
}

/** It is tried again at `at`. */
export async function postponeMail(db: Db, id: string, at: number): Promise<void> {
  await db("mails")
    .where({ id })
    .whereNull("ended_at")
    .update({ next_attempt_at: isoOf(at) });
}

/** Removes those of a week ago. Answers how many. */
export async function purgeMails(db: Db, now: number): Promise<number> {
  return await db("mails")
    .where("created_at", "<=", isoOf(now - KEPT_MS))
    .del();
}

interface MailRow {
  id: string;
  kind: MailKind;
  recipient: string;
  content_sealed: string | null;
  attempts: number;
  created_at: string;
  expires_at: string;
}

function mailOf(keys: SigningKeys, sealed: string | null): Mail | undefined {
  const text = sealed === null ? undefined : openText(keys, PURPOSE, sealed);
  return text === undefined ? undefined : (JSON.parse(text) as Mail);
}
