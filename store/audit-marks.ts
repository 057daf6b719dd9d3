import type { KeyObject } from "node:crypto";
import { type CheckpointStatement, type SignedCheckpoint, signatureFault, statementHash } from "../core/audit-statement.ts";
import { type ChainKey, CHECKPOINTS_BEGAN, type CheckpointEnd, checkpointSeal, HUB_CHAIN } from "./audit-chain.ts";
import { checkpointsBehind } from "./audit-checkpoints.ts";
import type { ChainFault } from "./audit-links.ts";
import type { Db } from "./open.ts";
import { rowsOf } from "./sql.ts";

/** A checkpoint that is what the hub has signed. */
export type Mark = Pick<CheckpointStatement, "number" | "seq" | "hash" | "ts">;

export interface Marks {
  /** By the row that each ends with. */
  readonly bySeq: ReadonlyMap<number, Mark>;
  /** The first of the checkpoints that is not right: those behind it prove nothing. */
  readonly fault: ChainFault | undefined;
}

interface MarksContext {
  readonly db: Db;
  readonly key: ChainKey;
  readonly trusted: ReadonlyMap<string, KeyObject>;
}

/** Signatures that are verified in one go: some milliseconds of the main loop. */
const PAGE = 100;

/** The checkpoints of a chain, each held against its signature, the one before it and the last one. */
export async function readMarks(context: MarksContext, chain: string): Promise<Marks> {
  for (let end = await readEnd(context.db, chain); ; ) {
    const bySeq = new Map<number, Mark>();
    const fault = (await walk(context, { chain, bySeq, end })) ?? (await beginningFault(context.db, chain, end));
    if (!fault) return { bySeq, fault };
    const again = await readEnd(context.db, chain);
    // Or one was made meanwhile.
    if (again?.seal === end?.seal) return { bySeq, fault };
    end = again;
  }
}

type SealedEnd = CheckpointEnd & { readonly seal: string };
interface Walk {
  readonly chain: string;
  readonly bySeq: Map<number, Mark>;
  readonly end: SealedEnd | undefined;
}

async function walk({ db, key, trusted }: MarksContext, { chain, bySeq, end }: Walk): Promise<ChainFault | undefined> {
  let last: CheckpointEnd = { chain, number: 0, seq: 0, hash: "", statement_hash: "" };
  for (let after = Number.MIN_SAFE_INTEGER; ; after = last.number) {
    const page = await checkpointsBehind(db, chain, { number: after, most: PAGE });
    for (const { number, checkpoint } of page) {
      const kind = number === last.number + 1 && checkpoint ? kindOf(checkpoint, last, trusted) : "checkpoint";
      if (kind || !checkpoint) return { kind: kind ?? "checkpoint", id: null, seq: last.seq + 1 };
      const { seq, hash, ts } = checkpoint.statement;
      last = { chain, number, seq, hash, statement_hash: statementHash(checkpoint.statement) };
      bySeq.set(seq, { number, seq, hash, ts });
    }
    if (page.length < PAGE) break;
  }
  const isEnd = end === undefined ? last.number === 0 : end.seal === checkpointSeal(key, last);
  return isEnd ? undefined : { kind: "checkpoint", id: null, seq: last.seq + 1 };
}

/** What is wrong with the checkpoint behind `last`. */
function kindOf(checkpoint: SignedCheckpoint, last: CheckpointEnd, trusted: MarksContext["trusted"]): "key" | "checkpoint" | undefined {
  const { statement } = checkpoint;
  const fault = signatureFault(checkpoint, trusted);
  if (fault) return fault === "unknown_key" ? "key" : "checkpoint";
  const isNext =
    (statement.organization_id ?? HUB_CHAIN) === last.chain &&
    statement.number === last.number + 1 &&
    statement.seq - statement.count === last.seq &&
    (statement.previous ?? "") === last.statement_hash;
  return isNext ? undefined : "checkpoint";
}

/** The hub's chain says once of each that it has checkpoints. */
async function beginningFault(db: Db, chain: string, end: SealedEnd | undefined): Promise<ChainFault | undefined> {
  const [{ count } = { count: 0 }] = await rowsOf<{ count: number }>(
    db,
    "select count(*) as count from audit_outbox where action = ? and organization_id is null and resource_id = ?",
    [CHECKPOINTS_BEGAN, chain],
  );
  return count === (end ? 1 : 0) ? undefined : { kind: "checkpoint", id: null, seq: 1 };
}

async function readEnd(db: Db, chain: string): Promise<SealedEnd | undefined> {
  return (await db("audit_checkpoint_ends").where({ chain }).first("chain", "number", "seq", "hash", "statement_hash", "seal")) as
    | SealedEnd
    | undefined;
}
