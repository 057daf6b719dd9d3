import { deserialize, serialize } from "node:v8";
import type { BrokerStateChange, BrokerStateKind } from "../store/broker-state.ts";

export interface WriteBehindOptions {
  readonly save: (changes: BrokerStateChange[]) => Promise<void>;
  readonly onError: (error: unknown) => void;
  /** Called after each commit. */
  readonly onSaved?: () => void;
  /** What the group's own row says, which goes with it: how far the rows have got. */
  readonly mark?: () => object | undefined;
  /** The key of that row. */
  readonly markKey?: string;
}

/** How long after a failed write the rows are tried again. */
const RETRY_MS = 1_000;

/**
 * Rows on their way to the database, committed in groups. A row that comes and goes between two commits is never
 * written. If a commit fails nothing is lost: what was not overwritten meanwhile is tried again.
 */
export class WriteBehind {
  readonly #options: WriteBehindOptions;
  #dirty = new Map<string, BrokerStateChange>();
  /** Rows that exist in the database, or are on their way: only those need a delete. */
  readonly #written = new Set<string>();
  /** The commit that gets what is changed now. */
  #next: Promise<void> | undefined;
  #running: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;

  constructor(options: WriteBehindOptions) {
    this.#options = options;
  }

  /** Notes a row that the database has, and returns its value. Where a Buffer went in, a plain typed array comes back. */
  restore({ kind, clientId, key, value }: { kind: string; clientId: string; key: string; value: Buffer }): Record<string, unknown> {
    this.note(kind, clientId, key);
    return deserialize(value) as Record<string, unknown>;
  }

  /** Somebody else has put the row there: a delete reaches it. */
  note(kind: string, clientId: string, key: string): void {
    this.#written.add(rowKey(kind, clientId, key));
  }

  put(kind: BrokerStateKind, clientId: string, key: string, value: object): void {
    this.#dirty.set(rowKey(kind, clientId, key), { kind, clientId, key, value: serialize(value) });
    this.#soon();
  }

  delete(kind: BrokerStateKind, clientId: string, key: string): void {
    const row = rowKey(kind, clientId, key);
    if (this.#written.has(row)) this.#dirty.set(row, { kind, clientId, key, value: null });
    else this.#dirty.delete(row);
    this.#soon();
  }

  /** Forgets what was not written: it is somebody else's now. */
  discard(): void {
    this.#dirty = new Map();
  }

  /** Resolves when everything that was changed up to now is committed; rejects when it could not be. */
  async flushed(): Promise<void> {
    await (this.#dirty.size > 0 ? this.#commitNext() : this.#running);
  }

  #soon(): void {
    if (this.#dirty.size > 0) void this.#commitNext();
  }

  /** One commit after the other: the next one has everything that was changed before it begins, and nobody waits for two. */
  #commitNext(): Promise<void> {
    if (this.#next) return this.#next;
    const next = this.#afterRunning();
    // Whoever awaits a row sees the error; for the others it was reported, and the rows are tried again.
    next.catch(() => this.#retryLater());
    this.#next = next;
    return next;
  }

  #retryLater(): void {
    if (this.#retry) return;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#soon();
    }, RETRY_MS).unref();
  }

  async #afterRunning(): Promise<void> {
    await this.#running?.catch(() => undefined);
    // The rest of this turn still belongs to the group.
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#next = undefined;
    this.#running = this.#write().finally(() => {
      this.#running = undefined;
    });
    await this.#running;
  }

  async #write(): Promise<void> {
    const group = this.#dirty;
    this.#dirty = new Map();
    if (group.size === 0) return;
    const { mark: nextMark, markKey = "" } = this.#options;
    const markRow = rowKey("replay", "", markKey);
    const mark = group.has(markRow) ? undefined : nextMark?.();
    if (mark) group.set(markRow, { kind: "replay", clientId: "", key: markKey, value: serialize(mark) });
    for (const [row, { value }] of group) if (value !== null) this.#written.add(row);
    try {
      await this.#options.save([...group.values()]);
    } catch (error) {
      for (const [row, change] of group) if (!this.#dirty.has(row)) this.#dirty.set(row, change);
      this.#options.onError(error);
      throw error;
    }
    this.#options.onSaved?.();
    for (const [row, { value }] of group) if (value === null) this.#written.delete(row);
  }
}

const rowKey = (kind: string, clientId: string, key: string): string => `${kind}\0${clientId}\0${key}`;
