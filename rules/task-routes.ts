import type { Log } from "../core/bus.ts";
import type { Db } from "../store/open.ts";
import { isLatestRoute, noteArrivals } from "../store/task-routes.ts";

export interface TaskRoutesContext {
  readonly db: Db;
  readonly log: Log;
  readonly nodeId: () => string;
}

/** Thousands may come back at once: they share a statement. */
const GATHERED_MS = 20;
/** Devices that are not here any more lie among them too, until they come again elsewhere or this many have been here. */
const MOST_KNOWN = 200_000;

/**
 * Which session of a device is the last, among several nodes: a node that has not heard yet that its session is over hands out no task
 * any more.
 */
export class TaskRoutes {
  readonly #context: TaskRoutesContext;
  readonly #sequences = new Map<string, number>();
  #arriving: string[] = [];
  #noting: Promise<void> | undefined;

  constructor(context: TaskRoutesContext) {
    this.#context = context;
  }

  /** Resolves when other nodes can know it. Rejects when that cannot be written. */
  async arrived(deviceId: string): Promise<void> {
    this.#sequences.delete(deviceId);
    this.#arriving.push(deviceId);
    this.#noting ??= this.#note();
    await this.#noting;
  }

  /** False before the device's session here is noted, and where that failed. */
  isKnown(deviceId: string): boolean {
    return this.#sequences.has(deviceId);
  }

  /** Whether a task may go to the device's session here. */
  async isLatest(trx: Db, deviceId: string): Promise<boolean> {
    const sequence = this.#sequences.get(deviceId);
    return sequence !== undefined && (await isLatestRoute(trx, deviceId, sequence));
  }

  async #note(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, GATHERED_MS));
    const ids = this.#arriving;
    this.#arriving = [];
    this.#noting = undefined;
    const noted = await noteArrivals(this.#context.db, ids, this.#context.nodeId());
    if (this.#sequences.size > MOST_KNOWN) this.#sequences.clear();
    // Of two arrivals shortly after one another the answers may come in any order.
    for (const [deviceId, sequence] of noted) this.#sequences.set(deviceId, Math.max(sequence, this.#sequences.get(deviceId) ?? 0));
  }
}
