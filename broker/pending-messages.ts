import type { Down } from "./gateway-session.ts";

interface Pending {
  readonly down: Down;
  /** What its answer names: a command's or a task's id. */
  readonly id: string | undefined;
  /** ms since 1970 */
  readonly until: number;
  isOffered: boolean;
}

/** What has no time of its own. */
const LIVES_MS = 3_600_000;
/** What came later may end sooner. */
const LOOK_MS = 5_000;

/**
 * What a device was sent and has not answered, oldest first: not acknowledged to the broker before, so that it comes
 * again with the next session, wherever that is. Never more than the session's window.
 */
export class PendingMessages {
  readonly #acknowledge: (packetId: number) => void;
  readonly #clock: () => number;
  readonly #messages = new Map<number, Pending>();
  #timer: NodeJS.Timeout | undefined;

  constructor(acknowledge: (packetId: number) => void, clock: () => number) {
    this.#acknowledge = acknowledge;
    this.#clock = clock;
  }

  get size(): number {
    return this.#messages.size;
  }

  get hasNew(): boolean {
    return this.#messages.values().some(({ isOffered }) => !isOffered);
  }

  /** Whether it is to be passed on: what is out of time is acknowledged and left. */
  add(down: Down): boolean {
    const { type, payload, packetId } = down;
    const now = this.#clock();
    const id = payload[type === "task" ? "task_id" : "command_id"];
    const expiresAt = Date.parse(String(payload["expires_at"]));
    const until = Number.isNaN(expiresAt) ? now + LIVES_MS : expiresAt;
    if (until <= now) {
      this.#acknowledge(packetId);
      return false;
    }
    this.#messages.set(packetId, { down, id: typeof id === "string" ? id : undefined, until, isOffered: false });
    this.#plan();
    return true;
  }

  /** The device has answered this command or task. */
  settle(id: string): void {
    this.#remove((one) => one.id === id);
  }

  /** Who asks again has got what was offered: what needs no answer is done with. */
  settleOffered(): void {
    this.#remove(({ id, isOffered }) => id === undefined && isOffered);
  }

  /** All that is still in time; from now on it is nothing new. */
  offer(): Down[] {
    this.#remove(({ until }) => until <= this.#clock());
    const all = [...this.#messages.values()];
    for (const one of all) one.isOffered = true;
    return all.map(({ down }) => down);
  }

  /** The session is over: what is left comes again with the next. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#messages.clear();
  }

  #remove(isOver: (one: Pending) => boolean): void {
    for (const [packetId, one] of this.#messages) {
      if (!isOver(one)) continue;
      this.#messages.delete(packetId);
      this.#acknowledge(packetId);
    }
  }

  /** Or what nobody answers would fill the window. */
  #plan(): void {
    if (this.#timer || this.#messages.size === 0) return;
    const first = Math.min(...this.#messages.values().map(({ until }) => until));
    const waitMs = Math.min(Math.max(first - this.#clock(), 0), LOOK_MS);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#remove(({ until }) => until <= this.#clock());
      this.#plan();
    }, waitMs + 1).unref();
  }
}
