import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** Tasks of devices, with their attempts, what happened to them, and what they wait for. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    `create table tasks (
      id ${t.key} primary key,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      device_id ${t.key} not null references devices (id) on delete cascade,
      uid ${t.key} not null,
      name text not null,
      description text,
      status text not null,
      priority integer not null,
      actions ${t.json} not null,
      payload_hash text not null,
      retry ${t.json} not null,
      timeout_ms bigint not null,
      wait_ms bigint not null,
      depends_on ${t.json} not null,
      resources ${t.json} not null,
      tags ${t.json} not null,
      metadata ${t.json} not null,
      template ${t.json},
      actor_kind text not null,
      actor_id text not null,
      source text not null,
      command_id ${t.key},
      risk ${t.json},
      approval ${t.json},
      attempt integer not null default 0,
      sends integer not null default 0,
      not_before ${t.time},
      error text,
      error_code text,
      correlation_id ${t.key} not null,
      causation_id ${t.key},
      rule_version integer,
      version integer not null default 1,
      queued_at ${t.time},
      created_at ${t.time} not null,
      updated_at ${t.time} not null,
      finished_at ${t.time}
    )`,
    "create unique index tasks_command on tasks (command_id) where command_id is not null",
    "create index tasks_organization on tasks (organization_id, id)",
    "create index tasks_status on tasks (organization_id, status, id)",
    // What a device has to do, in its order.
    "create index tasks_open on tasks (device_id, priority desc, queued_at, id) where status in ('queued', 'assigned', 'running')",
    "create index tasks_device on tasks (device_id, id)",
    "create index tasks_finished on tasks (finished_at) where finished_at is not null",
    `create table task_executions (
      id ${t.key} primary key,
      task_id ${t.key} not null references tasks (id) on delete cascade,
      attempt integer not null,
      status text not null,
      actions ${t.json} not null,
      results ${t.json} not null,
      error text,
      node_id text,
      started_at ${t.time} not null,
      completed_at ${t.time}
    )`,
    "create unique index task_executions_attempt on task_executions (task_id, attempt)",
    `create table action_logs (
      id ${t.key} primary key,
      task_id ${t.key} not null references tasks (id) on delete cascade,
      device_id ${t.key} not null,
      action text not null,
      result text not null,
      details ${t.json} not null,
      actor_kind text not null,
      actor_id text not null,
      created_at ${t.time} not null
    )`,
    "create index action_logs_task on action_logs (task_id, id)",
    `create table task_dependencies (
      task_id ${t.key} not null references tasks (id) on delete cascade,
      depends_on ${t.key} not null references tasks (id) on delete cascade,
      primary key (task_id, depends_on)
    ) ${t.clustered}`,
    "create index task_dependencies_other on task_dependencies (depends_on)",
    // Held by the task that is under way; whoever else needs one waits.
    `create table task_resources (
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      name ${t.key} not null,
      task_id ${t.key} not null references tasks (id) on delete cascade,
      primary key (organization_id, name)
    ) ${t.clustered}`,
    "create index task_resources_task on task_resources (task_id)",
    // The session by which a device has its tasks: an older one hands out nothing any more.
    `create table task_routes (
      device_id ${t.key} primary key references devices (id) on delete cascade,
      node_id text not null,
      sequence bigint not null
    ) ${t.clustered}`,
    `alter table commands add column task_id ${t.key} references tasks (id) on delete set null`,
    "create index commands_task on commands (task_id) where task_id is not null",
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
