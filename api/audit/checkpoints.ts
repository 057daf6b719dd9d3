import Type from "typebox";
import { SignedCheckpoint } from "../../core/audit-statement.ts";
import { listCheckpoints } from "../../store/audit-checkpoints.ts";
import { Cursor, Limit, pageOf, Uuid } from "../fields.ts";
import { defineRoute } from "../route.ts";

const Chain = Type.Optional(
  Type.Union([Type.Literal("hub"), Uuid], { description: "Of this organisation's chain alone, or of the hub's own" }),
);

/** null is the hub's own chain, undefined all of them. */
const organizationOf = (chain: string | undefined): string | null | undefined => (chain === "hub" ? null : chain?.toLowerCase());

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/audit/checkpoints",
  tag: "Audit",
  summary: "What is signed of the audit, newest first",
  description:
    "At least every hour in which something was written: keep them where the hub cannot reach, and an audit that is made anew shows. Those of your organisation's chain; for an administrator of the hub of all chains. docs/audit.md says what is signed and how to verify it.",
  access: "audit.read",
  query: Type.Object({ limit: Limit(500, 50), cursor: Cursor, chain: Chain }, { additionalProperties: false }),
  replies: { 200: { description: "A page", schema: pageOf(SignedCheckpoint, "AuditCheckpointPage") } },
  async handler({ context, scope, query }) {
    const { limit = 50, cursor: after, chain } = query;
    const { items, next } = await listCheckpoints(context.store.db, scope, { organizationId: organizationOf(chain), limit, after });
    return { status: 200, body: { data: items, next_cursor: next } };
  },
});

const Newest = Type.Object(
  { checkpoint: Type.Unsafe<SignedCheckpoint | null>({ anyOf: [SignedCheckpoint, { type: "null" }] }) },
  { title: "AuditNewestCheckpoint" },
);

export const newest = defineRoute({
  method: "GET",
  path: "/api/v1/audit/checkpoints/newest",
  tag: "Audit",
  summary: "The newest of them",
  description: "Of your organisation's chain; for an administrator of the hub of the chain that was signed last.",
  access: "audit.read",
  query: Type.Object({ chain: Chain }, { additionalProperties: false }),
  replies: { 200: { description: "The checkpoint; null where nothing is signed yet", schema: Newest } },
  async handler({ context, scope, query }) {
    const { items } = await listCheckpoints(context.store.db, scope, { organizationId: organizationOf(query.chain), limit: 1 });
    return { status: 200, body: { checkpoint: items[0] ?? null } };
  },
});

export const sign = defineRoute({
  method: "POST",
  path: "/api/v1/audit/checkpoints",
  tag: "Audit",
  summary: "Sign what was written up to now",
  description: "Of every chain that has grown: before an export that is to be proven to its last row, for example.",
  access: "platform",
  replies: {
    200: {
      description: "How many checkpoints were made, and how many chains cannot be signed since they are not what the hub has written",
      schema: Type.Object({ signed: Type.Integer(), bad: Type.Integer() }, { title: "AuditSigned" }),
    },
  },
  async handler({ context, commit }) {
    const { count, bad } = await context.auditCheckpoints.sign();
    const body = { signed: count, bad: bad.length };
    return await commit(async () => ({
      answer: { status: 200, body },
      audit: [{ organizationId: null, action: "audit.sign", resourceType: "audit", resourceId: null, details: body }],
    }));
  },
});
