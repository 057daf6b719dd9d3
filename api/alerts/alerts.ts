import Type from "typebox";
import type { AlertRequest } from "../../core/bus.ts";
import type { Alert } from "../../core/alert.ts";
import { ALERT_STATUSES } from "../../core/alert.ts";
import { HubError } from "../../core/errors.ts";
import { actorOf } from "../../core/principal.ts";
import { requireSmall } from "../../core/validate.ts";
import { versionOf } from "../../core/version.ts";
import { getAlert, historyOf, listAlerts } from "../../store/alerts.ts";
import { getDevice } from "../../store/devices.ts";
import type { Db } from "../../store/open.ts";
import { Cursor, DeviceReference, IdParams, Instant, Limit, line, pageOf, parseInstant, Uuid } from "../fields.ts";
import { Description } from "../places/fields.ts";
import { type AuditNote, type Call, defineRoute, type Effect } from "../route.ts";
import { AlertEntryView, AlertView, alertJson, entryJson, Severity } from "./representation.ts";

const OneAlert = Type.Object(
  { alert: AlertView, history: Type.Array(AlertEntryView, { description: "Oldest first; of a very long one the last 200" }) },
  { title: "OneAlert" },
);
const answer = { 200: { description: "As it is now, with its history", schema: OneAlert } };
const MOST_VALUES = { maxBytes: 4_096, maxDepth: 8 };

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/alerts",
  tag: "Alerts",
  summary: "The alerts of your organisation",
  access: "automation.read",
  query: Type.Object(
    {
      limit: Limit(200, 50),
      cursor: Cursor,
      status: Type.Optional(Type.Enum(["open", ...ALERT_STATUSES], { description: "open: not resolved" })),
      severity: Type.Optional(Severity),
      rule_id: Type.Optional(Uuid),
      device: Type.Optional(DeviceReference),
      site_id: Type.Optional(Uuid),
      parent_id: Type.Optional(Uuid),
      from: Type.Optional(Instant),
      to: Type.Optional(Instant),
    },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "Newest first", schema: pageOf(AlertView, "AlertPage") } },
  async handler({ context, scope, query }) {
    const { limit = 50, cursor: after, status, severity, device, from, to } = query;
    const page = await listAlerts(context.store.db, scope, {
      limit,
      after,
      status,
      severity,
      device,
      ruleId: query.rule_id?.toLowerCase(),
      siteId: query.site_id?.toLowerCase(),
      parentId: query.parent_id?.toLowerCase(),
      from: from === undefined ? undefined : parseInstant(from, "from"),
      to: to === undefined ? undefined : parseInstant(to, "to"),
    });
    return { status: 200, body: { data: page.items.map(alertJson), next_cursor: page.next } };
  },
});

export const raise = defineRoute({
  method: "POST",
  path: "/api/v1/alerts",
  tag: "Alerts",
  summary: "Raise an alert by hand, or from a system outside",
  description: "While one of the same key is open, that one is given.",
  access: "alert.handle",
  body: Type.Object(
    {
      title: line(200),
      severity: Severity,
      description: Type.Optional(Description),
      device: Type.Optional(DeviceReference),
      key: Type.Optional(line(100, "One of a key is open at a time")),
      values: Type.Optional(Type.Record(Type.String({ pattern: "^[A-Za-z0-9_]{1,64}$" }), Type.Unknown(), { additionalProperties: false })),
    },
    { additionalProperties: false, title: "RaisedAlert" },
  ),
  bodyExample: { title: "Water in the cellar", severity: "critical", key: "cellar-water" },
  replies: {
    200: { description: "The one that is open already", schema: OneAlert },
    201: { description: "Raised", schema: OneAlert },
  },
  errors: ["not_found", "quota_exceeded"],
  handler: ({ context, principal, scope, body, commit }) =>
    commit(async (db) => {
      const { organizationId } = principal;
      requireSmall(body.values ?? {}, "/values", MOST_VALUES);
      const device = body.device === undefined ? undefined : await getDevice(db, scope, body.device);
      if (device && device.organizationId !== organizationId) throw new HubError("not_found", "there is no such device");
      const wanted = {
        organizationId,
        title: body.title,
        description: body.description ?? null,
        severity: body.severity,
        device: device && { id: device.id, uid: device.uid },
        values: body.values ?? {},
        key: body.key,
      };
      const { id, isNew } = await context.alerts.raise(db, wanted, actorOf(principal));
      const alert = await getAlert(db, { kind: "organization", organizationId }, id);
      const details = { title: alert.title, severity: alert.severity };
      return { answer: await answerOf(db, alert, isNew ? 201 : 200), audit: isNew ? [note(alert, "alert.raise", details)] : [] };
    }),
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/alerts/:id",
  tag: "Alerts",
  summary: "One alert with its history",
  access: "automation.read",
  params: IdParams,
  replies: answer,
  errors: ["not_found"],
  async handler({ context, scope, params }) {
    const { db } = context.store;
    return await answerOf(db, await getAlert(db, scope, params.id.toLowerCase()), 200);
  },
});

export const acknowledge = defineRoute({
  method: "POST",
  path: "/api/v1/alerts/:id/acknowledge",
  tag: "Alerts",
  summary: "Take care of an alert: it escalates no more",
  access: "alert.handle",
  params: IdParams,
  replies: answer,
  errors: ["not_found", "conflict"],
  handler: (call) => call.commit((db) => handled(call, db, { kind: "acknowledge" })),
});

export const resolve = defineRoute({
  method: "POST",
  path: "/api/v1/alerts/:id/resolve",
  tag: "Alerts",
  summary: "End an alert by hand",
  description: "It comes again only when it was fine in between.",
  access: "alert.handle",
  params: IdParams,
  replies: answer,
  errors: ["not_found", "conflict"],
  handler: (call) => call.commit((db) => handled(call, db, { kind: "resolve" })),
});

export const silence = defineRoute({
  method: "POST",
  path: "/api/v1/alerts/:id/silence",
  tag: "Alerts",
  summary: "Tell nobody of an alert for a while",
  description: "What would have been told meanwhile is told afterwards, if it is still so.",
  access: "alert.handle",
  params: IdParams,
  body: Type.Object({ until: Instant }, { additionalProperties: false, title: "AlertSilencing" }),
  bodyExample: { until: "2030-01-01T06:00:00Z" },
  replies: answer,
  errors: ["not_found", "conflict"],
  handler: (call) => call.commit((db) => handled(call, db, { kind: "silence", until: parseInstant(call.body.until, "until") })),
});

async function handled(
  { context, principal, scope, params }: Pick<Call<"alert.handle", { id: string }>, "context" | "principal" | "scope" | "params">,
  db: Db,
  request: AlertRequest,
): Promise<Effect> {
  const alert = await getAlert(db, scope, params.id.toLowerCase());
  await context.alerts.handle(db, alert, request, actorOf(principal));
  const after = await getAlert(db, scope, alert.id);
  const details = { title: alert.title, ...(request.kind === "silence" ? { until: after.silencedUntil } : {}) };
  return { answer: await answerOf(db, after, 200), audit: [note(after, `alert.${request.kind}`, details)] };
}

async function answerOf(db: Db, alert: Alert, status: 200 | 201) {
  const json = alertJson(alert);
  return { status, version: versionOf(json), body: { alert: json, history: (await historyOf(db, alert.id)).map(entryJson) } };
}

const note = ({ id, organizationId }: Alert, action: string, details: Record<string, unknown>): AuditNote => ({
  organizationId,
  action,
  resourceType: "alert",
  resourceId: id,
  details,
});
