import type { Knex } from "knex";
import { type ColumnTypes, columnTypes, isPostgres, runAll } from "./column-types.ts";

/** What devices are and were: outputs with the reason of their last change, commands, sensor values. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    outputTable("relay_states", "", t),
    outputTable("light_states", "brightness integer, color_temp integer,", t),
    `create table commands (
      id ${t.key} primary key,
      device_id ${t.key} not null references devices (id) on delete cascade,
      organization_id ${t.key},
      command ${t.json} not null,
      status text not null check (status in ('queued', 'sent', 'ok', 'error', 'timeout', 'expired')),
      actor_kind text not null,
      actor_id text not null,
      source text not null,
      correlation_id text not null,
      causation_id text,
      error text,
      latency_ms integer,
      created_at ${t.time} not null,
      deadline_at ${t.time} not null,
      finished_at ${t.time},
      late_ack_at ${t.time}
    )`,
    "create index commands_device on commands (device_id, created_at, id)",
    "create index commands_organization on commands (organization_id, created_at, id)",
    "create index commands_open on commands (deadline_at) where status in ('queued', 'sent')",
    `create table device_sensor_state (
      device_id ${t.key} not null references devices (id) on delete cascade,
      sensor_key ${t.key} not null,
      ts bigint not null,
      v ${t.float},
      json ${t.json},
      received_at ${t.time} not null,
      primary key (device_id, sensor_key)
    ) ${t.clustered}`,
    // A series belongs to whom the device belonged to when it was recorded, and stays there when the device moves on.
    `create table series (
      id ${t.counter},
      device_id ${t.key} not null references devices (id) on delete cascade,
      organization_id ${t.key},
      sensor_key ${t.key} not null,
      first_ts bigint not null,
      created_at ${t.time} not null
    )`,
    "create unique index series_identity on series (device_id, sensor_key, coalesce(organization_id, ''))",
    isPostgres(db)
      ? `create table telemetry (
          series_id integer not null,
          ts timestamptz not null,
          v float8,
          json jsonb,
          primary key (series_id, ts)
        ) partition by range (ts)`
      : // Ten minutes of all series lie side by side, so that what arrives together is written together.
        `create table telemetry (
          bucket integer not null,
          series_id integer not null,
          ts integer not null,
          v real,
          json text,
          primary key (bucket, series_id, ts)
        ) without rowid`,
  ]);
}

function outputTable(name: string, values: string, t: ColumnTypes): string {
  return `create table ${name} (
    device_id ${t.key} not null references devices (id) on delete cascade,
    output_index integer not null,
    state text not null check (state in ('ON', 'OFF')),
    ${values}
    changed_at ${t.time} not null,
    actor_kind text not null,
    actor_id text not null,
    source text not null,
    command_id text,
    correlation_id text,
    rule_version integer,
    primary key (device_id, output_index)
  ) ${t.clustered}`;
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
