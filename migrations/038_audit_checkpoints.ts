import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** What is signed of the audit's chains, and with which keys (docs/audit.md). Both outlive what they are about. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    `create table audit_keys (
      key_id ${t.key} primary key,
      public_key text not null,
      sealed text not null,
      created_at ${t.time} not null,
      retired_at ${t.time}
    )`,
    "create unique index audit_keys_active on audit_keys ((1)) where retired_at is null",
    `create table audit_checkpoints (
      id ${t.key} primary key,
      organization_id ${t.key},
      number bigint not null,
      statement text not null,
      signature text not null,
      created_at ${t.time} not null
    )`,
    "create unique index audit_checkpoints_chain on audit_checkpoints (coalesce(organization_id, ''), number)",
    "create index audit_checkpoints_organization on audit_checkpoints (organization_id, id)",
    `create table audit_checkpoint_ends (
      chain ${t.key} primary key,
      number bigint not null,
      seq bigint not null,
      hash text not null,
      statement_hash text not null,
      seal text not null
    )`,
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
