import { randomBytes } from "node:crypto";
import { newAudit } from "../../core/event.ts";
import { PLATFORM, type Scope } from "../../core/principal.ts";
import { insertAudit } from "../../store/audit.ts";
import { type ChainKey, loadChainKey } from "../../store/audit-chain.ts";
import { type AuditKeys, createAuditKeys } from "../../store/audit-keys.ts";
import { sealAudit } from "../../store/audit-sealing.ts";
import { createAuditChains } from "../../store/audit-verification.ts";
import type { Db } from "../../store/open.ts";

export const testChainKey = (db: Db, masterKey: Buffer = randomBytes(32)): Promise<ChainKey> => loadChainKey(db, masterKey, Date.now());

/** Rows of an organisation, or of the hub, with everything in them that databases like to write in another way. */
export async function writeAudit(db: Db, organizationId: string | null, count: number): Promise<string[]> {
  const entries = Array.from({ length: count }, (_, index) =>
    newAudit({
      organizationId,
      actor: { kind: "user", id: `u-${index % 3}` },
      action: `test.${index % 5}`,
      resourceType: "device",
      resourceId: index % 4 === 0 ? null : `d-${index}`,
      details: { z: index / 7, a: { ü: "é\n\0", b: [1e21, -0, 0.1, null, true] }, "": "" },
      requestId: `req-${index}`,
      before: { index },
      after: { index: index + 1 },
      now: Date.now(),
    }),
  );
  await insertAudit(db, entries);
  return entries.map(({ id }) => id);
}

export async function sealAll(db: Db, key: ChainKey): Promise<number> {
  let [total, sealed] = [0, 0];
  do total += sealed = await sealAudit(db, key);
  while (sealed > 0);
  return total;
}

/** Of a hub that has signed nothing, where no keys are given. */
export const verify = (db: Db, key: ChainKey, scope: Scope = PLATFORM, keys: AuditKeys = createAuditKeys(db, randomBytes(32))) =>
  createAuditChains(db, key, keys).verify(scope);
