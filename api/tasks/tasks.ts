import Type, { type Static } from "typebox";
import { checkCapability } from "../../core/command.ts";
import type { Device } from "../../core/device.ts";
import { HubError } from "../../core/errors.ts";
import { newId } from "../../core/id.ts";
import { scopeOf } from "../../core/permissions.ts";
import { actorOf, type Member, type Scope } from "../../core/principal.ts";
import {
  FINAL_TASKS,
  MOST_DEPENDENCIES,
  MOST_RESOURCES,
  type NewTask,
  RetryPolicy,
  type Task,
  TaskActions,
  type TaskStatus,
} from "../../core/task.ts";
import { GivenVariables } from "../../core/template.ts";
import { requireSmall } from "../../core/validate.ts";
import { versionOf } from "../../core/version.ts";
import type { Db } from "../../store/open.ts";
import { templateActions } from "../../store/template-actions.ts";
import { noteUse } from "../../store/template-uses.ts";
import { countTasks, deleteTask, dependentTasks, getTask, listTasks, lockTask, moveTask, taskStatuses } from "../../store/tasks.ts";
import { listExecutions, listTaskLogs } from "../../store/task-executions.ts";
import { nameOf } from "../templates/preview.ts";
import { deviceFor } from "../devices/device-for.ts";
import { Cursor, DeviceReference, IdParams, Limit, line, pageOf, Uuid } from "../fields.ts";
import { Description } from "../places/fields.ts";
import { type AuditNote, defineRoute, type Effect } from "../route.ts";
import { executionJson, logJson, TaskExecutionView, taskJson, TaskLogView, TaskStatusName, TaskView } from "./representation.ts";

export const OneTask = Type.Object({ task: TaskView }, { title: "OneTask" });
const Tags = Type.Array(line(64), { maxItems: 20, uniqueItems: true });
const Metadata = Type.Record(Type.String({ pattern: "^[A-Za-z0-9_.-]{1,64}$" }), Type.Unknown(), { additionalProperties: false });
const Priority = Type.Integer({ minimum: 0, maximum: 9, description: "The higher one goes first; 5 when absent" });
const METADATA_LIMITS = { maxBytes: 8_192, maxDepth: 8 };

const Body = Type.Object(
  {
    device: DeviceReference,
    name: line(200),
    description: Type.Optional(Description),
    actions: Type.Optional(TaskActions),
    template: Type.Optional(
      Type.Object(
        {
          id: Uuid,
          version: Type.Optional(Type.Integer({ minimum: 1, maximum: 999_999_999, description: "The present one without it" })),
          variables: Type.Optional(GivenVariables),
        },
        { additionalProperties: false, title: "TaskTemplateUse", description: "Instead of actions; filled in when the task is made" },
      ),
    ),
    priority: Type.Optional(Priority),
    retry: Type.Optional(RetryPolicy),
    timeout_s: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 86_400, description: "For the device to answer; 30 s and 10 s for each action when absent" }),
    ),
    expires_in_s: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 2_592_000, description: "How long it waits for its device; a day when absent" }),
    ),
    depends_on: Type.Optional(
      Type.Array(Uuid, { maxItems: MOST_DEPENDENCIES, uniqueItems: true, description: "Tasks that have to be completed first" }),
    ),
    resources: Type.Optional(
      Type.Array(line(64), {
        maxItems: MOST_RESOURCES,
        uniqueItems: true,
        description: "Names of what one task of the organisation has at a time",
      }),
    ),
    tags: Type.Optional(Tags),
    metadata: Type.Optional(Metadata),
    draft: Type.Optional(Type.Boolean({ description: "It does nothing until it is submitted" })),
  },
  { additionalProperties: false, title: "NewTask" },
);

export const create = defineRoute({
  method: "POST",
  path: "/api/v1/tasks",
  tag: "Tasks",
  summary: "Have a device do something, now or when it is there",
  description: "What is risky waits for somebody to approve it.",
  access: "device.control",
  body: Body,
  bodyExample: { device: "relay-7kq2mzd94x", name: "Water the garden", actions: [{ command: "set_relay", relay: 0, state: "ON" }] },
  replies: { 201: { description: "It waits for its device, or for approval", schema: OneTask } },
  errors: ["not_found", "device_not_claimed", "unsupported_command", "quota_exceeded"],
  handler: ({ context, principal, rights, scope, body, requestId, commit }) =>
    commit(async (db) => {
      const device = await deviceFor(rights, "device.control", db, body.device);
      const taskId = newId();
      const made = await actionsOf(db, {
        device,
        body,
        id: taskId,
        now: context.clock(),
        principal,
        templates: scopeOf(rights, "automation.read"),
      });
      const wanted = { ...wantedOf(device, body, made.actions), ...made, id: taskId };
      const known = await taskStatuses(db, scope, wanted.dependsOn ?? []);
      for (const [index, id] of (wanted.dependsOn ?? []).entries()) requirePossible(known.get(id), `/depends_on/${index}`);
      const task = await context.tasks.submit(db, { ...wanted, actor: actorOf(principal), source: "rest", correlationId: requestId });
      return { answer: answerOf(task, 201), audit: [note(task, "task.create", { name: task.name, actions: task.actions.length })] };
    }),
});

interface Asked {
  readonly device: Device;
  readonly body: Static<typeof Body>;
  /** Of the task to be. */
  readonly id: string;
  readonly now: number;
  readonly principal: Member;
  /** Of whose templates. */
  readonly templates: Scope;
}

async function actionsOf(db: Db, { device, body, id, now, principal, templates }: Asked): Promise<Pick<NewTask, "actions" | "template">> {
  const { actions, template } = body;
  if ((actions === undefined) === (template === undefined))
    throw new HubError("validation_error", "a task needs either actions or a template", {
      details: [{ path: "/actions", message: "or template has to be there, and only one of them" }],
    });
  if (!template) return { actions: actions ?? [] };
  const { version, variables = {} } = template;
  const builtins = { now, task: { id }, device, user: { name: await nameOf(db, principal) } };
  const made = await templateActions(db, templates, { id: template.id.toLowerCase(), version, variables, builtins });
  await noteUse(db, made.template.id, now);
  return { actions: made.actions, template: { id: made.template.id, version: made.version, variables } };
}

function wantedOf(device: Device, body: Static<typeof Body>, actions: TaskActions): Omit<NewTask, "actor" | "source"> {
  const { organizationId } = device;
  if (organizationId === null) throw new HubError("device_not_claimed", `${device.uid} belongs to no organisation yet: claim it first`);
  for (const action of actions) checkCapability(action, device.capabilities);
  requireSmall(body.metadata ?? {}, "/metadata", METADATA_LIMITS);
  return {
    organizationId,
    device,
    name: body.name,
    description: body.description,
    actions,
    priority: body.priority,
    retry: body.retry,
    timeoutMs: body.timeout_s === undefined ? undefined : body.timeout_s * 1_000,
    waitMs: body.expires_in_s === undefined ? undefined : body.expires_in_s * 1_000,
    dependsOn: body.depends_on?.map((id) => id.toLowerCase()),
    resources: body.resources,
    tags: body.tags,
    metadata: body.metadata,
    isDraft: body.draft,
  };
}

function requirePossible(status: TaskStatus | undefined, path: string): void {
  const isLost = status === "cancelled" || status === "rejected" || status === "expired" || status === "failed";
  const message = status === undefined ? "is no task of yours" : isLost ? `is a task that is ${status}` : undefined;
  if (message !== undefined) throw new HubError("validation_error", `${path} ${message}`, { details: [{ path, message }] });
}

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/tasks",
  tag: "Tasks",
  summary: "The tasks of your devices",
  access: "device.read",
  query: Type.Object(
    {
      limit: Limit(200, 50),
      cursor: Cursor,
      status: Type.Optional(Type.Enum(["open", ...TaskStatusName.enum] as const, { description: "open: not final" })),
      device: Type.Optional(DeviceReference),
      tag: Type.Optional(line(64)),
    },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "Newest first", schema: pageOf(TaskView, "TaskPage") } },
  errors: ["not_found"],
  async handler({ context, rights, scope, query: { limit = 50, cursor: after, status, device, tag } }) {
    const { db } = context.store;
    const found = device === undefined ? undefined : await deviceFor(rights, "device.read", db, device);
    const page = await listTasks(db, scope, { limit, after, status: statusesOf(status), deviceId: found?.id, tag });
    return { status: 200, body: { data: page.items.map(taskJson), next_cursor: page.next } };
  },
});

function statusesOf(status: string | undefined): TaskStatus[] | undefined {
  if (status === undefined) return undefined;
  return status === "open" ? TaskStatusName.enum.filter((one) => !FINAL_TASKS.includes(one)) : [status as TaskStatus];
}

export const counts = defineRoute({
  method: "GET",
  path: "/api/v1/tasks/metrics",
  tag: "Tasks",
  summary: "How many tasks there are of each status",
  access: "device.read",
  replies: {
    200: {
      description: "Every status",
      schema: Type.Object({ data: Type.Array(Type.Object({ status: TaskStatusName, count: Type.Integer() })) }, { title: "TaskCounts" }),
    },
  },
  async handler({ context, scope }) {
    const known = await countTasks(context.store.db, scope);
    return { status: 200, body: { data: TaskStatusName.enum.map((status) => ({ status, count: known.get(status) ?? 0 })) } };
  },
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/tasks/:id",
  tag: "Tasks",
  summary: "One task",
  access: "device.read",
  params: IdParams,
  replies: { 200: { description: "The task", schema: OneTask } },
  errors: ["not_found"],
  async handler({ context, scope, params }) {
    return answerOf(await getTask(context.store.db, scope, params.id.toLowerCase()), 200);
  },
});

export const update = defineRoute({
  method: "PATCH",
  path: "/api/v1/tasks/:id",
  tag: "Tasks",
  summary: "Change what a task is called, and how urgent it is",
  description: "What it does, and for which device, never changes: what was approved is what is done.",
  access: "device.control",
  match: "optional",
  params: IdParams,
  body: Type.Object(
    {
      name: Type.Optional(line(200)),
      description: Type.Optional(Type.Unsafe<string | null>({ anyOf: [Description, { type: "null" }] })),
      priority: Type.Optional(Priority),
      tags: Type.Optional(Tags),
      metadata: Type.Optional(Metadata),
    },
    { additionalProperties: false, minProperties: 1, title: "TaskChange" },
  ),
  bodyExample: { priority: 8 },
  replies: { 200: { description: "As it is now", schema: OneTask } },
  errors: ["not_found", "conflict"],
  handler: ({ context, scope, params, body, match, commit }) =>
    commit(async (db) => {
      const before = await lockTask(db, scope, params.id.toLowerCase());
      match(taskVersion(before));
      if (FINAL_TASKS.includes(before.status))
        throw new HubError("conflict", `the task is ${before.status}`, { details: { status: before.status } });
      requireSmall(body.metadata ?? {}, "/metadata", METADATA_LIMITS);
      const task = (await moveTask(db, before.id, [before.status], body, Math.floor(context.timers.now()))) ?? before;
      return { answer: answerOf(task, 200), audit: [note(task, "task.update", { changed: Object.keys(body) })] };
    }),
});

export const remove = defineRoute({
  method: "DELETE",
  path: "/api/v1/tasks/:id",
  tag: "Tasks",
  summary: "Forget a task that is over, or that never began",
  access: "device.manage",
  match: "optional",
  params: IdParams,
  replies: { 204: { description: "Gone" } },
  errors: ["not_found", "conflict"],
  handler: ({ scope, params, match, commit }) =>
    commit(async (db) => {
      const task = await lockTask(db, scope, params.id.toLowerCase());
      match(taskVersion(task));
      if (task.status !== "draft" && !FINAL_TASKS.includes(task.status))
        throw new HubError("conflict", `the task is ${task.status}: cancel it first`, { details: { status: task.status } });
      if ((await dependentTasks(db, task.id)).length > 0)
        throw new HubError("conflict", "other tasks wait for this one: cancel them first");
      await deleteTask(db, task.id);
      return { answer: { status: 204 }, audit: [note(task, "task.delete", { name: task.name, status: task.status })] };
    }),
});

export const executions = defineRoute({
  method: "GET",
  path: "/api/v1/tasks/:id/executions",
  tag: "Tasks",
  summary: "The attempts of a task, the latest first",
  access: "device.read",
  params: IdParams,
  replies: {
    200: { description: "All of them", schema: Type.Object({ data: Type.Array(TaskExecutionView) }, { title: "TaskExecutions" }) },
  },
  errors: ["not_found"],
  async handler({ context, scope, params }) {
    const { db } = context.store;
    const { id } = await getTask(db, scope, params.id.toLowerCase());
    return { status: 200, body: { data: (await listExecutions(db, id)).map(executionJson) } };
  },
});

export const logs = defineRoute({
  method: "GET",
  path: "/api/v1/tasks/:id/logs",
  tag: "Tasks",
  summary: "What happened to a task, oldest first",
  access: "device.read",
  params: IdParams,
  query: Type.Object({ limit: Limit(200, 50), cursor: Cursor }, { additionalProperties: false }),
  replies: { 200: { description: "A page", schema: pageOf(TaskLogView, "TaskLogPage") } },
  errors: ["not_found"],
  async handler({ context, scope, params, query: { limit = 50, cursor: after } }) {
    const { db } = context.store;
    const { id } = await getTask(db, scope, params.id.toLowerCase());
    const page = await listTaskLogs(db, id, { limit, after });
    return { status: 200, body: { data: page.items.map(logJson), next_cursor: page.next } };
  },
});

/** What people can change of it, and its status: who decides has seen both. */
export const taskVersion = (task: Task): string => versionOf(taskJson(task));

export function answerOf(task: Task, status: 200 | 201) {
  return { status, version: taskVersion(task), body: { task: taskJson(task) } };
}

export const note = ({ id, organizationId }: Task, action: string, details: Record<string, unknown>): AuditNote => ({
  organizationId,
  action,
  resourceType: "task",
  resourceId: id,
  details,
});

/** The status that a step has led to; what is audited of it the step writes itself. */
export async function stepped(db: Db, step: (db: Db) => Promise<Task>): Promise<Effect> {
  return { answer: answerOf(await step(db), 200), audit: [] };
}
