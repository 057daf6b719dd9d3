import type { Log } from "../core/bus.ts";
import type { TaskDevice } from "./task-record.ts";

export interface TaskWorkersOptions {
  /** At a time. */
  readonly most: number;
  readonly work: (device: TaskDevice, isBack: boolean) => Promise<void>;
  readonly log: Log;
}

interface Wish {
  readonly priority: number;
  /** The device has just come back. */
  readonly isBack: boolean;
}

/** Works for some devices at a time, the most urgent first and each of them by one worker alone. */
export class TaskWorkers {
  readonly #options: TaskWorkersOptions;
  readonly #waiting = new Map<string, Wish & { readonly device: TaskDevice }>();
  readonly #busy = new Map<string, Promise<void>>();
  #isClosed = false;

  constructor(options: TaskWorkersOptions) {
    this.#options = options;
  }

  ask(device: TaskDevice, { priority, isBack }: Wish): void {
    if (this.#isClosed) return;
    const known = this.#waiting.get(device.id);
    this.#waiting.set(device.id, {
      device,
      priority: Math.max(priority, known?.priority ?? 0),
      isBack: isBack || known?.isBack === true,
    });
    this.#begin();
  }

  /** Resolves when nobody works any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#waiting.clear();
    await Promise.all(this.#busy.values());
  }

  #begin(): void {
    while (this.#busy.size < this.#options.most) {
      const next = this.#next();
      if (!next) return;
      const { device, isBack } = next;
      this.#waiting.delete(device.id);
      this.#busy.set(device.id, this.#work(device, isBack));
    }
  }

  /** The first of the most urgent that nobody works for. */
  #next() {
    let best: (Wish & { readonly device: TaskDevice }) | undefined;
    for (const one of this.#waiting.values()) if (!this.#busy.has(one.device.id) && (!best || one.priority > best.priority)) best = one;
    return best;
  }

  async #work(device: TaskDevice, isBack: boolean): Promise<void> {
    try {
      await this.#options.work(device, isBack);
    } catch (error) {
      // Its timer, or the next look at what waits, brings it up again.
      this.#options.log.error({ err: error, deviceUid: device.uid }, "a device's tasks could not be handed out");
    } finally {
      this.#busy.delete(device.id);
      if (!this.#isClosed) this.#begin();
    }
  }
}
