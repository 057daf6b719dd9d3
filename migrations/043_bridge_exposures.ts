import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** In which smart homes a device is; without a row in all of them. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    `create table bridge_exposures (
      device_id ${t.key} not null references devices (id) on delete cascade,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      bridge ${t.key} not null,
      is_exposed ${t.bool} not null,
      updated_at ${t.time} not null,
      primary key (device_id, organization_id, bridge)
    )`,
    "create index bridge_exposures_organization on bridge_exposures (organization_id)",
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
