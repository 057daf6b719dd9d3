import { CHAIN, type ChainKey, LINK_COLUMNS, linkHash, type LinkRow } from "./audit-chain.ts";
import type { Db } from "./open.ts";
import { rowsOf } from "./sql.ts";

/**
 * `changed`: the row, its place or its organisation is not what was sealed. `missing`: a row was taken out. `inserted`: it was never sealed
 * there. `cut_off`: the chain once was longer. `head`: its end, or the note that it began, is not what the hub left. `rewritten`: a signed
 * checkpoint tells of another row. `checkpoint`: one was taken out, changed or added. `key`: it is signed with a key that is not the hub's.
 */
export type FaultKind = "changed" | "missing" | "inserted" | "cut_off" | "head" | "rewritten" | "checkpoint" | "key";

export interface ChainFault {
  readonly kind: FaultKind;
  /** Of the first row that is not right; null for one that is not there, and for what is wrong with a checkpoint. */
  readonly id: string | null;
  readonly seq: number;
}

export type SealedRow = LinkRow & { readonly chain_seq: number; readonly chain_hash: string };

/** Rows that are hashed in one go: some milliseconds of the main loop. */
export const PAGE = 1_000;

/** The next rows of the chain, in their order. */
export async function pageBehind(db: Db, chain: string, seq: number, most = PAGE): Promise<SealedRow[]> {
  // With both ends, so that PostgreSQL reads no more than a page, however little it knows of the table by now.
  const to = seq < 0 ? 0 : seq + most;
  const rows = await read(db, [chain, seq, to], most);
  if (rows.length === most || (seq < 0 && rows.length > 0)) return rows;
  // The end of the chain, or a hole in it.
  return await read(db, [chain, Math.max(seq, 0), Number.MAX_SAFE_INTEGER], most);
}

async function read(db: Db, range: readonly [chain: string, behind: number, to: number], most: number): Promise<SealedRow[]> {
  return await rowsOf<SealedRow>(
    db,
    `select ${LINK_COLUMNS}, chain_seq, chain_hash from audit_outbox
     where chain_seq is not null and ${CHAIN} = ? and chain_seq > ? and chain_seq <= ? order by chain_seq limit ${most}`,
    range,
  );
}

/** What is wrong with the row behind the one with the hash `previous`. */
export function faultOf(key: ChainKey, previous: string, expected: number, row: SealedRow): ChainFault | undefined {
  if (row.chain_seq > expected) return { kind: "missing", id: null, seq: expected };
  if (row.chain_seq < expected) return { kind: "inserted", id: row.id, seq: row.chain_seq };
  if (row.chain_hash !== linkHash(key, previous, expected, row)) return { kind: "changed", id: row.id, seq: expected };
  return undefined;
}
