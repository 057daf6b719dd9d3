import type { Bus, DeviceDirectory, DeviceRef, Log } from "../core/bus.ts";
import { HUB_TOPICS } from "../core/hub-topics.ts";
import { ChangedRows, shareChanges } from "./changed-rows.ts";
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

/** Every device's uid, id and organisation in memory: the broker asks for each delivery and must not wait. */
export async function loadDeviceDirectory(db: Db): Promise<HubDirectory> {
  const byUid = new Map<string, DeviceRef>();
  for (const device of await listDeviceRefs(db)) byUid.set(device.uid, device);
  let version = 0;
  let announce = (_uid: string): void => {};
  let settled = async (): Promise<void> => {};
  let read = (_uid: string): void => {};

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
    async know(uid) {
      if (byUid.has(uid)) return;
      read(uid);
      await settled();
    },
    settled: () => settled(),
    share({ bus, log, onChanged }) {
      const rows = new ChangedRows<DeviceRef>({
        what: "changed devices",
        read: async (uids) => new Map((await listDeviceRefs(db, uids)).map((device) => [device.uid, device])),
        known: () => byUid.keys(),
        apply(uid, device) {
          const before = byUid.get(uid);
          if (set(uid, device)) onChanged((device ?? before) as DeviceRef);
        },
        log,
      });
      const sharing = shareChanges(rows, { bus, log, topic: HUB_TOPICS.directory });
      announce = (uid) => {
        // Before the message is back: a read that runs may have seen the row as it was.
        rows.noteIfReading(uid);
        sharing.announce(uid);
      };
      settled = () => rows.settled();
      read = (uid) => rows.note(uid);
      return {
        reload: () => rows.reload(),
        async [Symbol.asyncDispose]() {
          sharing[Symbol.dispose]();
          await rows[Symbol.asyncDispose]();
        },
      };
    },
  };
}
