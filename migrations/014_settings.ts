import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** What people and services set, and contacts, of which the database file shows no phone number and no address. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    // Values are text and not JSON columns: both engines give back what was written, whatever is in it.
    `create table user_preferences (
      user_id ${t.key} not null references users (id) on delete cascade,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      content text not null,
      updated_at ${t.time} not null,
      primary key (user_id, organization_id)
    ) ${t.clustered}`,
    "create index user_preferences_organization on user_preferences (organization_id)",
    `create table document_revisions (
      name ${t.key} primary key,
      revision bigint not null
    ) ${t.clustered}`,
    // Without an organisation it is the platform's.
    `create table service_settings (
      id ${t.key} primary key,
      organization_id ${t.key} references organizations (id) on delete cascade,
      setting_key ${t.key} not null,
      content text not null,
      version integer not null,
      actor_kind text not null,
      actor_id text not null,
      updated_at ${t.time} not null
    )`,
    "create unique index service_settings_key on service_settings (coalesce(organization_id, ''), setting_key)",
    `create table feature_flags (
      id ${t.key} primary key,
      name ${t.key} not null unique,
      definition text not null,
      version integer not null,
      created_at ${t.time} not null,
      updated_at ${t.time} not null
    )`,
    `create table encryption_keys (
      id ${t.key} primary key,
      state text not null check (state in ('active', 'retiring', 'retired')),
      secret_sealed text not null,
      created_at ${t.time} not null,
      retired_at ${t.time}
    )`,
    "create unique index encryption_keys_active on encryption_keys (state) where state = 'active'",
    `create table contacts (
      id ${t.key} primary key,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      name text not null,
      name_search text not null,
      phone_encrypted text,
      phone_key_id ${t.key} references encryption_keys (id),
      email_encrypted text,
      email_key_id ${t.key} references encryption_keys (id),
      version integer not null,
      created_at ${t.time} not null,
      updated_at ${t.time} not null,
      check ((phone_encrypted is null) = (phone_key_id is null)),
      check ((email_encrypted is null) = (email_key_id is null))
    )`,
    "create index contacts_organization on contacts (organization_id, id)",
    "create index contacts_phone_key on contacts (phone_key_id, id)",
    "create index contacts_email_key on contacts (email_key_id, id)",
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
