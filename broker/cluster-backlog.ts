import { LETTER_OVERHEAD_BYTES, type Letter } from "./cluster-frame.ts";

export interface OutgoingLetter extends Letter {
  /** May be dropped when the backlog is full. */
  readonly droppable: boolean;
}

/** The next messages to send, and where they stand in the order of all that were queued. */
export interface Batch {
  readonly letters: readonly OutgoingLetter[];
  readonly bytes: number;
  /** To be given to {@link Backlog.settle}. */
  readonly upTo: number;
}

/** What a message takes of the bound besides its bytes: its objects in memory. */
const LETTER_COST_BYTES = 96;

/**
 * Messages that wait for one peer, in order. Positions count every message ever queued, so that "everything up to here"
 * is a number; a dropped message keeps its position and is passed over.
 */
export class Backlog {
  /** undefined where a message was dropped, or is settled and not cut off yet. */
  #letters: (OutgoingLetter | undefined)[] = [];
  #head = 0;
  /** Position of the message at the head. */
  #start = 0;
  /** No droppable message lies before this position. */
  #droppableFrom = 0;
  #bytes = 0;
  #size = 0;

  /** Position after the last message. */
  get end(): number {
    return this.#start + this.#letters.length - this.#head;
  }

  /** Bytes in memory, roughly. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Messages that wait. */
  get size(): number {
    return this.#size;
  }

  get isEmpty(): boolean {
    return this.#letters.length === this.#head;
  }

  add(letter: OutgoingLetter): void {
    this.#letters.push(letter);
    this.#bytes += cost(letter);
    this.#size += 1;
  }

  /** From the head, at least one message and as many as fit into `maxBytes`; they stay until they are settled. */
  peek(maxBytes: number): Batch {
    const letters: OutgoingLetter[] = [];
    let bytes = 0;
    let at = this.#head;
    for (; at < this.#letters.length; at += 1) {
      const letter = this.#letters[at];
      if (!letter) continue;
      const size = LETTER_OVERHEAD_BYTES + letter.bytes.length;
      if (letters.length > 0 && bytes + size > maxBytes) break;
      letters.push(letter);
      bytes += size;
    }
    return { letters, bytes, upTo: this.#start + at - this.#head };
  }

  /** The messages before this position are done with. */
  settle(upTo: number): void {
    while (this.#start < upTo && this.#head < this.#letters.length) {
      const letter = this.#letters[this.#head];
      if (letter) this.#removed(letter);
      this.#letters[this.#head] = undefined;
      this.#head += 1;
      this.#start += 1;
    }
    if (this.#head < COMPACT_FROM || this.#head * 2 < this.#letters.length) return;
    this.#letters = this.#letters.slice(this.#head);
    this.#head = 0;
  }

  /** Takes out the oldest message that may be dropped, at `from` or later: what is before may be on its way. False when there is none. */
  dropOne(from: number): boolean {
    for (let at = Math.max(this.#droppableFrom, from, this.#start); at < this.end; at += 1) {
      const index = at - this.#start + this.#head;
      const letter = this.#letters[index];
      if (!letter?.droppable) continue;
      this.#letters[index] = undefined;
      this.#removed(letter);
      this.#droppableFrom = at + 1;
      return true;
    }
    this.#droppableFrom = this.end;
    return false;
  }

  #removed(letter: OutgoingLetter): void {
    this.#bytes -= cost(letter);
    this.#size -= 1;
  }

  /** Everything that is left, and nothing is left after it. */
  takeAll(): OutgoingLetter[] {
    const all = this.#letters.filter((letter) => letter !== undefined);
    this.settle(this.end);
    return all;
  }
}

/** Settled places are cut off when there are so many, and more of them than others. */
const COMPACT_FROM = 1_024;

const cost = (letter: OutgoingLetter): number => letter.bytes.length + LETTER_COST_BYTES;
