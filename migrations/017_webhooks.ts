import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** Webhooks: what is told to others, the messages on their way, and what others tell. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  // While a secret is changed there are two.
  const secrets = `secret_encrypted text not null,
      secret_key_id ${t.key} not null,
      former_secret_encrypted text,
      former_secret_key_id ${t.key},
      former_secret_until ${t.time},
      check ((former_secret_encrypted is null) = (former_secret_key_id is null)),
      check ((former_secret_encrypted is null) = (former_secret_until is null))`;
  await runAll(db, [
    `create table webhooks (
      id ${t.key} primary key,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      name text not null,
      url text not null,
      events ${t.json} not null,
      device_ids ${t.json},
      is_active ${t.bool} not null,
      failure_count integer not null default 0,
      failing_since ${t.time},
      disabled_at ${t.time},
      disabled_reason text check (disabled_reason in ('failing', 'gone')),
      created_by ${t.key} not null,
      version integer not null,
      created_at ${t.time} not null,
      updated_at ${t.time} not null,
      ${secrets}
    )`,
    "create index webhooks_organization on webhooks (organization_id, id)",
    "create index webhooks_key on webhooks (secret_key_id)",
    "create index webhooks_former_key on webhooks (former_secret_key_id)",
    // Without references: a webhook that is removed must not make the transaction fail that has an event for it.
    `create table webhook_deliveries (
      id ${t.key} primary key,
      organization_id ${t.key} not null,
      webhook_id ${t.key} not null,
      event_id ${t.key} not null,
      event_type text not null,
      status text not null check (status in ('pending', 'delivered', 'dead', 'dropped')),
      attempts integer not null default 0,
      next_attempt_at ${t.time} not null,
      expires_at ${t.time} not null,
      response_status integer,
      error text,
      latency_ms integer,
      created_at ${t.time} not null,
      finished_at ${t.time},
      check ((status = 'pending') = (finished_at is null))
    )`,
    "create index webhook_deliveries_webhook on webhook_deliveries (webhook_id, id)",
    "create index webhook_deliveries_due on webhook_deliveries (webhook_id, next_attempt_at, id) where status = 'pending'",
    "create index webhook_deliveries_age on webhook_deliveries (finished_at) where finished_at is not null",
    `create table inbound_hooks (
      id ${t.key} primary key,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      name text not null,
      scheme text not null check (scheme in ('standard', 'sha256', 'token')),
      is_active ${t.bool} not null,
      created_by ${t.key} not null,
      version integer not null,
      created_at ${t.time} not null,
      updated_at ${t.time} not null,
      ${secrets}
    )`,
    "create index inbound_hooks_organization on inbound_hooks (organization_id, id)",
    "create index inbound_hooks_key on inbound_hooks (secret_key_id)",
    "create index inbound_hooks_former_key on inbound_hooks (former_secret_key_id)",
    `create table inbound_hook_messages (
      hook_id ${t.key} not null references inbound_hooks (id) on delete cascade,
      message_hash ${t.key} not null,
      received_at ${t.time} not null,
      primary key (hook_id, message_hash)
    ) ${t.clustered}`,
    "create index inbound_hook_messages_age on inbound_hook_messages (received_at)",
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
