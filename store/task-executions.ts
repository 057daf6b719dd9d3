import { newId } from "../core/id.ts";
import type { Actor } from "../core/principal.ts";
import type { ActionResult, TaskActions, TaskExecution } from "../core/task.ts";
import type { Db } from "./open.ts";
import { fromJson, isoOf, type Page, pageOf, rowSource, storableText, toJson } from "./sql.ts";
import { write } from "./transaction.ts";

/** The attempt of that number, made if it is not there: what its actions are is decided once. */
export async function openExecution(
  trx: Db,
  { taskId, attempt, nodeId, now }: { readonly taskId: string; readonly attempt: number; readonly nodeId: string; readonly now: number },
  resolve: () => Promise<TaskActions>,
): Promise<TaskExecution> {
  const known = await findExecution(trx, taskId, attempt);
  if (known) return known;
  const execution: TaskExecution = {
    id: newId(),
    taskId,
    attempt,
    status: "running",
    actions: await resolve(),
    results: [],
    error: null,
    nodeId,
    startedAt: isoOf(now),
    completedAt: null,
  };
  await trx("task_executions").insert(rowOf(execution));
  return execution;
}

export async function findExecution(db: Db, taskId: string, attempt: number): Promise<TaskExecution | undefined> {
  const row = (await db("task_executions").where({ task_id: taskId, attempt }).first()) as ExecutionRow | undefined;
  return row && executionOf(row);
}

export interface ExecutionEnd {
  readonly status: Exclude<TaskExecution["status"], "running">;
  readonly results: readonly ActionResult[];
  readonly error: string | null;
  readonly now: number;
}

export async function endExecution(trx: Db, taskId: string, attempt: number, end: ExecutionEnd): Promise<void> {
  await write(
    trx,
    "update task_executions set status = ?, results = ?, error = ?, completed_at = ? where task_id = ? and attempt = ? and completed_at is null",
    [end.status, toJson(end.results), end.error === null ? null : storableText(end.error), isoOf(end.now), taskId, attempt],
  );
}

/** The latest first. */
export async function listExecutions(db: Db, taskId: string): Promise<TaskExecution[]> {
  return ((await db("task_executions").where({ task_id: taskId }).orderBy("attempt", "desc")) as ExecutionRow[]).map(executionOf);
}

/** Something that happened to a task: a change of its status, or what came of one of its actions. */
export interface TaskLog {
  readonly id: string;
  readonly taskId: string;
  readonly deviceId: string;
  readonly action: string;
  readonly result: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly actor: Actor;
  readonly createdAt: string;
}

const COLUMNS = {
  id: "text",
  task_id: "text",
  device_id: "text",
  action: "text",
  result: "text",
  details: "json",
  actor_kind: "text",
  actor_id: "text",
  created_at: "time",
} as const;
const NAMES = Object.keys(COLUMNS).join(", ");

export async function insertTaskLogs(trx: Db, logs: readonly Omit<TaskLog, "id">[]): Promise<void> {
  if (logs.length === 0) return;
  await write(trx, `insert into action_logs (${NAMES}) select ${NAMES} from ${rowSource(trx, COLUMNS)}`, [
    toJson(
      logs.map((log) => ({
        id: newId(),
        task_id: log.taskId,
        device_id: log.deviceId,
        action: log.action,
        result: log.result,
        details: log.details,
        actor_kind: log.actor.kind,
        actor_id: log.actor.id,
        created_at: log.createdAt,
      })),
    ),
  ]);
}

/** Oldest first. */
export async function listTaskLogs(
  db: Db,
  taskId: string,
  { limit, after }: { readonly limit: number; readonly after?: string | undefined },
): Promise<Page<TaskLog>> {
  const query = db("action_logs")
    .where({ task_id: taskId })
    .orderBy("id")
    .limit(limit + 1);
  if (after !== undefined) query.where("id", ">", after);
  const rows = (await query) as {
    id: string;
    task_id: string;
    device_id: string;
    action: string;
    result: string;
    details: unknown;
    actor_kind: Actor["kind"];
    actor_id: string;
    created_at: string;
  }[];
  const logs = rows.map((row) => ({
    id: row.id,
    taskId: row.task_id,
    deviceId: row.device_id,
    action: row.action,
    result: row.result,
    details: fromJson(row.details) as Record<string, unknown>,
    actor: { kind: row.actor_kind, id: row.actor_id },
    createdAt: row.created_at,
  }));
  return pageOf(logs, limit, ({ id }) => id);
}

interface ExecutionRow {
  id: string;
  task_id: string;
  attempt: number;
  status: TaskExecution["status"];
  actions: unknown;
  results: unknown;
  error: string | null;
  node_id: string | null;
  started_at: string;
  completed_at: string | null;
}

function rowOf(one: TaskExecution): ExecutionRow {
  return {
    id: one.id,
    task_id: one.taskId,
    attempt: one.attempt,
    status: one.status,
    actions: toJson(one.actions),
    results: toJson(one.results),
    error: one.error,
    node_id: one.nodeId,
    started_at: one.startedAt,
    completed_at: one.completedAt,
  };
}

function executionOf(row: ExecutionRow): TaskExecution {
  return {
    id: row.id,
    taskId: row.task_id,
    attempt: row.attempt,
    status: row.status,
    actions: fromJson(row.actions) as TaskActions,
    results: fromJson(row.results) as ActionResult[],
    error: row.error,
    nodeId: row.node_id,
    startedAt: row.started_at,
    completedAt: row.completed_at,
  };
}
