import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** By which credential Alexa was linked, so that the link ends with it; the secret before the one that a program has now. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    `alter table alexa_grants add column credential_id ${t.key}`,
    "alter table oauth_clients add column former_secret_hash text",
    `alter table oauth_clients add column former_secret_until ${t.time}`,
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
