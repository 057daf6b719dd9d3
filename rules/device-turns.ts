import { HubError } from "../core/errors.ts";

/** Work on one device runs one piece after the other, in the order of asking; different devices do not wait for each other. */
export class DeviceTurns {
  readonly #last = new Map<string, Promise<void>>();
  #isClosed = false;

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whether the next piece of work of this device will have to wait. */
  isBusy(deviceId: string): boolean {
    return this.#last.has(deviceId);
  }

  /** Rejects with what the work rejects with; what comes after it runs all the same. Throws `unavailable` after {@link DeviceTurns.close}. */
  async run<T>(deviceId: string, work: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new HubError("unavailable", "the hub stops");
    const turn = (this.#last.get(deviceId) ?? Promise.resolve()).then(work);
    const release = (): void => {
      if (this.#last.get(deviceId) === ended) this.#last.delete(deviceId);
    };
    const ended: Promise<void> = turn.then(release, release);
    this.#last.set(deviceId, ended);
    return turn;
  }

  /** Takes no more work and resolves when what was taken is done. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#last.values());
  }
}
