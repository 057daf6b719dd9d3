import type { AuditEntry } from "../core/event.ts";
import { firstIdAt } from "../core/id.ts";
import type { Actor, Scope } from "../core/principal.ts";
import type { Db } from "./open.ts";
import { fromJson, isoOf, type Page, pageOf, rowSource, scoped, toJson } from "./sql.ts";
import { write } from "./transaction.ts";

const COLUMNS = {
  id: "text",
  organization_id: "text",
  actor_kind: "text",
  actor_id: "text",
  action: "text",
  resource_type: "text",
  resource_id: "text",
  details: "json",
  request_id: "text",
  correlation_id: "text",
  before_hash: "text",
  after_hash: "text",
  created_at: "time",
} as const;
const NAMES = Object.keys(COLUMNS).join(", ");

/** Belongs into the transaction of what it tells. An entry that is there already is left as it is. */
export async function insertAudit(db: Db, entries: readonly AuditEntry[]): Promise<void> {
  if (entries.length === 0) return;
  await write(db, `insert into audit_outbox (${NAMES}) select ${NAMES} from ${rowSource(db, COLUMNS)} where true on conflict do nothing`, [
    toJson(entries.map(rowOf)),
  ]);
}

/** As it is kept: with its place in the chain of its organisation, null until it is sealed. */
export interface StoredAudit extends AuditEntry {
  readonly chainSeq: number | null;
  readonly chainHash: string | null;
}

export interface AuditFilter {
  readonly action?: string | undefined;
  readonly resourceType?: string | undefined;
  readonly resourceId?: string | undefined;
  readonly actorKind?: string | undefined;
  readonly actorId?: string | undefined;
  readonly correlationId?: string | undefined;
  readonly requestId?: string | undefined;
  /** ms since 1970, inclusive */
  readonly from?: number | undefined;
  /** ms since 1970, exclusive */
  readonly to?: number | undefined;
}

/** `after` is the id of the last entry of the page before. */
export interface AuditPageFilter extends AuditFilter {
  readonly limit: number;
  readonly after?: string | undefined;
}

/** Newest first. */
export async function listAudit(db: Db, scope: Scope, filter: AuditPageFilter): Promise<Page<StoredAudit>> {
  const query = filtered(db, scope, filter)
    .orderBy("id", "desc")
    .limit(filter.limit + 1);
  if (filter.after !== undefined) query.where("id", "<", filter.after);
  return pageOf(((await query) as AuditRow[]).map(entryOf), filter.limit, (entry) => entry.id);
}

/** Oldest first, up to what is there when it begins. No transaction is open between two pages. */
export async function* auditPages(db: Db, scope: Scope, filter: AuditFilter, pageSize: number): AsyncGenerator<StoredAudit[]> {
  const [newest] = (await listAudit(db, scope, { ...filter, limit: 1 })).items;
  if (!newest) return;
  for (let after = ""; ; ) {
    const rows = (await filtered(db, scope, filter)
      .where("id", ">", after)
      .where("id", "<=", newest.id)
      .orderBy("id")
      .limit(pageSize)) as AuditRow[];
    if (rows.length > 0) yield rows.map(entryOf);
    const last = rows.at(-1);
    if (!last || rows.length < pageSize) return;
    after = last.id;
  }
}

/** An entry's id is made when its time is read, or a little later: so much later at most. */
const ID_DELAY_MS = 3_600_000;

/** Narrows the query by time: by the ids, which an index has, and then exactly. */
export function inPeriod<Q extends ReturnType<Db>>(query: Q, { from, to }: Pick<AuditFilter, "from" | "to">): Q {
  if (from !== undefined) query.where("created_at", ">=", isoOf(from)).where("id", ">=", firstIdAt(from - ID_DELAY_MS));
  if (to !== undefined) query.where("created_at", "<", isoOf(to)).where("id", "<", firstIdAt(to + ID_DELAY_MS));
  return query;
}

function filtered(db: Db, scope: Scope, filter: AuditFilter) {
  const query = inPeriod(scoped(db("audit_outbox"), scope, { organization: "organization_id" }), filter);
  const wanted = {
    action: filter.action,
    resource_type: filter.resourceType,
    resource_id: filter.resourceId,
    actor_kind: filter.actorKind,
    actor_id: filter.actorId,
    correlation_id: filter.correlationId,
    request_id: filter.requestId,
  };
  for (const [column, value] of Object.entries(wanted)) if (value !== undefined) query.where(column, value);
  return query;
}

interface AuditRow {
  id: string;
  organization_id: string | null;
  actor_kind: Actor["kind"];
  actor_id: string;
  action: string;
  resource_type: string;
  resource_id: string | null;
  details: unknown;
  request_id: string | null;
  correlation_id: string | null;
  before_hash: string | null;
  after_hash: string | null;
  created_at: string;
  chain_seq: number | null;
  chain_hash: string | null;
}

/** As it is stored, before it has its place in a chain. */
export function rowOf(entry: AuditEntry): Omit<AuditRow, "chain_seq" | "chain_hash"> {
  return {
    id: entry.id,
    organization_id: entry.organizationId,
    actor_kind: entry.actor.kind,
    actor_id: entry.actor.id,
    action: entry.action,
    resource_type: entry.resourceType,
    resource_id: entry.resourceId,
    details: entry.details,
    request_id: entry.requestId,
    correlation_id: entry.correlationId,
    before_hash: entry.beforeHash,
    after_hash: entry.afterHash,
    created_at: entry.createdAt,
  };
}

function entryOf(row: AuditRow): StoredAudit {
  return {
    id: row.id,
    organizationId: row.organization_id,
    actor: { kind: row.actor_kind, id: row.actor_id },
    action: row.action,
    resourceType: row.resource_type,
    resourceId: row.resource_id,
    details: fromJson(row.details) as Record<string, unknown>,
    requestId: row.request_id,
    correlationId: row.correlation_id,
    beforeHash: row.before_hash,
    afterHash: row.after_hash,
    createdAt: row.created_at,
    chainSeq: row.chain_seq,
    chainHash: row.chain_hash,
  };
}
