import type { Actor } from "../core/principal.ts";
import type { Task } from "../core/task.ts";
import type { Timer } from "../core/timer.ts";
import type { Db } from "../store/open.ts";
import { endExecution } from "../store/task-executions.ts";
import { dependenciesOf, dependentTasks, lockOpenTasks } from "../store/tasks.ts";
import { afterCommit } from "../store/transaction.ts";
import { tellAsker } from "./task-notices.ts";
import { rearm, step, type TaskRecordContext } from "./task-record.ts";

export const failure = (errorCode: string, error: string) => ({ error, errorCode });
export type Failure = ReturnType<typeof failure>;

/**
 * Those that wait for it go on where it was completed. Where it never will be, their timers end them, some at a time: a whole tree
 * of them would hold up whatever else is written.
 */
export async function followEnd({ timers, nudge }: TaskRecordContext, trx: Db, ended: Task, now: number): Promise<void> {
  const dependents = await dependentTasks(trx, ended.id);
  if (ended.status === "completed") {
    const devices = new Map(dependents.map(({ deviceId: id, uid, organizationId }) => [id, { id, uid, organizationId }]));
    return afterCommit(trx, () => devices.forEach((device) => nudge(device)));
  }
  await timers.put(
    trx,
    dependents.map(({ id: key, organizationId, status }) => ({
      kind: "task",
      key,
      organizationId,
      dueAt: now,
      isRelative: true,
      payload: { status, isBereft: true },
    })),
  );
}

/** By {@link followEnd}: something that it depends on has ended otherwise. */
export const isBereft = ({ payload }: Timer): boolean => payload["isBereft"] === true;

/** Ends it if there is still something that it waits for in vain: whoever tries that again may have been quicker. */
export async function endBereft(context: TaskRecordContext, trx: Db, task: Task, now: number): Promise<void> {
  const lost = await lostDependency(trx, task);
  if (lost === undefined) return await rearm(context, trx, task, now);
  const isQueued = task.status === "queued";
  const ended = await step(context, trx, task, {
    to: isQueued ? "failed" : "cancelled",
    change: failure("conflict", lost.error),
    details: { error: lost.error, ...(lost.id === undefined ? {} : { depends_on: lost.id }) },
    audit: isQueued ? "task.fail" : "task.cancel",
    event: isQueued ? "task.failed" : "task.cancelled",
    now,
  });
  if (ended) await followEnd(context, trx, ended, now);
}

/** What of its dependencies will not be completed. One that is not there any more was, as far as anybody knows, not completed either. */
export async function lostDependency(trx: Db, { id, dependsOn }: Task): Promise<{ id?: string; error: string } | undefined> {
  const known = await dependenciesOf(trx, id);
  const lost = known.find(({ isLost }) => isLost);
  if (lost) return { id: lost.id, error: `it depends on a task that is ${lost.status}` };
  const missing = dependsOn.find((one) => !known.some((other) => other.id === one));
  return missing === undefined ? undefined : { id: missing, error: "it depends on a task that is not there any more" };
}

/** It will not be done, whoever has approved what: of what its device has already nobody waits for the answer any more. */
export async function failTask(context: TaskRecordContext, trx: Db, task: Task, { error, errorCode }: Failure, now: number): Promise<void> {
  if (task.attempt > 0) await endExecution(trx, task.id, task.attempt, { status: "failed", results: [], error, now });
  const failed = await step(context, trx, task, {
    to: "failed",
    change: { error, errorCode },
    details: { code: errorCode, error },
    audit: "task.fail",
    event: "task.failed",
    now,
  });
  if (!failed) return;
  const { deviceId: id, uid, organizationId } = task;
  afterCommit(trx, () => context.nudge({ id, uid, organizationId }));
  await tellAsker(context, trx, failed, "failed");
  await followEnd(context, trx, failed, now);
}

/** The device leaves its organisation, or is removed: what was asked of it there nobody does any more. */
export async function endTasksOf(context: TaskRecordContext, trx: Db, deviceId: string, actor: Actor, now: number): Promise<void> {
  for (const task of await lockOpenTasks(trx, deviceId)) {
    if (task.status === "assigned" || task.status === "running") {
      await failTask(context, trx, task, failure("device_not_claimed", "the device has left the organisation"), now);
      continue;
    }
    const details = { reason: "device_not_claimed" };
    const ended = await step(context, trx, task, { to: "cancelled", actor, details, audit: "task.cancel", event: "task.cancelled", now });
    if (!ended) continue;
    await tellAsker(context, trx, ended, "cancelled");
    await followEnd(context, trx, ended, now);
  }
}
