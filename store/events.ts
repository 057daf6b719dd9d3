import type { EventType, HubEvent } from "../core/event.ts";
import { firstIdAt } from "../core/id.ts";
import type { Actor, Scope } from "../core/principal.ts";
import type { Db } from "./open.ts";
import { fromJson, isoOf, type Page, pageOf, rowSource, rowsOf, scoped, toJson } from "./sql.ts";

const COLUMNS = {
  id: "text",
  type: "text",
  source: "text",
  organization_id: "text",
  entity_id: "text",
  actor_kind: "text",
  actor_id: "text",
  data: "json",
  timestamp: "time",
  correlation_id: "text",
  causation_id: "text",
} as const;
const NAMES = Object.keys(COLUMNS).join(", ");

/** An event that is there already is left as it is. */
export async function insertEvents(db: Db, events: readonly HubEvent[]): Promise<void> {
  if (events.length === 0) return;
  await rowsOf(db, `insert into events (${NAMES}) select ${NAMES} from ${rowSource(db, COLUMNS)} where true on conflict do nothing`, [
    toJson(events.map(rowOf)),
  ]);
}

export interface EventFilter {
  readonly limit: number;
  readonly after?: string | undefined;
  readonly type?: string | undefined;
  readonly entityId?: string | undefined;
  readonly correlationId?: string | undefined;
  /** ms since 1970, inclusive */
  readonly from?: number | undefined;
  /** ms since 1970, exclusive */
  readonly to?: number | undefined;
}

/** Newest first. `after` is the id of the last event of the page before. */
export async function listEvents(db: Db, scope: Scope, filter: EventFilter): Promise<Page<HubEvent>> {
  const query = scoped(db("events"), scope, { organization: "organization_id", device: "entity_id" })
    .orderBy("id", "desc")
    .limit(filter.limit + 1);
  if (filter.after !== undefined) query.where("id", "<", filter.after);
  if (filter.type !== undefined) query.where("type", filter.type);
  if (filter.entityId !== undefined) query.where("entity_id", filter.entityId);
  if (filter.correlationId !== undefined) query.where("correlation_id", filter.correlationId);
  if (filter.from !== undefined) query.where("timestamp", ">=", isoOf(filter.from));
  if (filter.to !== undefined) query.where("timestamp", "<", isoOf(filter.to));
  const rows = (await query) as EventRow[];
  return pageOf(rows.map(eventOf), filter.limit, (event) => event.id);
}

/** The newest `limit` events whose ids were made at `ms` (since 1970) or later; oldest first. */
export async function eventsSince(db: Db, ms: number, limit: number): Promise<HubEvent[]> {
  const rows = (await db("events").where("id", ">=", firstIdAt(ms)).orderBy("id", "desc").limit(limit)) as EventRow[];
  return rows.map(eventOf).toReversed();
}

interface EventRow {
  id: string;
  type: EventType;
  source: string;
  organization_id: string | null;
  entity_id: string | null;
  actor_kind: Actor["kind"];
  actor_id: string;
  data: unknown;
  timestamp: string;
  correlation_id: string;
  causation_id: string | null;
}

function rowOf(event: HubEvent): EventRow {
  return {
    id: event.id,
    type: event.type,
    source: event.source,
    organization_id: event.organizationId,
    entity_id: event.entityId,
    actor_kind: event.actor.kind,
    actor_id: event.actor.id,
    data: event.data,
    timestamp: event.timestamp,
    correlation_id: event.correlationId,
    causation_id: event.causationId,
  };
}

function eventOf(row: EventRow): HubEvent {
  return {
    id: row.id,
    type: row.type,
    source: row.source,
    organizationId: row.organization_id,
    entityId: row.entity_id,
    actor: { kind: row.actor_kind, id: row.actor_id },
    data: fromJson(row.data) as Record<string, unknown>,
    timestamp: row.timestamp,
    correlationId: row.correlation_id,
    causationId: row.causation_id,
  };
}
