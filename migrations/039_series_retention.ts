import type { Knex } from "knex";
import { runAll } from "./column-types.ts";

/** For how many days the readings of a single series are kept, where that is less than those of all others. */
export async function up(db: Knex): Promise<void> {
  await runAll(db, [
    "alter table series add column retention_days integer",
    "create index series_retention on series (retention_days, id) where retention_days is not null",
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
