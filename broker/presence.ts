import type { DeviceDirectory, DeviceRef, EventSink, Log } from "../core/bus.ts";
import { PRESENCE_TTL_MS, type Presence } from "../core/device.ts";
import { type HubEvent, newEvent } from "../core/event.ts";
import { SYSTEM } from "../core/principal.ts";
import type { Topics } from "../core/topics.ts";
import { insertEvents } from "../store/events.ts";
import type { Store } from "../store/open.ts";
import { recordSeen, type Seen, setConnectionStatus } from "../store/presence.ts";
import type { Announce } from "./bus.ts";
import type { DurableIngest, IngestHandler, IngestMessage } from "./ingest.ts";

export interface PresenceContext {
  readonly store: Store;
  readonly directory: DeviceDirectory;
  readonly ingest: DurableIngest;
  readonly announce: Announce;
  readonly events: EventSink;
  readonly topics: Topics;
  readonly log: Log;
  readonly clock: () => number;
}

export interface PresenceTracker extends AsyncDisposable {
  online(device: DeviceRef, ip: string | undefined): void;
  /** Any packet of the device, a ping too. */
  seen(device: DeviceRef): void;
  offline(device: DeviceRef, reason: string): void;
  /** The device was removed: nothing more is said of it. */
  forget(uid: string): void;
  /** Looks for devices that fell silent; called by a timer, and by tests with their own time. */
  sweep(now: number): void;
}

interface Tracked {
  readonly device: DeviceRef;
  readonly ip: string | undefined;
  lastSeenAt: number;
  status: Presence;
  isDirty: boolean;
}
type Change = { status: Presence; reason: string };

const FLUSH_MS = 5_000;
const SWEEP_MS = 10_000;

/**
 * Presence of the devices on this node. The session tells online and offline at once, silence tells `stale`; each
 * change is one row, one event and one retained availability, in the order in which they happened.
 */
export function createPresence(context: PresenceContext): PresenceTracker {
  const { directory, ingest, log, clock } = context;
  const tracked = new Map<string, Tracked>();
  const lastSeen = createLastSeen(context, tracked);
  ingest.handle("presence", presenceHandler(context));

  function change(device: DeviceRef, status: Presence, reason: string): void {
    // The directory knows a claim that came after the session began.
    const message = {
      device: directory.find(device.uid) ?? device,
      type: "presence",
      payload: { status, reason },
      receivedAt: clock(),
    } as const;
    ingest.commit(message).catch((error: unknown) => log.error({ err: error, deviceUid: device.uid }, "presence could not be stored"));
  }

  const tracker: Omit<PresenceTracker, typeof Symbol.asyncDispose> = {
    online(device, ip) {
      const known = tracked.get(device.uid);
      tracked.set(device.uid, { device, ip, lastSeenAt: clock(), status: "online", isDirty: true });
      // A take-over is the same device in a new session: it never was offline.
      if (known?.status !== "online") change(device, "online", "connected");
    },
    seen(device) {
      const one = tracked.get(device.uid);
      if (!one) return;
      one.lastSeenAt = clock();
      one.isDirty = true;
      if (one.status !== "stale") return;
      one.status = "online";
      change(device, "online", "heard again");
    },
    offline(device, reason) {
      const one = tracked.get(device.uid);
      if (!one) return;
      tracked.delete(device.uid);
      lastSeen.note(one);
      change(device, "offline", reason);
    },
    forget: (uid) => void tracked.delete(uid),
    sweep(now) {
      for (const one of tracked.values()) {
        if (one.status !== "online" || now - one.lastSeenAt <= PRESENCE_TTL_MS) continue;
        one.status = "stale";
        change(one.device, "stale", `silent for ${Math.round((now - one.lastSeenAt) / 1_000)} s`);
      }
    },
  };
  const sweeping = setInterval(() => tracker.sweep(clock()), SWEEP_MS).unref();
  return {
    ...tracker,
    async [Symbol.asyncDispose]() {
      clearInterval(sweeping);
      await lastSeen[Symbol.asyncDispose]();
    },
  };
}

/** Only the last change of a device within a group is a row; each is an event. */
function presenceHandler({ directory, announce, events, topics }: PresenceContext): IngestHandler {
  return async (trx, messages) => {
    const changes = messages as readonly IngestMessage<Change>[];
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

function eventOf({ device, payload: { status, reason }, receivedAt }: IngestMessage<Change>): HubEvent {
  return newEvent(
    `device.${status}`,
    { organizationId: device.organizationId, entityId: device.id, actor: SYSTEM, now: receivedAt },
    { uid: device.uid, ...(status === "online" ? {} : { reason }) },
  );
}

/** When each device last spoke, written in batches: one statement for all who spoke, and for all who left, since the last one. */
function createLastSeen({ store, log }: PresenceContext, tracked: ReadonlyMap<string, Tracked>) {
  let left: Tracked[] = [];

  async function flush(): Promise<void> {
    const dirty = [...left, ...[...tracked.values()].filter((one) => one.isDirty)];
    left = [];
    if (dirty.length === 0) return;
    for (const one of dirty) one.isDirty = false;
    try {
      await recordSeen(store.db, dirty.map(seenOf));
    } catch (error) {
      // Those who are still here are written with the next batch.
      for (const one of dirty) one.isDirty = true;
      log.error({ err: error }, "last-seen times could not be stored");
    }
  }

  const flushing = setInterval(() => void flush(), FLUSH_MS).unref();
  return {
    note: (one: Tracked) => void left.push(one),
    async [Symbol.asyncDispose](): Promise<void> {
      clearInterval(flushing);
      await flush();
    },
  };
}

const seenOf = ({ device, lastSeenAt, ip }: Tracked): Seen => ({ id: device.id, at: lastSeenAt, ip });
