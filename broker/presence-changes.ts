import type { DeviceDirectory, EventSink } from "../core/bus.ts";
import type { Presence } from "../core/device.ts";
import { type HubEvent, newEvent } from "../core/event.ts";
import { SYSTEM } from "../core/principal.ts";
import type { Topics } from "../core/topics.ts";
import { insertEvents } from "../store/events.ts";
import { lockConnectionStatus, setConnectionStatus } from "../store/presence.ts";
import type { Announce } from "./bus.ts";
import type { IngestHandler, IngestMessage } from "./ingest.ts";

export interface PresenceChange {
  readonly status: Presence;
  readonly reason: string;
}

export interface PresenceChangesContext {
  readonly directory: DeviceDirectory;
  readonly announce: Announce;
  readonly events: EventSink;
  readonly topics: Topics;
}

/**
 * Each change is one event, whoever noticed it and however often: what the row says already is none. Only the last change
 * of a device within a group is written and announced.
 */
export function presenceHandler({ directory, announce, events, topics }: PresenceChangesContext): IngestHandler {
  return async (trx, messages) => {
    const all = messages as readonly IngestMessage<PresenceChange>[];
    const known = await lockConnectionStatus(trx, [...new Set(all.map(({ device }) => device.id))]);
    const changes = all.filter(({ device: { id }, payload: { status } }) => {
      const before = known.get(id);
      if (before === undefined || before === status) return false;
      known.set(id, status);
      return true;
    });
    const last = new Map(changes.map((message) => [message.device.id, message]));
    for (const { device, payload, receivedAt } of last.values()) await setConnectionStatus(trx, device.id, payload.status, receivedAt);
    const emitted = changes.map(eventOf);
    await insertEvents(trx, emitted);
    return () => {
      void events.emit(emitted);
      for (const { device, payload } of last.values()) {
        // A device that was removed meanwhile must not leave a retained message behind.
        if (!directory.find(device.uid)) continue;
        // A stale device is still connected: who reads availability must not be told that it left.
        const availability = payload.status === "offline" ? "offline" : "online";
        announce({ topic: topics.build({ kind: "availability", uid: device.uid }), payload: availability, qos: 1, retain: true });
      }
    };
  };
}

function eventOf({ device, payload: { status, reason }, receivedAt }: IngestMessage<PresenceChange>): HubEvent {
  return newEvent(
    `device.${status}`,
    { organizationId: device.organizationId, entityId: device.id, actor: SYSTEM, now: receivedAt },
    { uid: device.uid, ...(status === "online" ? {} : { reason }) },
  );
}
