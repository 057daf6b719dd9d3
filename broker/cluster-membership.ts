import type { Log } from "../core/bus.ts";
import { RedisAway } from "./cluster-connection.ts";
import { ADOPTED, BURIED, DEAD, DEAD_TTL_MS, inboxKey, NODES_KEY, nodeKey } from "./cluster-keys.ts";
import { type RedisLink, redisScript } from "./cluster-redis.ts";

export interface MembershipOptions {
  readonly nodeId: string;
  readonly link: RedisLink;
  readonly log: Log;
  readonly onJoined: (peerId: string) => void;
  readonly onLeft: (peerId: string) => void;
  /** After {@link MembershipOptions.onLeft}, maybe several times: another node has taken what nobody had of it. */
  readonly onAdopted: (peerId: string) => void;
  /** After {@link MembershipOptions.onLeft}: others have what that one had, and nothing needs to be sent to it any more. */
  readonly onBuried: (peerId: string) => void;
  /** The others have declared this node dead; it may not act under its id any more. Called once. */
  readonly onFenced: () => void;
  /** Redis had lost something of this node, and it is there again. */
  readonly onRestored: () => void;
  /** A dead node that nobody has buried yet; called again and again until somebody has. */
  readonly onOrphan: (nodeId: string) => void;
}

export interface Membership extends AsyncDisposable {
  /** The nodes that are alive, without this one. */
  readonly peers: ReadonlySet<string>;
  /** This node's membership was confirmed so lately that nobody can have declared it dead. */
  readonly isCertain: boolean;
  /** Looks at once; resolves when `peers` is as Redis has it, or when Redis cannot be asked. */
  look(): Promise<void>;
}

const TTL_MS = 3_000;
const REFRESH_MS = 500;
const LOOK_MS = 200;
/** A node's key must be missing for longer than the node takes to make it again. */
const CONFIRM_MS = 700;
/** An answer later than this, and nobody is declared dead until everybody had time to refresh. */
const SLOW_MS = 1_000;
/** After an outage some find Redis later than others: their next try, and then the time to refresh. */
const OUTAGE_MS = 2_000;

const REFRESH = redisScript(`
local value = redis.call('GET', KEYS[1])
if value and value ~= ARGV[1] then return '${DEAD}' end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return value and 'kept' or 'made'`);

/** Makes an empty inbox where there is none: messages are only added to one that exists. */
const MAKE_INBOX = redisScript(`
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('XADD', KEYS[1], '*', 'f', '')
return 1`);

/** What a node's key says that is dead. */
const DEATHS = new Set([DEAD, ADOPTED, BURIED]);

/**
 * This node's life among the others: a key with a short TTL that it refreshes, and a look at the keys of the others.
 * Who is not refreshed is declared dead by exactly one SET NX in place of the key, which the one concerned finds when
 * it comes back. While Redis is away nobody joins and nobody dies. Rejects when Redis is away at the start.
 */
export async function joinCluster(options: MembershipOptions): Promise<Membership> {
  const own = ownLife(options);
  await own.refresh();
  const others = othersLives(options, () => own.refreshedAt);
  await others.look();
  const refreshing = setInterval(() => void own.refresh().catch(() => {}), REFRESH_MS).unref();
  const looking = setInterval(() => void others.look(), LOOK_MS).unref();
  return {
    peers: others.peers,
    get isCertain() {
      return !own.isFenced && Date.now() - own.refreshedAt < TTL_MS;
    },
    look: () => others.look(),
    async [Symbol.asyncDispose]() {
      clearInterval(refreshing);
      clearInterval(looking);
      others.stop();
      await own.leave();
    },
  };
}

function ownLife({ nodeId, link, log, onFenced, onRestored }: MembershipOptions) {
  const key = nodeKey(nodeId);
  /** When Redis was last asked with success, ms since 1970: unlike the monotonic clock it goes on while the machine sleeps. */
  let refreshedAt = 0;
  let isFenced = false;
  let hasLeft = false;
  let running: Promise<void> | undefined;

  async function once(): Promise<void> {
    const askedAt = Date.now();
    const life = String(await link.run(REFRESH, key, "alive", `${TTL_MS}`));
    const stoodStill = refreshedAt > 0 && Date.now() - refreshedAt > DEAD_TTL_MS / 2;
    if (isFenced || hasLeft) return;
    if (life === DEAD || (life === "made" && stoodStill)) {
      isFenced = true;
      log.warn({ nodeId }, "the other nodes have declared this one dead");
      onFenced();
      return;
    }
    const [added, made] = await Promise.all([link.command(NODES_KEY, "SADD", NODES_KEY, nodeId), link.run(MAKE_INBOX, inboxKey(nodeId))]);
    const isFirst = refreshedAt === 0;
    refreshedAt = askedAt;
    if (!isFirst && (life === "made" || added === 1 || made === 1)) onRestored();
  }

  return {
    get refreshedAt() {
      return refreshedAt;
    },
    get isFenced() {
      return isFenced;
    },
    /** Rejects when Redis is away. */
    refresh(): Promise<void> {
      running ??= once().finally(() => {
        running = undefined;
      });
      return running;
    },
    /** Says good-bye, so that the others need not wait for the TTL. */
    async leave(): Promise<void> {
      hasLeft = true;
      await running?.catch(() => {});
      if (isFenced || !link.isUp) return;
      await link.command(key, "SET", key, DEAD, "PX", `${DEAD_TTL_MS}`).catch(() => {});
    },
  };
}

function othersLives(
  { nodeId, link, log, onJoined, onLeft, onAdopted, onBuried, onOrphan }: MembershipOptions,
  ownRefreshedAt: () => number,
) {
  const peers = new Set<string>();
  const dead = new Set<string>();
  /** Of those: the peers that were not buried yet. */
  const mourned = new Set<string>();
  /** Since when a node's key is missing. */
  const missingSince = new Map<string, number>();
  let steadySince = performance.now();
  let running: Promise<void> | undefined;
  let hasStopped = false;
  link.onUp(() => {
    steadySince = performance.now() + OUTAGE_MS;
  });

  async function once(): Promise<void> {
    const askedAt = performance.now();
    const listed = await link.command(NODES_KEY, "SMEMBERS", NODES_KEY);
    const unburied = new Set((Array.isArray(listed) ? listed : []).map(String));
    const ids = [...new Set([...unburied, ...peers, ...mourned])].filter((id) => id !== nodeId);
    const lives = await Promise.all(ids.map((id) => link.command(nodeKey(id), "GET", nodeKey(id))));
    if (hasStopped) return;
    const now = performance.now();
    if (now - askedAt > SLOW_MS || Date.now() - ownRefreshedAt() > 2 * REFRESH_MS + SLOW_MS) steadySince = now;
    for (const [index, id] of ids.entries()) {
      const life = lives[index] ?? null;
      // Also when all that Redis had is lost.
      const isBuried = String(life) === BURIED || (mourned.has(id) && !unburied.has(id));
      if (isBuried || DEATHS.has(String(life))) mourn(id, isBuried ? BURIED : String(life), unburied.has(id));
      else if (life === null) await suspect(id, now);
      else await greet(id);
    }
  }

  async function greet(id: string): Promise<void> {
    missingSince.delete(id);
    if (dead.has(id)) {
      // It was declared dead, and the mark is lost: it must learn of it.
      await link.command(nodeKey(id), "SET", nodeKey(id), DEAD, "XX", "PX", `${DEAD_TTL_MS}`);
      return;
    }
    if (peers.has(id)) return;
    peers.add(id);
    log.info({ peerId: id }, "a node joined");
    onJoined(id);
  }

  async function suspect(id: string, now: number): Promise<void> {
    const since = missingSince.get(id) ?? now;
    missingSince.set(id, since);
    // Not before everybody had the time to refresh against a Redis that answers.
    if (now - since < CONFIRM_MS || now - steadySince < TTL_MS) return;
    const declared = await link.command(nodeKey(id), "SET", nodeKey(id), DEAD, "NX", "PX", `${DEAD_TTL_MS}`);
    // Listed until it is buried, also when the list was lost meanwhile.
    if (declared !== null) await link.command(NODES_KEY, "SADD", NODES_KEY, id);
  }

  function mourn(id: string, life: string, isListed: boolean): void {
    missingSince.delete(id);
    dead.add(id);
    if (peers.delete(id)) {
      mourned.add(id);
      log.warn({ peerId: id }, "a node left");
      onLeft(id);
    }
    if (life === ADOPTED && mourned.has(id)) onAdopted(id);
    if (life === BURIED && mourned.delete(id)) onBuried(id);
    if (isListed) onOrphan(id);
  }

  return {
    peers: peers as ReadonlySet<string>,
    async look(): Promise<void> {
      running ??= once()
        .catch((error: unknown) => {
          steadySince = performance.now();
          if (!(error instanceof RedisAway)) log.error({ err: error }, "the other nodes cannot be looked at");
        })
        .finally(() => {
          running = undefined;
        });
      return running;
    },
    stop() {
      hasStopped = true;
    },
  };
}
