import { createHash } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { Log } from "../core/bus.ts";
import { connectRedis, RedisAway, type RedisArg, type RedisConnection, type RedisReply } from "./cluster-connection.ts";

/** A connection to Redis that comes back by itself. Nothing waits in it: while Redis is away every command is refused at once. */
export interface RedisLink extends AsyncDisposable {
  readonly isUp: boolean;
  /** How long the last answer took, or how long the oldest command waits by now if that is longer; 0 before the first. */
  readonly roundTripMs: number;
  /**
   * `key` names the slot on Redis Cluster. Rejects with {@link RedisAway} when Redis is away or does not answer within
   * 5 s (the command may still have been, or be, executed), or with the error that Redis answered.
   */
  command(key: string, ...args: RedisArg[]): Promise<RedisReply>;
  /** Runs a script with `key` as KEYS[1] and the rest as ARGV. */
  run(script: RedisScript, key: string, ...args: RedisArg[]): Promise<RedisReply>;
  /** Called after each connect, the first one included. */
  onUp(listener: () => void): void;
}

export interface RedisScript {
  readonly source: string;
  readonly sha1: string;
}

export interface RedisOptions {
  /** One URL, or several (seeds of a Redis Cluster) separated by commas; `redis:` or `rediss:`. */
  readonly url: string;
  readonly log: Log;
  /** What this connection is for, in the log. */
  readonly purpose: string;
}

/** A command that is not answered for so long has no connection behind it any more, or a Redis that stands still. */
const STALL_MS = 5_000;
const WATCH_MS = 500;
const RETRY_MIN_MS = 50;
/** Well below what a node may be missing when the others have Redis again. */
const RETRY_MAX_MS = 500;

export function redisScript(source: string): RedisScript {
  return { source, sha1: createHash("sha1").update(source).digest("hex") };
}

/** Comes back at once and connects in the background, for as long as it takes. */
export function openRedis(options: RedisOptions): RedisLink {
  const closing = new AbortController();
  const listeners: (() => void)[] = [];
  const waiting = watchedCalls(() => cut(new Error(`no answer for ${STALL_MS} ms`)));
  let connection: RedisConnection | undefined;
  let cut: (why: unknown) => void = () => {};

  async function hold(fresh: RedisConnection): Promise<void> {
    const { promise: torn, resolve } = Promise.withResolvers<unknown>();
    cut = resolve;
    connection = fresh;
    options.log.info({ purpose: options.purpose }, "connected to Redis");
    for (const listener of listeners) listener();
    closing.signal.addEventListener("abort", resolve, { once: true });
    const err = await Promise.race([fresh.lost, torn]);
    closing.signal.removeEventListener("abort", resolve);
    connection = undefined;
    fresh.close();
    if (!closing.signal.aborted) options.log.warn({ err, purpose: options.purpose }, "Redis is away");
  }

  async function command(key: string, ...args: RedisArg[]): Promise<RedisReply> {
    if (!connection) throw new RedisAway("Redis is away");
    return waiting.watch(connection.send(key, args));
  }

  const running = keepConnected({ ...options, signal: closing.signal, hold });
  return {
    get isUp() {
      return connection !== undefined;
    },
    get roundTripMs() {
      return waiting.roundTripMs;
    },
    command,
    onUp: (listener) => void listeners.push(listener),
    async run(script, key, ...args) {
      try {
        return await command(key, "EVALSHA", script.sha1, "1", key, ...args);
      } catch (error) {
        if (!(error instanceof Error && error.message.startsWith("NOSCRIPT"))) throw error;
        return command(key, "EVAL", script.source, "1", key, ...args);
      }
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      waiting.stop();
      await running;
    },
  };
}

/** Connects, holds what it got until that is lost, and again; the URLs take turns, with a growing random pause. */
async function keepConnected(
  options: RedisOptions & { signal: AbortSignal; hold: (fresh: RedisConnection) => Promise<void> },
): Promise<void> {
  const { log, signal, hold } = options;
  const urls = options.url.split(",").map((url) => url.trim());
  for (let turn = 0, failures = 0; !signal.aborted; turn += 1) {
    try {
      const fresh = await connectRedis(urls[turn % urls.length] ?? "", urls);
      const heldAt = performance.now();
      if (signal.aborted) fresh.close();
      else await hold(fresh);
      // A connection that breaks at once is a failure too, or this would spin.
      failures = performance.now() - heldAt > RETRY_MAX_MS ? 0 : failures + 1;
    } catch (error) {
      failures += 1;
      if (failures === 1 && !signal.aborted) log.warn({ err: error, purpose: options.purpose }, "Redis is not reachable");
    }
    // Random, so that the nodes of a cluster do not come back in step.
    const limit = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(failures, 10));
    await pause(limit * (0.5 + Math.random() / 2), undefined, { signal, ref: false }).catch(() => {});
  }
}

/** Knows the oldest call that waits for an answer, and says so when it waits for too long. */
function watchedCalls(onStall: () => void) {
  const startedAt = new Map<number, number>();
  let calls = 0;
  let watchedAt = performance.now();
  let lastMs = 0;
  const timer = setInterval(() => {
    const now = performance.now();
    // When this process itself stood still, its answers may lie in the socket: look again in the next round.
    const stoodStill = now - watchedAt > 3 * WATCH_MS;
    watchedAt = now;
    const [oldest] = startedAt.values();
    if (stoodStill || oldest === undefined || now - oldest <= STALL_MS) return;
    startedAt.clear();
    onStall();
  }, WATCH_MS).unref();
  return {
    get roundTripMs() {
      const [oldest] = startedAt.values();
      return oldest === undefined ? lastMs : Math.max(lastMs, performance.now() - oldest);
    },
    async watch<T>(call: Promise<T>): Promise<T> {
      const id = calls++;
      const since = performance.now();
      startedAt.set(id, since);
      try {
        const answer = await call;
        lastMs = performance.now() - since;
        return answer;
      } finally {
        startedAt.delete(id);
      }
    },
    stop: () => clearInterval(timer),
  };
}
