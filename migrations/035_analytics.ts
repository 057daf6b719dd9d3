import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

const HOUR_MS = 3_600_000;

/**
 * What devices amount to by hour and day (UTC), the hours that are to be worked out, and what statistics found in them. Times of metrics in
 * ms since 1970.
 */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  const metrics = (name: string): string => `create table ${name} (
    device_id ${t.key} not null references devices (id) on delete cascade,
    ts bigint not null,
    metric_type ${t.key} not null,
    channel ${t.key} not null,
    organization_id ${t.key} not null references organizations (id) on delete cascade,
    n bigint not null,
    v_sum ${t.float} not null,
    v_min ${t.float} not null,
    v_max ${t.float} not null,
    v_last ${t.float},
    sketch text,
    primary key (device_id, ts, metric_type, channel, organization_id)
  ) ${t.clustered}`;
  await runAll(db, [
    metrics("metric_hours"),
    metrics("metric_days"),
    // When commands are given, for a whole organisation.
    "create index metric_hours_usage on metric_hours (organization_id, ts, metric_type, device_id, n) where metric_type in ('command.success', 'command.by_hand')",
    `create table metric_dirty (
      hour bigint not null,
      device_id ${t.key} not null,
      organization_id ${t.key} not null,
      primary key (hour, device_id, organization_id)
    ) ${t.clustered}`,
    // A command that waited for its device went out later than it was made.
    `alter table commands add column sent_at ${t.time}`,
    `create table insights (
      id ${t.key} primary key,
      organization_id ${t.key} not null references organizations (id) on delete cascade,
      device_id ${t.key} not null references devices (id) on delete cascade,
      uid ${t.key} not null,
      kind text not null,
      subject ${t.key} not null,
      severity text not null,
      message text not null,
      evidence ${t.json} not null,
      since ${t.time} not null,
      found_at ${t.time} not null,
      seen_at ${t.time} not null,
      ended_at ${t.time},
      dismissed_at ${t.time},
      dismissed_by_kind text,
      dismissed_by ${t.key},
      correlation_id ${t.key} not null
    )`,
    "create unique index insights_open on insights (device_id, kind, subject) where ended_at is null",
    "create index insights_organization on insights (organization_id, id)",
    "create index insights_device on insights (device_id, id)",
    "create index insights_ended on insights (ended_at) where ended_at is not null",
    // The day up to which an organisation was looked at.
    `create table insight_days (
      organization_id ${t.key} primary key references organizations (id) on delete cascade,
      day bigint not null
    ) ${t.clustered}`,
  ]);
  await seed(db, Math.floor(Date.now() / HOUR_MS));
}

/** Devices that are connected and relays that are on said so before anybody counted: as if they had at the end of the last hour. */
async function seed(db: Knex, hour: number): Promise<void> {
  const row = (type: string, channel: string): string =>
    `select d.id, ${(hour - 1) * HOUR_MS}, '${type}', ${channel}, d.organization_id, 0, 0, 0, 0, 1`;
  const into = "insert into metric_hours (device_id, ts, metric_type, channel, organization_id, n, v_sum, v_min, v_max, v_last)";
  await runAll(db, [
    `${into} ${row("presence.online", "''")} from devices d where d.organization_id is not null and d.connection_status <> 'offline'`,
    `${into} ${row("relay.on", "'relay ' || s.output_index")} from relay_states s join devices d on d.id = s.device_id where d.organization_id is not null and s.state = 'ON'`,
    `insert into metric_dirty (hour, device_id, organization_id) select distinct ${hour}, device_id, organization_id from metric_hours`,
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
