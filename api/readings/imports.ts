import { HubError } from "../../core/errors.ts";
import type { Member } from "../../core/principal.ts";
import { createPlaces } from "../stream-places.ts";

/** At a time, at this node. */
const PLACES = { ofAll: 4, ofOrganization: 2, ofOne: 2 };

/** The files of readings that this node takes in. Disposing stops them, and waits until it is written down how far they came. */
export class ReadingImports implements AsyncDisposable {
  readonly #takePlace = createPlaces(PLACES);
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<unknown>>();

  /** Throws `rate_limited` when there are as many as there may be, and `unavailable` when the hub stops. */
  async run<T>(who: Member, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { signal } = this.#stop;
    if (signal.aborted) throw new HubError("unavailable", "the hub stops");
    using place = this.#takePlace(who);
    if (!place)
      throw new HubError("rate_limited", "as many files are taken in as may be at once: send this one later", {
        details: { retry_after_s: 30 },
      });
    const running = work(signal);
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled(this.#running);
  }
}
