import type { Bus, DeviceDirectory, DeviceRef, EventSink, Log } from "../core/bus.ts";
import { PRESENCE_TTL_MS, type Presence } from "../core/device.ts";
import { PLATFORM } from "../core/principal.ts";
import type { Topics } from "../core/topics.ts";
import { findDevice } from "../store/devices.ts";
import type { Store } from "../store/open.ts";
import { createAbsences } from "./absences.ts";
import type { Announce } from "./bus.ts";
import type { DurableIngest } from "./ingest.ts";
import { createLastSeen, type Heard } from "./last-seen.ts";
import type { PresenceChange } from "./presence-changes.ts";
import { presenceHandler } from "./presence-changes.ts";
import type { Whereabouts } from "./whereabouts.ts";

export interface PresenceContext {
  readonly store: Store;
  readonly directory: DeviceDirectory;
  readonly ingest: DurableIngest;
  readonly bus: Pick<Bus, "subscribe">;
  readonly announce: Announce;
  readonly events: EventSink;
  readonly topics: Topics;
  readonly whereabouts: Whereabouts;
  readonly log: Log;
  readonly clock: () => number;
  /** Silence that makes a device stale: 120 s. */
  readonly presenceTtlMs?: number | undefined;
  /** See {@link createAbsences}. */
  readonly presenceGraceMs?: number | undefined;
}

/** How a device came. */
export interface Arrival {
  readonly ip: string | undefined;
  readonly credentialId: string;
}

export interface PresenceTracker extends AsyncDisposable {
  online(device: DeviceRef, arrival: Arrival): void;
  /** Any packet of the device, a ping too. */
  seen(device: DeviceRef): void;
  offline(device: DeviceRef, reason: string): void;
  /** The session goes on at another node, which says what there is to say. */
  moved(device: DeviceRef): void;
  /** The device was removed: nothing more is said of it. */
  forget(uid: string): void;
  /** Looks for devices that fell silent; called by a timer, and by tests with their own time. */
  sweep(now: number): void;
  /** From now on devices that are noted as connected and are nowhere have the time of grace to come back, and are offline then. */
  expectBack(): Promise<void>;
  /** Follows what other nodes see of the devices; to be called when they can be asked. */
  follow(): void;
}

interface Tracked extends Heard {
  readonly device: DeviceRef;
  readonly credentialId: string;
  lastSeenAt: number;
  /** When the board was last told. */
  notedAt: number;
  status: Presence;
}

const SWEEP_MS = 10_000;
/** After the database could not store a change. */
const RETRY_MS = 2_000;

/**
 * Presence of the devices on this node. The session tells online and offline at once, silence tells `stale`; each
 * change is one row, one event and one retained availability, in the order in which they happened.
 */
export function createPresence(context: PresenceContext): PresenceTracker {
  const { store, whereabouts, clock } = context;
  const { presenceTtlMs: ttlMs = PRESENCE_TTL_MS } = context;
  const tracked = new Map<string, Tracked>();
  const lastSeen = createLastSeen(context, () => tracked.values());
  const stack = new AsyncDisposableStack();
  const { change, changeIfGone } = createChanges(context, { tracked, isOver: () => stack.disposed });
  const absent = createAbsences({ ...context, isHere: (uid) => tracked.has(uid), depart: changeIfGone });

  function untrack({ uid }: DeviceRef): Tracked | undefined {
    const one = tracked.get(uid);
    if (!one) return undefined;
    tracked.delete(uid);
    lastSeen.left(one);
    whereabouts.left(one.device.id, one.credentialId);
    return one;
  }

  const tracker: Omit<PresenceTracker, typeof Symbol.asyncDispose> = {
    online(device, { ip, credentialId }) {
      const known = tracked.get(device.uid);
      const now = clock();
      const one: Tracked = { device, ip, credentialId, lastSeenAt: now, notedAt: now, status: "online", isDirty: true };
      tracked.set(device.uid, one);
      whereabouts.arrived(device.id, credentialId, () => tracked.get(device.uid) === one);
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
      if (!untrack(device)) return;
      if (whereabouts.isAlone) return change(device, "offline", reason);
      changeIfGone(device, reason).catch(() => change(device, "offline", reason));
    },
    moved: (device) => void untrack(device),
    forget(uid) {
      const one = tracked.get(uid);
      if (one) whereabouts.left(one.device.id, one.credentialId);
      tracked.delete(uid);
    },
    sweep(now) {
      for (const one of tracked.values()) {
        const { device, lastSeenAt } = one;
        // A silent device is connected as long as its keep alive allows: its route must not expire.
        if (lastSeenAt > one.notedAt || now - one.notedAt > ttlMs / 3) {
          one.notedAt = now;
          whereabouts.seen(device.id);
        }
        if (one.status !== "online" || now - lastSeenAt <= ttlMs) continue;
        one.status = "stale";
        change(device, "stale", `silent for ${Math.round((now - lastSeenAt) / 1_000)} s`);
      }
    },
    expectBack: () => absent.expectBack(),
    follow() {
      whereabouts.onExpired(async (deviceId) => {
        const device = await findDevice(store.db, PLATFORM, deviceId);
        if (device) await changeIfGone(device, "its node is gone");
      });
      if (!whereabouts.isAlone) stack.use(contradict(context, (uid) => tracked.get(uid), change));
    },
  };
  const sweeping = setInterval(() => tracker.sweep(clock()), Math.min(SWEEP_MS, ttlMs / 4)).unref();
  stack.use(lastSeen);
  stack.use(absent);
  stack.defer(() => clearInterval(sweeping));
  return { ...tracker, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

interface ChangesOptions {
  readonly tracked: ReadonlyMap<string, Tracked>;
  readonly isOver: () => boolean;
}

/** Says how devices are now, in the order of the calls, until it is stored. */
function createChanges(context: PresenceContext, { tracked, isOver }: ChangesOptions) {
  const { directory, ingest, whereabouts, log, clock } = context;
  ingest.handle("presence", presenceHandler(context));

  function commit(device: DeviceRef, payload: PresenceChange): Promise<void> {
    // The directory knows a claim that came after the session began.
    const known = directory.find(device.uid) ?? device;
    return ingest.commit({ device: known, type: "presence", payload, receivedAt: clock() });
  }

  function change(device: DeviceRef, status: Presence, reason: string): void {
    commit(device, { status, reason }).catch((error: unknown) => {
      log.error({ err: error, deviceUid: device.uid }, "presence could not be stored");
      setTimeout(() => {
        // By then something newer may have been said.
        const isStill = (tracked.get(device.uid)?.status ?? "offline") === status;
        if (isStill && !isOver() && directory.find(device.uid)) change(device, status, reason);
      }, RETRY_MS).unref();
    });
  }

  /** Offline, unless it is here or at another node by now. Rejects when that could not be stored. */
  async function changeIfGone(device: DeviceRef, reason: string): Promise<void> {
    if (tracked.has(device.uid) || (await whereabouts.isElsewhere(device.id))) return;
    if (!tracked.has(device.uid)) await commit(device, { status: "offline", reason });
  }

  return { change, changeIfGone };
}

/** A node that lost the others may say that a device is offline which is connected here: then it is said again that it is not. */
function contradict(
  { bus, topics }: PresenceContext,
  find: (uid: string) => Tracked | undefined,
  change: (device: DeviceRef, status: Presence, reason: string) => void,
): Disposable {
  const filter = topics.build({ kind: "event", organizationId: "+", type: "device.offline" });
  return bus.subscribe(filter, (_topic, payload) => {
    const { data } = JSON.parse(payload.toString()) as { data: { uid: string } };
    const one = find(data.uid);
    if (one) change(one.device, one.status, "connected");
  });
}
