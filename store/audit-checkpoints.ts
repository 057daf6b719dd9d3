import { createHash } from "node:crypto";
import { CheckpointStatement, MOST_ROWS, rowHash, type SignedCheckpoint, STATEMENT_TYPE, statementHash } from "../core/audit-statement.ts";
import { canonicalJson } from "../core/canonical-json.ts";
import { newAudit } from "../core/event.ts";
import { newId } from "../core/id.ts";
import { type Scope, SYSTEM } from "../core/principal.ts";
import { parserFor } from "../core/validate.ts";
import { insertAudit } from "./audit.ts";
import {
  CHAIN,
  type ChainKey,
  CHECKPOINTS_BEGAN,
  type CheckpointEnd,
  checkpointSeal,
  HUB_CHAIN,
  isAuthentic,
  type SealedHead,
} from "./audit-chain.ts";
import type { AuditKeys } from "./audit-keys.ts";
import { faultOf, PAGE, pageBehind } from "./audit-links.ts";
import type { Db } from "./open.ts";
import { isoOf, type Page, pageOf, rowsOf, scoped } from "./sql.ts";
import { inTransaction } from "./transaction.ts";

export interface CheckpointContext {
  readonly db: Db;
  readonly chainKey: ChainKey;
  readonly keys: AuditKeys;
  /** ms since 1970 */
  readonly clock: () => number;
}

/** A chain with rows behind its last checkpoint. */
type Open = SealedHead & {
  readonly number: number | null;
  readonly seq: number | null;
  readonly hash: string | null;
  readonly statement_hash: string | null;
  readonly end_seal: string | null;
  /** When the first of these rows was written. */
  readonly since: string | null;
};

export interface Signed {
  /** Checkpoints that were made. */
  readonly count: number;
  /** Chains of which none can be made: a row, or an end, is not what the hub has left. */
  readonly bad: readonly string[];
}

/** Signs the chains whose rows wait for `waitMs`, or that have as many as one checkpoint is about. */
export async function signChains(context: CheckpointContext, waitMs: number, signal?: AbortSignal): Promise<Signed> {
  const now = context.clock();
  let count = 0;
  const bad: string[] = [];
  for (const open of await openChains(context.db)) {
    // Without a first row they were taken away.
    const isDue = open.since === null || Date.parse(open.since) <= now - waitMs;
    const signed = await signChain(context, open, { least: isDue ? 1 : MOST_ROWS, signal });
    count += signed.count;
    if (signed.isBad) bad.push(open.chain);
    if (signal?.aborted) break;
  }
  return { count, bad };
}

/** As long as there are as many rows as `least` behind the last checkpoint. */
async function signChain(
  context: CheckpointContext,
  open: Open,
  { least, signal }: { readonly least: number; readonly signal: AbortSignal | undefined },
): Promise<{ readonly count: number; readonly isBad: boolean }> {
  let count = 0;
  for (let seq = open.seq ?? 0; open.last_seq - seq >= least; count++) {
    const end = signal?.aborted ? "none" : await signNext(context, open.chain);
    if (end === "bad" || end === "none") return { count, isBad: end === "bad" };
    seq = end.seq;
  }
  return { count, isBad: false };
}

// Without the concatenation SQLite does not find the rows by their index.
const OPEN = `select c.chain, c.last_seq, c.last_hash, c.broken_seq, c.seal, e.number, e.seq, e.hash, e.statement_hash, e.seal as end_seal,
    (select o.created_at from audit_outbox o where o.chain_seq is not null and coalesce(o.organization_id, '') = c.chain || ''
       and o.chain_seq > coalesce(e.seq, 0) order by o.chain_seq limit 1) as since
  from audit_chains c left join audit_checkpoint_ends e on e.chain = c.chain
  where c.last_seq > coalesce(e.seq, 0)`;

const openChains = (db: Db): Promise<Open[]> => rowsOf<Open>(db, `${OPEN} order by c.chain`);

/** One checkpoint, of the next rows of the chain. `none`: another node has made it. */
async function signNext({ db, chainKey, keys, clock }: CheckpointContext, chain: string): Promise<CheckpointEnd | "bad" | "none"> {
  const [open] = await rowsOf<Open>(db, `${OPEN} and c.chain = ?`, [chain]);
  if (!open) return "none";
  const before: CheckpointEnd = {
    chain,
    number: open.number ?? 0,
    seq: open.seq ?? 0,
    hash: open.hash ?? "",
    statement_hash: open.statement_hash ?? "",
  };
  if (open.end_seal !== null && checkpointSeal(chainKey, before) !== open.end_seal) return "bad";
  const seq = Math.min(open.last_seq, before.seq + MOST_ROWS);
  if (!isAuthentic(chainKey, open) || (open.broken_seq !== null && open.broken_seq <= seq)) return "bad";
  const read = await readRows(db, chainKey, { before, seq });
  if (!read) return "bad";
  return await inTransaction(db, async (trx) => {
    if (!(await lockEnd(trx, chainKey, before, clock()))) return "none";
    const signer = await keys.signer(trx);
    const statement: CheckpointStatement = {
      type: STATEMENT_TYPE,
      organization_id: chain === HUB_CHAIN ? null : chain,
      number: before.number + 1,
      seq,
      count: seq - before.seq,
      ...read,
      previous: before.statement_hash === "" ? null : before.statement_hash,
      ts: isoOf(clock()),
      key_id: signer.keyId,
    };
    return await keep(trx, chainKey, { statement, signature: signer.sign(statement) });
  });
}

/** What the rows up to `seq` amount to; undefined when one of them is not what was sealed. No transaction is open meanwhile. */
async function readRows(
  db: Db,
  key: ChainKey,
  { before, seq }: { readonly before: CheckpointEnd; readonly seq: number },
): Promise<Pick<CheckpointStatement, "hash" | "digest"> | undefined> {
  const digest = createHash("sha256");
  let [at, hash] = [before.seq, before.hash];
  while (at < seq) {
    const rows = await pageBehind(db, before.chain, at, Math.min(PAGE, seq - at));
    if (rows.length === 0) return undefined;
    for (const row of rows) {
      if (faultOf(key, hash, at + 1, row)) return undefined;
      [at, hash] = [row.chain_seq, row.chain_hash];
      digest.update(rowHash(at, row));
    }
  }
  return { hash, digest: digest.digest("base64url") };
}

/** False when somebody has made the next one. */
async function lockEnd(trx: Db, key: ChainKey, before: CheckpointEnd, now: number): Promise<boolean> {
  const { chain } = before;
  if (before.number === 0) {
    const begun = await trx("audit_checkpoint_ends")
      .insert({ ...before, seal: checkpointSeal(key, before) })
      .onConflict("chain")
      .ignore()
      .returning("chain");
    if (begun.length === 0) return false;
    const about = { organizationId: null, actor: SYSTEM, action: CHECKPOINTS_BEGAN, resourceType: "audit", resourceId: chain };
    await insertAudit(trx, [newAudit({ ...about, details: {}, now })]);
    return true;
  }
  const end = (await trx("audit_checkpoint_ends").where({ chain }).forUpdate().first("number")) as { number: number } | undefined;
  return end?.number === before.number;
}

async function keep(trx: Db, key: ChainKey, { statement, signature }: SignedCheckpoint): Promise<CheckpointEnd> {
  const { organization_id, number, seq, hash, ts } = statement;
  await trx("audit_checkpoints").insert({
    id: newId(),
    organization_id,
    number,
    statement: canonicalJson(statement),
    signature,
    created_at: ts,
  });
  const end = { chain: organization_id ?? HUB_CHAIN, number, seq, hash, statement_hash: statementHash(statement) };
  await trx("audit_checkpoint_ends")
    .where({ chain: end.chain })
    .update({ ...end, seal: checkpointSeal(key, end) });
  return end;
}

interface Row {
  readonly id: string;
  readonly statement: string;
  readonly signature: string;
}

export interface CheckpointFilter {
  /** null: of the hub's own chain; undefined: of all that the scope may see. */
  readonly organizationId?: string | null | undefined;
  readonly limit: number;
  /** The id of the last one of the page before. */
  readonly after?: string | undefined;
}

/** Newest first. */
export async function listCheckpoints(
  db: Db,
  scope: Scope,
  { organizationId, limit, after }: CheckpointFilter,
): Promise<Page<SignedCheckpoint>> {
  const query = scoped(db("audit_checkpoints"), scope, { organization: "organization_id" })
    .orderBy("id", "desc")
    .limit(limit + 1);
  if (organizationId !== undefined) query.where({ organization_id: organizationId });
  if (after !== undefined) query.where("id", "<", after);
  const page = pageOf((await query) as Row[], limit, ({ id }) => id);
  return { items: page.items.map(readable).filter((one) => one !== undefined), next: page.next };
}

/** All checkpoints of a chain by their number, behind one of them. */
export async function checkpointsBehind(
  db: Db,
  chain: string,
  { number, most }: { readonly number: number; readonly most: number },
): Promise<{ readonly number: number; readonly checkpoint: SignedCheckpoint | undefined }[]> {
  const rows = await rowsOf<Row & { number: number }>(
    db,
    `select id, number, statement, signature from audit_checkpoints where ${CHAIN} = ? and number > ? order by number limit ${most}`,
    [chain, number],
  );
  return rows.map((row) => ({ number: row.number, checkpoint: readable(row) }));
}

const parseStatement = parserFor(CheckpointStatement);

function readable(row: Row): SignedCheckpoint | undefined {
  try {
    return { statement: parseStatement(JSON.parse(row.statement)), signature: row.signature };
  } catch {
    // Somebody has put another text there.
    return undefined;
  }
}
