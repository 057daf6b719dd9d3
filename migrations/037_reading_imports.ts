import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** Files of readings that were taken in, and what has become of their lines. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    `create table reading_imports (
      id ${t.key} primary key,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      actor_kind text not null,
      actor_id text not null,
      format text not null,
      state text not null,
      error text,
      line_count bigint not null default 0,
      stored_count bigint not null default 0,
      known_count bigint not null default 0,
      refused_count bigint not null default 0,
      refusals ${t.json} not null,
      started_at ${t.time} not null,
      updated_at ${t.time} not null,
      ended_at ${t.time}
    )`,
    "create index reading_imports_organization on reading_imports (organization_id, id)",
    "create index reading_imports_running on reading_imports (updated_at) where state = 'running'",
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
