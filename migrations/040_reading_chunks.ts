import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/**
 * The readings of an hour of a series in one row, or its minutes where they are fewer. Hours of before have none: they are read as
 * they were, from `telemetry_minutes` too, which nothing is added to any more.
 */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    `create table telemetry_chunks (
      series_id integer not null,
      ts bigint not null,
      body ${t.blob} not null,
      primary key (series_id, ts)
    ) ${t.clustered}`,
    `alter table telemetry_hours add column has_chunk ${t.bool} not null default ${t.no}`,
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
