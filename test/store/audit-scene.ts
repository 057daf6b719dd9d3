import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { SignedCheckpoint } from "../../core/audit-statement.ts";
import { PLATFORM } from "../../core/principal.ts";
import type { ChainKey } from "../../store/audit-chain.ts";
import { listCheckpoints, signChains } from "../../store/audit-checkpoints.ts";
import { type AuditKeys, createAuditKeys } from "../../store/audit-keys.ts";
import type { ChainFault } from "../../store/audit-links.ts";
import type { Db } from "../../store/open.ts";
import { sealAll, testChainKey, verify, writeAudit } from "./audit-rows.ts";

export const A = "org-a";
export const B = "org-b";

export interface Scene {
  readonly db: Db;
  readonly key: ChainKey;
  readonly keys: AuditKeys;
  readonly sign: () => Promise<unknown>;
  readonly faultOfA: () => Promise<ChainFault | null | undefined>;
}

/** A has three checkpoints, up to its rows 4, 7 and 9, and two rows behind them; B has one. */
export async function scene(db: Db): Promise<Scene> {
  const masterKey = randomBytes(32);
  const key = await testChainKey(db, masterKey);
  const keys = createAuditKeys(db, masterKey);
  await keys.ensure(Date.now());
  const context = { db, chainKey: key, keys, clock: Date.now };
  const sign = () => signChains(context, 0);
  for (const count of [4, 3, 2]) {
    await writeAudit(db, A, count);
    await sealAll(db, key);
    assert.deepEqual((await sign()).bad, []);
  }
  await writeAudit(db, A, 2);
  await writeAudit(db, B, 3);
  await sealAll(db, key);
  const faultOfA = async () => (await verify(db, key, PLATFORM, keys)).find(({ organizationId }) => organizationId === A)?.fault;
  return { db, key, keys, sign, faultOfA };
}

export const rowAt = (db: Db, seq: number) => db("audit_outbox").where({ organization_id: A, chain_seq: seq });
export const checkpointAt = (db: Db, number: number) => db("audit_checkpoints").where({ organization_id: A, number });
export const checkpointsOfA = async (db: Db): Promise<SignedCheckpoint[]> =>
  (await listCheckpoints(db, PLATFORM, { organizationId: A, limit: 100 })).items.toReversed();
