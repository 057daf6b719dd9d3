import type { Knex } from "knex";
import { runAll } from "./column-types.ts";

/** By how much the clock was set last: what the nodes see of one step is of one size. */
export async function up(db: Knex): Promise<void> {
  await runAll(db, ["alter table hub_clock add column step_ms bigint"]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
