import type { AuditEntry } from "../core/event.ts";
import type { Actor, Scope } from "../core/principal.ts";
import type { Db } from "./open.ts";
import { fromJson, type Page, pageOf, rowSource, rowsOf, scoped, toJson } from "./sql.ts";

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
  created_at: "time",
} as const;
const NAMES = Object.keys(COLUMNS).join(", ");

/** Belongs into the transaction of what it tells. An entry that is there already is left as it is. */
export async function insertAudit(db: Db, entries: readonly AuditEntry[]): Promise<void> {
  if (entries.length === 0) return;
  await rowsOf(db, `insert into audit_outbox (${NAMES}) select ${NAMES} from ${rowSource(db, COLUMNS)} where true on conflict do nothing`, [
    toJson(entries.map(rowOf)),
  ]);
}

export interface AuditFilter {
  readonly limit: number;
  readonly after?: string | undefined;
  readonly action?: string | undefined;
  readonly resourceId?: string | undefined;
  readonly actorId?: string | undefined;
}

/** Newest first. `after` is the id of the last entry of the page before. */
export async function listAudit(db: Db, scope: Scope, filter: AuditFilter): Promise<Page<AuditEntry>> {
  const query = scoped(db("audit_outbox"), scope, { organization: "organization_id" })
    .orderBy("id", "desc")
    .limit(filter.limit + 1);
  if (filter.after !== undefined) query.where("id", "<", filter.after);
  if (filter.action !== undefined) query.where("action", filter.action);
  if (filter.resourceId !== undefined) query.where("resource_id", filter.resourceId);
  if (filter.actorId !== undefined) query.where("actor_id", filter.actorId);
  const rows = (await query) as AuditRow[];
  return pageOf(rows.map(entryOf), filter.limit, (entry) => entry.id);
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
  created_at: string;
}

function rowOf(entry: AuditEntry): AuditRow {
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
    created_at: entry.createdAt,
  };
}

function entryOf(row: AuditRow): AuditEntry {
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
    createdAt: row.created_at,
  };
}
