import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { Log } from "../core/bus.ts";
import { RedisAway, type RedisReply } from "./cluster-connection.ts";
import { leaseKey } from "./cluster-keys.ts";
import { type RedisLink, redisScript } from "./cluster-redis.ts";

/** A right that one holder in the cluster has. */
export interface Lease extends AsyncDisposable {
  /** Grows with every new holder: who writes somewhere with it can be refused when a newer one was there. */
  readonly fence: number;
  /** Aborted as soon as the lease may be over, so before anybody else can have it. */
  readonly signal: AbortSignal;
}

export interface Leases {
  /** undefined when somebody has it, or when Redis is away. */
  tryLease(name: string, ttlMs: number): Promise<Lease | undefined>;
  /**
   * Runs `work` on one node of the cluster at a time: again whenever it holds the lease and `work` has come to an end, until
   * disposed of, which waits for `work`. `work` has to end when its lease's signal aborts.
   */
  withLease(name: string, ttlMs: number, work: (lease: Pick<Lease, "fence" | "signal">) => Promise<void>): AsyncDisposable;
}

/** A hash without TTL, so that the fence outlives the holders; the time is Redis' own, the clocks of the nodes do not matter. */
const ACQUIRE = redisScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = redis.call('HMGET', KEYS[1], 'holder', 'until', 'fence')
if lease[1] and tonumber(lease[2]) > now then return 0 end
local fence = math.max(now, (tonumber(lease[3]) or 0) + 1)
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'until', string.format('%.0f', now + ARGV[2]), 'fence', string.format('%.0f', fence))
return fence`);
const RENEW = redisScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = redis.call('HMGET', KEYS[1], 'holder', 'until')
if lease[1] ~= ARGV[1] or tonumber(lease[2]) <= now then return 0 end
redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + ARGV[2]))
return 1`);
const RELEASE = redisScript(`
if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then return 0 end
return redis.call('HDEL', KEYS[1], 'holder')`);

/** Renewed three times in its life, and given up with a tenth of it left: timers are late and clocks differ in speed. */
const RENEWALS = 3;
const MARGIN = 0.1;

export function createLeases(link: RedisLink, log: Log): Leases {
  async function tryLease(name: string, ttlMs: number): Promise<Lease | undefined> {
    const holder = randomUUID();
    const askedAt = performance.now();
    let fence: RedisReply;
    try {
      fence = await link.run(ACQUIRE, leaseKey(name), holder, `${ttlMs}`);
    } catch (error) {
      if (error instanceof RedisAway) return undefined;
      throw error;
    }
    return Number(fence) > 0 ? hold({ link, name, ttlMs, holder }, Number(fence), askedAt) : undefined;
  }

  return {
    tryLease,
    withLease(name, ttlMs, work) {
      const closing = new AbortController();
      const running = (async () => {
        while (!closing.signal.aborted) {
          const lease = await tryLease(name, ttlMs).catch((err: unknown) => {
            log.error({ err, lease: name }, "a lease cannot be asked for");
          });
          if (lease) {
            const signal = AbortSignal.any([lease.signal, closing.signal]);
            await work({ fence: lease.fence, signal }).catch((err: unknown) =>
              log.error({ err, lease: name }, "the work of a lease failed"),
            );
            await lease[Symbol.asyncDispose]();
          }
          // Random, so that nobody always comes first.
          await pause((ttlMs / RENEWALS) * (0.5 + Math.random()), undefined, { signal: closing.signal, ref: false }).catch(() => {});
        }
      })();
      return {
        async [Symbol.asyncDispose]() {
          closing.abort();
          await running;
        },
      };
    },
  };
}

interface Holding {
  readonly link: RedisLink;
  readonly name: string;
  readonly ttlMs: number;
  readonly holder: string;
}

function hold({ link, name, ttlMs, holder }: Holding, fence: number, askedAt: number): Lease {
  const ending = new AbortController();
  const end = () => {
    clearInterval(renewing);
    clearTimeout(expiry);
    ending.abort();
  };
  const expiryAfter = (since: number) => setTimeout(end, Math.max(0, since + ttlMs * (1 - MARGIN) - performance.now())).unref();
  let expiry = expiryAfter(askedAt);
  const renewing = setInterval(() => void renew(), ttlMs / RENEWALS).unref();

  async function renew(): Promise<void> {
    const since = performance.now();
    try {
      const renewed = await link.run(RENEW, leaseKey(name), holder, `${ttlMs}`);
      if (ending.signal.aborted) return;
      if (renewed !== 1) return end();
      clearTimeout(expiry);
      expiry = expiryAfter(since);
    } catch {
      // The expiry decides, and the next renewal may come through before it.
    }
  }

  return {
    fence,
    signal: ending.signal,
    async [Symbol.asyncDispose]() {
      end();
      await link.run(RELEASE, leaseKey(name), holder).catch(() => {});
    },
  };
}
