import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** Alert rules with their versions and what they see, and alerts with their history. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    `create table alert_rules (
      id ${t.key} primary key,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      name text not null,
      description text,
      site_id ${t.key} references sites (id) on delete set null,
      is_enabled ${t.bool} not null,
      severity text not null,
      version integer not null,
      definition ${t.json} not null,
      created_at ${t.time} not null,
      updated_at ${t.time} not null
    )`,
    "create index alert_rules_organization on alert_rules (organization_id, id)",
    `create table alert_rule_versions (
      rule_id ${t.key} not null references alert_rules (id) on delete cascade,
      version integer not null,
      name text not null,
      description text,
      definition ${t.json} not null,
      changed_at ${t.time} not null,
      actor_kind text not null,
      actor_id text not null,
      note text,
      primary key (rule_id, version)
    )`,
    // Subjects that are not fine, or have a timer out. Its rule goes first where both are locked, so that no key refers to it.
    `create table alert_states (
      rule_id ${t.key} not null,
      version integer not null,
      subject ${t.key} not null,
      is_bad ${t.bool} not null,
      state ${t.json} not null,
      primary key (rule_id, version, subject)
    ) ${t.clustered}`,
    "create index alert_states_subject on alert_states (subject)",
    `create table alerts (
      id ${t.key} primary key,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      rule_id ${t.key},
      rule_version integer,
      subject ${t.key} not null,
      device_id ${t.key},
      uid ${t.key},
      site_id ${t.key},
      severity text not null,
      status text not null check (status in ('firing', 'acknowledged', 'resolved')),
      title text not null,
      description text,
      measured ${t.json} not null,
      parent_id ${t.key},
      silenced_until ${t.time},
      started_at ${t.time} not null,
      raised_at ${t.time} not null,
      told_at ${t.time},
      acknowledged_at ${t.time},
      resolved_at ${t.time},
      resolution text,
      correlation_id ${t.key} not null
    )`,
    "create index alerts_organization on alerts (organization_id, id)",
    "create index alerts_rule on alerts (rule_id, id)",
    "create index alerts_device on alerts (device_id, id)",
    "create index alerts_parent on alerts (parent_id)",
    "create index alerts_resolved on alerts (resolved_at)",
    // Of one rule and subject, or one key of an organisation, one is open at a time.
    "create unique index alerts_open on alerts (coalesce(rule_id, organization_id), subject) where status <> 'resolved'",
    `create table alert_entries (
      id ${t.key} primary key,
      alert_id ${t.key} not null references alerts (id) on delete cascade,
      at ${t.time} not null,
      what text not null,
      actor_kind text not null,
      actor_id text not null,
      details ${t.json} not null
    )`,
    "create index alert_entries_alert on alert_entries (alert_id, id)",
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
