import type { KeyObject } from "node:crypto";
import type { Scope } from "../core/principal.ts";
import { CHAIN, CHAIN_BEGAN, type ChainKey, HEAD_COLUMNS, HUB_CHAIN, isAuthentic, type SealedHead } from "./audit-chain.ts";
import type { AuditKeys } from "./audit-keys.ts";
import { type ChainFault, faultOf, PAGE, pageBehind, type SealedRow } from "./audit-links.ts";
import { type Mark, type Marks, readMarks } from "./audit-marks.ts";
import type { Db } from "./open.ts";
import { rowsOf } from "./sql.ts";

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
  /** The newest signed checkpoint that the rows agree with. */
  readonly checkpoint: Mark | null;
  readonly fault: ChainFault | null;
}

export interface AuditChains {
  /** Reads every chain of the scope from its beginning. Whoever asks for the same at the same time gets the same. */
  verify(scope: Scope): Promise<ChainReport[]>;
}

export function createAuditChains(db: Db, key: ChainKey, keys: Pick<AuditKeys, "trusted">): AuditChains {
  const running = new Map<string, Promise<ChainReport[]>>();
  return {
    verify(scope) {
      if (scope.kind === "devices") return Promise.resolve([]);
      const name = scope.kind === "platform" ? "" : scope.organizationId;
      const known = running.get(name);
      if (known) return known;
      const asked = verifyAll({ db, key, keys }, scope.kind === "platform" ? undefined : [scope.organizationId]).finally(() =>
        running.delete(name),
      );
      running.set(name, asked);
      return asked;
    },
  };
}

interface VerifyContext {
  readonly db: Db;
  readonly key: ChainKey;
  readonly trusted: ReadonlyMap<string, KeyObject>;
}

async function verifyAll(
  { db, key, keys }: { readonly db: Db; readonly key: ChainKey; readonly keys: Pick<AuditKeys, "trusted"> },
  only: readonly string[] | undefined,
): Promise<ChainReport[]> {
  const context = { db, key, trusted: await keys.trusted() };
  const reports: ChainReport[] = [];
  for (const chain of only ?? (await allChains(db))) reports.push(await verifyChain(context, chain));
  return reports;
}

/** Those that have an end, that have rows, and that began once. */
async function allChains(db: Db): Promise<string[]> {
  const found = new Set<string>([HUB_CHAIN]);
  const add = (rows: readonly { chain: string }[]): void => rows.forEach(({ chain }) => found.add(chain));
  add(await rowsOf(db, "select chain from audit_chains union select chain from audit_checkpoint_ends"));
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

async function verifyChain(context: VerifyContext, chain: string): Promise<ChainReport> {
  const { db, key } = context;
  const walked = { seq: 0, hash: "", checkpoint: null as Mark | null };
  const waiting = await countWaiting(db, chain);
  // Before the rows: of those that a checkpoint is about, all are sealed.
  const marks = await readMarks(context, chain);
  const report = (fault: ChainFault | null): ChainReport => ({
    organizationId: chain === HUB_CHAIN ? null : chain,
    checked: walked.seq,
    waiting,
    lastSeq: walked.seq,
    lastHash: walked.hash,
    checkpoint: walked.checkpoint,
    fault,
  });
  // From before the first one, where somebody may have put something.
  for (let rows = await pageBehind(db, chain, Number.MIN_SAFE_INTEGER); ; ) {
    // Read while these are hashed.
    const next = rows.length < PAGE ? undefined : pageBehind(db, chain, rows.at(-1)?.chain_seq ?? walked.seq);
    next?.catch(() => undefined);
    for (const row of rows) {
      const fault = step(key, marks, { walked, row });
      if (fault) return report(fault);
    }
    if (next) {
      rows = await next;
      continue;
    }
    const { seq, hash } = walked;
    const head = await readHead(db, chain);
    // Sealed since the rows were read.
    if (head && head.last_seq > seq && (rows = await pageBehind(db, chain, seq)).length > 0) continue;
    const fault = (await endFault(db, key, { chain, seq, hash, head })) ?? (await beginningFault(db, chain, seq));
    // It began since.
    if (fault && seq === 0 && (rows = await pageBehind(db, chain, seq)).length > 0) continue;
    return report(fault ?? lostFault(marks, seq) ?? marks.fault ?? null);
  }
}

interface Step {
  readonly walked: { seq: number; hash: string; checkpoint: Mark | null };
  readonly row: SealedRow;
}

function step(key: ChainKey, { bySeq }: Marks, { walked, row }: Step): ChainFault | undefined {
  const fault = faultOf(key, walked.hash, walked.seq + 1, row);
  if (fault) return fault;
  const mark = bySeq.get(row.chain_seq);
  if (mark && mark.hash !== row.chain_hash) return { kind: "rewritten", id: row.id, seq: row.chain_seq };
  [walked.seq, walked.hash] = [row.chain_seq, row.chain_hash];
  if (mark) walked.checkpoint = mark;
  return undefined;
}

/** A checkpoint tells of rows that are not there, though the chain's end does not. */
function lostFault({ bySeq }: Marks, seq: number): ChainFault | undefined {
  const last = [...bySeq.keys()].at(-1) ?? 0;
  return last > seq ? { kind: "cut_off", id: null, seq: seq + 1 } : undefined;
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
