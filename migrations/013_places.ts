import type { Knex } from "knex";
import { columnTypes, isPostgres, runAll } from "./column-types.ts";

/** Where things are and what belongs together: sites, rooms and projects, rights on all that is on a site, and the organisation of every edge. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    `create table sites (
      id ${t.key} primary key references entities (id) on delete cascade,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      time_zone text not null,
      latitude ${t.float},
      longitude ${t.float},
      address text,
      unique (id, organization_id),
      check ((latitude is null) = (longitude is null))
    )`,
    "create index sites_organization on sites (organization_id, id)",
    // A room cannot be on a site of another organisation.
    `create table rooms (
      id ${t.key} primary key references entities (id) on delete cascade,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      site_id ${t.key} not null,
      floor text,
      foreign key (site_id, organization_id) references sites (id, organization_id) on delete cascade
    )`,
    "create index rooms_organization on rooms (organization_id, id)",
    "create index rooms_site on rooms (site_id, id)",
    `alter table devices add column room_id ${t.key} references rooms (id) on delete set null`,
    "create index devices_room on devices (room_id)",
    `create table projects (
      id ${t.key} primary key references entities (id) on delete cascade,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      project_lead_id ${t.key} references users (id) on delete set null,
      status text not null check (status in ('active', 'paused', 'done'))
    )`,
    "create index projects_organization on projects (organization_id, id)",
    "create index projects_lead on projects (project_lead_id)",
    `create table site_grants (
      user_id ${t.key} not null,
      site_id ${t.key} not null,
      organization_id ${t.key} not null,
      role text not null check (role in ('admin', 'operator', 'viewer')),
      created_at ${t.time} not null,
      primary key (user_id, site_id),
      foreign key (user_id, organization_id) references memberships (user_id, organization_id) on delete cascade,
      foreign key (site_id, organization_id) references sites (id, organization_id) on delete cascade
    ) ${t.clustered}`,
    "create index site_grants_site on site_grants (site_id)",
    "create index site_grants_organization on site_grants (organization_id, user_id)",
    `alter table relationships add column organization_id ${t.key} references organizations (id) on delete cascade`,
    // Until now an edge went from a person to the device that they claimed.
    "update relationships set organization_id = (select e.organization_id from entities e where e.id = relationships.to_entity)",
    "create index relationships_organization on relationships (organization_id, id)",
    `delete from relationships where id not in (select min(id) from relationships group by from_entity, to_entity, relationship_type)`,
    "create unique index relationships_edge on relationships (from_entity, to_entity, relationship_type)",
  ]);
  if (isPostgres(db)) await createLower(db);
}

/** Small letters in every alphabet, whatever the locale of the database; store/sqlite-worker.ts has SQLite's. */
async function createLower(db: Knex): Promise<void> {
  const { rows } = (await db.raw("select 1 from pg_collation where collname = 'und-x-icu'")) as { rows: unknown[] };
  const collation = rows.length > 0 ? ' collate "und-x-icu"' : "";
  await db.raw(`create function hub_lower(text) returns text language sql immutable strict as 'select lower($1${collation})'`);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
