import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { actorOf } from "../../core/principal.ts";
import { RUN_STATUSES } from "../../core/run.ts";
import { getAutomation, lockAutomation } from "../../store/automations.ts";
import { findRun, listRuns } from "../../store/runs.ts";
import { Cursor, IdParams, Limit, pageOf, Uuid } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { note } from "./automations.ts";
import { runJson, RunView } from "./representation.ts";

const RunQuery = Type.Object(
  { limit: Limit(200, 50), cursor: Cursor, status: Type.Optional(Type.Enum([...RUN_STATUSES])) },
  { additionalProperties: false },
);
const OneRun = Type.Object({ run: RunView }, { title: "OneRun" });
const RunParams = Type.Object({ id: Uuid }, { additionalProperties: false });

export const ofAutomation = defineRoute({
  method: "GET",
  path: "/api/v1/automations/:id/runs",
  tag: "Automations",
  summary: "What an automation did, newest first",
  description: "Of the last 30 days. One that only answers messages with messages has none: its firings are counted.",
  access: "automation.read",
  params: IdParams,
  query: RunQuery,
  replies: { 200: { description: "A page", schema: pageOf(RunView, "AutomationRunPage") } },
  errors: ["not_found"],
  async handler({ context, scope, params, query: { limit = 50, cursor: after, status } }) {
    const { db } = context.store;
    const { id } = await getAutomation(db, scope, params.id.toLowerCase());
    const page = await listRuns(db, scope, { sourceId: id, status, limit, after });
    return { status: 200, body: { data: page.items.map(runJson), next_cursor: page.next } };
  },
});

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/runs",
  tag: "Automations",
  summary: "What automations, schedules and scenes did, newest first",
  access: "automation.read",
  query: RunQuery,
  replies: { 200: { description: "A page", schema: pageOf(RunView, "RunPage") } },
  async handler({ context, scope, query: { limit = 50, cursor: after, status } }) {
    const page = await listRuns(context.store.db, scope, { status, limit, after });
    return { status: 200, body: { data: page.items.map(runJson), next_cursor: page.next } };
  },
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/runs/:id",
  tag: "Automations",
  summary: "One run",
  access: "automation.read",
  params: RunParams,
  replies: { 200: { description: "The run", schema: OneRun } },
  errors: ["not_found"],
  async handler({ context, scope, params }) {
    const run = await findRun(context.store.db, scope, params.id.toLowerCase());
    if (!run) throw new HubError("not_found", "there is no such run");
    return { status: 200, body: { run: runJson(run) } };
  },
});

export const cancel = defineRoute({
  method: "POST",
  path: "/api/v1/runs/:id/cancel",
  tag: "Automations",
  summary: "Stop a run",
  description: "What it has begun is not taken back; what comes after is not done.",
  access: "automation.manage",
  params: RunParams,
  replies: { 200: { description: "As it ended", schema: OneRun } },
  errors: ["not_found", "conflict"],
  handler: ({ context, scope, params, commit }) =>
    commit(async (db) => {
      const run = await findRun(db, scope, params.id.toLowerCase());
      if (!run) throw new HubError("not_found", "there is no such run");
      const cancelled = await context.automations.cancelRuns(db, [run.id]);
      const now = await findRun(db, scope, run.id);
      if (cancelled.length === 0 || !now) throw new HubError("conflict", "the run has finished already");
      const { organizationId, sourceKind, sourceId } = run;
      return {
        answer: { status: 200, body: { run: runJson(now) } },
        audit: [{ organizationId, action: "run.cancel", resourceType: sourceKind, resourceId: sourceId, details: { run_id: run.id } }],
      };
    }),
});

export const start = defineRoute({
  method: "POST",
  path: "/api/v1/automations/:id/run",
  tag: "Automations",
  summary: "Do what an automation does, now",
  description: "Whether its condition is met or not. Its mode, cooldown and version count.",
  access: "device.control",
  params: IdParams,
  replies: { 202: { description: "It runs", schema: Type.Object({ run_id: Type.String() }, { title: "RunStarted" }) } },
  errors: ["not_found", "conflict"],
  handler: ({ context, principal, scope, params, commit }) =>
    commit(async (db) => {
      const automation = await lockAutomation(db, scope, params.id.toLowerCase());
      const fired = await context.automations.fire(db, automation.id, { by: actorOf(principal) });
      if ("refused" in fired)
        throw new HubError("conflict", REFUSALS[fired.refused] ?? "it does not fire now", { details: { reason: fired.refused } });
      return {
        answer: { status: 202, body: { run_id: fired.runId } },
        audit: [note(automation, "automation.run", { run_id: fired.runId })],
      };
    }),
});

const REFUSALS: Readonly<Record<string, string>> = {
  disabled: "the automation is off",
  busy: "a run of it goes on",
  cooldown: "it fired a moment ago",
  duplicate: "it fired a moment ago",
};
