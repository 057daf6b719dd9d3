import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** What people are told, each in each of their organisations. */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    // Counts what the person was told. Whoever tells something holds its row until the commit, so that the numbers are in the order of the commits.
    `create table notification_feeds (
      user_id ${t.key} not null,
      organization_id ${t.key} not null,
      seq bigint not null,
      mail_due_at ${t.time},
      primary key (user_id, organization_id),
      foreign key (user_id, organization_id) references memberships (user_id, organization_id) on delete cascade
    ) ${t.clustered}`,
    `create table notifications (
      id ${t.key} primary key,
      user_id ${t.key} not null,
      organization_id ${t.key} not null,
      seq bigint not null,
      severity text not null check (severity in ('info', 'warning', 'critical')),
      title text not null,
      body text not null,
      data text,
      source_kind text not null,
      source_id text not null,
      occurrences integer not null,
      correlation_id text not null,
      causation_id text,
      group_key ${t.key},
      created_at ${t.time} not null,
      updated_at ${t.time} not null,
      read_at ${t.time},
      mail_state text check (mail_state in ('waiting', 'written')),
      mailed_at ${t.time},
      check ((mailed_at is null) or (mail_state is not null)),
      unique (user_id, organization_id, seq),
      foreign key (user_id, organization_id) references notification_feeds (user_id, organization_id) on delete cascade
    )`,
    "create index notifications_unread on notifications (user_id, organization_id, seq) where read_at is null",
    "create index notifications_group on notifications (organization_id, group_key, user_id) where group_key is not null and read_at is null",
    "create index notifications_mail on notifications (user_id, organization_id, seq) where mail_state = 'waiting'",
    "create index notifications_mailed on notifications (user_id, organization_id, mailed_at) where mailed_at is not null",
    "create index notifications_age on notifications (created_at)",
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
