import type { DeviceDirectory, Sessions } from "../core/bus.ts";
import type { Capabilities, Device, DeviceClass } from "../core/device.ts";
import { newAudit } from "../core/event.ts";
import { PLATFORM, SYSTEM } from "../core/principal.ts";
import { insertAudit } from "./audit.ts";
import { issueDeviceToken, revokeCredentials } from "./credentials.ts";
import { createDevice, deleteDevice } from "./devices.ts";
import type { Db, Store } from "./open.ts";
import { inTransaction } from "./transaction.ts";
import type { SigningKeys } from "./secrets.ts";
import { rowsOf } from "./sql.ts";

export interface DemoCredentials {
  readonly uid: string;
  /** Which of the demo's definitions it is; its name is its owner's to change. */
  readonly model: string;
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
    async reissue(except: ReadonlySet<string>): Promise<DemoCredentials[]> {
      const credentials: DemoCredentials[] = [];
      for (const { id, uid, model } of await demoDevices(db)) {
        if (except.has(uid)) continue;
        const { token, credentialId } = await issueDeviceToken(db, keys, id);
        await revokeCredentials(db, id, { except: credentialId }, clock());
        credentials.push({ uid, model, token });
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
        await tell(trx, "device.create", made, clock());
        return { device: made, token: (await issueDeviceToken(trx, keys, made.id)).token };
      });
      directory.put({ id: device.id, uid: device.uid, organizationId });
      return { uid: device.uid, model, token };
    },
    async removeAll(): Promise<number> {
      const devices = await demoDevices(db);
      for (const { id, uid, organizationId } of devices) {
        await inTransaction(db, async (trx) => {
          await deleteDevice(trx, PLATFORM, id);
          await tell(trx, "device.delete", { id, uid, organizationId }, clock());
        });
        directory.remove(uid);
        await sessions.forgetDevice(uid);
      }
      return devices.length;
    },
  };
}

/** Who asked for the demo stands beside it. */
async function tell(trx: Db, action: string, { id, uid, organizationId }: Pick<Device, "id" | "uid" | "organizationId">, now: number) {
  const about = { organizationId, actor: SYSTEM, resourceType: "device", resourceId: id, now };
  await insertAudit(trx, [newAudit({ ...about, action, details: { uid, demo: true } })]);
}

type DemoRow = Pick<Device, "id" | "uid" | "organizationId"> & { readonly model: string };

async function demoDevices(db: Db): Promise<DemoRow[]> {
  return await rowsOf(db, `select id, uid, model, organization_id as "organizationId" from devices where is_demo = ? order by id`, [true]);
}
