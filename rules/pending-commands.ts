import type { CommandRecord } from "../core/command.ts";
import type { Outcome } from "./outcome.ts";

interface Pending {
  readonly record: CommandRecord;
  /** undefined: the hub stops before the answer. */
  readonly settle: (outcome: Outcome | undefined) => void;
  readonly outcome: Promise<Outcome | undefined>;
  readonly timer: NodeJS.Timeout;
}

/** The commands that this process sent and that have not ended. Their promises never reject, so that nobody has to wait. */
export class PendingCommands {
  readonly #byId = new Map<string, Pending>();

  /** To be called before anything is sent: a quick device answers within the same turn. */
  watch(record: CommandRecord, waitMs: number, onTimeout: (record: CommandRecord) => void): void {
    const { promise, resolve } = Promise.withResolvers<Outcome | undefined>();
    const timer = setTimeout(() => onTimeout(record), waitMs);
    this.#byId.set(record.id, { record, settle: resolve, outcome: promise, timer });
  }

  has(commandId: string): boolean {
    return this.#byId.has(commandId);
  }

  /** The outcome to come; undefined when this process does not wait for that command. */
  outcomeOf(commandId: string): Promise<Outcome | undefined> | undefined {
    return this.#byId.get(commandId)?.outcome;
  }

  ofDevice(deviceId: string): CommandRecord[] {
    return [...this.#byId.values()].map(({ record }) => record).filter((record) => record.deviceId === deviceId);
  }

  /** Harmless when nobody waits for it here. */
  settle(outcome: Outcome): void {
    this.#end(outcome.record.id, outcome);
  }

  /** The hub stops: nobody is left waiting. */
  abandon(): void {
    for (const id of this.#byId.keys()) this.#end(id, undefined);
  }

  #end(commandId: string, outcome: Outcome | undefined): void {
    const pending = this.#byId.get(commandId);
    if (!pending) return;
    this.#byId.delete(commandId);
    clearTimeout(pending.timer);
    pending.settle(outcome);
  }
}
