import { setTimeout as pause } from "node:timers/promises";
import type { Bus, DeviceDirectory, DeviceRef, Log } from "../core/bus.ts";
import { HUB_TOPICS } from "../core/hub-topics.ts";
import { listDeviceRefs } from "./devices.ts";
import type { Db } from "./open.ts";

export interface HubDirectory extends DeviceDirectory {
  /** From now on this directory and those of the other nodes follow each other's changes. */
  share(context: SharingContext): Sharing;
}

export interface SharingContext {
  readonly bus: Bus;
  readonly log: Log;
  /** Called after a change that another node made: the device got another organisation, or is gone. */
  readonly onChanged: (device: DeviceRef) => void;
}

export interface Sharing extends AsyncDisposable {
  /** Changes of others may have been missed: reads all of it again. */
  reload(): void;
}

const RETRY_MS = 500;

/** Every device's uid, id and organisation in memory: the broker asks for each delivery and must not wait. */
export async function loadDeviceDirectory(db: Db): Promise<HubDirectory> {
  const byUid = new Map<string, DeviceRef>();
  for (const device of await listDeviceRefs(db)) byUid.set(device.uid, device);
  let version = 0;
  let announce = (_uid: string): void => {};
  let settled = async (): Promise<void> => {};

  /** Returns whether anything is different now. */
  function set(uid: string, device: DeviceRef | undefined): boolean {
    const known = byUid.get(uid);
    if (known?.id === device?.id && known?.organizationId === device?.organizationId) return false;
    version++;
    if (device) byUid.set(uid, { id: device.id, uid, organizationId: device.organizationId });
    else byUid.delete(uid);
    return true;
  }

  return {
    get version() {
      return version;
    },
    find: (uid) => byUid.get(uid),
    put(device) {
      set(device.uid, device);
      announce(device.uid);
    },
    remove(uid) {
      set(uid, undefined);
      announce(uid);
    },
    settled: () => settled(),
    share(context) {
      const follower = followOthers(context, { db, uids: () => byUid.keys(), find: (uid) => byUid.get(uid), set });
      announce = (uid) => follower.announce(uid);
      settled = () => follower.settled();
      return follower;
    },
  };
}

interface Followed {
  readonly db: Db;
  readonly uids: () => Iterable<string>;
  readonly find: (uid: string) => DeviceRef | undefined;
  readonly set: (uid: string, device: DeviceRef | undefined) => boolean;
}

/**
 * A message only says that a device changed; what it is now is read from the database, one read after the other, so that
 * messages of several nodes may come in any order. The sender reads too, after its own change.
 */
function followOthers({ bus, log, onChanged }: SharingContext, { db, uids, find, set }: Followed) {
  const closing = new AbortController();
  const changed = new Set<string>();
  let isAllOpen = false;
  let running: Promise<void> | undefined;

  async function read(): Promise<void> {
    const all = isAllOpen;
    isAllOpen = false;
    const asked = [...(all ? uids() : changed)];
    changed.clear();
    try {
      const rows = await listDeviceRefs(db, all ? undefined : asked);
      const found = new Map(rows.map((device) => [device.uid, device]));
      for (const uid of new Set([...asked, ...found.keys()])) {
        const device = found.get(uid);
        const before = find(uid);
        // What changed while this was read is read again, and must not be put back until then.
        if (changed.has(uid) || !set(uid, device)) continue;
        onChanged((device ?? before) as DeviceRef);
      }
    } catch (error) {
      for (const uid of asked) changed.add(uid);
      isAllOpen ||= all;
      log.error({ err: error }, "changed devices could not be read; it is tried again");
      await pause(RETRY_MS, undefined, { signal: closing.signal, ref: false }).catch(() => undefined);
    }
  }

  async function run(): Promise<void> {
    while ((changed.size > 0 || isAllOpen) && !closing.signal.aborted) await read();
  }

  function start(): void {
    running ??= run().finally(() => {
      running = undefined;
    });
  }

  function note(uid: string): void {
    changed.add(uid);
    start();
  }

  const subscription = bus.subscribe(HUB_TOPICS.directory, (_topic, payload) =>
    note((JSON.parse(payload.toString()) as { uid: string }).uid),
  );
  return {
    announce(uid: string): void {
      // Before the message is back: a read that runs may have seen the row as it was.
      if (running) changed.add(uid);
      bus
        .publish({ topic: HUB_TOPICS.directory, payload: JSON.stringify({ uid }), qos: 1 })
        .catch((error: unknown) => log.error({ err: error, deviceUid: uid }, "a changed device could not be announced"));
    },
    async settled(): Promise<void> {
      await running;
    },
    reload(): void {
      isAllOpen = true;
      start();
    },
    async [Symbol.asyncDispose](): Promise<void> {
      subscription[Symbol.dispose]();
      closing.abort();
      await running;
    },
  };
}
