import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** The bridges of HomeKit and which of them a device is on; what a machine's account is for. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    `create table homekit_bridges (
      id ${t.key} primary key,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      number integer not null,
      username text not null,
      port integer not null,
      setup_id text not null,
      token_id ${t.key} not null,
      secrets_encrypted text not null,
      secrets_key_id ${t.key} not null,
      created_at ${t.time} not null,
      unique (organization_id, number)
    )`,
    `create table homekit_accessories (
      device_id ${t.key} not null references devices (id) on delete cascade,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      bridge integer not null,
      primary key (organization_id, device_id)
    )`,
    "create index homekit_accessories_device on homekit_accessories (device_id)",
    "alter table access_tokens add column purpose text",
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
