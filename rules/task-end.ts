import { PLATFORM } from "../core/principal.ts";
import type { ActionResult, Task, TaskExecution } from "../core/task.ts";
import type { Db } from "../store/open.ts";
import { isoOf } from "../store/sql.ts";
import { endExecution, findExecution, insertTaskLogs } from "../store/task-executions.ts";
import { lockTask } from "../store/tasks.ts";
import { afterCommit } from "../store/transaction.ts";
import { failure, followEnd } from "./task-followers.ts";
import { nextAttemptAt, step, type TaskRecordContext } from "./task-record.ts";

/** An attempt of a task that nobody else changes until the transaction ends. */
export interface Attempted {
  readonly task: Task;
  readonly execution: TaskExecution;
}

/** undefined when there is no such attempt. Throws `not_found` when there is no such task. */
export async function lockAttempt(trx: Db, taskId: string, attempt: number): Promise<Attempted | undefined> {
  const task = await lockTask(trx, PLATFORM, taskId);
  const execution = await findExecution(trx, taskId, attempt);
  return execution && { task, execution };
}

export interface TaskEnd {
  readonly results: readonly ActionResult[];
  /** Whether the device has done one of them nobody knows: another attempt could do it twice. */
  readonly isUnknown?: boolean | undefined;
  /** ms since 1970 */
  readonly now: number;
}

/**
 * What the device says of an attempt, once: the task is completed or failed, or waits for its next attempt. undefined when that attempt has
 * ended before, or nobody waits for it any more.
 */
export async function finishTask(
  context: TaskRecordContext,
  trx: Db,
  { task, execution }: Attempted,
  { results, isUnknown = false, now }: TaskEnd,
): Promise<Task | undefined> {
  const { attempt, taskId } = execution;
  const isAwaited = ["assigned", "running", "queued"].includes(task.status) && task.attempt === attempt && execution.completedAt === null;
  await insertTaskLogs(
    trx,
    results.map(({ actionId, status, error }) => ({
      taskId,
      deviceId: task.deviceId,
      action: actionId,
      result: isAwaited ? status : "late",
      details: { ...(error === undefined ? {} : { error }), attempt },
      actor: { kind: "device", id: task.deviceId },
      createdAt: isoOf(now),
    })),
  );
  if (!isAwaited) return undefined;
  const failed = results.find(({ status }) => status === "error");
  await endExecution(trx, taskId, attempt, { status: failed ? "failed" : "completed", results, error: failed?.error ?? null, now });
  const { deviceId: id, uid, organizationId } = task;
  afterCommit(trx, () => context.nudge({ id, uid, organizationId }));
  if (failed && !isUnknown && task.sends <= task.retry.attempts)
    return await step(context, trx, task, {
      to: "queued",
      change: { notBefore: nextAttemptAt(task, now) },
      details: { reason: failed.error ?? "error", attempt },
      now,
    });
  const to = failed ? "failed" : "completed";
  const ended = await step(context, trx, task, {
    to,
    change: failed ? failure(isUnknown ? "command_timeout" : "device_error", failed.error ?? "the device could not do it") : {},
    details: { attempt, ...(failed ? { error: failed.error } : {}) },
    actor: { kind: "device", id: task.deviceId },
    audit: failed ? "task.fail" : "task.complete",
    event: `task.${to}`,
    now,
  });
  if (ended) await followEnd(context, trx, ended, now);
  return ended;
}
