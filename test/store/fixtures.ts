import { randomBytes } from "node:crypto";
import type { Duties } from "../../core/bus.ts";
import type { Device } from "../../core/device.ts";
import type { Scope } from "../../core/principal.ts";
import { createDevice, type NewDevice } from "../../store/devices.ts";
import type { Db } from "../../store/open.ts";
import { createOrganization, type Organization } from "../../store/organizations.ts";
import { loadSigningKeys, type SigningKeys } from "../../store/secrets.ts";
import { createUser, type User } from "../../store/users.ts";

export interface Tenant {
  readonly organization: Organization;
  readonly user: User;
  readonly scope: Scope;
}

/** An organisation with one user in it. */
export async function tenant(db: Db, name: string): Promise<Tenant> {
  const organization = await createOrganization(db, { name });
  const user = await createUser(db, {
    email: `${name}@example.org`,
    passwordHash: "not a hash",
    role: "user",
    memberRole: "owner",
    organizationId: organization.id,
    name,
  });
  return { organization, user, scope: { kind: "organization", organizationId: organization.id } };
}

/** A sensor hub, of `owner` or of nobody. */
export async function device(db: Db, owner: Tenant | null, wanted: Partial<NewDevice> = {}): Promise<Device> {
  return await createDevice(db, {
    name: "Cellar",
    deviceClass: "sensor_hub",
    organizationId: owner?.organization.id ?? null,
    ownerId: owner?.user.id ?? null,
    ...wanted,
  });
}

export async function signingKeys(db: Db): Promise<SigningKeys> {
  return await loadSigningKeys(db, randomBytes(32));
}

/** Those of a node that is alone: it has all of them at once. */
export const OWN_DUTIES: Duties = {
  hold(_name, work) {
    const closing = new AbortController();
    const running = work(closing.signal);
    return {
      async [Symbol.asyncDispose]() {
        closing.abort();
        await running;
      },
    };
  },
};
