import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** For how many days the readings of a single series are kept; and what is known of the clock that a device stamps them with. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    "alter table series add column retention_days integer",
    "create index series_retention on series (retention_days, id) where retention_days is not null",
    "alter table devices add column clock_offset_ms bigint",
    `alter table devices add column clock_wrong_since ${t.time}`,
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
