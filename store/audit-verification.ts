import type { Scope } from "../core/principal.ts";
import {
  CHAIN,
  CHAIN_BEGAN,
  type ChainKey,
  HEAD_COLUMNS,
  HUB_CHAIN,
  isAuthentic,
  LINK_COLUMNS,
  linkHash,
  type LinkRow,
  type SealedHead,
} from "./audit-chain.ts";
import type { Db } from "./open.ts";
import { rowsOf } from "./sql.ts";

/**
 * `changed`: the row, its place or its organisation is not what was sealed. `missing`: a row was taken out. `inserted`: it was never sealed
 * there. `cut_off`: the chain once was longer. `head`: its end, or the note that it began, is not what the hub left.
 */
export type FaultKind = "changed" | "missing" | "inserted" | "cut_off" | "head";

export interface ChainFault {
  readonly kind: FaultKind;
  /** Of the first row that is not right; null for one that is not there. */
  readonly id: string | null;
  readonly seq: number;
}

export interface ChainReport {
  /** null for the hub's own. */
  readonly organizationId: string | null;
  /** Rows that are right, from the first one on. */
  readonly checked: number;
  /** Rows that are not sealed yet. */
  readonly waiting: number;
  /** The last row that is right: written down elsewhere, it shows whether the whole database was set back. */
  readonly lastSeq: number;
  readonly lastHash: string;
  readonly fault: ChainFault | null;
}

export interface AuditChains {
  /** Reads every chain of the scope from its beginning. Whoever asks for the same at the same time gets the same. */
  verify(scope: Scope): Promise<ChainReport[]>;
}

/** Rows that are hashed in one go: some milliseconds of the main loop. */
const PAGE = 500;

export function createAuditChains(db: Db, key: ChainKey): AuditChains {
  const running = new Map<string, Promise<ChainReport[]>>();
  return {
    verify(scope) {
      if (scope.kind === "devices") return Promise.resolve([]);
      const name = scope.kind === "platform" ? "" : scope.organizationId;
      const known = running.get(name);
      if (known) return known;
      const asked = verifyAll(db, key, scope.kind === "platform" ? undefined : [scope.organizationId]).finally(() => running.delete(name));
      running.set(name, asked);
      return asked;
    },
  };
}

async function verifyAll(db: Db, key: ChainKey, only: readonly string[] | undefined): Promise<ChainReport[]> {
  const reports: ChainReport[] = [];
  for (const chain of only ?? (await allChains(db))) reports.push(await verifyChain(db, key, chain));
  return reports;
}

/** Those that have an end, that have rows, and that began once. */
async function allChains(db: Db): Promise<string[]> {
  const found = new Set<string>([HUB_CHAIN]);
  const add = (rows: readonly { chain: string }[]): void => rows.forEach(({ chain }) => found.add(chain));
  add(await rowsOf(db, "select chain from audit_chains"));
  add(await rowsOf(db, `select distinct ${CHAIN} as chain from audit_outbox where chain_seq is null`));
  add(await rowsOf(db, "select resource_id as chain from audit_outbox where action = ? and organization_id is null", [CHAIN_BEGAN]));
  // From one to the next by the index, and not through all rows.
  for (let last: string | undefined = ""; last !== undefined; ) {
    const rows: { chain: string }[] = await rowsOf(
      db,
      `select ${CHAIN} as chain from audit_outbox where chain_seq is not null and ${CHAIN} > ? order by ${CHAIN} limit 1`,
      [last],
    );
    add(rows);
    last = rows[0]?.chain;
  }
  return [...found].toSorted();
}

type Sealed = LinkRow & { readonly chain_seq: number; readonly chain_hash: string };

async function verifyChain(db: Db, key: ChainKey, chain: string): Promise<ChainReport> {
  let [seq, hash] = [0, ""];
  const waiting = await countWaiting(db, chain);
  const report = (fault: ChainFault | null): ChainReport => ({
    organizationId: chain === HUB_CHAIN ? null : chain,
    checked: seq,
    waiting,
    lastSeq: seq,
    lastHash: hash,
    fault,
  });
  // From before the first one, where somebody may have put something.
  for (let rows = await pageBehind(db, chain, Number.MIN_SAFE_INTEGER); ; ) {
    // Read while these are hashed.
    const next = rows.length < PAGE ? undefined : pageBehind(db, chain, rows.at(-1)?.chain_seq ?? seq);
    next?.catch(() => undefined);
    for (const row of rows) {
      const fault = faultOf(key, hash, seq + 1, row);
      if (fault) return report(fault);
      [seq, hash] = [row.chain_seq, row.chain_hash];
    }
    if (next) {
      rows = await next;
      continue;
    }
    const head = await readHead(db, chain);
    // Sealed since the rows were read.
    if (head && head.last_seq > seq && (rows = await pageBehind(db, chain, seq)).length > 0) continue;
    const fault = (await endFault(db, key, { chain, seq, hash, head })) ?? (await beginningFault(db, chain, seq));
    // It began since.
    if (fault && seq === 0 && (rows = await pageBehind(db, chain, seq)).length > 0) continue;
    return report(fault ?? null);
  }
}

function faultOf(key: ChainKey, previous: string, expected: number, row: Sealed): ChainFault | undefined {
  if (row.chain_seq > expected) return { kind: "missing", id: null, seq: expected };
  if (row.chain_seq < expected) return { kind: "inserted", id: row.id, seq: row.chain_seq };
  if (row.chain_hash !== linkHash(key, previous, expected, row)) return { kind: "changed", id: row.id, seq: expected };
  return undefined;
}

interface End {
  readonly chain: string;
  readonly seq: number;
  readonly hash: string;
  readonly head: SealedHead | undefined;
}

async function endFault(db: Db, key: ChainKey, { chain, seq, hash, head }: End): Promise<ChainFault | undefined> {
  if (!head) return seq === 0 ? undefined : { kind: "head", id: await idAt(db, chain, seq), seq };
  if (head.last_seq > seq) return { kind: "cut_off", id: null, seq: seq + 1 };
  const bad = head.broken_seq ?? Math.min(seq, head.last_seq + 1);
  if (head.broken_seq === null && head.last_seq === seq && head.last_hash === hash && isAuthentic(key, head)) return undefined;
  return { kind: "head", id: await idAt(db, chain, bad), seq: bad };
}

/** The hub's chain says once of each other one that it began: more often, and one was taken away whole. */
async function beginningFault(db: Db, chain: string, seq: number): Promise<ChainFault | undefined> {
  if (chain === HUB_CHAIN) return undefined;
  const [began] = await rowsOf<{ count: number }>(
    db,
    "select count(*) as count from audit_outbox where action = ? and organization_id is null and resource_id = ?",
    [CHAIN_BEGAN, chain],
  );
  const count = began?.count ?? 0;
  return count === (seq === 0 ? 0 : 1) ? undefined : { kind: "head", id: await idAt(db, chain, 1), seq: 1 };
}

async function readHead(db: Db, chain: string): Promise<SealedHead | undefined> {
  return (await db("audit_chains").where({ chain }).first(HEAD_COLUMNS)) as SealedHead | undefined;
}

async function pageBehind(db: Db, chain: string, seq: number): Promise<Sealed[]> {
  return await rowsOf<Sealed>(
    db,
    `select ${LINK_COLUMNS}, chain_seq, chain_hash from audit_outbox
     where chain_seq is not null and ${CHAIN} = ? and chain_seq > ? order by chain_seq limit ${PAGE}`,
    [chain, seq],
  );
}

async function idAt(db: Db, chain: string, seq: number): Promise<string | null> {
  const [row] = await rowsOf<{ id: string }>(db, `select id from audit_outbox where ${CHAIN} = ? and chain_seq = ?`, [chain, seq]);
  return row?.id ?? null;
}

async function countWaiting(db: Db, chain: string): Promise<number> {
  const [row] = await rowsOf<{ count: number }>(db, `select count(*) as count from audit_outbox where chain_seq is null and ${CHAIN} = ?`, [
    chain,
  ]);
  return row?.count ?? 0;
}
