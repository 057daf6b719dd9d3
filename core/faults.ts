import { within } from "./definition.ts";
import { HubError } from "./errors.ts";

export interface Fault {
  /** JSON Pointer. */
  readonly path: string;
  readonly message: string;
}

/** Whoever mends a hundred reads them again afterwards. */
const MOST_TOLD = 100;

/** Everything that is wrong with something, so that it is told at once. */
export class Faults {
  readonly #all = new Map<string, Fault>();

  get isEmpty(): boolean {
    return this.#all.size === 0;
  }

  get all(): readonly Fault[] {
    return [...this.#all.values()];
  }

  add(path: string, message: string): void {
    if (this.#all.size < MOST_TOLD) this.#all.set(`${path} ${message}`, { path, message });
  }

  /** What `parse` gives; undefined where it throws `validation_error`, whose faults are kept with `path` before theirs. */
  collect<T>(path: string, parse: () => T): T | undefined {
    try {
      return within(path, parse);
    } catch (error) {
      if (!(error instanceof HubError) || !Array.isArray(error.details)) throw error;
      for (const one of error.details as Fault[]) this.add(one.path, one.message);
      return undefined;
    }
  }

  /** Throws `validation_error` with all of them. */
  refuse(): void {
    const { all } = this;
    const [first] = all;
    if (!first) return;
    const more = all.length === 1 ? "" : `, and ${all.length - 1} more`;
    throw new HubError("validation_error", `${first.path} ${first.message}${more}`, { details: all });
  }
}
