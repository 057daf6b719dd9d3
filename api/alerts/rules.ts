import Type from "typebox";
import { MOST_ALERT_RULES, parseAlertDefinition } from "../../core/alert-rule.ts";
import { fault } from "../../core/definition.ts";
import { actorOf } from "../../core/principal.ts";
import {
  type AlertRule,
  createAlertRule,
  deleteAlertRule,
  getAlertRule,
  listAlertRules,
  lockAlertRule,
  updateAlertRule,
} from "../../store/alert-rules.ts";
import { devicesByUid, idsOf } from "../../store/named-things.ts";
import type { Db } from "../../store/open.ts";
import { lockOrganization } from "../../store/organizations.ts";
import { checkActions } from "../automations/check.ts";
import { Cursor, IdParams, Limit, pageOf } from "../fields.ts";
import { changeable, Search } from "../places/fields.ts";
import { type AuditNote, defineRoute, type Effect } from "../route.ts";
import { asksForWhatItNames, type ChangeReason, type Changing, EditNote } from "../versions.ts";
import { AlertRuleRequest, AlertRuleView, definitionOf, fieldsOf, ruleJson, ruleVersion } from "./representation.ts";

export const OneRule = Type.Object({ rule: AlertRuleView }, { title: "OneAlertRule" });
const Body = Type.Object({ ...AlertRuleRequest.properties, note: EditNote }, { additionalProperties: false, title: "NewAlertRule" });
const change = changeable(AlertRuleRequest, "AlertRule");
const Patch = Type.Unsafe<Record<string, unknown>>({
  ...change.Patch,
  properties: { ...(change.Patch as { properties?: object }).properties, note: EditNote },
});

const EXAMPLE = {
  name: "Freezer too warm",
  severity: "critical",
  condition: { kind: "threshold", key: "temperature", above: -12, hysteresis: 2 },
  device: "sensor-k3m9x2q7",
  for_s: 600,
  resolve_after_s: 300,
  escalate: [{ after_s: 1_800 }],
};

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/alert-rules",
  tag: "Alerts",
  summary: "The alert rules of your organisation",
  access: "automation.read",
  query: Type.Object(
    { limit: Limit(200, 50), cursor: Cursor, search: Search, is_enabled: Type.Optional(Type.Boolean()) },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "Oldest first", schema: pageOf(AlertRuleView, "AlertRulePage") } },
  async handler({ context, scope, query: { limit = 50, cursor: after, search, is_enabled: isEnabled } }) {
    const page = await listAlertRules(context.store.db, scope, { limit, after, search, isEnabled });
    return { status: 200, body: { data: page.items.map(ruleJson), next_cursor: page.next } };
  },
});

export const create = defineRoute({
  method: "POST",
  path: "/api/v1/alert-rules",
  tag: "Alerts",
  summary: "Make an alert rule",
  description:
    "It watches each device that it is about by itself: one device, those of a site or room, or all of them. What is there already is looked at, too.",
  access: "automation.manage",
  body: Body,
  bodyExample: EXAMPLE,
  replies: { 201: { description: "Made", schema: OneRule } },
  errors: ["quota_exceeded"],
  handler: ({ context, principal, body: { note: reason, ...body }, commit }) =>
    commit(async (db) => {
      await lockOrganization(db, principal.organizationId);
      await checkRule(db, principal.organizationId, body);
      const edit = { actor: actorOf(principal), now: context.clock(), note: reason };
      const made = await createAlertRule(db, principal.organizationId, fieldsOf(body), MOST_ALERT_RULES, edit);
      await context.alerts.plan(db, made.id);
      return {
        answer: answerOf(made, 201),
        audit: [{ ...note(made, "alert_rule.create", { name: made.name }), after: made.definition }],
        afterwards: () => context.alerts.changed(made.id),
      };
    }),
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/alert-rules/:id",
  tag: "Alerts",
  summary: "One alert rule",
  access: "automation.read",
  params: IdParams,
  replies: { 200: { description: "The rule", schema: OneRule } },
  errors: ["not_found"],
  async handler({ context, scope, params }) {
    return answerOf(await getAlertRule(context.store.db, scope, params.id.toLowerCase()), 200);
  },
});

export const update = defineRoute({
  method: "PATCH",
  path: "/api/v1/alert-rules/:id",
  tag: "Alerts",
  summary: "Change an alert rule",
  description:
    "A merge patch; another condition takes the place of the former one. Every change is a new version: the rule's alerts end, and what is still bad is raised anew.",
  access: "automation.manage",
  match: "required",
  params: IdParams,
  body: Patch,
  bodyExample: { for_s: 300 },
  replies: { 200: { description: "As it is now", schema: OneRule } },
  errors: ["not_found"],
  handler: ({ context, principal, scope, params, body: { note: reason, ...patch }, match, commit }) =>
    commit(async (db) => {
      const before = await lockAlertRule(db, scope, params.id.toLowerCase());
      match(ruleVersion(before));
      const { condition, ...definition } = before.definition;
      const kept = patch["condition"] === undefined ? { condition } : {};
      const named = { name: before.name, description: before.description, is_enabled: before.isEnabled };
      const wanted = change.apply({ ...definition, ...kept, ...named }, patch);
      const { isEnabled: isOn, definition: redefined } = fieldsOf(wanted);
      if (asksForWhatItNames({ ...before, isOn: before.isEnabled }, { isOn, definition: redefined }))
        await checkRule(db, before.organizationId, wanted);
      return await changeTo({ context, db, principal }, before, wanted, {
        action: "alert_rule.update",
        details: { changed: Object.keys(patch) },
        reason: typeof reason === "string" ? reason : undefined,
      });
    }),
});

export const remove = defineRoute({
  method: "DELETE",
  path: "/api/v1/alert-rules/:id",
  tag: "Alerts",
  summary: "Remove an alert rule",
  description: "Its alerts end, and stay in the list.",
  access: "automation.manage",
  match: "required",
  params: IdParams,
  replies: { 204: { description: "Gone" } },
  errors: ["not_found"],
  handler: ({ context, scope, params, match, commit }) =>
    commit(async (db) => {
      const before = await lockAlertRule(db, scope, params.id.toLowerCase());
      match(ruleVersion(before));
      await deleteAlertRule(db, before.id);
      await context.alerts.plan(db, before.id);
      return {
        answer: { status: 204 },
        audit: [{ ...note(before, "alert_rule.delete", { name: before.name }), before: before.definition }],
        afterwards: () => context.alerts.changed(before.id),
      };
    }),
});

/** What a change that was checked leaves behind, whoever makes it: a patch, or the way back to a former version. */
export async function changeTo(
  { context, db, principal }: Changing,
  before: AlertRule,
  wanted: AlertRuleRequest,
  { action, details, reason }: ChangeReason,
): Promise<Effect> {
  const after = await updateAlertRule(db, before, fieldsOf(wanted), { actor: actorOf(principal), now: context.clock(), note: reason });
  await context.alerts.plan(db, after.id);
  return {
    answer: answerOf(after, 200),
    audit: [{ ...note(after, action, { ...details, version: after.version }), before: before.definition, after: after.definition }],
    afterwards: () => context.alerts.changed(after.id),
  };
}

/** Throws `validation_error` for what cannot be, and for what is not the organisation's. */
export async function checkRule(db: Db, organizationId: string, request: AlertRuleRequest): Promise<void> {
  const definition = parseAlertDefinition(definitionOf(request));
  const { device, siteId, roomId, users = [], escalate, actions } = definition;
  if (device !== undefined && !(await devicesByUid(db, organizationId, [device])).has(device))
    throw fault("/device", "is no device of the organisation");
  const named = [
    { kind: "site", path: "/site_id", ids: siteId === undefined ? [] : [siteId] },
    { kind: "room", path: "/room_id", ids: roomId === undefined ? [] : [roomId] },
    { kind: "user", path: "/notify/users", ids: users },
    { kind: "user", path: "/escalate", ids: escalate.flatMap((one) => one.users ?? []) },
  ] as const;
  for (const { kind, path, ids } of named) {
    const known = await idsOf(db, organizationId, kind, ids);
    if (!ids.every((id) => known.has(id))) throw fault(path, `names no ${kind} of the organisation`);
  }
  await checkActions(db, organizationId, actions, "/actions");
}

const answerOf = (rule: AlertRule, status: 200 | 201) => ({ status, version: ruleVersion(rule), body: { rule: ruleJson(rule) } });

const note = ({ id, organizationId }: AlertRule, action: string, details: Record<string, unknown>): AuditNote => ({
  organizationId,
  action,
  resourceType: "alert_rule",
  resourceId: id,
  details,
});
