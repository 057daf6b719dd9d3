import type { OutgoingLetter } from "./cluster-backlog.ts";
import type { Letter } from "./cluster-frame.ts";
import { PeerQueue, type SendContext } from "./cluster-peer-queue.ts";

export interface OutboxOptions extends SendContext {
  /** Messages that wait for all peers together, in bytes of memory. */
  readonly maxBacklogBytes: number;
  readonly onDropped: (count: number, droppable: boolean) => void;
}

export interface Outbox {
  open(peerId: string): void;
  /** Nothing more goes there; returns what waited and may not be dropped, the oldest first. */
  close(peerId: string): Letter[];
  /** Never waits, never throws. What is for somebody unknown is dropped. */
  send(peerId: string, letter: OutgoingLetter): void;
  /** Resolves when Redis has everything that was sent up to now; rejects with `BacklogFull` when some of it had to be dropped. */
  delivered(): Promise<void>;
  /** The peer has received up to this number. */
  received(peerId: string, seq: number): void;
  /** This node has a new id. */
  restart(): void;
  /** Redis may have lost what was on its way. */
  forgetOutstanding(): void;
  /** Bytes that wait, of all peers. */
  readonly backlogBytes: number;
  /** What waits for each peer. */
  readonly waiting: readonly Waiting[];
}

export interface Waiting {
  readonly peerId: string;
  readonly messages: number;
  /** In memory, roughly. */
  readonly bytes: number;
}

/** The messages to all peers, with one bound for what may wait. */
export function createOutbox(options: OutboxOptions): Outbox {
  const queues = new Map<string, PeerQueue>();
  options.link.onUp(() => {
    for (const queue of queues.values()) queue.schedule();
  });

  function waiting(): number {
    let bytes = 0;
    for (const queue of queues.values()) bytes += queue.bytes;
    return bytes;
  }

  /** The peer with most of it gives: first what may be dropped, then what may not. */
  function makeRoom(): void {
    while (waiting() > options.maxBacklogBytes) {
      const [worst] = [...queues.values()].toSorted((a, b) => b.bytes - a.bytes);
      if (!worst || worst.bytes === 0) return;
      if (worst.dropOne()) options.onDropped(1, true);
      else options.onDropped(worst.dropHead(), false);
    }
  }

  return {
    get backlogBytes() {
      return waiting();
    },
    get waiting() {
      return [...queues].map(([peerId, { size, bytes }]) => ({ peerId, messages: size, bytes }));
    },
    open(peerId) {
      if (!queues.has(peerId)) queues.set(peerId, new PeerQueue(options, peerId));
    },
    close(peerId) {
      const queue = queues.get(peerId);
      queues.delete(peerId);
      return queue?.close() ?? [];
    },
    send(peerId, letter) {
      const queue = queues.get(peerId);
      if (!queue) return options.onDropped(1, letter.droppable);
      queue.add(letter);
      makeRoom();
    },
    async delivered() {
      await Promise.all([...queues.values()].map(async (queue) => queue.delivered()));
    },
    received: (peerId, seq) => queues.get(peerId)?.received(seq),
    restart() {
      for (const queue of queues.values()) queue.restart();
    },
    forgetOutstanding() {
      for (const queue of queues.values()) queue.forgetOutstanding();
    },
  };
}
