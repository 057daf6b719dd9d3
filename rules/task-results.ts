import type { Bus, UpMessage } from "../core/bus.ts";
import type { CommandRecord } from "../core/command.ts";
import { HubError } from "../core/errors.ts";
import { newAudit } from "../core/event.ts";
import type { Ack } from "../core/payloads.ts";
import { type ActionResult, actionIdOf } from "../core/task.ts";
import { type TaskResultEnvelope, verifyEnvelope } from "../core/task-envelope.ts";
import type { Topics } from "../core/topics.ts";
import { insertAudit } from "../store/audit.ts";
import { insertCommand } from "../store/commands.ts";
import type { Db } from "../store/open.ts";
import type { TaskKeys } from "../store/task-keys.ts";
import { afterCommit } from "../store/transaction.ts";
import { type Attempted, finishTask, lockAttempt } from "./task-end.ts";
import { commandIdOf, type TaskRecordContext } from "./task-record.ts";

export interface TaskResultsContext extends TaskRecordContext {
  readonly bus: Bus;
  readonly topics: Topics;
  readonly keys: TaskKeys;
}

/**
 * What a device says became of its task, inside the transaction of its message: the end of the task, and for each action that was done an
 * acknowledgement of the command that it is, so that its state is written as with any other command. What does not verify changes nothing, is
 * audited, and the device is told.
 */
export async function acceptResult(
  context: TaskResultsContext,
  trx: Db,
  message: UpMessage<TaskResultEnvelope>,
): Promise<UpMessage<Ack>[]> {
  const { device, payload, receivedAt } = message;
  try {
    const attempted = await verified(context, trx, message);
    const results: ActionResult[] = payload.results.map(({ action_id: actionId, status, error, state }) => ({
      actionId,
      status,
      error,
      state,
    }));
    const ended = await finishTask(context, trx, attempted, { results, now: receivedAt });
    // What came too late was done all the same: the state is what it is.
    if (!ended && attempted.execution.status !== "timeout") return [];
    return await acknowledgements(trx, attempted, message);
  } catch (error) {
    if (!(error instanceof HubError) || !REFUSED.has(error.code)) throw error;
    await refuse(context, trx, { device, taskId: payload.task_id, error, now: receivedAt });
    return [];
  }
}

const REFUSED: ReadonlySet<string> = new Set(["task_signature_invalid", "task_envelope_stale", "not_found", "validation_error"]);

/** Throws what {@link verifyEnvelope} throws, `not_found` for a task that is none of this device's, and `validation_error`. */
async function verified(
  { keys }: TaskResultsContext,
  trx: Db,
  { device, payload, receivedAt: now }: UpMessage<TaskResultEnvelope>,
): Promise<Attempted> {
  const key = await keys.findResultKey(trx, { deviceId: device.id, keyId: payload.key_id, now });
  if (!key) throw new HubError("task_signature_invalid", "the device has no such key");
  verifyEnvelope(payload, key.secret, { now });
  const attempted = await lockAttempt(trx, payload.task_id, payload.attempt);
  const { task, execution } = attempted ?? {};
  if (!attempted || !task || !execution || task.deviceId !== device.id || task.organizationId !== device.organizationId)
    throw new HubError("not_found", "the device has no such task");
  const isComplete =
    payload.results.length === execution.actions.length &&
    payload.results.every(({ action_id: id }, index) => id === actionIdOf(task.id, execution.attempt, index));
  if (!isComplete) throw new HubError("validation_error", "the results are not those of the task's actions");
  return attempted;
}

async function acknowledgements(
  trx: Db,
  { task, execution }: Attempted,
  message: UpMessage<TaskResultEnvelope>,
): Promise<UpMessage<Ack>[]> {
  const acks: UpMessage<Ack>[] = [];
  for (const [index, { status, state, error }] of message.payload.results.entries()) {
    const command = execution.actions[index];
    if (status === "skipped" || !command) continue;
    const record: CommandRecord = {
      id: commandIdOf(task, execution.attempt, index),
      deviceId: task.deviceId,
      organizationId: task.organizationId,
      taskId: task.id,
      command,
      status: "sent",
      actor: task.actor,
      source: task.source,
      correlationId: task.correlationId,
      causationId: task.causationId,
      ruleVersion: task.ruleVersion,
      error: null,
      latencyMs: null,
      createdAt: execution.startedAt,
      deadlineAt: new Date(message.receivedAt).toISOString(),
      finishedAt: null,
    };
    if (!(await insertCommand(trx, record)).inserted) continue;
    const payload: Ack = {
      command_id: record.id,
      status,
      ...(state === undefined ? {} : { state }),
      ...(error === undefined ? {} : { error }),
    };
    acks.push({ ...message, type: "ack", payload });
  }
  return acks;
}

async function refuse(
  { bus, topics, metrics, log }: TaskResultsContext,
  trx: Db,
  {
    device,
    taskId,
    error,
    now,
  }: { readonly device: UpMessage["device"]; readonly taskId: string; readonly error: HubError; readonly now: number },
): Promise<void> {
  const details = { uid: device.uid, task_id: taskId, code: error.code, error: error.message };
  await insertAudit(trx, [
    newAudit({
      organizationId: device.organizationId,
      actor: { kind: "device", id: device.id },
      action: "task.result_refused",
      resourceType: "device",
      resourceId: device.id,
      details,
      now,
    }),
  ]);
  afterCommit(trx, () => {
    metrics.count("hexahub_task_results_refused_total", { code: error.code });
    log.warn(details, "the result of a task was refused");
    const topic = topics.build({ kind: "down", uid: device.uid, type: "error" });
    const payload = {
      code: error.code,
      message: error.message,
      topic: topics.build({ kind: "up", uid: device.uid, type: "task_result" }),
      details: { task_id: taskId },
    };
    bus
      .publish({ topic, payload: JSON.stringify(payload), qos: 1 })
      .catch((failed: unknown) => log.error({ err: failed }, "a device could not be told"));
  });
}
