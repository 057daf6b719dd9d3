import type { Log } from "../core/bus.ts";
import { formatToken, parseToken } from "./cluster-claim-token.ts";
import { OWN_KINDS } from "./cluster-frame.ts";
import type { SendLetter } from "./cluster-interest.ts";
import { sessionKey } from "./cluster-keys.ts";
import { type RedisLink, redisScript } from "./cluster-redis.ts";

export interface ClaimsOptions {
  readonly link: RedisLink;
  readonly log: Log;
  readonly self: () => string;
  readonly send: SendLetter;
  /** The other nodes that live, as they are known here. */
  readonly peers: () => Iterable<string>;
  /** Whether the node lives, after a look if it is not known here. */
  readonly isAlive: (nodeId: string) => Promise<boolean>;
  /**
   * Ends this node's connection of the client, if there is one, and resolves when what the session needs elsewhere is stored.
   */
  readonly release: (clientId: string) => Promise<void>;
  readonly clock: () => number;
}

/** The right of one connection to be the client of that id in the whole cluster. */
export interface Claim {
  /** The node that had it before; this one, another one, or nobody. */
  readonly previous: string | undefined;
  /**
   * False as soon as somebody else has it. Look before the connection is let in, without waiting for anything in
   * between: from then on `release` is called for it.
   */
  readonly isCurrent: boolean;
  /** The connection has ended. Harmless for a claim that is not current. */
  end(): void;
}

export interface Claims {
  /** Takes the client id only when no living node has it; undefined when one has, or while Redis is away. */
  claimFree(clientId: string): Promise<Claim | undefined>;
  /**
   * Takes the client id, wherever it was. Resolves when the node that had it has let it go, when that node is dead, or
   * after 2 s; without Redis at once, with this node's word only, which is brought to Redis when it is back. Never rejects.
   */
  claim(clientId: string): Promise<Claim>;
}

interface Holding {
  readonly clientId: string;
  readonly token: string;
  isCurrent: boolean;
  /** The node that had it, as soon as that is known. */
  previous: string | undefined;
  /** Redis had it. */
  isConfirmed: boolean;
  /** Resolves when the claim does. */
  readonly settled: Promise<void>;
  readonly settle: () => void;
  isSettled: boolean;
}

/** What a node that was asked to let go needs at most; the connection comes first then. */
const RELEASE_MS = 2_000;
/** Keys of a cluster that died as a whole go by themselves. */
const TTL_MS = 3_600_000;
const REFRESH_ROUNDS = 1_200;
/** Claims that are brought to Redis at once. */
const ROUND = 1_000;

/** Deletes the key only when it is this claim's. */
const ERASE = redisScript(`if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`);
/**
 * Says the claim again. One that Redis had (ARGV[3] = '1') gives way to any other, which came later; one that was made
 * without Redis gives way to a younger one. Returns what stands there now, and what stood there before.
 */
const REASSERT = redisScript(`
local value = redis.call('GET', KEYS[1])
if value and value ~= ARGV[1] then
  if ARGV[3] == '1' then return {value, value} end
  local theirs = tonumber(value:match('/(%d+)-')) or 0
  local mine = tonumber(ARGV[1]:match('/(%d+)-'))
  if theirs > mine or (theirs == mine and value > ARGV[1]) then return {value, value} end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {ARGV[1], value or ''}`);

/** Takes the key when it still says what was read (ARGV[3], empty for nothing). Returns 1 when it did. */
const TAKE_FROM = redisScript(`
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[3] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`);

/** The client ids that this node has for its connections, and those that it asks other nodes for. */
export class ClientClaims implements Claims {
  readonly #options: ClaimsOptions;
  readonly #held = new Map<string, Holding>();
  /** Claims that wait for another node, by the token that it shall let go: ended by its answer, or by its death. */
  readonly #asked = new Map<string, { nodeId: string; resolve: () => void }>();
  #count = 0;
  #toRefresh: string[] = [];

  constructor(options: ClaimsOptions) {
    this.#options = options;
  }

  async claim(clientId: string): Promise<Claim> {
    const older = this.#held.get(clientId);
    if (older) older.isCurrent = false;
    this.#count += 1;
    const { self, clock } = this.#options;
    const holding = newHolding(clientId, formatToken({ nodeId: self(), claimedAt: clock(), count: this.#count }));
    this.#held.set(clientId, holding);
    // What Redis answers later than the limit still takes its course.
    const taking = this.#take(holding, older).catch(() => undefined);
    await within(taking, RELEASE_MS);
    holding.settle();
    return this.#claimOf(holding, holding.previous);
  }

  async claimFree(clientId: string): Promise<Claim | undefined> {
    const { self, clock, link, isAlive } = this.#options;
    if (this.#held.has(clientId)) return undefined;
    const key = sessionKey(clientId);
    try {
      const present = await link.command(key, "GET", key);
      const holder = present === null ? undefined : parseToken(String(present));
      // This node's own without a claim is one of which the answer was lost.
      if (holder && holder.nodeId !== self() && (await isAlive(holder.nodeId))) return undefined;
      this.#count += 1;
      const token = formatToken({ nodeId: self(), claimedAt: clock(), count: this.#count });
      // Held before it is taken: somebody else may ask for it as soon as it is.
      const holding = newHolding(clientId, token);
      this.#held.set(clientId, holding);
      const isTaken = await link.run(TAKE_FROM, key, token, `${TTL_MS}`, present === null ? "" : String(present)).catch(() => 0);
      if (isTaken !== 1 && holding.isCurrent) this.#lose(holding);
      holding.isConfirmed = isTaken === 1;
      holding.settle();
      return holding.isCurrent ? this.#claimOf(holding, holder?.nodeId) : undefined;
    } catch {
      return undefined;
    }
  }

  #claimOf(holding: Holding, previous: string | undefined): Claim {
    return {
      previous,
      get isCurrent() {
        return holding.isCurrent;
      },
      end: () => {
        if (!holding.isCurrent) return;
        this.#lose(holding);
        this.#erase(holding);
      },
    };
  }

  /** True when the message was one of these. */
  receive(peerId: string, kind: number, bytes: Buffer): boolean {
    if (kind !== OWN_KINDS.release && kind !== OWN_KINDS.released) return false;
    const { clientId, token } = JSON.parse(bytes.toString()) as { clientId: string; token: string };
    if (kind === OWN_KINDS.released) this.#asked.get(token)?.resolve();
    else void this.#letGo(clientId, token).finally(() => this.#options.send(peerId, OWN_KINDS.released, bytes));
    return true;
  }

  left(peerId: string): void {
    for (const { nodeId, resolve } of this.#asked.values()) if (nodeId === peerId) resolve();
  }

  /** Brings all claims to Redis again: it came back, or it had lost them. */
  async reassert(): Promise<void> {
    const all = [...this.#held.values()];
    for (let at = 0; at < all.length; at += ROUND) await this.#reassertSome(all.slice(at, at + ROUND));
  }

  /** All claims are void: this node was declared dead. */
  drop(): void {
    for (const holding of this.#held.values()) holding.isCurrent = false;
    this.#held.clear();
  }

  /** Keeps claims from expiring: a small part of them with each call, which is to come once a second. */
  async refresh(): Promise<void> {
    if (this.#toRefresh.length === 0) this.#toRefresh = [...this.#held.keys()];
    const some = this.#toRefresh.splice(-Math.ceil(this.#held.size / REFRESH_ROUNDS) || this.#toRefresh.length);
    await this.#reassertSome(some.flatMap((clientId) => this.#held.get(clientId) ?? []));
  }

  /** Takes the key, and has whoever had it let go. */
  async #take(holding: Holding, older: Holding | undefined): Promise<void> {
    const { clientId, token } = holding;
    const { link, self } = this.#options;
    const key = sessionKey(clientId);
    const reply = await link.command(key, "SET", key, token, "PX", `${TTL_MS}`, "GET");
    holding.isConfirmed = true;
    // It took so long that the connection has gone meanwhile.
    if (!holding.isCurrent && !this.#held.has(clientId)) this.#erase(holding);
    const previous = reply === null ? undefined : parseToken(String(reply));
    if (!previous) return;
    holding.previous = previous.nodeId;
    if (previous.nodeId === self()) await older?.settled;
    else await this.#ask(clientId, String(reply), previous.nodeId);
  }

  /** Resolves when the node has let go, is dead, or takes too long. */
  async #ask(clientId: string, token: string, nodeId: string): Promise<void> {
    const { isAlive, send } = this.#options;
    if (!(await isAlive(nodeId))) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#asked.set(token, { nodeId, resolve });
    send(nodeId, OWN_KINDS.release, releaseOf(clientId, token));
    await within(promise, RELEASE_MS);
    this.#asked.delete(token);
  }

  /** Somebody else has taken the id from the claim `token` of this node. Never rejects. */
  async #letGo(clientId: string, token: string): Promise<void> {
    const holding = this.#held.get(clientId);
    // Somebody has it and does not know from whom: Redis does.
    if (parseToken(token)?.nodeId !== this.#options.self())
      return holding?.isSettled ? this.#reassertOne(holding).catch(() => {}) : undefined;
    // A newer claim of this node that was let in already has ended the connection of that one.
    if (holding && holding.token !== token && holding.isSettled) return;
    if (holding?.token === token) {
      this.#lose(holding);
      // It may still wait for the one before it, which has to be over first.
      await holding.settled;
    }
    await this.#release(clientId);
  }

  async #release(clientId: string): Promise<void> {
    const { release, log } = this.#options;
    await release(clientId).catch((err: unknown) => log.error({ err, clientId }, "a connection could not be let go"));
  }

  #lose(holding: Holding): void {
    holding.isCurrent = false;
    if (this.#held.get(holding.clientId) === holding) this.#held.delete(holding.clientId);
  }

  /** Without Redis the key stays until it expires; whoever claims it asks this node, which has nothing to let go. */
  #erase({ clientId, token }: Holding): void {
    this.#options.link.run(ERASE, sessionKey(clientId), token).catch(() => {});
  }

  async #reassertSome(holdings: readonly Holding[]): Promise<void> {
    // Those that fail are brought with the next reconnect.
    await Promise.allSettled(holdings.map((holding) => this.#reassertOne(holding)));
  }

  async #reassertOne(holding: Holding): Promise<void> {
    const { clientId, token } = holding;
    const { link, log, self, send } = this.#options;
    const reply = await link.run(REASSERT, sessionKey(clientId), token, `${TTL_MS}`, holding.isConfirmed ? "1" : "0");
    const [now, before = ""] = Array.isArray(reply) ? reply.map(String) : [];
    if (!holding.isCurrent) {
      if (!this.#held.has(clientId)) this.#erase(holding);
    } else if (now === token) {
      const isUnheard = before === token && !holding.isConfirmed;
      holding.isConfirmed = true;
      const other = before === token ? undefined : parseToken(before);
      if (other && other.nodeId !== self()) await this.#ask(clientId, before, other.nodeId);
      // Redis took it, and its answer was lost: whoever had it before is asked with all others.
      if (isUnheard) for (const peerId of this.#options.peers()) send(peerId, OWN_KINDS.release, releaseOf(clientId, token));
    } else {
      this.#lose(holding);
      log.info({ clientId }, "a client had connected to another node while Redis was away");
      await this.#release(clientId);
    }
  }
}

const releaseOf = (clientId: string, token: string): Buffer => Buffer.from(JSON.stringify({ clientId, token }));

function newHolding(clientId: string, token: string): Holding {
  const { promise: settled, resolve } = Promise.withResolvers<void>();
  const holding: Holding = {
    clientId,
    token,
    isCurrent: true,
    previous: undefined,
    isConfirmed: false,
    isSettled: false,
    settled,
    settle: () => {
      holding.isSettled = true;
      resolve();
    },
  };
  return holding;
}

async function within<T>(work: Promise<T>, limitMs: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), limitMs).unref();
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
