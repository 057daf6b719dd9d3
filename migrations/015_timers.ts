import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** What the hub has to do at a time, and the latest time that it has seen. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    `create table timers (
      id ${t.key} primary key,
      kind text not null,
      timer_key ${t.key} not null,
      organization_id ${t.key},
      due_at ${t.time} not null,
      is_relative ${t.bool} not null,
      payload ${t.json} not null,
      attempts integer not null default 0,
      unique (kind, timer_key)
    )`,
    "create index timers_due on timers (due_at)",
    `create table hub_clock (
      id integer primary key,
      seen_at ${t.time} not null,
      stepped_at ${t.time}
    )`,
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
