import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** Until when ClickHouse has been told to remove the events of an organisation that keeps them for less than the hub; ms since 1970. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    `create table clickhouse_event_removals (
      organization_id ${t.key} primary key references organizations (id) on delete cascade,
      removed_before bigint not null
    ) ${t.clustered}`,
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
