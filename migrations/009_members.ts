import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** Who may do what: people are members of organisations, with a role or without, and may be given single devices. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    `create table memberships (
      user_id ${t.key} not null references users (id) on delete cascade,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      role text check (role in ('owner', 'admin', 'operator', 'viewer')),
      created_at ${t.time} not null,
      primary key (user_id, organization_id)
    ) ${t.clustered}`,
    "create index memberships_organization on memberships (organization_id, user_id)",
    `create table device_grants (
      user_id ${t.key} not null,
      device_id ${t.key} not null references devices (id) on delete cascade,
      organization_id ${t.key} not null,
      role text not null check (role in ('admin', 'operator', 'viewer')),
      created_at ${t.time} not null,
      primary key (user_id, device_id),
      foreign key (user_id, organization_id) references memberships (user_id, organization_id) on delete cascade
    ) ${t.clustered}`,
    "create index device_grants_device on device_grants (device_id)",
    "create index device_grants_organization on device_grants (organization_id, user_id)",
    `create table invitations (
      id ${t.key} primary key,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      email text not null,
      role text check (role in ('owner', 'admin', 'operator', 'viewer')),
      token_hash text not null unique,
      invited_by ${t.key} references users (id) on delete set null,
      created_at ${t.time} not null,
      expires_at ${t.time} not null,
      unique (organization_id, email)
    )`,
    // Until now everybody could do nearly everything in the organisation.
    `insert into memberships (user_id, organization_id, role, created_at)
     select id, organization_id, case role when 'admin' then 'owner' else 'admin' end, created_at from users`,
    `alter table logins add column organization_id ${t.key} references organizations (id) on delete cascade`,
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
