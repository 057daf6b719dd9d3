import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { KINDS } from "../../core/insight.ts";
import { SEVERITIES } from "../../core/notification.ts";
import { actorOf } from "../../core/principal.ts";
import { dismissInsight, listInsights, lockInsight } from "../../store/insights.ts";
import { deviceFor } from "../devices/device-for.ts";
import { Cursor, IdParams, Limit, pageOf } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { DeviceFilters } from "./range.ts";
import { insightJson, InsightView } from "./representation.ts";

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/analytics/insights",
  tag: "Analytics",
  summary: "What statistics have found about your devices",
  access: "device.read",
  query: Type.Object(
    {
      ...DeviceFilters,
      status: Type.Optional(Type.Enum(["open", "dismissed", "ended"], { description: "open: it holds, and nobody has dismissed it" })),
      kind: Type.Optional(Type.Enum(KINDS)),
      severity: Type.Optional(Type.Enum([...SEVERITIES])),
      limit: Limit(200, 50),
      cursor: Cursor,
    },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "Newest first", schema: pageOf(InsightView, "InsightPage") } },
  errors: ["not_found"],
  async handler({ context, rights, scope, query }) {
    const { db } = context.store;
    const { device, limit = 50, cursor: after, status, kind, severity } = query;
    const page = await listInsights(db, scope, {
      limit,
      after,
      status,
      kind,
      severity,
      deviceId: device === undefined ? undefined : (await deviceFor(rights, "device.read", db, device)).id,
      siteId: query.site_id?.toLowerCase(),
      roomId: query.room_id?.toLowerCase(),
    });
    return { status: 200, body: { data: page.items.map(insightJson), next_cursor: page.next } };
  },
});

export const dismiss = defineRoute({
  method: "POST",
  path: "/api/v1/analytics/insights/:id/dismiss",
  tag: "Analytics",
  summary: "Say that an insight is known, or of no interest",
  description: "While it holds it is not told again.",
  access: "device.control",
  params: IdParams,
  replies: { 200: { description: "As it is now", schema: Type.Object({ insight: InsightView }, { title: "OneInsight" }) } },
  errors: ["not_found", "conflict"],
  handler: ({ context, principal, scope, params, commit }) =>
    commit(async (db) => {
      const insight = await lockInsight(db, scope, params.id.toLowerCase());
      if (insight.endedAt !== null) throw new HubError("conflict", "the insight is over");
      if (insight.dismissedAt !== null) return { answer: { status: 200, body: { insight: insightJson(insight) } }, audit: [] };
      const after = await dismissInsight(db, insight.id, actorOf(principal), context.clock());
      const { organizationId, id: resourceId, kind, uid, subject } = after;
      return {
        answer: { status: 200, body: { insight: insightJson(after) } },
        audit: [{ organizationId, action: "insight.dismiss", resourceType: "insight", resourceId, details: { kind, uid, subject } }],
      };
    }),
});
