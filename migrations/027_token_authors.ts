import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** Who has made a token: what a service asks for, its maker has asked for. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [`alter table access_tokens add column created_by ${t.key} references users (id) on delete set null`]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
