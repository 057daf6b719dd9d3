import Type from "typebox";
import type { AuditEntry } from "../../core/event.ts";
import { listAudit } from "../../store/audit.ts";
import { Cursor, Limit, nullable, pageOf } from "../fields.ts";
import { defineRoute } from "../route.ts";

const AuditView = Type.Object(
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
    created_at: Type.String(),
  },
  { title: "AuditEntry" },
);

const Name = Type.Optional(Type.String({ minLength: 1, maxLength: 128 }));

export const audit = defineRoute({
  method: "GET",
  path: "/api/v1/audit",
  tag: "Events",
  summary: "Who did what, newest first",
  access: "audit.read",
  query: Type.Object(
    { limit: Limit(200, 50), cursor: Cursor, action: Name, resource_id: Name, actor_id: Name },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "A page", schema: pageOf(AuditView, "AuditPage") } },
  async handler({ context, scope, query }) {
    const page = await listAudit(context.store.db, scope, {
      limit: query.limit ?? 50,
      after: query.cursor,
      action: query.action,
      resourceId: query.resource_id,
      actorId: query.actor_id,
    });
    return { status: 200, body: { data: page.items.map(auditJson), next_cursor: page.next } };
  },
});

function auditJson(entry: AuditEntry): Record<string, unknown> {
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
    created_at: entry.createdAt,
  };
}
