import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { actorOf } from "../../core/principal.ts";
import { RUN_STATUSES } from "../../core/run.ts";
import { listRuns } from "../../store/runs.ts";
import { getSchedule, lockSchedule } from "../../store/schedules.ts";
import { runJson, RunView } from "../automations/representation.ts";
import { Cursor, IdParams, Limit, pageOf } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { note } from "./schedules.ts";

export const ofSchedule = defineRoute({
  method: "GET",
  path: "/api/v1/schedules/:id/runs",
  tag: "Schedules",
  summary: "What a schedule did, newest first",
  description: "Of the last 30 days.",
  access: "automation.read",
  params: IdParams,
  query: Type.Object(
    { limit: Limit(200, 50), cursor: Cursor, status: Type.Optional(Type.Enum([...RUN_STATUSES])) },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "A page", schema: pageOf(RunView, "ScheduleRunPage") } },
  errors: ["not_found"],
  async handler({ context, scope, params, query: { limit = 50, cursor: after, status } }) {
    const { db } = context.store;
    const { id } = await getSchedule(db, scope, params.id.toLowerCase());
    const page = await listRuns(db, scope, { sourceId: id, status, limit, after });
    return { status: 200, body: { data: page.items.map(runJson), next_cursor: page.next } };
  },
});

export const start = defineRoute({
  method: "POST",
  path: "/api/v1/schedules/:id/run",
  tag: "Schedules",
  summary: "Do what a schedule does, now",
  description: "Also of one that is not active. Its times stay as they are, and this run does not count for `max_runs`; `overlap` holds.",
  access: "device.control",
  params: IdParams,
  replies: { 202: { description: "It runs", schema: Type.Object({ run_id: Type.String() }, { title: "ScheduleRunStarted" }) } },
  errors: ["not_found", "conflict"],
  handler: ({ context, principal, scope, params, commit }) =>
    commit(async (db) => {
      const schedule = await lockSchedule(db, scope, params.id.toLowerCase());
      const fired = await context.schedules.fire(db, schedule.id, { by: actorOf(principal) });
      if ("refused" in fired) throw new HubError("conflict", "a run of it goes on", { details: { reason: fired.refused } });
      return {
        answer: { status: 202, body: { run_id: fired.runId } },
        audit: [note(schedule, "schedule.run", { run_id: fired.runId })],
      };
    }),
});
