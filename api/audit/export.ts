import Type from "typebox";
import { actorOf } from "../../core/principal.ts";
import { auditPages, type StoredAudit } from "../../store/audit.ts";
import { csvLine } from "../csv.ts";
import { addressKey } from "../rate-limits.ts";
import { defineRoute } from "../route.ts";
import { AuditFilters, auditJson, filterOf } from "./audit.ts";

const NDJSON = "application/x-ndjson";
const CSV = "text/csv";
/** Rows that are in memory at a time, twice. */
const PAGE = 200;

export const exportAudit = defineRoute({
  method: "GET",
  path: "/api/v1/audit/export",
  tag: "Audit",
  summary: "The audit as a file, oldest first",
  description:
    "One JSON object a line, or CSV, in which a cell that a spreadsheet would take for a formula begins with an apostrophe. A connection that ends before the answer does: the file is not whole. Rows that are written meanwhile are not in it.",
  access: "audit.read",
  query: Type.Object(
    { format: Type.Optional(Type.Enum(["ndjson", "csv"], { default: "ndjson" })), ...AuditFilters },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "The rows", types: [NDJSON, CSV] } },
  async handler({ context, principal, scope, query, requestId, caller }) {
    const filter = filterOf(query);
    const isCsv = query.format === "csv";
    context.security.note({
      action: "audit.export",
      actor: actorOf(principal),
      organizationId: principal.organizationId,
      resource: { resourceType: "audit", resourceId: null },
      source: addressKey(caller.address),
      details: { format: isCsv ? "csv" : "ndjson" },
      requestId,
    });
    const pages = auditPages(context.store.db, scope, filter, PAGE);
    const stamp = new Date(context.clock()).toISOString().slice(0, 10);
    return {
      status: 200,
      stream: {
        type: isCsv ? `${CSV}; charset=utf-8; header=present` : NDJSON,
        fileName: `audit-${stamp}.${isCsv ? "csv" : "ndjson"}`,
        read: () => (isCsv ? csvOf(pages) : ndjsonOf(pages)),
      },
    };
  },
});

async function* ndjsonOf(pages: AsyncIterable<StoredAudit[]>): AsyncGenerator<string> {
  for await (const page of pages) yield page.map((entry) => `${JSON.stringify(auditJson(entry))}\n`).join("");
}

async function* csvOf(pages: AsyncIterable<StoredAudit[]>): AsyncGenerator<string> {
  yield csvLine(COLUMNS.map(([name]) => name));
  for await (const page of pages) yield page.map((entry) => csvLine(COLUMNS.map(([, cell]) => cell(entry)))).join("");
}

const COLUMNS: readonly (readonly [name: string, cell: (entry: StoredAudit) => string | number | null])[] = [
  ["id", ({ id }) => id],
  ["organization_id", ({ organizationId }) => organizationId],
  ["chain_seq", ({ chainSeq }) => chainSeq],
  ["created_at", ({ createdAt }) => createdAt],
  ["actor_kind", ({ actor }) => actor.kind],
  ["actor_id", ({ actor }) => actor.id],
  ["action", ({ action }) => action],
  ["resource_type", ({ resourceType }) => resourceType],
  ["resource_id", ({ resourceId }) => resourceId],
  ["details", ({ details }) => JSON.stringify(details)],
  ["request_id", ({ requestId }) => requestId],
  ["correlation_id", ({ correlationId }) => correlationId],
  ["before_hash", ({ beforeHash }) => beforeHash],
  ["after_hash", ({ afterHash }) => afterHash],
  ["chain_hash", ({ chainHash }) => chainHash],
];
