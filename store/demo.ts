import type { DeviceDirectory, Sessions } from "../core/bus.ts";
import type { Capabilities, DeviceClass } from "../core/device.ts";
import { PLATFORM } from "../core/principal.ts";
import { issueDeviceToken, revokeCredentials } from "./credentials.ts";
import { createDevice, deleteDevice, findDevice } from "./devices.ts";
import { inTransaction, type Store } from "./open.ts";
import type { SigningKeys } from "./secrets.ts";

export interface DemoCredentials {
  readonly uid: string;
  readonly name: string;
  readonly token: string;
}

export interface DemoContext {
  readonly store: Store;
  readonly keys: SigningKeys;
  readonly directory: DeviceDirectory;
  readonly sessions: Sessions;
  readonly clock: () => number;
}

/** The demo home's way into the registry: devices like any other, marked so that one call removes them. */
export function demoEnrolment({ store, keys, directory, sessions, clock }: DemoContext) {
  const { db } = store;
  return {
    /** A token is kept only as a hash, so that devices of an earlier start get new ones. */
    async reissue(): Promise<DemoCredentials[]> {
      const credentials: DemoCredentials[] = [];
      const devices: { id: string; uid: string; name: string }[] = await db("devices")
        .join("entities", "entities.id", "devices.id")
        .where({ is_demo: true })
        .select("devices.id", "uid", "name");
      for (const { id, uid, name } of devices) {
        const { token, credentialId } = await issueDeviceToken(db, keys, id);
        await revokeCredentials(db, id, { except: credentialId }, clock());
        credentials.push({ uid, name, token });
      }
      return credentials;
    },
    async enrol(
      definition: { name: string; deviceClass: DeviceClass; model: string; capabilities: Capabilities },
      organizationId: string,
    ): Promise<DemoCredentials> {
      const { name, deviceClass, model, capabilities } = definition;
      const { device, token } = await inTransaction(db, async (trx) => {
        const made = await createDevice(trx, { name, deviceClass, model, capabilities, organizationId, ownerId: null, isDemo: true });
        return { device: made, token: (await issueDeviceToken(trx, keys, made.id)).token };
      });
      directory.put({ id: device.id, uid: device.uid, organizationId });
      return { uid: device.uid, name, token };
    },
    async remove(uid: string): Promise<boolean> {
      const device = await findDevice(db, PLATFORM, uid);
      if (!device) return false;
      await deleteDevice(db, PLATFORM, device.id);
      directory.remove(uid);
      await sessions.forgetDevice(uid);
      return true;
    },
  };
}
