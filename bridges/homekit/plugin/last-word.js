/** What a phone writes at once, on and brightness for example, comes as several writes. */
const GATHER_MS = 10;

/**
 * Sends the last of many changes: what is changed while one waits for its turn becomes a part of it.
 * @template {object} T
 */
export class LastWord {
  /** @type {(change: T) => Promise<void>} */
  #send;
  /** @type {number} */
  #everyMs;
  #sentAt = -Infinity;
  #onTheWay = 0;
  /** @type {{ change: T, done: PromiseWithResolvers<void> } | undefined} */
  #next;

  /**
   * @param {(change: T) => Promise<void>} send
   * @param {number} everyMs  there is one message in so much time at most
   */
  constructor(send, everyMs) {
    this.#send = send;
    this.#everyMs = everyMs;
  }

  /** Whether something was written that has not arrived yet. */
  get isBusy() {
    return this.#next !== undefined || this.#onTheWay > 0;
  }

  /**
   * Resolves when the message that it is a part of has arrived.
   * @param {T} change
   * @returns {Promise<void>}
   */
  write(change) {
    if (this.#next) {
      this.#next.change = { ...this.#next.change, ...change };
      return this.#next.done.promise;
    }
    const next = { change, done: /** @type {PromiseWithResolvers<void>} */ (Promise.withResolvers()) };
    this.#next = next;
    setTimeout(() => void this.#flush(next), Math.max(GATHER_MS, this.#sentAt + this.#everyMs - performance.now()));
    return next.done.promise;
  }

  /** @param {{ change: T, done: PromiseWithResolvers<void> }} next */
  async #flush({ change, done }) {
    this.#next = undefined;
    this.#sentAt = performance.now();
    this.#onTheWay++;
    try {
      await this.#send(change);
      done.resolve();
    } catch (error) {
      done.reject(error);
    } finally {
      this.#onTheWay--;
    }
  }
}
