import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** The accounts that Home Assistant has, and what it was told. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    `create table home_assistant_accounts (
      organization_id ${t.key} primary key references organizations (id) on delete cascade,
      access_token_id ${t.key} references access_tokens (id) on delete set null,
      form text not null check (form in ('device', 'component')),
      status text check (status in ('online', 'offline')),
      status_at ${t.time},
      unlinked_at ${t.time},
      created_at ${t.time} not null,
      updated_at ${t.time} not null
    )`,
    // It outlives its organisation: what a broker keeps has to be taken back all the same.
    `create table home_assistant_discoveries (
      broker ${t.key} not null check (broker in ('own', 'remote')),
      topic ${t.key} not null,
      organization_id ${t.key} not null,
      uid ${t.key} not null,
      form text not null check (form in ('device', 'component')),
      components ${t.json} not null,
      digest text,
      primary key (broker, topic)
    ) ${t.clustered}`,
    `create table home_assistant_ghosts (
      broker ${t.key} not null check (broker in ('own', 'remote')),
      topic ${t.key} not null,
      component_key ${t.key} not null,
      organization_id ${t.key} not null,
      uid ${t.key} not null,
      form text not null check (form in ('device', 'component')),
      platform text not null,
      gone_at ${t.time} not null,
      primary key (broker, topic, component_key)
    ) ${t.clustered}`,
    "create index home_assistant_ghosts_organization on home_assistant_ghosts (organization_id, broker, gone_at)",
    "create index home_assistant_discoveries_organization on home_assistant_discoveries (organization_id, broker)",
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
