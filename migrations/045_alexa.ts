import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** Who has linked Alexa with the right to tell it things unasked, and what it was told of each endpoint. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    `create table alexa_grants (
      id ${t.key} primary key,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      user_id ${t.key} not null references users (id) on delete cascade,
      token_scope ${t.json},
      code_hash text not null,
      revision integer not null,
      access_encrypted text not null,
      access_key_id ${t.key} not null,
      access_expires_at ${t.time} not null,
      refresh_encrypted text not null,
      refresh_key_id ${t.key} not null,
      status text not null check (status in ('connected', 'waiting', 'failed')),
      status_since ${t.time} not null,
      error_code text,
      error_message text,
      error_at ${t.time},
      left_out integer not null default 0,
      unique (organization_id, user_id)
    )`,
    "create index alexa_grants_access_key on alexa_grants (access_key_id)",
    "create index alexa_grants_refresh_key on alexa_grants (refresh_key_id)",
    `create table alexa_endpoints (
      grant_id ${t.key} not null references alexa_grants (id) on delete cascade,
      endpoint_id ${t.key} not null,
      organization_id ${t.key} not null,
      description_hash text not null,
      state ${t.json} not null,
      primary key (grant_id, endpoint_id)
    )`,
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
