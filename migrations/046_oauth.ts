import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** Programs that people link their account with, and what the OAuth server remembers. A link is a login that belongs to such a program. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    `create table oauth_clients (
      id ${t.key} primary key,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      is_shared ${t.bool} not null,
      name text not null,
      secret_hash text not null,
      redirect_uris ${t.json} not null,
      scopes ${t.json} not null,
      created_at ${t.time} not null
    )`,
    "create index oauth_clients_organization on oauth_clients (organization_id, id)",
    `alter table logins add column client_id ${t.key} references oauth_clients (id) on delete cascade`,
    "alter table logins add column scopes text",
    "create index logins_client on logins (client_id) where client_id is not null",
    `create table oauth_records (
      id_hash ${t.key} primary key,
      kind text not null,
      login_id ${t.key} references logins (id) on delete cascade,
      payload ${t.json} not null,
      created_at ${t.time} not null,
      expires_at ${t.time} not null,
      consumed_at ${t.time}
    )`,
    "create index oauth_records_login on oauth_records (login_id, kind) where login_id is not null",
    "create index oauth_records_end on oauth_records (kind, expires_at)",
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
