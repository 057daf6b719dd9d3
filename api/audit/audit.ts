import Type, { type Static } from "typebox";
import { type AuditFilter, listAudit, type StoredAudit } from "../../store/audit.ts";
import { Cursor, Instant, Limit, nullable, pageOf, parseInstant } from "../fields.ts";
import { defineRoute } from "../route.ts";

export const AuditView = Type.Object(
  {
    id: Type.String(),
    organization_id: nullable("string"),
    actor: Type.Object({ kind: Type.String(), id: Type.String() }),
    action: Type.String(),
    resource_type: Type.String(),
    resource_id: nullable("string"),
    details: Type.Record(Type.String(), Type.Unknown()),
    request_id: nullable("string"),
    correlation_id: nullable("string"),
    before_hash: nullable("string", { description: "SHA-256 of what it was before, as canonical JSON, in base64url" }),
    after_hash: nullable("string", { description: "The same of what it is after" }),
    created_at: Type.String(),
    chain_seq: nullable("integer", { description: "Its place in the organisation's chain; null for about a second, until it is sealed" }),
    chain_hash: nullable("string"),
  },
  { title: "AuditEntry" },
);

const Name = Type.Optional(Type.String({ minLength: 1, maxLength: 128 }));

export const AuditFilters = {
  action: Name,
  resource_type: Name,
  resource_id: Name,
  actor_kind: Name,
  actor_id: Name,
  correlation_id: Name,
  request_id: Name,
  from: Type.Optional(Instant),
  to: Type.Optional(Instant),
};
const Filters = Type.Object(AuditFilters);

/** Throws `validation_error`. */
export function filterOf(query: Static<typeof Filters>): AuditFilter {
  return {
    action: query.action,
    resourceType: query.resource_type,
    resourceId: query.resource_id,
    actorKind: query.actor_kind,
    actorId: query.actor_id,
    correlationId: query.correlation_id,
    requestId: query.request_id,
    from: query.from === undefined ? undefined : parseInstant(query.from, "from"),
    to: query.to === undefined ? undefined : parseInstant(query.to, "to"),
  };
}

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/audit",
  tag: "Audit",
  summary: "Who did what, newest first",
  access: "audit.read",
  query: Type.Object({ limit: Limit(200, 50), cursor: Cursor, ...AuditFilters }, { additionalProperties: false }),
  replies: { 200: { description: "A page", schema: pageOf(AuditView, "AuditPage") } },
  async handler({ context, scope, query }) {
    const page = await listAudit(context.store.db, scope, { ...filterOf(query), limit: query.limit ?? 50, after: query.cursor });
    return { status: 200, body: { data: page.items.map(auditJson), next_cursor: page.next } };
  },
});

export function auditJson(entry: StoredAudit) {
  return {
    id: entry.id,
    organization_id: entry.organizationId,
    actor: entry.actor,
    action: entry.action,
    resource_type: entry.resourceType,
    resource_id: entry.resourceId,
    details: entry.details,
    request_id: entry.requestId,
    correlation_id: entry.correlationId,
    before_hash: entry.beforeHash,
    after_hash: entry.afterHash,
    created_at: entry.createdAt,
    chain_seq: entry.chainSeq,
    chain_hash: entry.chainHash,
  };
}
