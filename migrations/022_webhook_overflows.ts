import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** What a webhook was not told, since too much waited for it. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    "alter table webhooks add column dropped bigint not null default 0",
    `alter table webhooks add column last_dropped_at ${t.time}`,
    // Since when, until it has caught up.
    `alter table webhooks add column overflowing_since ${t.time}`,
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
