import type { Knex } from "knex";
import { columnTypes, isPostgres, runAll } from "./column-types.ts";

/** What readings amount to by minute, hour and day (UTC), and the hours of which that is to be worked out. Times in ms since 1970. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  const rolled = (name: string, more = ""): string => `create table ${name} (
    series_id integer not null,
    ts bigint not null,
    n bigint not null,
    v_n bigint not null,
    v_min ${t.float},
    v_max ${t.float},
    v_sum ${t.float},
    first_v ${t.float},
    first_json text,
    last_v ${t.float},
    last_json text,
    ${more}
    primary key (series_id, ts)
  ) ${t.clustered}`;
  await runAll(db, [
    rolled("telemetry_minutes"),
    rolled("telemetry_hours", `has_minutes ${t.bool} not null,`),
    rolled("telemetry_days"),
    `create table telemetry_dirty (
      series_id integer not null,
      hour bigint not null,
      primary key (series_id, hour)
    ) ${t.clustered}`,
    "create index telemetry_dirty_hour on telemetry_dirty (hour)",
    isPostgres(db)
      ? "insert into telemetry_dirty select distinct series_id, floor(extract(epoch from ts) / 3600)::bigint from telemetry"
      : "insert into telemetry_dirty select distinct series_id, bucket / 6 from telemetry",
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
