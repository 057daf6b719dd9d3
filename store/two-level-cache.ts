import { setTimeout as pause } from "node:timers/promises";
import { LRUCache } from "lru-cache";
import { boundedCache } from "../core/bounded-cache.ts";
import type { Bus, Log, Metrics, SharedCache } from "../core/bus.ts";
import { HUB_TOPICS } from "../core/hub-topics.ts";
import type { Db } from "./open.ts";
import { revisionOf } from "./revisions.ts";

/** What is read and cached as a whole. Its changes are counted: see {@link documentKey}. */
export interface CachedDocument<T> {
  /** For metrics and keys. */
  readonly name: string;
  readonly read: (db: Db, id: string) => Promise<T>;
  /** What another node, of another release maybe, has written. Throws when it is something else. */
  readonly parse: (value: unknown) => T;
}

/** The name of one document, under which its changes are counted (store/revisions.ts) and it is cached. */
export const documentKey = ({ name }: Pick<CachedDocument<unknown>, "name">, id: string): string => `${name}:${id}`;

export interface TwoLevelCacheOptions {
  readonly db: Db;
  /** undefined on a node that is alone. */
  readonly shared: SharedCache | undefined;
  readonly metrics: Metrics;
  readonly log: Log;
  /** 10 s: how old a value may be whose change nobody has told of, since the node that made it died right behind the commit. */
  readonly memoryTtlMs?: number;
  /** 60 s: the same of what nodes share. */
  readonly sharedTtlMs?: number;
  /** 1,000 */
  readonly maxEntries?: number;
  /** 16 MiB of JSON */
  readonly maxBytes?: number;
}

interface Entry {
  readonly revision: number;
  readonly value: unknown;
  readonly size: number;
}
interface Flight {
  readonly entry: Promise<Entry>;
  /** Set by a change: who asks later must not get what was read before it. */
  isOutdated: boolean;
}

const MEMORY_TTL_MS = 10_000;
const SHARED_TTL_MS = 60_000;
const MAX_ENTRIES = 1_000;
const MAX_BYTES = 16 * 1024 * 1024;
/** What has changed lately; of the rest the revisions in Redis tell. */
const MAX_FLOORS = 10_000;
const MAX_OWED = 1_000;
/** For so long the shared cache is not asked again that did not answer. */
const REST_MS = 1_000;
/** A little more, so that it is asked. */
const PAY_EVERY_MS = 1_100;

/**
 * Documents in memory, before that in Redis, before that in the database. Each has a revision, and no node stores one that is
 * older than what it has heard of, nor does Redis: a value that was read before a change cannot come back behind it.
 */
export class TwoLevelCache implements AsyncDisposable {
  readonly #options: TwoLevelCacheOptions;
  readonly #memory: LRUCache<string, Entry>;
  /** The oldest revision that may still be answered, by key. */
  readonly #floors = boundedCache<number>(MAX_FLOORS);
  readonly #flights = new Map<string, Flight>();
  /** Changes that the shared cache has not heard of. */
  readonly #owed = new Map<string, number>();
  readonly #closing = new AbortController();
  readonly #sharedTtlMs: number;
  #restsUntil = 0;
  #paying: Promise<void> | undefined;
  #announce = (_key: string, _revision: number): void => {};

  constructor(options: TwoLevelCacheOptions) {
    this.#options = options;
    const { memoryTtlMs = MEMORY_TTL_MS, sharedTtlMs = SHARED_TTL_MS, maxEntries = MAX_ENTRIES, maxBytes = MAX_BYTES } = options;
    this.#sharedTtlMs = sharedTtlMs;
    this.#memory = new LRUCache({
      max: maxEntries,
      maxSize: maxBytes,
      ttl: memoryTtlMs,
      sizeCalculation: ({ size }) => size,
    });
  }

  /** The document as it is, or was when this was called. What comes is everybody's: do not change it. */
  async read<T>(document: CachedDocument<T>, id: string): Promise<T> {
    const key = documentKey(document, id);
    const known = this.#memory.get(key);
    if (known) {
      this.#count(document, "memory");
      return known.value as T;
    }
    let flight = this.#flights.get(key);
    if (!flight) {
      flight = { entry: this.#load(document, id, () => flight as Flight), isOutdated: false };
      this.#flights.set(key, flight);
    }
    return (await flight.entry).value as T;
  }

  /** Belongs behind the commit of a change: now no node goes on with an older revision, or each as soon as it can be told. */
  async changed(key: string, revision: number): Promise<void> {
    this.#outdate(key, revision);
    this.#announce(key, revision);
    if (!this.#options.shared) return;
    if (await this.#ask((shared) => shared.outdate(key, revision, this.#sharedTtlMs))) return;
    this.#owed.set(key, Math.max(revision, this.#owed.get(key) ?? 0));
    // Beyond that the lifetime in Redis has to do.
    for (const [oldest] of this.#owed) if (this.#owed.size > MAX_OWED) this.#owed.delete(oldest);
    this.#pay();
  }

  /** From now on this cache and those of the other nodes hear of each other's changes. */
  share({ bus, log }: { readonly bus: Bus; readonly log: Log }): Disposable & { reload(): void } {
    const topic = HUB_TOPICS.cache;
    const subscription = bus.subscribe(topic, (_topic, payload) => {
      const { key, revision } = JSON.parse(payload.toString()) as { key: string; revision: number };
      this.#outdate(key, revision);
    });
    this.#announce = (key, revision) => {
      bus
        .publish({ topic, payload: JSON.stringify({ key, revision }), qos: 1 })
        .catch((error: unknown) => log.error({ err: error, topic, key }, "a change could not be announced"));
    };
    return { reload: () => this.#forget(), [Symbol.dispose]: () => subscription[Symbol.dispose]() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#paying;
  }

  #outdate(key: string, revision: number): void {
    // The bus may say the same twice, and of two changes the later first.
    if (revision <= (this.#floors.get(key) ?? 0)) return;
    this.#floors.set(key, revision);
    if ((this.#memory.peek(key)?.revision ?? revision) < revision) this.#memory.delete(key);
    this.#endFlight(key);
  }

  /** Changes may have been missed. */
  #forget(): void {
    this.#memory.clear();
    for (const key of this.#flights.keys()) this.#endFlight(key);
  }

  #endFlight(key: string): void {
    const flight = this.#flights.get(key);
    if (flight) flight.isOutdated = true;
    this.#flights.delete(key);
  }

  async #load<T>(document: CachedDocument<T>, id: string, flight: () => Flight): Promise<Entry> {
    const key = documentKey(document, id);
    try {
      const shared = await this.#fromShared(document, key);
      const entry = shared ?? (await this.#fromDatabase(document, id));
      this.#count(document, shared ? "shared" : "database");
      if (!flight().isOutdated && this.#isCurrent(key, entry)) this.#memory.set(key, entry);
      return entry;
    } finally {
      if (!flight().isOutdated) this.#flights.delete(key);
    }
  }

  async #fromShared<T>(document: CachedDocument<T>, key: string): Promise<Entry | undefined> {
    const found = (await this.#ask((shared) => shared.find(key)))?.answer;
    if (!found || !this.#isCurrent(key, found)) return undefined;
    try {
      return { revision: found.revision, value: document.parse(JSON.parse(found.text)), size: found.text.length };
    } catch (error) {
      this.#options.log.warn({ err: error, key }, "what another node cached cannot be read");
      return undefined;
    }
  }

  async #fromDatabase<T>(document: CachedDocument<T>, id: string): Promise<Entry> {
    const key = documentKey(document, id);
    const since = performance.now();
    const revision = await revisionOf(this.#options.db, key);
    const value = await document.read(this.#options.db, id);
    const text = JSON.stringify(value);
    const entry = { revision, value, size: text.length };
    // Word of a change is not kept for ever: what was read before half of that time may be older than what is forgotten.
    const isFresh = performance.now() - since < this.#sharedTtlMs / 2;
    if (isFresh && this.#isCurrent(key, entry)) await this.#ask((shared) => shared.put(key, { revision, text }, this.#sharedTtlMs));
    return entry;
  }

  #isCurrent(key: string, { revision }: { readonly revision: number }): boolean {
    return revision >= (this.#floors.get(key) ?? 0);
  }

  /** undefined when there is no shared cache, or none that answers. */
  async #ask<R>(work: (shared: SharedCache) => Promise<R>): Promise<{ answer: R } | undefined> {
    const { shared, metrics, log } = this.#options;
    if (!shared || performance.now() < this.#restsUntil) return undefined;
    try {
      return { answer: await work(shared) };
    } catch (error) {
      this.#restsUntil = performance.now() + REST_MS;
      metrics.count("hexahub_cache_shared_failures_total");
      log.debug({ err: error }, "the shared cache does not answer");
      return undefined;
    }
  }

  /** Tells the shared cache what it has missed, as soon as it answers. */
  #pay(): void {
    const { signal } = this.#closing;
    this.#paying ??= (async () => {
      while (this.#owed.size > 0 && !signal.aborted) {
        await pause(PAY_EVERY_MS, undefined, { signal, ref: false }).catch(() => undefined);
        for (const [key, revision] of this.#owed) {
          if (signal.aborted || !(await this.#ask((shared) => shared.outdate(key, revision, this.#sharedTtlMs)))) break;
          if (this.#owed.get(key) === revision) this.#owed.delete(key);
        }
      }
      this.#paying = undefined;
    })();
  }

  #count({ name: cache }: { readonly name: string }, level: "memory" | "shared" | "database"): void {
    this.#options.metrics.count("hexahub_cache_reads_total", { cache, level });
  }
}
