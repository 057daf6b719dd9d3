import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** What Homebridge keeps of a bridge, and the folder that has it; until when somebody refreshes a grant's tokens. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    "alter table homekit_bridges add column storage_encrypted text",
    `alter table homekit_bridges add column storage_key_id ${t.key}`,
    "alter table homekit_bridges add column storage_folder text",
    `alter table alexa_grants add column refreshing_until ${t.time}`,
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
