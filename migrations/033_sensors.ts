import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** What people say of a device's sensors, and sensors that are worked out of others. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    `create table sensor_settings (
      device_id ${t.key} not null references devices (id) on delete cascade,
      sensor_key ${t.key} not null,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      settings ${t.json} not null,
      is_calibrated ${t.bool} not null,
      version integer not null,
      created_at ${t.time} not null,
      updated_at ${t.time} not null,
      primary key (device_id, sensor_key)
    ) ${t.clustered}`,
    "create index sensor_settings_organization on sensor_settings (organization_id)",
    `create table virtual_sensors (
      id ${t.key} primary key,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      device_id ${t.key} not null references devices (id) on delete cascade,
      sensor_key ${t.key} not null,
      content ${t.json} not null,
      inputs ${t.json} not null,
      version integer not null default 1,
      created_at ${t.time} not null,
      updated_at ${t.time} not null
    )`,
    "create unique index virtual_sensors_target on virtual_sensors (device_id, sensor_key)",
    "create index virtual_sensors_organization on virtual_sensors (organization_id, id)",
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
