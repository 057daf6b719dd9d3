import type { DeviceRef, UpMessage } from "../core/bus.ts";
import type { CommandRecord } from "../core/command.ts";
import { type AuditEntry, type HubEvent, newAudit, newEvent } from "../core/event.ts";
import type { Ack } from "../core/payloads.ts";
import { type DeviceState, isEmptyState } from "../core/state.ts";

/** What an acknowledgement leaves behind; without `finished` it came after the command's end. */
export function ackEvents(
  { device, payload, receivedAt }: UpMessage<Ack>,
  record: CommandRecord,
  finished: CommandRecord | undefined,
  changes: DeviceState,
): HubEvent[] {
  const type = !finished ? "command.late_ack" : finished.status === "ok" ? "command.completed" : "command.failed";
  const first = newEvent(type, about(record, receivedAt), {
    ...named(record, device.uid),
    ...(finished ? { status: finished.status, latency_ms: finished.latencyMs } : {}),
    ...(payload.error === undefined ? {} : { error: payload.error }),
  });
  if (isEmptyState(changes)) return [first];
  return [
    first,
    newEvent(
      "device.state_changed",
      { ...about(record, receivedAt), causationId: first.id },
      { uid: device.uid, command_id: record.id, ...changes },
    ),
  ];
}

export function failedEvent(record: CommandRecord, { uid }: Pick<DeviceRef, "uid">, now: number): HubEvent {
  return newEvent("command.failed", about(record, now), { ...named(record, uid), status: record.status });
}

/** `action` is a final status or `late_ack`. */
export function commandAudit(record: CommandRecord, action: string, { uid }: Pick<DeviceRef, "uid">, now: number): AuditEntry {
  return newAudit({
    organizationId: record.organizationId,
    actor: record.actor,
    action: `command.${action}`,
    resourceType: "device",
    resourceId: record.deviceId,
    details: { ...named(record, uid), source: record.source },
    correlationId: record.correlationId,
    now,
  });
}

function named(record: CommandRecord, uid: string) {
  return { uid, command_id: record.id, command: record.command.command };
}

function about(record: CommandRecord, now: number) {
  return {
    organizationId: record.organizationId,
    entityId: record.deviceId,
    actor: record.actor,
    now,
    correlationId: record.correlationId,
    causationId: record.causationId,
  };
}
