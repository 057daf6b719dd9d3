import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** What the nodes of a cluster have in common and nobody else may read, sealed with the master key. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    `create table hub_secrets (
      name ${t.key} primary key,
      sealed text not null,
      changed_at ${t.time} not null
    )`,
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
