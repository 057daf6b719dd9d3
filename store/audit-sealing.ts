import { setTimeout as pause } from "node:timers/promises";
import type { Duties, Log } from "../core/bus.ts";
import { newAudit } from "../core/event.ts";
import { SYSTEM } from "../core/principal.ts";
import { insertAudit } from "./audit.ts";
import {
  CHAIN,
  CHAIN_BEGAN,
  type ChainHead,
  type ChainKey,
  HEAD_COLUMNS,
  headSeal,
  HUB_CHAIN,
  isAuthentic,
  LINK_COLUMNS,
  linkHash,
  type LinkRow,
  type SealedHead,
} from "./audit-chain.ts";
import type { Db } from "./open.ts";
import { placesFor, rowsOf, rowSource, toJson } from "./sql.ts";
import { inTransaction } from "./transaction.ts";

export interface SealingContext {
  readonly db: Db;
  readonly chainKey: ChainKey;
  readonly duties: Duties;
  readonly log: Log;
  /** A second. */
  readonly everyMs?: number;
}

const EVERY_MS = 1_000;
/** Between two full groups: what waits since before there were chains must not keep the database to itself. */
const BREATH_MS = 20;
/** A full disk fails each second. */
const TOLD_EVERY_MS = 60_000;
/** Rows of one transaction: a few milliseconds of the main loop, and of SQLite's one writer. */
const GROUP = 250;

/** Seals the rows of the audit soon after they were written: on one node of a cluster, though two at once do no harm. */
export function startAuditSealing({ db, chainKey, duties, log, everyMs = EVERY_MS }: SealingContext): AsyncDisposable {
  return duties.hold("audit sealing", async (signal) => {
    let toldAt = Number.NEGATIVE_INFINITY;
    while (!signal.aborted) {
      const sealed = await sealAudit(db, chainKey).catch((error: unknown) => {
        if (performance.now() - toldAt >= TOLD_EVERY_MS) {
          toldAt = performance.now();
          log.error({ err: error }, "the audit could not be sealed; it is tried again");
        }
        return 0;
      });
      await pause(sealed >= GROUP ? BREATH_MS : everyMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  });
}

/** Seals some of the rows that wait, oldest first. Answers how many. */
export async function sealAudit(db: Db, key: ChainKey): Promise<number> {
  // Most of the time nothing waits: without a transaction.
  const waiting = await rowsOf<{ chain: string }>(
    db,
    `select ${CHAIN} as chain from audit_outbox where chain_seq is null order by id limit ${GROUP}`,
  );
  const chains = [...new Set(waiting.map(({ chain }) => chain))].toSorted();
  if (chains.length === 0) return 0;
  return await inTransaction(db, async (trx) => {
    const heads = await lockHeads(trx, key, chains);
    // Only now: another sealer may have had these rows until the heads were free.
    const rows = await rowsOf<LinkRow & { chain: string }>(
      trx,
      `select ${LINK_COLUMNS}, ${CHAIN} as chain from audit_outbox
       where chain_seq is null and ${CHAIN} in (${placesFor(chains)}) order by id limit ${GROUP}`,
      chains,
    );
    const links = rows.map((row) => extend(heads, key, row));
    if (links.length === 0) return 0;
    await rowsOf(
      trx,
      `update audit_outbox set chain_seq = r.seq, chain_hash = r.hash
       from ${rowSource(trx, { id: "text", seq: "int", hash: "text" })} where audit_outbox.id = r.id`,
      [toJson(links)],
    );
    await writeHeads(trx, key, [...heads.values()]);
    return links.length;
  });
}

interface Link {
  readonly id: string;
  readonly seq: number;
  readonly hash: string;
}

function extend(heads: Map<string, ChainHead>, key: ChainKey, row: LinkRow & { chain: string }): Link {
  const head = heads.get(row.chain) as ChainHead;
  const seq = head.last_seq + 1;
  const hash = linkHash(key, head.last_hash, seq, row);
  heads.set(row.chain, { ...head, last_seq: seq, last_hash: hash });
  return { id: row.id, seq, hash };
}

/** In one order, so that two sealers at once wait for each other and go on from where the first one ended. */
async function lockHeads(trx: Db, key: ChainKey, chains: readonly string[]): Promise<Map<string, ChainHead>> {
  const empty = chains.map((chain): ChainHead => ({ chain, last_seq: 0, last_hash: "", broken_seq: null }));
  const begun = await rowsOf<{ chain: string }>(
    trx,
    `insert into audit_chains (${HEAD_COLUMNS.join(", ")}) select ${HEAD_COLUMNS.join(", ")} from ${headSource(trx)} where true
     on conflict do nothing returning chain`,
    [toJson(empty.map((head) => ({ ...head, seal: headSeal(key, head) })))],
  );
  await tellBegun(
    trx,
    begun.map(({ chain }) => chain).filter((chain) => chain !== HUB_CHAIN),
  );
  const locked = (await trx("audit_chains").whereIn("chain", chains).orderBy("chain").forUpdate().select(HEAD_COLUMNS)) as SealedHead[];
  const heads = new Map<string, ChainHead>();
  for (const head of locked) heads.set(head.chain, await soundHead(trx, key, head));
  return heads;
}

/**
 * The chain goes on behind what is there, whatever somebody has done to its end: that it was found so stays in its head,
 * where only the hub could take it away.
 */
async function soundHead(trx: Db, key: ChainKey, { seal, ...head }: SealedHead): Promise<ChainHead> {
  const [last] = await rowsOf<{ chain_seq: number; chain_hash: string }>(
    trx,
    `select chain_seq, chain_hash from audit_outbox where chain_seq is not null and ${CHAIN} = ? order by chain_seq desc limit 1`,
    [head.chain],
  );
  const isBehind = last !== undefined && last.chain_seq > head.last_seq;
  if (!isBehind && isAuthentic(key, { ...head, seal })) return head;
  const end = isBehind ? { last_seq: last.chain_seq, last_hash: last.chain_hash } : {};
  const found = { ...head, ...end };
  return { ...found, broken_seq: isAuthentic(key, { ...head, seal }) && head.broken_seq !== null ? head.broken_seq : found.last_seq + 1 };
}

async function tellBegun(trx: Db, chains: readonly string[]): Promise<void> {
  const now = Date.now();
  await insertAudit(
    trx,
    chains.map((chain) =>
      newAudit({
        organizationId: null,
        actor: SYSTEM,
        action: CHAIN_BEGAN,
        resourceType: "organization",
        resourceId: chain,
        details: {},
        now,
      }),
    ),
  );
}

async function writeHeads(trx: Db, key: ChainKey, heads: readonly ChainHead[]): Promise<void> {
  await rowsOf(
    trx,
    `update audit_chains set last_seq = r.last_seq, last_hash = r.last_hash, broken_seq = r.broken_seq, seal = r.seal
     from ${headSource(trx)} where audit_chains.chain = r.chain`,
    [toJson(heads.map((head) => ({ ...head, seal: headSeal(key, head) })))],
  );
}

const headSource = (trx: Db): string =>
  rowSource(trx, { chain: "text", last_seq: "int", last_hash: "text", broken_seq: "int", seal: "text" });
