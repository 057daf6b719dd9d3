import { type Command, type CommandRecord, type CommandRequest, resolveCommand } from "../core/command.ts";
import type { Device } from "../core/device.ts";
import { HubError } from "../core/errors.ts";
import { newId } from "../core/id.ts";
import { NO_STATE } from "../core/state.ts";

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
    command,
    status,
    actor: request.actor,
    source: request.source,
    correlationId: request.correlationId ?? id,
    causationId: request.causationId ?? null,
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

export function isOverdue(record: CommandRecord, now: number): boolean {
  return Date.parse(record.deadlineAt) <= now;
}

function isSame(a: Command, b: Command): boolean {
  const sorted = (command: Command): string => JSON.stringify(Object.entries(command).toSorted(([x], [y]) => (x < y ? -1 : 1)));
  return sorted(a) === sorted(b);
}
