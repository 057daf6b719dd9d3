import type { Topic } from "../../core/topics.ts";

/** Topics that are remembered at most: some thousands of devices. What is beyond them is not told, and counted. */
export const MOST_TOPICS = 50_000;

/** The last state of each topic, and which of them the other side has not been told. */
export class Mirror {
  readonly #states = new Map<string, string>();
  readonly #untold = new Set<string>();
  dropped = 0;

  get size(): number {
    return this.#states.size;
  }

  /** In the order in which they changed. */
  get untold(): ReadonlySet<string> {
    return this.#untold;
  }

  has(topic: string): boolean {
    return this.#states.has(topic);
  }

  /** An empty one is taken back. */
  set(topic: string, payload: string): void {
    if (!this.#states.has(topic) && this.#states.size >= MOST_TOPICS) return void this.dropped++;
    if (payload === "") this.#states.delete(topic);
    else this.#states.set(topic, payload);
    // To the end: what waits longest goes first.
    this.#untold.delete(topic);
    this.#untold.add(topic);
  }

  take(topic: string): string {
    this.#untold.delete(topic);
    return this.#states.get(topic) ?? "";
  }

  /** It could not be told after all, unless something newer waits. */
  putBack(topic: string): void {
    this.#untold.add(topic);
  }

  /** The other side may know nothing. */
  forgetTold(): void {
    for (const topic of this.#states.keys()) this.#untold.add(topic);
  }

  /** Takes back what is not to be seen any more. */
  keepOnly(isSeen: (topic: string) => boolean): void {
    for (const topic of this.#states.keys()) if (!isSeen(topic)) this.set(topic, "");
  }
}

/** What another broker is told of a device, and it retains. */
export function isMirrored({ kind }: Topic): boolean {
  return kind === "availability" || kind === "relay_state" || kind === "light_state" || kind === "sensor_state";
}

/** What is told only while somebody is there to hear it. */
export function isMomentary(topic: Topic): boolean {
  return topic.kind === "up" && (topic.type === "input_event" || topic.type === "heartbeat");
}
