import Type from "typebox";
import { MOST_AUTOMATIONS, parseDefinition } from "../../core/automation.ts";
import { actorOf } from "../../core/principal.ts";
import {
  type Automation,
  createAutomation,
  deleteAutomation,
  getAutomation,
  listAutomations,
  lockAutomation,
  type PlacedAutomation,
  updateAutomation,
} from "../../store/automations.ts";
import { lockOrganization } from "../../store/organizations.ts";
import { openRunIds } from "../../store/runs.ts";
import { Cursor, IdParams, Limit, pageOf } from "../fields.ts";
import { changeable, Search } from "../places/fields.ts";
import { type AuditNote, defineRoute, type Effect } from "../route.ts";
import { asksForWhatItNames, type ChangeReason, type Changing, EditNote } from "../versions.ts";
import { checkedDefinition, nextRunsOf } from "./check.ts";
import { AutomationRequest, automationJson, automationVersion, AutomationView, fieldsOf } from "./representation.ts";

const NEXT_RUNS = 5;
export const OneAutomation = Type.Object(
  { automation: AutomationView, next_runs: Type.Array(Type.String(), { description: "The next five times of its schedules" }) },
  { title: "OneAutomation" },
);
const Body = Type.Object({ ...AutomationRequest.properties, note: EditNote }, { additionalProperties: false, title: "NewAutomation" });
const change = changeable(AutomationRequest, "AutomationChange");
const Patch = Type.Unsafe<Record<string, unknown>>({
  ...change.Patch,
  properties: { ...(change.Patch as { properties?: object }).properties, note: EditNote },
});

export const EXAMPLE = {
  name: "Hall light by the door",
  triggers: [{ kind: "input_event", device: "relay-k3m9x2q7", input: 0, event: "click" }],
  condition: { kind: "time_window", from: "17:00", to: "07:00" },
  actions: [
    { kind: "command", device: "relay-k3m9x2q7", command: { command: "set_relay", relay: 0, state: "ON" } },
    { kind: "delay", for_s: 300 },
    { kind: "command", device: "relay-k3m9x2q7", command: { command: "set_relay", relay: 0, state: "OFF" } },
  ],
  mode: "restart",
  cooldown_s: 2,
};

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/automations",
  tag: "Automations",
  summary: "The automations of your organisation",
  access: "automation.read",
  query: Type.Object(
    { limit: Limit(200, 50), cursor: Cursor, search: Search, is_enabled: Type.Optional(Type.Boolean()) },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "Oldest first", schema: pageOf(AutomationView, "AutomationPage") } },
  async handler({ context, scope, query: { limit = 50, cursor: after, search, is_enabled: isEnabled } }) {
    const page = await listAutomations(context.store.db, scope, { limit, after, search, isEnabled });
    const now = context.clock();
    return {
      status: 200,
      body: {
        data: page.items.map((one) => automationJson(one, runsOf(one as PlacedAutomation, now, 1)[0] ?? null)),
        next_cursor: page.next,
      },
    };
  },
});

export const create = defineRoute({
  method: "POST",
  path: "/api/v1/automations",
  tag: "Automations",
  summary: "Make an automation",
  description: "Any of its triggers sets it off, if its condition is met. docs/automations.md describes triggers, conditions and actions.",
  access: "automation.manage",
  body: Body,
  bodyExample: EXAMPLE,
  replies: { 201: { description: "Made", schema: OneAutomation } },
  errors: ["quota_exceeded"],
  handler: ({ context, principal, body: { note: reason, ...body }, commit }) =>
    commit(async (db) => {
      await lockOrganization(db, principal.organizationId);
      await checkedDefinition(db, context.topics, principal.organizationId, body);
      const edit = { actor: actorOf(principal), now: context.clock(), note: reason };
      const made = await createAutomation(db, principal.organizationId, fieldsOf(body), MOST_AUTOMATIONS, edit);
      await context.automations.plan(db, made.id);
      return {
        answer: answerOf(made, 201, context.clock()),
        audit: [{ ...note(made, "automation.create", { name: made.name }), after: made.definition }],
        afterwards: () => context.automations.changed(made.id),
      };
    }),
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/automations/:id",
  tag: "Automations",
  summary: "One automation",
  access: "automation.read",
  params: IdParams,
  replies: { 200: { description: "The automation", schema: OneAutomation } },
  errors: ["not_found"],
  async handler({ context, scope, params }) {
    return answerOf(await getAutomation(context.store.db, scope, params.id.toLowerCase()), 200, context.clock());
  },
});

export const update = defineRoute({
  method: "PATCH",
  path: "/api/v1/automations/:id",
  tag: "Automations",
  summary: "Change an automation",
  description:
    "A merge patch: what is an object is merged, so that another condition is sent with null for the members that it has no more. Every change of the definition is a new version; runs that go on end as they began. What its triggers have seen is forgotten.",
  access: "automation.manage",
  match: "required",
  params: IdParams,
  body: Patch,
  bodyExample: { is_enabled: false },
  replies: { 200: { description: "As it is now", schema: OneAutomation } },
  errors: ["not_found"],
  handler: ({ context, principal, scope, params, body: { note: reason, ...patch }, match, commit }) =>
    commit(async (db) => {
      const before = await lockAutomation(db, scope, params.id.toLowerCase());
      match(automationVersion(before));
      const wanted = change.apply(
        { ...before.definition, name: before.name, description: before.description, is_enabled: before.isEnabled },
        patch,
      );
      const { isEnabled: isOn, definition } = fieldsOf(wanted);
      if (asksForWhatItNames({ ...before, isOn: before.isEnabled }, { isOn, definition }))
        await checkedDefinition(db, context.topics, before.organizationId, wanted);
      const details = { changed: Object.keys(patch) };
      return await changeTo({ context, db, principal }, before, wanted, {
        details,
        action: "automation.update",
        reason: typeof reason === "string" ? reason : undefined,
      });
    }),
});

export const remove = defineRoute({
  method: "DELETE",
  path: "/api/v1/automations/:id",
  tag: "Automations",
  summary: "Remove an automation",
  description: "Runs that go on are cancelled.",
  access: "automation.manage",
  match: "required",
  params: IdParams,
  replies: { 204: { description: "Gone" } },
  errors: ["not_found"],
  handler: ({ context, scope, params, match, commit }) =>
    commit(async (db) => {
      const before = await lockAutomation(db, scope, params.id.toLowerCase());
      match(automationVersion(before));
      await context.automations.cancelRuns(db, await openRunIds(db, before.id));
      await deleteAutomation(db, before.id);
      await context.automations.plan(db, before.id);
      return {
        answer: { status: 204 },
        audit: [{ ...note(before, "automation.delete", { name: before.name }), before: before.definition }],
        afterwards: () => context.automations.changed(before.id),
      };
    }),
});

/** What a change that was checked leaves behind, whoever makes it: a patch, or the way back to a former version. */
export async function changeTo(
  { context, db, principal }: Changing,
  before: PlacedAutomation,
  wanted: AutomationRequest,
  { action, details, reason }: ChangeReason,
): Promise<Effect> {
  const edit = { actor: actorOf(principal), now: context.clock(), note: reason };
  const after = await updateAutomation(db, before, fieldsOf(wanted), edit);
  await context.automations.plan(db, after.id);
  return {
    answer: answerOf(after, 200, context.clock()),
    audit: [{ ...note(after, action, { ...details, version: after.version }), before: before.definition, after: after.definition }],
    afterwards: () => context.automations.changed(after.id),
  };
}

function answerOf(automation: Automation, status: 200 | 201, now: number) {
  const nextRuns = runsOf(automation as PlacedAutomation, now, NEXT_RUNS);
  return {
    status,
    version: automationVersion(automation),
    body: { automation: automationJson(automation, nextRuns[0] ?? null), next_runs: nextRuns },
  };
}

/** None of one that is off. */
function runsOf(automation: PlacedAutomation, now: number, count: number): string[] {
  if (!automation.isEnabled) return [];
  return nextRunsOf(parseDefinition(automation.definition as never), automation, { now, count });
}

export const note = ({ id, organizationId }: Automation, action: string, details: Record<string, unknown>): AuditNote => ({
  organizationId,
  action,
  resourceType: "automation",
  resourceId: id,
  details,
});
