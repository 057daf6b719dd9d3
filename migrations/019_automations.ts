import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** Automations with their versions, what they remember, and runs: of whatever does actions. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    `create table automations (
      id ${t.key} primary key,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      name text not null,
      description text,
      site_id ${t.key} references sites (id) on delete set null,
      is_enabled ${t.bool} not null,
      version integer not null,
      definition ${t.json} not null,
      fire_count integer not null default 0,
      last_fired_at ${t.time},
      created_at ${t.time} not null,
      updated_at ${t.time} not null
    )`,
    "create index automations_organization on automations (organization_id, id)",
    `create table automation_versions (
      automation_id ${t.key} not null references automations (id) on delete cascade,
      version integer not null,
      name text not null,
      description text,
      definition ${t.json} not null,
      changed_at ${t.time} not null,
      actor_kind text not null,
      actor_id text not null,
      note text,
      primary key (automation_id, version)
    )`,
    // What a trigger saw last of a device, and when the automation fired.
    `create table automation_states (
      automation_id ${t.key} not null references automations (id) on delete cascade,
      subject ${t.key} not null,
      state ${t.json} not null,
      primary key (automation_id, subject)
    ) ${t.clustered}`,
    `create table runs (
      id ${t.key} primary key,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      source_kind text not null,
      source_id ${t.key} not null,
      source_version integer,
      status text not null,
      mode text not null,
      cause ${t.json} not null,
      actions ${t.json},
      frames ${t.json} not null,
      steps ${t.json} not null,
      effects integer not null,
      attempt integer not null,
      depth integer not null,
      event_id ${t.key},
      correlation_id ${t.key} not null,
      causation_id ${t.key},
      scheduled_for ${t.time},
      created_at ${t.time} not null,
      finished_at ${t.time}
    )`,
    `create table scenes (
      id ${t.key} primary key,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      name text not null,
      description text,
      commands ${t.json} not null,
      version integer not null,
      created_at ${t.time} not null,
      updated_at ${t.time} not null
    )`,
    "create index scenes_organization on scenes (organization_id, id)",
    "create index runs_source on runs (source_id, id)",
    "create index runs_organization on runs (organization_id, id)",
    "create index runs_event on runs (event_id)",
    "create index runs_open on runs (source_id) where finished_at is null",
    "create index runs_finished on runs (finished_at)",
    "alter table commands add column rule_version integer",
    // Of a schedule each time comes once.
    "create unique index runs_scheduled on runs (source_id, scheduled_for) where scheduled_for is not null",
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
