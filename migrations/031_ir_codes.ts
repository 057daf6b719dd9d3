import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** What a device with an infrared emitter can be told to send, by name. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    `create table device_ir_codes (
      id ${t.key} primary key,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      device_id ${t.key} not null references devices (id) on delete cascade,
      name text not null,
      source text not null,
      timings ${t.json} not null,
      carrier_hz integer not null,
      repeat_from integer not null,
      repeats integer not null,
      protocol text,
      address integer,
      command integer,
      version integer not null default 1,
      created_at ${t.time} not null,
      updated_at ${t.time} not null
    )`,
    "create index device_ir_codes_device on device_ir_codes (device_id, id)",
    "create index device_ir_codes_organization on device_ir_codes (organization_id)",
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
