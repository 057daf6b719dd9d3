import Type from "typebox";
import { DeviceUid } from "../../core/condition.ts";
import { actorOf, PLATFORM } from "../../core/principal.ts";
import { MOST_SCHEDULES, parseSchedule, type ScheduleDefinition } from "../../core/schedule.ts";
import { lockOrganization } from "../../store/organizations.ts";
import { openRunIds } from "../../store/runs.ts";
import {
  createSchedule,
  deleteSchedule,
  getSchedule,
  listSchedules,
  lockSchedule,
  type StoredSchedule,
  updateSchedule,
} from "../../store/schedules.ts";
import { Cursor, IdParams, Limit, pageOf } from "../fields.ts";
import { changeable, Search } from "../places/fields.ts";
import { type AuditNote, defineRoute, type Effect } from "../route.ts";
import { asksForWhatItNames, type ChangeReason, type Changing, EditNote } from "../versions.ts";
import { checkSchedule } from "./check.ts";
import { fieldsOf, scheduleJson, ScheduleRequest, scheduleVersion, ScheduleView } from "./representation.ts";

export const OneSchedule = Type.Object({ schedule: ScheduleView }, { title: "OneSchedule" });
const Body = Type.Object({ ...ScheduleRequest.properties, note: EditNote }, { additionalProperties: false, title: "NewSchedule" });
const change = changeable(ScheduleRequest, "Schedule");
const Patch = Type.Unsafe<Record<string, unknown>>({
  ...change.Patch,
  properties: {
    ...(change.Patch as { properties?: object }).properties,
    recurrence: { type: "object", description: "Merged too; with another `kind` it takes the place of the former one" },
    note: EditNote,
  },
});

export const EXAMPLE = {
  name: "Garden lights",
  recurrence: { kind: "cron", expression: "30 18 * * *" },
  device: "relay-k3m9x2q7",
  command: { command: "set_relay", relay: 0, state: "ON" },
  time_zone: "Europe/Berlin",
  misfire: { policy: "once" },
};

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/schedules",
  tag: "Schedules",
  summary: "The schedules of your organisation",
  access: "automation.read",
  query: Type.Object(
    {
      limit: Limit(200, 50),
      cursor: Cursor,
      search: Search,
      is_active: Type.Optional(Type.Boolean()),
      device: Type.Optional(DeviceUid),
    },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "Oldest first", schema: pageOf(ScheduleView, "SchedulePage") } },
  async handler({ context, scope, query: { limit = 50, cursor: after, search, is_active: isActive, device } }) {
    const page = await listSchedules(context.store.db, scope, { limit, after, search, isActive, device });
    return { status: 200, body: { data: page.items.map((one) => shown(one, context.clock())), next_cursor: page.next } };
  },
});

export const create = defineRoute({
  method: "POST",
  path: "/api/v1/schedules",
  tag: "Schedules",
  summary: "Make a schedule: what is done at certain times",
  description:
    "What is done is `actions`, or one `command` to one `device`. docs/automations.md says what becomes of times that were missed and of those where clocks are changed.",
  access: "automation.manage",
  body: Body,
  bodyExample: EXAMPLE,
  replies: { 201: { description: "Made", schema: OneSchedule } },
  errors: ["quota_exceeded"],
  handler: ({ context, principal, scope, body: { note: reason, ...body }, commit }) =>
    commit(async (db) => {
      const { organizationId } = principal;
      await lockOrganization(db, organizationId);
      await checkSchedule(db, organizationId, body);
      const edit = { actor: actorOf(principal), now: context.clock(), note: reason, most: MOST_SCHEDULES };
      const id = await createSchedule(db, organizationId, fieldsOf(body), edit);
      await context.schedules.plan(db, id);
      const made = await getSchedule(db, scope, id);
      return {
        answer: answerOf(made, 201, context.clock()),
        audit: [{ ...note(made, "schedule.create", { name: made.name }), after: made.definition }],
      };
    }),
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/schedules/:id",
  tag: "Schedules",
  summary: "One schedule",
  access: "automation.read",
  params: IdParams,
  replies: { 200: { description: "The schedule", schema: OneSchedule } },
  errors: ["not_found"],
  async handler({ context, scope, params }) {
    return answerOf(await getSchedule(context.store.db, scope, params.id.toLowerCase()), 200, context.clock());
  },
});

export const update = defineRoute({
  method: "PATCH",
  path: "/api/v1/schedules/:id",
  tag: "Schedules",
  summary: "Change a schedule, pause it or resume it",
  description:
    "A merge patch; `is_active` pauses and resumes. Every change of the definition is a new version. From then on the next time is waited for, and none that was missed meanwhile; runs that go on end as they began.",
  access: "automation.manage",
  match: "required",
  params: IdParams,
  body: Patch,
  bodyExample: { is_active: false },
  replies: { 200: { description: "As it is now", schema: OneSchedule } },
  errors: ["not_found"],
  handler: ({ context, principal, scope, params, body: { note: reason, ...patch }, match, commit }) =>
    commit(async (db) => {
      const before = await lockSchedule(db, scope, params.id.toLowerCase());
      match(scheduleVersion(before));
      const wanted = change.apply(patchable(before, patch), patch);
      const { isActive: isOn, definition } = fieldsOf(wanted);
      if (asksForWhatItNames({ ...before, isOn: before.isActive }, { isOn, definition }))
        await checkSchedule(db, before.organizationId, wanted);
      return await changeTo({ context, db, principal }, before, wanted, {
        action: "schedule.update",
        details: { changed: Object.keys(patch) },
        reason: typeof reason === "string" ? reason : undefined,
      });
    }),
});

export const remove = defineRoute({
  method: "DELETE",
  path: "/api/v1/schedules/:id",
  tag: "Schedules",
  summary: "Remove a schedule",
  description: "Runs that go on are cancelled.",
  access: "automation.manage",
  match: "required",
  params: IdParams,
  replies: { 204: { description: "Gone" } },
  errors: ["not_found"],
  handler: ({ context, scope, params, match, commit }) =>
    commit(async (db) => {
      const before = await lockSchedule(db, scope, params.id.toLowerCase());
      match(scheduleVersion(before));
      await context.automations.cancelRuns(db, await openRunIds(db, before.id));
      await deleteSchedule(db, before.id);
      await context.schedules.plan(db, before.id);
      return {
        answer: { status: 204 },
        audit: [{ ...note(before, "schedule.delete", { name: before.name }), before: before.definition }],
      };
    }),
});

/** What a change that was checked leaves behind, whoever makes it: a patch, or the way back to a former version. */
export async function changeTo(
  { context, db, principal }: Changing,
  before: StoredSchedule,
  wanted: ScheduleRequest,
  { action, details, reason }: ChangeReason,
): Promise<Effect> {
  await updateSchedule(db, before, fieldsOf(wanted), { actor: actorOf(principal), now: context.clock(), note: reason });
  await context.schedules.plan(db, before.id);
  const after = await getSchedule(db, PLATFORM, before.id);
  return {
    answer: answerOf(after, 200, context.clock()),
    audit: [{ ...note(after, action, { ...details, version: after.version }), before: before.definition, after: after.definition }],
  };
}

/** What the patch is merged into: a recurrence of another kind has nothing of the former one. */
function patchable(before: StoredSchedule, patch: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { recurrence, ...definition } = before.definition as ScheduleDefinition;
  const { kind } = (patch["recurrence"] ?? {}) as { kind?: unknown };
  const kept = kind === undefined || kind === recurrence.kind ? { recurrence } : {};
  return { ...definition, ...kept, name: before.name, description: before.description, is_active: before.isActive };
}

function answerOf(stored: StoredSchedule, status: 200 | 201, now: number) {
  return { status, version: scheduleVersion(stored), body: { schedule: shown(stored, now) } };
}

const shown = (stored: StoredSchedule, now: number): Record<string, unknown> =>
  scheduleJson(stored, parseSchedule(stored.definition as unknown as ScheduleDefinition), now);

export const note = ({ id, organizationId }: StoredSchedule, action: string, details: Record<string, unknown>): AuditNote => ({
  organizationId,
  action,
  resourceType: "schedule",
  resourceId: id,
  details,
});
