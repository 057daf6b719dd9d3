import { type Command, type CommandRecord, type CommandResult, FINAL_STATUSES } from "../core/command.ts";
import { HubError } from "../core/errors.ts";
import type { DeviceState, OnOff } from "../core/state.ts";

/** A command that has its final status, with the commanded output as it is now. */
export interface Outcome {
  readonly record: CommandRecord;
  readonly state: OnOff | Record<string, unknown> | null;
  /** The device was removed, and the command's row with it: `record` is what the hub remembers. */
  readonly isDeviceGone?: true;
}

/** A stored command with the outputs of its device as they are committed. */
export function outcomeOf(record: CommandRecord, state: DeviceState): Outcome {
  return { record, state: record.status === "ok" ? commandedOutput(record.command, state) : null };
}

export function goneWithDevice(record: CommandRecord): Outcome {
  return { record: { ...record, status: "expired" }, state: null, isDeviceGone: true };
}

/** The asker's answer. Throws device_error, command_timeout, device_not_claimed (released meanwhile) or not_found (removed meanwhile). */
export function answerOf({ record, state, isDeviceGone }: Outcome): CommandResult {
  const details = { command_id: record.id, status: record.status };
  if (isDeviceGone) throw new HubError("not_found", "the device was removed before it answered", { details });
  if (!FINAL_STATUSES.includes(record.status) || record.status === "ok")
    return { commandId: record.id, taskId: record.taskId, status: record.status, latencyMs: record.latencyMs, state };
  if (record.status === "error") throw new HubError("device_error", record.error ?? "the device refused the command", { details });
  // Only the end of an ownership gives an expiry a reason of its own.
  if (record.status === "expired" && record.error !== null) throw new HubError("device_not_claimed", record.error, { details });
  const why = record.status === "expired" ? "the device did not come back in time" : "the device did not acknowledge in time";
  throw new HubError("command_timeout", why, { details });
}

/** The commanded output as the answer shows it. */
export function commandedOutput(command: Command, state: DeviceState): Outcome["state"] {
  switch (command.command) {
    case "set_relay":
      return state.relays.find(({ index }) => index === command.relay)?.state ?? null;
    case "set_all_relays":
      return command.state;
    case "set_light": {
      const light = state.lights.find(({ index }) => index === command.light);
      return light ? { ...light } : null;
    }
    default:
      return null;
  }
}
