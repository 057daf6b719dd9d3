import { type Command, type CommandRecord, type CommandRequest, type CommandResult, resolveCommand } from "../core/command.ts";
import type { Device } from "../core/device.ts";
import { HubError } from "../core/errors.ts";
import { newId } from "../core/id.ts";
import { NO_STATE } from "../core/state.ts";
import type { Task } from "../core/task.ts";

/** The row of a request that is sent or queued at `now` (ms since 1970) and wanted for `waitMs`. `command` is resolved. */
export function recordOf(
  request: CommandRequest,
  device: Device,
  { command, status, now, waitMs }: { command: Command; status: "sent" | "queued"; now: number; waitMs: number },
): CommandRecord {
  const id = request.commandId ?? newId();
  return {
    id,
    deviceId: device.id,
    organizationId: device.organizationId,
    taskId: request.taskId ?? null,
    command,
    status,
    actor: request.actor,
    source: request.source,
    correlationId: request.correlationId ?? id,
    causationId: request.causationId ?? null,
    ruleVersion: request.ruleVersion ?? null,
    error: null,
    latencyMs: null,
    createdAt: new Date(now).toISOString(),
    deadlineAt: new Date(now + waitMs).toISOString(),
    finishedAt: null,
  };
}

/** The earlier record of a command id. Throws `command_id_conflict` when the id was used for something else. */
export function repeatedRecord(earlier: CommandRecord, device: Device, command: Command): CommandRecord {
  const wanted =
    "state" in command && command.state === "TOGGLE" && "state" in earlier.command ? { ...command, state: earlier.command.state } : command;
  if (earlier.deviceId !== device.id || !isSame(earlier.command, resolveCommand(wanted as Command, NO_STATE)))
    throw new HubError("command_id_conflict", `command_id ${earlier.id} was used for another command`);
  return earlier;
}

/** The task that an earlier command of the id became. Throws `command_id_conflict` when the id was used for something else. */
export function repeatedTask(task: Task, device: Device, command: Command): Task {
  const [asked] = task.actions;
  const wanted =
    asked && "state" in command && command.state === "TOGGLE" && "state" in asked ? { ...command, state: asked.state } : command;
  if (!asked || task.deviceId !== device.id || !isSame(asked, resolveCommand(wanted as Command, NO_STATE)))
    throw new HubError("command_id_conflict", `command_id ${task.commandId} was used for another command`);
  return task;
}

/** Throws `approval_refused` for one that nobody approves any more, and `device_error` for one that was done and failed. */
export function parkedAnswer({ id, commandId, status, error }: Task): CommandResult {
  const details = { task_id: id, command_id: commandId, status };
  if (status === "rejected" || status === "expired" || status === "cancelled")
    throw new HubError("approval_refused", `the command was not approved: it is ${status}`, { details });
  if (status === "failed") throw new HubError("device_error", error ?? "the task failed", { details });
  const isWaiting = status === "awaiting_confirmation";
  return {
    commandId: commandId ?? id,
    taskId: id,
    status: isWaiting ? status : status === "completed" ? "ok" : "queued",
    latencyMs: null,
    state: null,
  };
}

export function isOverdue(record: CommandRecord, now: number): boolean {
  return Date.parse(record.deadlineAt) <= now;
}

function isSame(a: Command, b: Command): boolean {
  const sorted = (command: Command): string => JSON.stringify(Object.entries(command).toSorted(([x], [y]) => (x < y ? -1 : 1)));
  return sorted(a) === sorted(b);
}
