import { randomUUID } from "node:crypto";
import { OWN_KINDS } from "./cluster-frame.ts";
import type { SendLetter } from "./cluster-interest.ts";

export interface SettlingOptions {
  readonly send: SendLetter;
  /** The nodes that live, and those that are dead and whose sessions nobody is known to have. */
  readonly nodes: () => Iterable<string>;
  /** Resolves when this node has the sessions that it is taking now, and all know what it wants for them. */
  readonly isSettled: () => Promise<unknown>;
}

/** What is asked is asked again after so long: a letter may be lost with Redis. */
const ASK_MS = 1_000;
const LOOK_MS = 50;

/**
 * When a session changes nodes, what it wants is wanted at its old place until everybody knows of the new one; and a node
 * may take a session and die before it has said so. This finds out when the old place is no longer needed.
 */
export class Settling {
  readonly #options: SettlingOptions;
  /** The nodes that have not answered yet, by question. */
  readonly #asked = new Map<string, Set<string>>();

  constructor(options: SettlingOptions) {
    this.#options = options;
  }

  /**
   * Resolves when those nodes, every other one unless said otherwise, have what they are taking now, and have said so to all, or
   * are dead and others have it. Rejects when it is aborted. Waits as long as that takes.
   */
  async of(signal: AbortSignal, nodeIds = this.#options.nodes()): Promise<void> {
    const { send, nodes } = this.#options;
    const id = randomUUID();
    const missing = new Set(nodeIds);
    this.#asked.set(id, missing);
    try {
      for (let askedAt = Number.NEGATIVE_INFINITY; missing.size > 0; await pause(LOOK_MS, signal)) {
        const there = new Set(nodes());
        for (const nodeId of missing) if (!there.has(nodeId)) missing.delete(nodeId);
        if (performance.now() - askedAt < ASK_MS) continue;
        askedAt = performance.now();
        for (const nodeId of missing) send(nodeId, OWN_KINDS.settle, Buffer.from(id));
      }
    } finally {
      this.#asked.delete(id);
    }
  }

  /** True when the message was one of these. */
  receive(peerId: string, kind: number, bytes: Buffer): boolean {
    if (kind === OWN_KINDS.settled) this.#asked.get(bytes.toString())?.delete(peerId);
    else if (kind === OWN_KINDS.settle) {
      const id = Buffer.from(bytes);
      this.#options.isSettled().then(
        () => this.#options.send(peerId, OWN_KINDS.settled, id),
        // It is asked again.
        () => undefined,
      );
    } else return false;
    return true;
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise<void>((resolve) => setTimeout(resolve, ms).unref());
}
