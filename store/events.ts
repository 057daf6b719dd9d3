import { HubError } from "../core/errors.ts";
import type { EventType, HubEvent } from "../core/event.ts";
import { firstIdAt } from "../core/id.ts";
import type { Actor, Scope } from "../core/principal.ts";
import { EVENT_SCOPE, type EventFilter, readEvents } from "./event-query.ts";
import type { Db } from "./open.ts";
import { fromJson, type Page, pageOf, rowSource, rowsOf, scoped, toJson } from "./sql.ts";

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

/** Adds what follows from events to the transaction that stores them: either both are kept or neither. */
export type EventWitness = (trx: Db, events: readonly HubEvent[]) => Promise<void>;

const WITNESSES = Symbol("witnesses of events");
/** A transaction's client has what its database's has. */
type WitnessedClient = { [WITNESSES]?: EventWitness[] };

/** From now on `witness` sees every event of the database that this process stores, once, before it is committed. */
export function witnessEvents(db: Db, witness: EventWitness): void {
  ((db.client as WitnessedClient)[WITNESSES] ??= []).push(witness);
}

/** An event that is there already is left as it is. */
export async function insertEvents(db: Db, events: readonly HubEvent[]): Promise<void> {
  if (events.length === 0) return;
  const inserted = await rowsOf<{ id: string }>(
    db,
    `insert into events (${NAMES}) select ${NAMES} from ${rowSource(db, COLUMNS)} where true on conflict do nothing returning id`,
    [toJson(events.map(rowOf))],
  );
  const witnesses = (db.client as WitnessedClient)[WITNESSES];
  if (witnesses === undefined || inserted.length === 0) return;
  const ids = new Set(inserted.map(({ id }) => id));
  const fresh = ids.size === events.length ? events : events.filter(({ id }) => ids.has(id));
  for (const witness of witnesses) await witness(db, fresh);
}

export interface EventPageFilter extends EventFilter {
  readonly limit: number;
  /** The id of the last event of the page before. */
  readonly after?: string | undefined;
}

/** Newest first. */
export async function listEvents(db: Db, scope: Scope, { limit, after, ...filter }: EventPageFilter): Promise<Page<HubEvent>> {
  const rows = await readEvents<EventRow>(db, scope, filter, { limit: limit + 1, before: after });
  return pageOf(rows.map(eventOf), limit, (event) => event.id);
}

/** Throws `not_found`. */
export async function getEvent(db: Db, scope: Scope, id: string): Promise<HubEvent> {
  const row = (await scoped(db("events"), scope, EVENT_SCOPE).where({ id }).first()) as EventRow | undefined;
  if (!row) throw new HubError("not_found", "there is no such event");
  return eventOf(row);
}

/** All of a chain that the scope may see, from its root on. */
export async function chainEvents(db: Db, scope: Scope, correlationId: string, limit: number): Promise<HubEvent[]> {
  return (await readEvents<EventRow>(db, scope, { correlationId }, { limit, isOldestFirst: true })).map(eventOf);
}

/** Those of them that are there. */
export async function findEvents(db: Db, ids: readonly string[]): Promise<Map<string, HubEvent>> {
  const rows = (await db("events").whereIn("id", [...ids])) as EventRow[];
  return new Map(rows.map((row) => [row.id, eventOf(row)]));
}

/** The newest `limit` events whose ids were made at `ms` (since 1970) or later; oldest first. */
export async function eventsSince(db: Db, ms: number, limit: number): Promise<HubEvent[]> {
  const rows = (await db("events").where("id", ">=", firstIdAt(ms)).orderBy("id", "desc").limit(limit)) as EventRow[];
  return rows.map(eventOf).toReversed();
}

/** All whose ids lie between, oldest first, some `pageSize` at a time. */
export async function* eventsBetween(
  db: Db,
  { from, to }: { readonly from: string; readonly to: string },
  pageSize: number,
): AsyncGenerator<HubEvent[]> {
  for (let after: string | undefined; ; ) {
    const rows = (await db("events")
      .where("id", after === undefined ? ">=" : ">", after ?? from)
      .where("id", "<", to)
      .orderBy("id")
      .limit(pageSize)) as EventRow[];
    if (rows.length > 0) yield rows.map(eventOf);
    if (rows.length < pageSize) return;
    after = rows.at(-1)?.id;
  }
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
