import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** Mails that wait to be sent, and the tokens that came with them. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    // `slot`: of two tokens with the same one the later takes the place of the first.
    `create table email_tokens (
      slot ${t.key} primary key,
      kind text not null check (kind in ('registration', 'email_verification', 'email_change', 'password_reset')),
      token_hash text not null unique,
      email text not null,
      user_id ${t.key} references users (id) on delete cascade,
      password_hash text,
      name text,
      organization_name text,
      created_at ${t.time} not null,
      expires_at ${t.time} not null,
      check ((kind in ('registration', 'password_reset')) = (user_id is null)),
      check ((kind = 'registration') = (password_hash is not null))
    )`,
    "create index email_tokens_email on email_tokens (email)",
    "create index email_tokens_user on email_tokens (user_id)",
    "create index email_tokens_end on email_tokens (expires_at)",
    `create table mails (
      id ${t.key} primary key,
      kind text not null,
      recipient text not null,
      content_sealed text,
      attempts integer not null default 0,
      created_at ${t.time} not null,
      next_attempt_at ${t.time} not null,
      expires_at ${t.time} not null,
      outcome text check (outcome in ('sent', 'refused', 'expired', 'unneeded')),
      ended_at ${t.time},
      check ((outcome is null) = (ended_at is null))
    )`,
    "create index mails_due on mails (next_attempt_at) where ended_at is null",
    "create index mails_age on mails (created_at)",
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
