import type { DeviceDirectory, DeviceRef } from "../core/bus.ts";
import { listDeviceRefs } from "./devices.ts";
import type { Db } from "./open.ts";

/** Every device's uid, id and organisation in memory: the broker asks for each delivery and must not wait. */
export async function loadDeviceDirectory(db: Db): Promise<DeviceDirectory> {
  const byUid = new Map<string, DeviceRef>();
  for (const device of await listDeviceRefs(db)) byUid.set(device.uid, device);
  let version = 0;
  return {
    get version() {
      return version;
    },
    find: (uid) => byUid.get(uid),
    put({ id, uid, organizationId }) {
      version++;
      byUid.set(uid, { id, uid, organizationId });
    },
    remove(uid) {
      version++;
      byUid.delete(uid);
    },
  };
}
