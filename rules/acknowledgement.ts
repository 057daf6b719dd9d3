import type { DeviceRef, Log, UpMessage } from "../core/bus.ts";
import { type Command, type CommandRecord, effectOf, FINAL_STATUSES } from "../core/command.ts";
import type { AuditEntry, HubEvent } from "../core/event.ts";
import type { Ack } from "../core/payloads.ts";
import { PLATFORM } from "../core/principal.ts";
import { changesBetween, type DeviceState, isEmptyState, mergeState } from "../core/state.ts";
import { findCommand, finishCommand, noteLateAck } from "../store/commands.ts";
import { getDevice } from "../store/devices.ts";
import type { Db } from "../store/open.ts";
import { writeState } from "../store/state.ts";
import { ackEvents, commandAudit } from "./command-trail.ts";
import type { DeviceStates } from "./device-states.ts";
import { type Outcome, outcomeOf } from "./outcome.ts";

/** What one message changed, collected while the transaction runs and acted on after it. */
export interface Effect {
  readonly device: DeviceRef;
  /** Published as state, changed or not: whoever asked must see the answer. */
  readonly shown: DeviceState;
  readonly outcome?: Outcome;
  readonly events: readonly HubEvent[];
  readonly audit: readonly AuditEntry[];
}

/** Ends the command and writes its state; undefined when the acknowledgement changes nothing. */
export async function commitAck(
  { states, log }: { states: DeviceStates; log: Log },
  trx: Db,
  message: UpMessage<Ack>,
): Promise<Effect | undefined> {
  const { device, payload, receivedAt } = message;
  const record = await findCommand(trx, PLATFORM, payload.command_id);
  // Nor does a command of a former owner: what it did must not be written into the next owner's rows under his name.
  if (!record || record.deviceId !== device.id || record.organizationId !== device.organizationId) {
    log.warn({ deviceUid: device.uid, commandId: payload.command_id }, "an acknowledgement names no command of this device's owner");
    return undefined;
  }
  // A repeated acknowledgement of what was answered changes nothing.
  if (record.status === "ok" || record.status === "error") return undefined;
  const known = await states.read(trx, device.id);
  const reported = payload.status === "ok" ? await reportedState(trx, record, payload) : {};
  const next = mergeState(known, reported);
  const shown = pick(next, reported);
  const finished = await finish(trx, record, message);
  if (!isEmptyState(shown))
    await writeState(trx, device.id, shown, {
      now: receivedAt,
      actor: record.actor,
      source: record.source,
      commandId: record.id,
      correlationId: record.correlationId,
      ruleVersion: record.ruleVersion,
    });
  states.stage(trx, device.id, next);
  return {
    device,
    shown,
    ...(finished ? { outcome: outcomeOf(finished, next) } : {}),
    events: ackEvents(message, record, finished, changesBetween(known, reported)),
    audit: [commandAudit(record, finished ? finished.status : "late_ack", device, receivedAt)],
  };
}

/** undefined when the command had ended before, also when a time-out was committed just now. */
async function finish(trx: Db, record: CommandRecord, { payload, receivedAt }: UpMessage<Ack>): Promise<CommandRecord | undefined> {
  const latencyMs = Math.max(0, receivedAt - Date.parse(record.createdAt));
  const end = { status: payload.status, error: payload.error ?? null, latencyMs, now: receivedAt };
  const finished = FINAL_STATUSES.includes(record.status) ? undefined : await finishCommand(trx, record.id, end);
  if (!finished) await noteLateAck(trx, record.id, receivedAt);
  return finished;
}

async function reportedState(trx: Db, record: CommandRecord, ack: Ack): Promise<Partial<DeviceState>> {
  if (typeof ack.state === "object") return ack.state;
  const { capabilities } = await getDevice(trx, PLATFORM, record.deviceId);
  const command =
    typeof ack.state === "string" && "state" in record.command ? ({ ...record.command, state: ack.state } as Command) : record.command;
  return effectOf(command, capabilities);
}

/** The outputs of `state` that `named` names. */
function pick(state: DeviceState, named: Partial<DeviceState>): DeviceState {
  const has = (list: readonly { index: number }[] | undefined, index: number): boolean => list?.some((one) => one.index === index) === true;
  return {
    relays: state.relays.filter(({ index }) => has(named.relays, index)),
    lights: state.lights.filter(({ index }) => has(named.lights, index)),
  };
}
