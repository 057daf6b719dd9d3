import type { Knex } from "knex";
import { CUSTOM_PREFIX, HUB_SOURCE } from "../core/event.ts";
import { type SelectedTypes, selectTypes } from "../core/event-type.ts";
import { firstIdAt } from "../core/id.ts";
import { type Actor, type Scope, SYSTEM } from "../core/principal.ts";
import type { Db } from "./open.ts";
import { engineOf, isoOf, rowsOf, scoped } from "./sql.ts";

export interface EventFilter {
  /** Types, or with `.*` at the end all that begin so. */
  readonly types?: readonly string[] | undefined;
  readonly source?: string | undefined;
  readonly entityId?: string | undefined;
  readonly actorId?: string | undefined;
  readonly correlationId?: string | undefined;
  readonly causationId?: string | undefined;
  /** ms since 1970, inclusive */
  readonly from?: number | undefined;
  /** ms since 1970, exclusive */
  readonly to?: number | undefined;
}

export const EVENT_SCOPE = { organization: "organization_id", device: "entity_id" } as const;

export interface EventOrder {
  readonly limit: number;
  /** With a smaller id. */
  readonly before?: string | undefined;
  readonly isOldestFirst?: boolean;
  readonly columns?: readonly string[];
}

/** In the order of their ids, the newest first. */
export async function readEvents<Row>(db: Db, scope: Scope, filter: EventFilter, order: EventOrder): Promise<Row[]> {
  const { limit, before, isOldestFirst = false, columns } = order;
  const direction = isOldestFirst ? "asc" : "desc";
  const queries = eventQueries(db, scope, filter, columns).map((query) => {
    if (before !== undefined) query.where("id", "<", before);
    return query.orderBy("id", direction).limit(limit);
  });
  const { sql, bindings } = allOf(queries);
  return await rowsOf<Row>(db, `select * from ${sql} order by id ${direction} limit ?`, [...bindings, limit]);
}

/** What all these queries find, as a table in FROM. */
export function allOf(queries: readonly Knex.QueryBuilder[]): { sql: string; bindings: readonly unknown[] } {
  const parts = queries.map((query) => query.toSQL());
  return {
    sql: `(${parts.map(({ sql }, index) => `select * from (${sql}) as part${index}`).join(" union all ")}) as events_found`,
    bindings: parts.flatMap((part) => part.bindings),
  };
}

/**
 * The events of the filter as queries that have none in common. Each walks along one index that ends with the id, so that a
 * page costs what it holds, however many events there are. Throws `validation_error` for types that no event can have.
 */
export function eventQueries(db: Db, scope: Scope, filter: EventFilter, columns: readonly string[] = ["*"]): Knex.QueryBuilder[] {
  const types = filter.types && selectTypes(filter.types);
  return waysTo(scope, filter, types).map(({ index, narrow, isScoped = false, isTyped = false }) => {
    const table = index !== undefined && engineOf(db) === "sqlite" ? db.raw(`events indexed by ${index}`) : "events";
    const query = db(table as string).select(...columns);
    if (!isScoped) scoped(query, scope, EVENT_SCOPE);
    else if (scope.kind !== "platform") query.where("organization_id", scope.organizationId);
    if (types && !isTyped) ofTypes(query, types);
    matching(query, filter);
    narrow?.(query);
    return query;
  });
}

/** One way through the table. SQLite keeps no statistics of which index is worth it, so it is told. */
interface Way {
  readonly index?: string;
  readonly narrow?: (query: Knex.QueryBuilder) => void;
  /** Only devices of the scope are on it. */
  readonly isScoped?: boolean;
  /** Only the types of the filter are on it. */
  readonly isTyped?: boolean;
}

const NOTHING: Way = { narrow: (query) => void query.whereRaw("1 = 0") };
/** More are looked for among all events of the organisation. */
const MOST_DEVICES = 50;

/** By what leaves least: a chain, a cause, a thing, somebody, a source, types, or all that may be seen. */
function waysTo(scope: Scope, filter: EventFilter, types: SelectedTypes | undefined): Way[] {
  const { correlationId, causationId, entityId, actorId, source } = filter;
  if (correlationId !== undefined)
    return [
      // The root's own row is not in the index of chains: most events are the only one of theirs.
      { narrow: (query) => void query.where("id", correlationId) },
      { index: "events_chain", narrow: (query) => void query.whereRaw("correlation_id <> id") },
    ];
  if (causationId !== undefined) return [{ index: "events_cause" }];
  if (entityId !== undefined) return waysToThings(scope, [entityId]);
  if (actorId !== undefined && actorId !== SYSTEM.id)
    return [
      { index: "events_actor", narrow: (query) => void query.whereRaw("actor_kind <> 'device' and actor_id <> 'hub'") },
      // A device says what happened to itself.
      ...waysToThings(scope, [actorId], "device"),
    ];
  if (source !== undefined && source !== HUB_SOURCE)
    return [{ index: "events_source", narrow: (query) => void query.whereRaw(`source <> '${HUB_SOURCE}'`) }];
  if (scope.kind === "devices" && scope.deviceIds.length <= MOST_DEVICES) return waysToThings(scope, scope.deviceIds);
  if (types) return waysToTypes(scope, types);
  return scope.kind === "platform" ? [{}] : [{ index: "events_organization" }];
}

function waysToThings(scope: Scope, ids: readonly string[], actorKind?: Actor["kind"]): Way[] {
  const seen = scope.kind === "devices" ? ids.filter((id) => scope.deviceIds.includes(id)) : ids;
  if (seen.length === 0) return [NOTHING];
  const only = actorKind === undefined ? {} : { actor_kind: actorKind };
  return seen.map((id) => ({
    index: "events_entity",
    isScoped: true,
    narrow: (query) => {
      query.where({ entity_id: id, ...only });
    },
  }));
}

function waysToTypes(scope: Scope, { exact, prefixes }: SelectedTypes): Way[] {
  const isEverywhere = scope.kind === "platform";
  return [
    ...exact.map(
      (type): Way => ({
        index: isEverywhere ? "events_type" : "events_organization_type",
        isTyped: true,
        narrow: (query) => void query.where("type", type),
      }),
    ),
    ...prefixes.map(
      (prefix): Way => ({
        index: isEverywhere ? "events_custom_everywhere" : "events_custom",
        isTyped: true,
        narrow: (query) => {
          query.whereRaw(`substr(type, 1, ${CUSTOM_PREFIX.length}) = '${CUSTOM_PREFIX}'`);
          if (prefix !== CUSTOM_PREFIX) query.whereRaw("substr(type, 1, ?) = ?", [prefix.length, prefix]);
        },
      }),
    ),
  ];
}

function ofTypes(query: Knex.QueryBuilder, { exact, prefixes }: SelectedTypes): void {
  query.andWhere((either) => {
    either.whereIn("type", exact);
    for (const prefix of prefixes) either.orWhereRaw("substr(type, 1, ?) = ?", [prefix.length, prefix]);
  });
}

/** An event's id is made when its time is read, or a little later: so much later at most. */
const ID_DELAY_MS = 3_600_000;

function matching(query: Knex.QueryBuilder, { source, entityId, actorId, correlationId, causationId, from, to }: EventFilter): void {
  const wanted = { source, entity_id: entityId, actor_id: actorId, correlation_id: correlationId, causation_id: causationId };
  for (const [column, value] of Object.entries(wanted)) if (value !== undefined) query.where(column, value);
  // By the ids, which every index has, and then exactly.
  if (from !== undefined) query.where("timestamp", ">=", isoOf(from)).where("id", ">=", firstIdAt(from - ID_DELAY_MS));
  if (to !== undefined) query.where("timestamp", "<", isoOf(to)).where("id", "<", firstIdAt(to + ID_DELAY_MS));
}
