import type { EventSink, Log, Metrics } from "../core/bus.ts";
import { HubError } from "../core/errors.ts";
import { type EventType, newAudit, newEvent } from "../core/event.ts";
import type { Notifier } from "../core/notification.ts";
import { type Actor, SYSTEM } from "../core/principal.ts";
import { actionIdOf, backoffMs, FINAL_TASKS, requireTransition, type Task, type TaskStatus } from "../core/task.ts";
import type { NewTimer, Timers } from "../core/timer.ts";
import { insertAudit } from "../store/audit.ts";
import { insertEvents } from "../store/events.ts";
import type { Db } from "../store/open.ts";
import { isoOf } from "../store/sql.ts";
import { insertTaskLogs } from "../store/task-executions.ts";
import type { TaskChange } from "../store/task-rows.ts";
import { devicesWaitingForResources, moveTask, releaseResources } from "../store/tasks.ts";
import { afterCommit } from "../store/transaction.ts";

export interface TaskRecordContext {
  readonly timers: Timers<Db>;
  readonly notifier: Notifier<Db>;
  readonly events: EventSink;
  readonly metrics: Metrics;
  readonly log: Log;
  /** There may be something to do for the device now, on whichever node it is. After the commit. */
  readonly nudge: (device: TaskDevice) => void;
}

export interface TaskDevice {
  readonly id: string;
  readonly uid: string;
  readonly organizationId: string | null;
}

export interface TaskStep {
  readonly to: TaskStatus;
  readonly change?: TaskChange;
  readonly actor?: Actor;
  /** Beside what every line says of its task. Never a secret. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** Who decides, and what a device does in the end, stands in the audit too. */
  readonly audit?: string;
  readonly event?: EventType;
  /** ms since 1970 */
  readonly now: number;
}

/**
 * From one status to another, with its line in the log, its audit, its event and its timer; undefined when somebody else was quicker.
 * Throws `conflict` for what the table of transitions does not have.
 */
export async function step(context: TaskRecordContext, trx: Db, task: Task, wanted: TaskStep): Promise<Task | undefined> {
  const { to, change = {}, now } = wanted;
  requireTransition(task.status, to);
  const isFinal = FINAL_TASKS.includes(to);
  const moved = await moveTask(trx, task.id, [task.status], { ...change, status: to, finishedAt: isFinal ? isoOf(now) : null }, now);
  if (!moved) return undefined;
  await record(context, trx, moved, wanted);
  if (isFinal || (to === "queued" && task.status !== "draft")) await freeResources(context, trx, moved);
  return moved;
}

/** As {@link step}; throws `conflict` when somebody else was quicker. */
export async function mustStep(context: TaskRecordContext, trx: Db, task: Task, wanted: TaskStep): Promise<Task> {
  const moved = await step(context, trx, task, wanted);
  if (!moved) throw new HubError("conflict", "the task has changed meanwhile");
  return moved;
}

/** What is written beside a task that has come to its status, also when it was made with it. */
export async function record(
  { timers, events, metrics }: TaskRecordContext,
  trx: Db,
  task: Task,
  { to, actor = SYSTEM, details = {}, audit, event, now }: TaskStep,
): Promise<void> {
  await insertTaskLogs(trx, [
    { taskId: task.id, deviceId: task.deviceId, action: `task.${to}`, result: "ok", details, actor, createdAt: isoOf(now) },
  ]);
  const named = { task_id: task.id, name: task.name, uid: task.uid, status: to, ...details };
  const about = { organizationId: task.organizationId, now, actor, correlationId: task.correlationId };
  if (audit !== undefined)
    await insertAudit(trx, [newAudit({ ...about, action: audit, resourceType: "task", resourceId: task.id, details: named })]);
  if (event !== undefined) {
    const happened = [newEvent(event, { ...about, entityId: task.deviceId, causationId: task.causationId }, named)];
    await insertEvents(trx, happened);
    afterCommit(trx, () => void events.emit(happened));
  }
  await rearm({ timers }, trx, task, now);
  afterCommit(trx, () => metrics.count("hexahub_tasks_total", { status: to }));
}

/** What happens to it if nothing else does, from now on. */
export async function rearm({ timers }: Pick<TaskRecordContext, "timers">, trx: Db, task: Task, now: number): Promise<void> {
  const timer = timerOf(task, now);
  if (timer) await timers.put(trx, [timer]);
  else await timers.drop(trx, "task", [task.id]);
}

/** undefined for one that waits for nothing. */
function timerOf(task: Task, now: number): NewTimer | undefined {
  const dueAt = dueOf(task, now);
  if (dueAt === undefined) return undefined;
  return { kind: "task", key: task.id, organizationId: task.organizationId, dueAt, isRelative: true, payload: { status: task.status } };
}

function dueOf(task: Task, now: number): number | undefined {
  switch (task.status) {
    case "awaiting_confirmation":
      return task.approval ? Date.parse(task.approval.expiresAt) : undefined;
    case "queued": {
      const until = waitsUntil(task);
      const from = task.notBefore === null ? now : Date.parse(task.notBefore);
      return from > now ? Math.min(from, until) : until;
    }
    case "assigned":
    case "running":
      return now + task.timeoutMs;
    default:
      return undefined;
  }
}

/** A task for a device that does not come is given up then. */
export const waitsUntil = ({ queuedAt, createdAt, waitMs }: Task): number => Date.parse(queuedAt ?? createdAt) + waitMs;

/** Where the next attempt may begin, for a task that goes back into the queue. */
export const nextAttemptAt = ({ retry, sends }: Task, now: number): string => isoOf(now + backoffMs(retry, sends + 1));

async function freeResources({ nudge }: TaskRecordContext, trx: Db, task: Task): Promise<void> {
  if (task.resources.length === 0) return;
  await releaseResources(trx, task.id);
  const waiting = await devicesWaitingForResources(trx, task.organizationId, task.resources);
  afterCommit(trx, () => waiting.forEach((device) => nudge(device)));
}

/** The command that became a task keeps its id. */
export const commandIdOf = (task: Task, attempt: number, index: number): string =>
  task.commandId !== null && attempt === 1 && index === 0 ? task.commandId : actionIdOf(task.id, attempt, index);
