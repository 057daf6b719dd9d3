import { setTimeout as pause } from "node:timers/promises";
import type { Log } from "../core/bus.ts";
import { RedisAway } from "./cluster-connection.ts";
import type { Letter } from "./cluster-frame.ts";
import { after, parseRange } from "./cluster-inbox.ts";
import { ADOPTED, BURIED, DEAD_TTL_MS, inboxKey, NODES_KEY, nodeKey } from "./cluster-keys.ts";
import type { Lease, Leases } from "./cluster-leases.ts";
import { type RedisLink, redisScript } from "./cluster-redis.ts";

export interface AdoptionOptions {
  readonly link: RedisLink;
  readonly leases: Leases;
  readonly log: Log;
  /**
   * Once for each dead node, in the whole cluster, before its mail; again on another node if this one dies meanwhile or
   * the promise rejects.
   */
  readonly onAdopt: (nodeId: string) => Promise<void>;
  /** Resolves when all know what this node wants for the sessions that it has taken. */
  readonly announced: () => Promise<void>;
  /** Resolves when every other node that has a session of that one has said to all what it wants. Rejects when it is aborted. */
  readonly settled: (nodeId: string, signal: AbortSignal) => Promise<void>;
  /** What the dead node had not read, maybe together with what it read last. */
  readonly onLetters: (nodeId: string, sender: string, letters: readonly Letter[]) => Promise<unknown> | undefined;
}

const LEASE_MS = 5_000;
/** Between two looks at an inbox into which others still write. */
const LOOK_MS = 50;
const READ_ENTRIES = "64";

/** Deletes an inbox that is empty; a message that came between the reading and this is not lost. */
const BURY_INBOX = redisScript(`
if redis.call('XLEN', KEYS[1]) > 0 then return 0 end
redis.call('DEL', KEYS[1])
return 1`);

/** `adopt` deals with a dead node unless somebody else does; it may be called again and again and never rejects. */
export function createAdoption(options: AdoptionOptions): { adopt: (nodeId: string) => Promise<void> } {
  const running = new Set<string>();
  return {
    async adopt(nodeId) {
      if (running.has(nodeId)) return;
      running.add(nodeId);
      try {
        await using lease = await options.leases.tryLease(`adopt:${nodeId}`, LEASE_MS);
        if (lease) await takeOver(options, nodeId, lease);
      } catch (error) {
        if (!(error instanceof RedisAway)) options.log.error({ err: error, nodeId }, "a dead node could not be adopted; it is tried again");
      } finally {
        running.delete(nodeId);
      }
    },
  };
}

async function takeOver(
  { link, log, onAdopt, announced, settled, onLetters }: AdoptionOptions,
  nodeId: string,
  lease: Lease,
): Promise<void> {
  // Somebody may have finished between the look at the list and the lease.
  if ((await link.command(NODES_KEY, "SISMEMBER", NODES_KEY, nodeId)) !== 1) return;
  log.info({ nodeId }, "adopting a dead node");
  await onAdopt(nodeId);
  // Until then the others still write to its inbox what its sessions want; after that they pass it on themselves.
  let isOver = false;
  const say = (life: string) => link.command(nodeKey(nodeId), "SET", nodeKey(nodeId), life, "PX", `${DEAD_TTL_MS}`);
  async function bury(): Promise<never> {
    await announced();
    await say(ADOPTED);
    await settled(nodeId, lease.signal);
    await say(BURIED);
    isOver = true;
    return new Promise<never>(() => {});
  }
  const failed = bury();
  failed.catch(() => undefined);
  const key = inboxKey(nodeId);
  while (!lease.signal.aborted) {
    const entries = parseRange(await link.command(key, "XRANGE", key, "-", "+", "COUNT", READ_ENTRIES));
    const last = entries.at(-1);
    if (!last) {
      await Promise.race([pause(LOOK_MS, undefined, { ref: false }), failed]);
      // Listed until its inbox is read to the end, so that somebody else goes on if this node dies.
      if (!isOver || (await link.run(BURY_INBOX, key)) === 0) continue;
      await link.command(NODES_KEY, "SREM", NODES_KEY, nodeId);
      return;
    }
    if (lease.signal.aborted) return;
    await Promise.all(entries.map(async ({ frame }) => frame && onLetters(nodeId, frame.sender, frame.letters)));
    await link.command(key, "XTRIM", key, "MINID", after(last.id));
  }
}
