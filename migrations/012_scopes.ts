import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** Signing keys follow each other by their times, and a token may be limited. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    `alter table signing_keys add column activates_at ${t.time}`,
    "update signing_keys set activates_at = created_at",
    `alter table access_tokens add column permissions ${t.json}`,
    `alter table access_tokens add column device_ids ${t.json}`,
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
