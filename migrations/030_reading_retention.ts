import type { Knex } from "knex";
import { runAll } from "./column-types.ts";

/** From when on the readings of a series are there, in ms since 1970; what they amounted to before stays. */
export async function up(db: Knex): Promise<void> {
  await runAll(db, ["alter table series add column kept_from bigint not null default 0"]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
