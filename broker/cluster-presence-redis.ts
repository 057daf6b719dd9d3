import type { Log } from "../core/bus.ts";
import { RedisAway } from "./cluster-connection.ts";
import { ONLINE_KEY, REVOKED_KEY, routeKey } from "./cluster-keys.ts";
import type { Leases } from "./cluster-leases.ts";
import { BOARD_SWEEP_MS, BOARD_TTL_MS, type PresenceBoard, type PresenceBoardOptions } from "./cluster-presence.ts";
import { extendRoute, type Noted, writeOffline, writePresence, writeRoute } from "./cluster-presence-keys.ts";
import { sweepExpired } from "./cluster-presence-sweep.ts";
import type { RedisLink } from "./cluster-redis.ts";

export interface RedisBoardOptions extends PresenceBoardOptions {
  readonly link: RedisLink;
  readonly leases: Leases;
  readonly log: Log;
}

interface Present extends Omit<Noted, "nodeId" | "seenAt"> {
  seenAt: number;
  /** Nothing of it is in Redis yet. */
  isNew: boolean;
  /** When Redis was last told, ms since 1970. */
  notedAt: number;
  wasRevoked: boolean;
}
type Ended = Omit<Noted, "nodeId">;

const FLUSH_MS = 1_000;
const POLL_MS = 800;
/** Devices in one round of commands; the next round waits for the answers, so that others get their turn. */
const ROUND = 250;
/** A chatty device is noted so often at most, as a part of the lifetime. */
const REFRESH_PARTS = 8;

/** For a node among others. While Redis is away nothing is lost but the time: what changed is noted when it is back. */
export class RedisBoard implements PresenceBoard {
  readonly #options: RedisBoardOptions;
  readonly #ttlMs: number;
  readonly #present = new Map<string, Present>();
  #ended: Ended[] = [];
  #flushing: Promise<void> | undefined;
  /** A round for those who came just now is on its way. */
  #isHurrying = false;
  readonly #revokedListeners: ((deviceId: string, connectionId: string) => void)[] = [];
  readonly #expiredListeners: ((deviceId: string) => Promise<void>)[] = [];
  readonly #timers: NodeJS.Timeout[];
  readonly #sweeping: AsyncDisposable;

  constructor(options: RedisBoardOptions) {
    const { link, log, leases, ttlMs = BOARD_TTL_MS, sweepMs = BOARD_SWEEP_MS } = options;
    this.#options = options;
    this.#ttlMs = ttlMs;
    this.#timers = [
      setInterval(() => void this.#soon(), FLUSH_MS).unref(),
      setInterval(() => void this.#pollRevoked().catch(() => {}), POLL_MS).unref(),
    ];
    const tell = async (deviceId: string): Promise<void> => {
      for (const listener of this.#expiredListeners) await listener(deviceId);
    };
    this.#sweeping = leases.withLease("presence-sweep", 3 * sweepMs, ({ signal }) => sweepExpired({ link, log, sweepMs, tell }, signal));
  }

  online(deviceId: string, connectionId: string, capabilities: unknown): void {
    const json = JSON.stringify(capabilities ?? {});
    const seenAt = this.#options.clock();
    this.#present.set(deviceId, { deviceId, connectionId, capabilities: json, seenAt, isNew: true, notedAt: 0, wasRevoked: false });
    // Others send to it from now on.
    this.#planHurry();
  }

  seen(deviceId: string): void {
    const one = this.#present.get(deviceId);
    if (one) one.seenAt = this.#options.clock();
  }

  offline(deviceId: string, connectionId: string): void {
    const one = this.#present.get(deviceId);
    if (one?.connectionId !== connectionId) return;
    this.#present.delete(deviceId);
    this.#ended.push({ ...one, seenAt: this.#options.clock() });
    // Whoever sees it leave another node a moment later must not find it here.
    this.#planHurry();
  }

  async routeOf(deviceId: string): Promise<string | undefined> {
    const key = routeKey(deviceId);
    const nodeId = await this.#options.link.command(key, "HGET", key, "node_id").catch(() => null);
    return nodeId === null ? undefined : String(nodeId);
  }

  async revoke(jti: string): Promise<void> {
    await this.#options.link.command(REVOKED_KEY, "SADD", REVOKED_KEY, jti);
    await this.#pollRevoked();
  }

  async isRevoked(jti: string): Promise<boolean> {
    return (await this.#options.link.command(REVOKED_KEY, "SISMEMBER", REVOKED_KEY, jti)) === 1;
  }

  onRevoked(listener: (deviceId: string, connectionId: string) => void): void {
    this.#revokedListeners.push(listener);
  }

  onExpired(listener: (deviceId: string) => Promise<void>): void {
    this.#expiredListeners.push(listener);
  }

  async flushed(): Promise<void> {
    await this.#flushing;
    await this.#soon();
  }

  /** This node has a new id, or Redis lost what it had: everything is noted again. */
  renote(): void {
    for (const one of this.#present.values()) one.isNew = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#sweeping[Symbol.asyncDispose]();
    await this.flushed();
  }

  /** All who came and went within a turn are one round. */
  #planHurry(): void {
    if (this.#isHurrying) return;
    this.#isHurrying = true;
    setImmediate(() => void this.#hurry());
  }

  async #hurry(): Promise<void> {
    await this.#flushing;
    this.#isHurrying = false;
    await this.#soon();
  }

  #soon(): Promise<void> {
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  async #flush(): Promise<void> {
    const { link, log, clock } = this.#options;
    if (!link.isUp) return;
    const leaving = this.#ended;
    this.#ended = [];
    try {
      for (const round of rounds(leaving)) await this.#noteOffline(round);
      const sinceMs = this.#ttlMs / REFRESH_PARTS;
      const isDue = ({ isNew, seenAt, notedAt }: Present) => isNew || (seenAt > notedAt && clock() - notedAt >= sinceMs);
      for (const round of rounds([...this.#present.values()].filter(isDue))) await this.#noteOnline(round);
    } catch (err) {
      this.#ended = [...leaving, ...this.#ended];
      if (!(err instanceof RedisAway)) log.error({ err }, "presence could not be noted");
    }
  }

  /** The online set last: who finds a device in it finds its presence too. */
  async #noteOnline(round: readonly Present[]): Promise<void> {
    const { link, self } = this.#options;
    const nodeId = self();
    const ttlMs = this.#ttlMs;
    const kept: string[] = [];
    await Promise.all(
      round.map(async (one) => {
        const { deviceId, seenAt, isNew } = one;
        const noted = { ...one, nodeId };
        const route = isNew ? "missing" : await extendRoute(link, noted, ttlMs);
        // Another connection has it: that one's presence is not to be touched.
        if (route === "elsewhere" || this.#present.get(deviceId) !== one) return;
        if (route === "missing") await writeRoute(link, noted, ttlMs);
        await writePresence(link, noted, ttlMs);
        one.notedAt = Math.max(seenAt, one.notedAt);
        one.isNew = false;
        kept.push(deviceId);
      }),
    );
    if (kept.length > 0) await link.command(ONLINE_KEY, "SADD", ONLINE_KEY, ...kept);
  }

  async #noteOffline(round: readonly Ended[]): Promise<void> {
    const { link, self } = this.#options;
    const nodeId = self();
    const gone: string[] = [];
    await Promise.all(
      round.map(async (one) => {
        if (await writeOffline(link, { ...one, nodeId })) gone.push(one.deviceId);
      }),
    );
    // A device that has come back here meanwhile is noted right after this.
    if (gone.length > 0) await link.command(ONLINE_KEY, "SREM", ONLINE_KEY, ...gone);
  }

  async #pollRevoked(): Promise<void> {
    const { link } = this.#options;
    const live = new Map([...this.#present.values()].filter((one) => !one.wasRevoked).map((one) => [one.connectionId, one]));
    if (!link.isUp || live.size === 0) return;
    for (const connectionId of await revokedAmong(link, [...live.keys()])) {
      const one = live.get(connectionId);
      if (!one || one.wasRevoked || this.#present.get(one.deviceId) !== one) continue;
      one.wasRevoked = true;
      for (const listener of this.#revokedListeners) listener(one.deviceId, connectionId);
    }
  }
}

/** Asks for the smaller side: all that is revoked, or each of the connections. */
async function revokedAmong(link: RedisLink, connectionIds: readonly string[]): Promise<string[]> {
  const count = Number(await link.command(REVOKED_KEY, "SCARD", REVOKED_KEY));
  if (count === 0 || connectionIds.length === 0) return [];
  if (count <= connectionIds.length) {
    const all = await link.command(REVOKED_KEY, "SMEMBERS", REVOKED_KEY);
    return Array.isArray(all) ? all.map(String) : [];
  }
  const found: string[] = [];
  for (const round of rounds(connectionIds)) {
    const flags = await link.command(REVOKED_KEY, "SMISMEMBER", REVOKED_KEY, ...round);
    if (Array.isArray(flags)) found.push(...round.filter((_id, index) => flags[index] === 1));
  }
  return found;
}

function* rounds<T>(all: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < all.length; at += ROUND) yield all.slice(at, at + ROUND);
}
