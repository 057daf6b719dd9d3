import type { Knex } from "knex";
import { columnTypes, runAll } from "./column-types.ts";

/** The audit's rows become links of chains, one of each organisation and one of the hub (docs/decisions/0012-audit-chain.md). */
export async function up(db: Knex): Promise<void> {
  const t = columnTypes(db);
  await runAll(db, [
    "alter table audit_outbox add column before_hash text",
    "alter table audit_outbox add column after_hash text",
    "alter table audit_outbox add column chain_seq bigint",
    "alter table audit_outbox add column chain_hash text",
    "create index audit_unsealed on audit_outbox (id) where chain_seq is null",
    // The hub's own chain is that of the empty name: null is not equal to null.
    "create unique index audit_chain on audit_outbox (coalesce(organization_id, ''), chain_seq) where chain_seq is not null",
    "create index audit_request on audit_outbox (request_id, id)",
    "create index audit_correlation on audit_outbox (correlation_id, id)",
    `create table audit_chains (
      chain ${t.key} primary key,
      last_seq bigint not null,
      last_hash text not null,
      broken_seq bigint,
      seal text not null
    )`,
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
