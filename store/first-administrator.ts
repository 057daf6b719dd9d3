import { newAudit } from "../core/event.ts";
import { SYSTEM } from "../core/principal.ts";
import { insertAudit } from "./audit.ts";
import { lockFirstStart } from "./first-start.ts";
import type { Db } from "./open.ts";
import { inTransaction } from "./transaction.ts";
import { homeOrganization } from "./organizations.ts";
import { hashPassword } from "./passwords.ts";
import { countUsers, createUser } from "./users.ts";

export interface FirstAdministrator {
  readonly email: string;
  readonly password: string;
}

/** The hub's own organisation, and with `admin` its first administrator, unless there is somebody already. Several nodes may do it at once. */
export async function prepareFirstStart(db: Db, admin: FirstAdministrator | undefined): Promise<void> {
  const { id: organizationId } = await homeOrganization(db);
  if (!admin || (await countUsers(db)) > 0) return;
  const passwordHash = await hashPassword(admin.password);
  await inTransaction(db, async (trx) => {
    await lockFirstStart(trx);
    if ((await countUsers(trx)) > 0) return;
    const { id } = await createUser(trx, { email: admin.email, passwordHash, role: "admin", organizationId, memberRole: "owner" });
    const about = { organizationId, actor: SYSTEM, resourceType: "user", resourceId: id, now: Date.now() };
    await insertAudit(trx, [newAudit({ ...about, action: "hub.set_up", details: { email: admin.email.toLowerCase(), from: "settings" } })]);
  });
}
