import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** Which of its task keys a device has, and until when the one before may still sign results. The keys themselves are kept nowhere. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    "alter table devices add column task_key_generation integer not null default 1 check (task_key_generation > 0)",
    `alter table devices add column former_task_key_until ${t.time}`,
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
