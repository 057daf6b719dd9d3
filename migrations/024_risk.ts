import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** How much harm a device can do, what needs approval in an organisation, and the PINs of those who approve. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    `alter table devices add column sensitivity text not null default 'normal'
      check (sensitivity in ('low', 'normal', 'high', 'critical'))`,
    // Without a row an organisation has the default.
    `create table risk_policies (
      organization_id ${t.key} primary key references organizations (id) on delete cascade,
      version integer not null,
      policy ${t.json} not null,
      threshold integer not null check (threshold between 1 and 100),
      four_eyes ${t.bool} not null,
      pin_required ${t.bool} not null,
      approval_timeout_s integer not null,
      actor_kind text not null,
      actor_id text not null,
      updated_at ${t.time} not null
    ) ${t.clustered}`,
    // Tries are counted for whoever has no PIN too: nobody shall see from outside who has one.
    `create table approval_pins (
      user_id ${t.key} primary key references users (id) on delete cascade,
      pin_hash text,
      failures integer not null,
      failed_at ${t.time} not null
    ) ${t.clustered}`,
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
