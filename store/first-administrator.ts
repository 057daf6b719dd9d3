import { newAudit } from "../core/event.ts";
import { SYSTEM } from "../core/principal.ts";
import { insertAudit } from "./audit.ts";
import { lockFirstStart } from "./first-start.ts";
import type { Db } from "./open.ts";
import { inTransaction } from "./transaction.ts";
import { homeOrganization } from "./organizations.ts";
import type { Passwords } from "./passwords.ts";
import { countUsers, createUser } from "./users.ts";

export interface FirstAdministrator {
  readonly email: string;
  readonly password: string;
}

/** The hub's own organisation, and with `admin` its first administrator, unless there is somebody already. Several nodes may do it at once. */
export async function prepareFirstStart(
  { db, passwords }: { readonly db: Db; readonly passwords: Passwords },
  admin: FirstAdministrator | undefined,
): Promise<void> {
  const { id: organizationId } = await homeOrganization(db);
  if (!admin || (await countUsers(db)) > 0) return;
  const passwordHash = await passwords.hash(admin.password);
  await inTransaction(db, async (trx) => {
    await lockFirstStart(trx);
    if ((await countUsers(trx)) > 0) return;
    // Whoever sets the environment has the machine: nobody else has to say that the address is right.
    const person = { email: admin.email, passwordHash, isEmailVerified: true };
    const { id } = await createUser(trx, { ...person, role: "admin", organizationId, memberRole: "owner" });
    const about = { organizationId, actor: SYSTEM, resourceType: "user", resourceId: id, now: Date.now() };
    await insertAudit(trx, [newAudit({ ...about, action: "hub.set_up", details: { email: admin.email.toLowerCase(), from: "settings" } })]);
  });
}
