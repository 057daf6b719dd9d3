import type { Bus, DeviceRef, EventSink, Log, Metrics } from "../core/bus.ts";
import { PRESENCE_TTL_MS, type Presence } from "../core/device.ts";
import { type HubEvent, newEvent } from "../core/event.ts";
import { SYSTEM } from "../core/principal.ts";
import type { Topics } from "../core/topics.ts";
import { recordSeen, setConnectionStatus } from "../store/presence.ts";
import { insertEvents } from "../store/events.ts";
import type { Db, Store } from "../store/open.ts";
import type { DurableIngest, IngestMessage } from "./ingest.ts";

export interface PresenceContext {
  readonly store: Store;
  readonly ingest: DurableIngest;
  readonly bus: Bus;
  readonly events: EventSink;
  readonly topics: Topics;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: () => number;
}

export interface PresenceTracker extends AsyncDisposable {
  online(device: DeviceRef, ip: string | undefined): void;
  /** Any packet of the device, a ping too. */
  seen(device: DeviceRef): void;
  offline(device: DeviceRef, reason: string): void;
  /** Looks for devices that fell silent; called by a timer, and by tests with their own time. */
  sweep(now: number): void;
}

interface Tracked {
  readonly device: DeviceRef;
  ip: string | undefined;
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
export function createPresence({ store, ingest, bus, events, topics, log, clock }: PresenceContext): PresenceTracker {
  const tracked = new Map<string, Tracked>();

  ingest.handle("presence", async (trx: Db, messages: readonly IngestMessage[]) => {
    // Only the last change of a device within a group is a row; each is an event.
    const changes = messages as readonly IngestMessage<Change>[];
    const last = new Map(changes.map((message) => [message.device.id, message]));
    for (const { device, payload, receivedAt } of last.values()) await setConnectionStatus(trx, device.id, payload.status, receivedAt);
    const emitted = changes.map(({ device, payload, receivedAt }) => eventOf(device, payload, receivedAt));
    await insertEvents(trx, emitted);
    return () => {
      void events.emit(emitted);
      for (const { device, payload } of last.values()) announce(device, payload.status);
    };
  });

  function eventOf(device: DeviceRef, { status, reason }: Change, now: number): HubEvent {
    return newEvent(
      `device.${status}`,
      { organizationId: device.organizationId, entityId: device.id, actor: SYSTEM, now },
      { uid: device.uid, ...(status === "online" ? {} : { reason }) },
    );
  }

  function announce(device: DeviceRef, status: Presence): void {
    // A stale device is still connected: who reads availability must not be told that it left.
    const payload = status === "offline" ? "offline" : "online";
    void bus.publish({ topic: topics.build({ kind: "availability", uid: device.uid }), payload, qos: 1, retain: true });
  }

  function change(device: DeviceRef, status: Presence, reason: string): void {
    ingest
      .commit({ device, type: "presence", payload: { status, reason }, receivedAt: clock() })
      .catch((error: unknown) => log.error({ err: error, deviceUid: device.uid }, "presence could not be stored"));
  }

  async function flush(): Promise<void> {
    const dirty = [...tracked.values()].filter((one) => one.isDirty);
    for (const one of dirty) one.isDirty = false;
    if (dirty.length > 0)
      await recordSeen(
        store.db,
        dirty.map(({ device, lastSeenAt, ip }) => ({ id: device.id, at: lastSeenAt, ip })),
      );
  }

  const timers = [
    setInterval(
      () => void flush().catch((error: unknown) => log.error({ err: error }, "last-seen times could not be stored")),
      FLUSH_MS,
    ).unref(),
    setInterval(() => tracker.sweep(clock()), SWEEP_MS).unref(),
  ];

  const tracker: PresenceTracker = {
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
      if (one.status === "stale") {
        one.status = "online";
        change(device, "online", "heard again");
      }
    },
    offline(device, reason) {
      const one = tracked.get(device.uid);
      if (!one) return;
      tracked.delete(device.uid);
      void recordSeen(store.db, [{ id: device.id, at: one.lastSeenAt, ip: one.ip }]).catch((error: unknown) =>
        log.error({ err: error }, "last-seen time could not be stored"),
      );
      change(device, "offline", reason);
    },
    sweep(now) {
      for (const one of tracked.values()) {
        if (one.status !== "online" || now - one.lastSeenAt <= PRESENCE_TTL_MS) continue;
        one.status = "stale";
        change(one.device, "stale", `silent for ${Math.round((now - one.lastSeenAt) / 1_000)} s`);
      }
    },
    async [Symbol.asyncDispose]() {
      for (const timer of timers) clearInterval(timer);
      await flush();
    },
  };
  return tracker;
}
