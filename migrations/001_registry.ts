import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** Who and what there is: the registry of entities, and how people, machines and devices prove who they are. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    `create table entities (
      id ${t.key} primary key,
      entity_type text not null,
      name text not null,
      description text,
      organization_id ${t.key} references entities (id),
      properties ${t.json} not null default '{}',
      created_at ${t.time} not null,
      last_updated ${t.time} not null
    )`,
    "create index entities_type on entities (entity_type)",
    "create index entities_organization on entities (organization_id)",
    `create table relationships (
      id ${t.key} primary key,
      from_entity ${t.key} not null references entities (id) on delete cascade,
      to_entity ${t.key} not null references entities (id) on delete cascade,
      relationship_type text not null,
      properties ${t.json} not null default '{}',
      created_at ${t.time} not null
    )`,
    "create index relationships_from on relationships (from_entity)",
    "create index relationships_to on relationships (to_entity)",
    `create table organizations (
      id ${t.key} primary key references entities (id) on delete cascade,
      created_at ${t.time} not null
    )`,
    `create table users (
      id ${t.key} primary key references entities (id) on delete cascade,
      email text not null unique,
      password_hash text not null,
      role text not null check (role in ('admin', 'user')),
      organization_id ${t.key} not null references organizations (id),
      is_active ${t.bool} not null default ${t.yes},
      is_email_verified ${t.bool} not null default ${t.no},
      created_at ${t.time} not null
    )`,
    "create index users_organization on users (organization_id, id)",
    `create table devices (
      id ${t.key} primary key references entities (id) on delete cascade,
      uid ${t.key} not null unique,
      device_class text not null,
      model text,
      serial_number text unique,
      firmware_version text,
      organization_id ${t.key} references organizations (id),
      owner_id ${t.key} references users (id) on delete set null,
      capabilities ${t.json} not null default '{}',
      settings ${t.json} not null default '{}',
      ota_security_version integer not null default 0,
      is_demo ${t.bool} not null default ${t.no},
      claim_code_hash text unique,
      connection_status text not null default 'offline' check (connection_status in ('online', 'stale', 'offline')),
      last_seen_at ${t.time},
      last_ip text,
      claimed_at ${t.time},
      released_at ${t.time},
      created_at ${t.time} not null,
      updated_at ${t.time} not null
    )`,
    "create index devices_organization on devices (organization_id, id)",
    "create index devices_owner on devices (owner_id)",
    `create table device_capabilities (
      device_id ${t.key} not null references devices (id) on delete cascade,
      kind text not null check (kind in ('relay', 'light', 'input', 'ir', 'sensor')),
      capability_key ${t.key} not null,
      unit text,
      device_class text,
      primary key (device_id, kind, capability_key)
    ) ${t.clustered}`,
    `create table signing_keys (
      kid ${t.key} primary key,
      purpose text not null,
      secret_sealed text not null,
      created_at ${t.time} not null,
      retired_at ${t.time}
    )`,
    // One key a purpose signs; the retired ones still verify what they signed.
    "create unique index signing_keys_active on signing_keys (purpose) where retired_at is null",
    `create table device_credentials (
      id ${t.key} primary key,
      device_id ${t.key} not null references devices (id) on delete cascade,
      kind text not null check (kind in ('token', 'jwt', 'certificate', 'api_key')),
      secret_hash text unique,
      kid text,
      expires_at ${t.time},
      revoked_at ${t.time},
      created_at ${t.time} not null,
      last_used_at ${t.time}
    )`,
    "create index device_credentials_device on device_credentials (device_id)",
    `create table access_tokens (
      id ${t.key} primary key,
      kind text not null check (kind in ('personal', 'service')),
      name text not null,
      user_id ${t.key} references users (id) on delete cascade,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      token_hash text not null unique,
      created_at ${t.time} not null,
      expires_at ${t.time},
      revoked_at ${t.time},
      last_used_at ${t.time},
      check (kind = 'service' or user_id is not null)
    )`,
    "create index access_tokens_organization on access_tokens (organization_id, id)",
    "create index access_tokens_user on access_tokens (user_id)",
    // A service's name is its MQTT username.
    "create unique index access_tokens_service_name on access_tokens (name) where kind = 'service' and revoked_at is null",
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
