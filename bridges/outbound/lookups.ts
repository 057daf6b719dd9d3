/**
 * The system's resolver takes one of the process's four threads for as long as it waits, and files and ciphers need them as well: one is left to
 * those, and of the others nobody has all.
 */
const MOST = 3;
const MOST_OF_ONE = 2;

interface Waiting {
  readonly who: string;
  readonly begin: () => void;
}

/** Looks names up, so many at once; the next one is of whoever has the fewest under way. */
export class Lookups {
  readonly #resolve: (host: string) => Promise<readonly string[]>;
  readonly #running = new Map<string, number>();
  readonly #waiting = new Set<Waiting>();

  constructor(resolve: (host: string) => Promise<readonly string[]>) {
    this.#resolve = resolve;
  }

  /** For `who`. What is under way cannot be stopped by the signal, and counts until it ends. */
  async addressesOf(host: string, who: string, signal: AbortSignal): Promise<readonly string[]> {
    await this.#turn(who, signal);
    return await within(
      signal,
      this.#resolve(host).finally(() => this.#end(who)),
    );
  }

  async #turn(who: string, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiting = { who, begin: resolve };
    this.#waiting.add(waiting);
    this.#fill();
    try {
      await within(signal, promise);
    } catch (error) {
      // Its turn may have come just then.
      if (!this.#waiting.delete(waiting)) this.#end(who);
      throw error;
    }
  }

  #fill(): void {
    for (let next = this.#next(); next; next = this.#next()) {
      this.#waiting.delete(next);
      this.#running.set(next.who, this.#countOf(next.who) + 1);
      next.begin();
    }
  }

  #next(): Waiting | undefined {
    const all = this.#running.values().reduce((sum, count) => sum + count, 0);
    if (all >= MOST || this.#waiting.size === 0) return undefined;
    const next = [...this.#waiting].reduce((a, b) => (this.#countOf(b.who) < this.#countOf(a.who) ? b : a));
    return this.#countOf(next.who) < MOST_OF_ONE ? next : undefined;
  }

  #end(who: string): void {
    const left = this.#countOf(who) - 1;
    if (left > 0) this.#running.set(who, left);
    else this.#running.delete(who);
    this.#fill();
  }

  #countOf(who: string): number {
    return this.#running.get(who) ?? 0;
  }
}

/** Leaves the work alone when the signal comes first. */
function within<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = (): void => reject(signal.reason);
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  return Promise.race([work, promise]).finally(() => signal.removeEventListener("abort", stop));
}
