import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** What happened and what was answered: events, audit, idempotency keys, and the broker's durable sessions. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    // Events and audit outlive what they are about: no foreign keys.
    `create table events (
      id ${t.key} primary key,
      type text not null,
      source text not null,
      organization_id ${t.key},
      entity_id ${t.key},
      actor_kind text not null,
      actor_id text not null,
      data ${t.json} not null,
      metadata ${t.json} not null default '{}',
      timestamp ${t.time} not null,
      correlation_id ${t.key} not null,
      causation_id ${t.key}
    )`,
    "create index events_organization on events (organization_id, id)",
    "create index events_entity on events (entity_id, id)",
    "create index events_type on events (type, id)",
    "create index events_correlation on events (correlation_id, id)",
    `create table audit_outbox (
      id ${t.key} primary key,
      organization_id ${t.key},
      actor_kind text not null,
      actor_id text not null,
      action text not null,
      resource_type text not null,
      resource_id ${t.key},
      details ${t.json} not null,
      request_id text,
      correlation_id ${t.key},
      created_at ${t.time} not null,
      shipped_at ${t.time}
    )`,
    "create index audit_organization on audit_outbox (organization_id, id)",
    "create index audit_resource on audit_outbox (resource_id, id)",
    "create index audit_actor on audit_outbox (actor_id, id)",
    "create index audit_action on audit_outbox (action, id)",
    `create table idempotency_keys (
      principal_id ${t.key} not null,
      endpoint text not null,
      idem_key text not null,
      request_body_hash text not null,
      owner text not null,
      status integer,
      body text,
      headers ${t.json},
      created_at ${t.time} not null,
      primary key (principal_id, endpoint, idem_key)
    )`,
    "create index idempotency_keys_age on idempotency_keys (created_at)",
    `create table broker_state (
      kind text not null,
      client_id ${t.key} not null,
      state_key ${t.key} not null,
      value ${t.blob} not null,
      primary key (kind, client_id, state_key)
    ) ${t.clustered}`,
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
