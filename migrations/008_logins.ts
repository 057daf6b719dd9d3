import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** The logins of people, each with the refresh tokens that keep it alive, one after the other. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    `create table logins (
      id ${t.key} primary key,
      user_id ${t.key} not null references users (id) on delete cascade,
      address text,
      user_agent text,
      created_at ${t.time} not null,
      ttl_ms bigint not null,
      last_used_at ${t.time} not null,
      expires_at ${t.time} not null,
      ended_at ${t.time}
    )`,
    "create index logins_user on logins (user_id, id)",
    "create index logins_end on logins (expires_at)",
    `create table refresh_tokens (
      token_hash text primary key,
      login_id ${t.key} not null references logins (id) on delete cascade,
      created_at ${t.time} not null,
      replaced_at ${t.time}
    )`,
    "create index refresh_tokens_login on refresh_tokens (login_id)",
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
