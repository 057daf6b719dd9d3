import type { DeviceRef, UpMessage } from "../core/bus.ts";
import { type EventType, type HubEvent, newEvent } from "../core/event.ts";
import { HUB_TOPICS } from "../core/hub-topics.ts";
import { learnedCode } from "../core/ir-learned.ts";
import type { IrLearned, Register, Registered, UpType } from "../core/payloads.ts";
import { PLATFORM } from "../core/principal.ts";
import { updateDevice } from "../store/devices.ts";
import { insertEvents } from "../store/events.ts";
import { keepLearnedIrCode } from "../store/ir-codes.ts";
import type { Db } from "../store/open.ts";
import type { IngestHandler } from "./ingest.ts";
import { type TelemetryContext, telemetryHandler } from "./telemetry.ts";

/** What a device is asked to send at least: half of half the presence time, so that one lost heartbeat is no alarm. */
const HEARTBEAT_INTERVAL_S = 30;

/** The handlers of the messages that concern the broker alone; state reports and acknowledgements are the command path's. */
export function deviceHandlers(context: TelemetryContext): Map<UpType, IngestHandler> {
  const events: Partial<Record<UpType, EventType>> = {
    input_event: "device.input_event",
    ota_status: "device.ota_status",
  };
  const handlers = new Map<UpType, IngestHandler>([
    ["telemetry", telemetryHandler(context) as IngestHandler],
    ["register", registerHandler(context) as IngestHandler],
    ["ir_learned", irLearnedHandler(context) as IngestHandler],
  ]);
  for (const [type, eventType] of Object.entries(events)) handlers.set(type as UpType, eventHandler(context, eventType) as IngestHandler);
  return handlers;
}

function registerHandler({ announce, topics }: TelemetryContext) {
  return async (trx: Db, messages: readonly UpMessage[]): Promise<() => void> => {
    for (const { device, payload } of messages) {
      const { capabilities, firmware_version, model } = payload as Register;
      await updateDevice(trx, PLATFORM, device.id, {
        ...(capabilities === undefined ? {} : { capabilities }),
        ...(firmware_version === undefined ? {} : { firmwareVersion: firmware_version }),
        ...(model === undefined ? {} : { model }),
      });
    }
    return () => {
      for (const { device, receivedAt } of messages) {
        const reply: Registered = {
          uid: device.uid,
          time: new Date(receivedAt).toISOString(),
          claimed: device.organizationId !== null,
          heartbeat_interval_s: HEARTBEAT_INTERVAL_S,
        };
        announce({
          topic: topics.build({ kind: "down", uid: device.uid, type: "registered" }),
          payload: JSON.stringify(reply),
          qos: 1,
        });
        if (device.organizationId !== null)
          announce({ topic: HUB_TOPICS.homes, payload: JSON.stringify({ key: device.organizationId }), qos: 1 });
      }
    };
  };
}

function eventHandler({ events }: TelemetryContext, type: EventType) {
  return async (trx: Db, messages: readonly UpMessage[]): Promise<() => void> => {
    const happened = messages.map(({ device, payload, receivedAt }) =>
      deviceEvent(type, device, payload as Record<string, unknown>, receivedAt),
    );
    await insertEvents(trx, happened);
    return () => void events.emit(happened);
  };
}

/** What nobody could send again, and what comes from a device of no organisation, is told and not kept. */
function irLearnedHandler({ events }: TelemetryContext) {
  return async (trx: Db, messages: readonly UpMessage<IrLearned>[]): Promise<() => void> => {
    const happened: HubEvent[] = [];
    for (const { device, payload, receivedAt } of messages) {
      const { id, organizationId } = device;
      const code = organizationId === null ? undefined : learnedCode(payload, receivedAt);
      const kept = code && organizationId !== null ? await keepLearnedIrCode(trx, { id, organizationId }, code, receivedAt) : undefined;
      happened.push(deviceEvent("device.ir_learned", device, { ...payload, ir_code_id: kept ?? null }, receivedAt));
    }
    await insertEvents(trx, happened);
    return () => void events.emit(happened);
  };
}

function deviceEvent(type: EventType, device: DeviceRef, payload: Record<string, unknown>, now: number): HubEvent {
  return newEvent(
    type,
    { organizationId: device.organizationId, entityId: device.id, actor: { kind: "device", id: device.id }, now },
    { ...payload, uid: device.uid },
  );
}
