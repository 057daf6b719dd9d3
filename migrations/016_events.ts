import type { Knex } from "knex";
import { runAll } from "./column-types.ts";

/**
 * An index for each filter of events. Most events are of devices, about themselves and the first of their chains: they are in
 * as many indexes as before, since those of actors, causes, sources, chains and own types leave them out.
 */
export async function up(db: Knex): Promise<void> {
  await runAll(db, [
    "create index events_organization_type on events (organization_id, type, id)",
    "drop index events_correlation",
    "create index events_chain on events (correlation_id, id) where correlation_id <> id",
    "create index events_cause on events (causation_id, id) where causation_id is not null",
    "create index events_actor on events (actor_id, id) where actor_kind <> 'device' and actor_id <> 'hub'",
    "create index events_source on events (source, id) where source <> '/hexahub'",
    "create index events_custom on events (organization_id, id) where substr(type, 1, 7) = 'custom.'",
    "create index events_custom_everywhere on events (id) where substr(type, 1, 7) = 'custom.'",
  ]);
}

/** A release is undone by restoring the backup from before it. */
export async function down(): Promise<void> {
  throw new Error("this migration cannot be undone");
}
