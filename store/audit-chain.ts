import { createHmac, createSecretKey, hkdfSync, type KeyObject, randomBytes } from "node:crypto";
import { type AuditRow, detailsText, toldBy } from "../core/audit-statement.ts";
import { lockFirstStart } from "./first-start.ts";
import { findHubSecret, keepHubSecret } from "./hub-secrets.ts";
import type { Db } from "./open.ts";
import { inTransaction } from "./transaction.ts";

/** What the links of all chains are made with: whoever has the database alone cannot make one. */
export type ChainKey = KeyObject;

/** The hub's secret for its audit, made on first use; of nodes that start at once all get the same. */
export async function loadChainKey(db: Db, masterKey: Buffer, now: number): Promise<ChainKey> {
  const secret = await inTransaction(db, async (trx) => {
    await lockFirstStart(trx);
    const kept = await findHubSecret(trx, masterKey, "audit_chain");
    if (kept !== undefined) return kept;
    const made = randomBytes(32).toString("base64");
    await keepHubSecret(trx, masterKey, { name: "audit_chain", value: made, now });
    return made;
  });
  return createSecretKey(Buffer.from(hkdfSync("sha256", Buffer.from(secret, "base64"), Buffer.alloc(0), "hexahub audit chain", 32)));
}

/** Which chain a row belongs to: that of its organisation, or the hub's own. */
export const CHAIN = "coalesce(organization_id, '')";
export const HUB_CHAIN = "";

/** Tells once, in the hub's chain, that an organisation has one: so that a whole chain cannot go unnoticed. */
export const CHAIN_BEGAN = "audit.chain_began";

/** Everything that a row tells. */
export const LINK_COLUMNS =
  "id, organization_id, actor_kind, actor_id, action, resource_type, resource_id, details, request_id, correlation_id, before_hash, after_hash, created_at";

export type LinkRow = AuditRow;

/** HMAC-SHA-256 of the link before it and of everything that this row tells, in base64url. */
export function linkHash(key: ChainKey, previous: string, seq: number, row: LinkRow): string {
  const told = JSON.stringify([previous, seq, ...toldBy(row)]);
  return createHmac("sha256", key)
    .update(told + detailsText(row.details))
    .digest("base64url");
}

/** Where a chain ends. */
export interface ChainHead {
  readonly chain: string;
  readonly last_seq: number;
  readonly last_hash: string;
  /** The first row that was sealed after the end was found to be another than the hub had left. */
  readonly broken_seq: number | null;
}
export interface SealedHead extends ChainHead {
  readonly seal: string;
}

export const HEAD_COLUMNS = ["chain", "last_seq", "last_hash", "broken_seq", "seal"];

/** Sealed too: or whoever cuts rows off could let the chain end before them. */
export function headSeal(key: ChainKey, { chain, last_seq, last_hash, broken_seq }: ChainHead): string {
  return createHmac("sha256", key)
    .update(JSON.stringify(["head", chain, last_seq, last_hash, broken_seq]))
    .digest("base64url");
}

export const isAuthentic = (key: ChainKey, head: SealedHead): boolean => headSeal(key, head) === head.seal;

/** The last checkpoint of a chain. */
export interface CheckpointEnd {
  readonly chain: string;
  readonly number: number;
  readonly seq: number;
  /** Of the row at `seq`. */
  readonly hash: string;
  /** Of the last statement; empty before the first one. */
  readonly statement_hash: string;
}

/** Sealed as the chain's end is: or whoever takes the last checkpoints away could let them end before. */
export function checkpointSeal(key: ChainKey, { chain, number, seq, hash, statement_hash }: CheckpointEnd): string {
  return createHmac("sha256", key)
    .update(JSON.stringify(["checkpoint", chain, number, seq, hash, statement_hash]))
    .digest("base64url");
}

/** Tells once, in the hub's chain, that a chain has checkpoints: so that all of them cannot go unnoticed. */
export const CHECKPOINTS_BEGAN = "audit.checkpoints_began";
