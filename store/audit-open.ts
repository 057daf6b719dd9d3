import type { Duties, Log } from "../core/bus.ts";
import type { SecurityEvents } from "../core/security-event.ts";
import { loadChainKey } from "./audit-chain.ts";
import { createAuditCheckpoints, type AuditCheckpoints, startCheckpoints } from "./audit-checkpointing.ts";
import { type AuditKeys, createAuditKeys } from "./audit-keys.ts";
import { startAuditSealing } from "./audit-sealing.ts";
import { type AuditChains, createAuditChains } from "./audit-verification.ts";
import type { Db } from "./open.ts";
import { createSecurityEvents } from "./security-events.ts";

export interface AuditContext {
  readonly db: Db;
  readonly masterKey: Buffer;
  readonly log: Log;
  /** ms since 1970 */
  readonly clock: () => number;
}

export interface Audit extends AsyncDisposable {
  readonly auditChains: AuditChains;
  readonly auditKeys: AuditKeys;
  readonly auditCheckpoints: AuditCheckpoints;
  readonly security: SecurityEvents;
  /** And signing, from now on, on one node of a cluster. */
  readonly startSealing: (duties: Duties) => AsyncDisposable;
}

/** The audit of a hub: what it writes by itself, and its chains. */
export async function openAudit({ db, masterKey, log, clock }: AuditContext): Promise<Audit> {
  const chainKey = await loadChainKey(db, masterKey, clock());
  const keys = createAuditKeys(db, masterKey);
  await keys.ensure(clock());
  const checkpoints = { db, chainKey, keys, clock };
  const security = createSecurityEvents({ db, log, clock });
  return {
    auditChains: createAuditChains(db, chainKey, keys),
    auditKeys: keys,
    auditCheckpoints: createAuditCheckpoints(checkpoints),
    security,
    startSealing(duties) {
      const stack = new AsyncDisposableStack();
      stack.use(startAuditSealing({ db, chainKey, duties, log }));
      stack.use(startCheckpoints({ ...checkpoints, duties, log }));
      return stack;
    },
    [Symbol.asyncDispose]: () => security[Symbol.asyncDispose](),
  };
}
