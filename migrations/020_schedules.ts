import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** Schedules with their versions; what they do are runs. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    `create table schedules (
      id ${t.key} primary key,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      name text not null,
      description text,
      site_id ${t.key} references sites (id) on delete set null,
      device_uid ${t.key},
      is_active ${t.bool} not null,
      version integer not null,
      definition ${t.json} not null,
      run_count integer not null default 0,
      last_run_at ${t.time},
      next_run_at ${t.time},
      created_at ${t.time} not null,
      updated_at ${t.time} not null
    )`,
    "create index schedules_organization on schedules (organization_id, id)",
    "create index schedules_site on schedules (site_id)",
    `create table schedule_versions (
      schedule_id ${t.key} not null references schedules (id) on delete cascade,
      version integer not null,
      name text not null,
      description text,
      definition ${t.json} not null,
      changed_at ${t.time} not null,
      actor_kind text not null,
      actor_id text not null,
      note text,
      primary key (schedule_id, version)
    )`,
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
