import type { Db } from "./open.ts";
import { engineOf, rowsOf } from "./sql.ts";

/** Any constant of the hub's own; claimDatabase and the migrations have others. */
const LOCK = 0x4865_7861_4875_6202n;

/**
 * Belongs at the beginning of a transaction that makes what a hub has once: its first organisation, its first
 * administrator, its certificate authority. Of several nodes one goes first, and the others find what it made.
 */
export async function lockFirstStart(trx: Db): Promise<void> {
  if (engineOf(trx) === "postgres") await rowsOf(trx, "select pg_advisory_xact_lock(?)", [LOCK.toString()]);
}
