import { setTimeout as pause } from "node:timers/promises";
import type { Bus, Log } from "../core/bus.ts";

export interface ChangedRowsOptions<T> {
  /** For the log: "changed devices". */
  readonly what: string;
  /** Those that the database has of these, or all of them. */
  readonly read: (keys?: readonly string[]) => Promise<ReadonlyMap<string, T>>;
  readonly known: () => Iterable<string>;
  readonly apply: (key: string, value: T | undefined) => void;
  readonly log: Log;
}

const RETRY_MS = 500;

/**
 * Keeps in memory what rows say. Whoever changes one says only that it did; what it is now is read, one read after the
 * other, so that changes of several nodes may be told in any order.
 */
export class ChangedRows<T> implements AsyncDisposable {
  readonly #options: ChangedRowsOptions<T>;
  readonly #closing = new AbortController();
  readonly #changed = new Set<string>();
  #isAllOpen = false;
  #running: Promise<void> | undefined;

  constructor(options: ChangedRowsOptions<T>) {
    this.#options = options;
  }

  note(key: string): void {
    this.#changed.add(key);
    this.#start();
  }

  /** A read that runs may have seen the row as it was before this. */
  noteIfReading(key: string): void {
    if (this.#running) this.#changed.add(key);
  }

  /** Changes may have been missed: reads all of it again. */
  reload(): void {
    this.#isAllOpen = true;
    this.#start();
  }

  /** Resolves when what was noted is known here. */
  async settled(): Promise<void> {
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  #start(): void {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  async #run(): Promise<void> {
    while ((this.#changed.size > 0 || this.#isAllOpen) && !this.#closing.signal.aborted) await this.#read();
  }

  async #read(): Promise<void> {
    const { what, read, known, apply, log } = this.#options;
    const all = this.#isAllOpen;
    this.#isAllOpen = false;
    const asked = [...(all ? known() : this.#changed)];
    this.#changed.clear();
    try {
      const found = await read(all ? undefined : asked);
      // What changed while this was read is read again, and must not be put back until then.
      for (const key of new Set([...asked, ...found.keys()])) if (!this.#changed.has(key)) apply(key, found.get(key));
    } catch (error) {
      for (const key of asked) this.#changed.add(key);
      this.#isAllOpen ||= all;
      log.error({ err: error }, `${what} could not be read; it is tried again`);
      await pause(RETRY_MS, undefined, { signal: this.#closing.signal, ref: false }).catch(() => undefined);
    }
  }
}

/** Tells the other nodes which rows changed, and hears it of them. The sender reads too, after its own change. */
export function shareChanges(
  rows: Pick<ChangedRows<unknown>, "note">,
  { bus, log, topic }: { readonly bus: Bus; readonly log: Log; readonly topic: string },
): Disposable & { announce(key: string): void } {
  const subscription = bus.subscribe(topic, (_topic, payload) => rows.note((JSON.parse(payload.toString()) as { key: string }).key));
  return {
    announce(key) {
      bus
        .publish({ topic, payload: JSON.stringify({ key }), qos: 1 })
        .catch((error: unknown) => log.error({ err: error, topic, key }, "a change could not be announced"));
    },
    [Symbol.dispose]: () => subscription[Symbol.dispose](),
  };
}
