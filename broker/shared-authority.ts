import { X509Certificate } from "node:crypto";
import { lockFirstStart } from "../store/first-start.ts";
import { findHubSecret, keepHubSecret } from "../store/hub-secrets.ts";
import type { Db } from "../store/open.ts";
import { inTransaction } from "../store/transaction.ts";
import type { CertifiedKey } from "./certificate-authority.ts";
import { readAuthority, replaceAuthority } from "./certificates.ts";

export interface SharedAuthorityContext {
  readonly db: Db;
  readonly masterKey: Buffer;
  /** Folder of this node's own authority. */
  readonly dir: string;
  /** ms since 1970 */
  readonly clock: () => number;
}

/**
 * Gives all nodes one certificate authority, so that clients trust each of them and a device's certificate is good
 * everywhere: that of the first node to start, kept in the database. An expired one is followed by the next node's own.
 */
export async function shareAuthority({ db, masterKey, dir, clock }: SharedAuthorityContext): Promise<void> {
  const name = "certificate_authority";
  await inTransaction(db, async (trx) => {
    await lockFirstStart(trx);
    const text = await findHubSecret(trx, masterKey, name);
    const kept = text === undefined ? undefined : (JSON.parse(text) as CertifiedKey);
    if (kept && new X509Certificate(kept.cert).validToDate.getTime() > clock()) return replaceAuthority(dir, kept);
    const own = await readAuthority(dir, clock());
    await keepHubSecret(trx, masterKey, { name, value: JSON.stringify({ cert: own.cert, key: own.key }), now: clock() });
  });
}
