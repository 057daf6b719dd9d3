import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** The messages whose effects are committed, so that one that a client sends again after a lost acknowledgement has none. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    `create table received_messages (
      client_id ${t.key} not null,
      slot integer not null,
      packet_id integer not null,
      digest text not null,
      effect_id ${t.key},
      received_at ${t.time} not null,
      primary key (client_id, slot)
    ) ${t.clustered}`,
    "create index received_messages_age on received_messages (received_at)",
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
