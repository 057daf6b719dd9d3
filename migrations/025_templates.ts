import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** Templates of tasks with their versions, and how often they are used. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    `create table task_templates (
      id ${t.key} primary key,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      name text not null,
      sort_name ${t.key} not null,
      description text,
      category ${t.key},
      tags ${t.json} not null,
      public_from integer,
      version integer not null,
      definition ${t.json} not null,
      usage_count integer not null default 0,
      created_by text not null,
      created_at ${t.time} not null,
      updated_at ${t.time} not null
    )`,
    "create index task_templates_organization on task_templates (organization_id, id)",
    "create index task_templates_public on task_templates (id) where public_from is not null",
    `create table task_template_versions (
      template_id ${t.key} not null references task_templates (id) on delete cascade,
      version integer not null,
      name text not null,
      description text,
      definition ${t.json} not null,
      changed_at ${t.time} not null,
      actor_kind text not null,
      actor_id text not null,
      note text,
      primary key (template_id, version)
    )`,
    // Of each day, which is ISO 8601 in UTC.
    `create table task_template_uses (
      template_id ${t.key} not null references task_templates (id) on delete cascade,
      day ${t.key} not null,
      uses integer not null,
      primary key (template_id, day)
    ) ${t.clustered}`,
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
