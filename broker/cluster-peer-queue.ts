import type { Log } from "../core/bus.ts";
import { Backlog, type Batch, type OutgoingLetter } from "./cluster-backlog.ts";
import { encodeFrame, type Letter } from "./cluster-frame.ts";
import { inboxKey } from "./cluster-keys.ts";
import type { RedisLink } from "./cluster-redis.ts";
import { FIRST_SEQ } from "./cluster-sequence.ts";

export interface SendContext {
  readonly link: RedisLink;
  readonly log: Log;
  /** This node's id as it is now. */
  readonly self: () => string;
}

/** Messages had to be dropped that may not be. */
export class BacklogFull extends Error {
  override readonly name = "BacklogFull";
}

interface Waiter extends PromiseWithResolvers<void> {
  /** Position in the backlog. */
  readonly upTo: number;
}

const MAX_FRAME_BYTES = 65_536;
/** What Redis holds for a peer that is slow to read: the rest waits here, under the backlog's bound. */
const MAX_OUTSTANDING_BYTES = 16 * 1024 * 1024;
/** A peer that confirms nothing for so long is sent one more frame: what it should confirm may be lost. */
const PROBE_MS = 1_000;
const RETRY_MS = 50;
/** The backstop should a peer not read: by then its inbox is far over what the senders leave outstanding. */
const MAX_INBOX_ENTRIES = "100000";

/**
 * Messages to one peer, gathered: one entry of its inbox is on its way at a time, and what comes meanwhile goes with the
 * next one, so that Redis is asked as often as it answers and not once per message.
 */
export class PeerQueue {
  readonly #context: SendContext;
  readonly #peerId: string;
  readonly #backlog = new Backlog();
  #nextSeq = FIRST_SEQ;
  #isOpen = true;
  /** Position up to which messages are in the frame on its way. */
  #inFlightTo = 0;
  /** A flush is coming, running, or waits for the probe. */
  #isBusy = false;
  /** Set while the peer has too much to confirm. */
  #probe: NodeJS.Timeout | undefined;
  /** One frame may go although the peer has too much to confirm. */
  #mayProbe = false;
  /** Frames that Redis has and the peer has not confirmed. */
  #outstanding: { lastSeq: number; bytes: number }[] = [];
  #outstandingBytes = 0;
  /** Grows when the numbering changes: an answer that belongs to the time before it does not count. */
  #epoch = 0;
  readonly #waiters: Waiter[] = [];

  constructor(context: SendContext, peerId: string) {
    this.#context = context;
    this.#peerId = peerId;
  }

  /** Of memory, roughly. */
  get bytes(): number {
    return this.#backlog.bytes;
  }

  /** Messages that wait. */
  get size(): number {
    return this.#backlog.size;
  }

  add(letter: OutgoingLetter): void {
    this.#backlog.add(letter);
    this.schedule();
  }

  /** Sends at the end of this turn, so that everything in it goes together; while Redis is away, when it is back. */
  schedule(afterMs = 0): void {
    if (this.#isBusy || !this.#isOpen || this.#backlog.isEmpty || !this.#context.link.isUp) return;
    this.#isBusy = true;
    const run = () => void this.#flush();
    if (afterMs > 0) setTimeout(run, afterMs).unref();
    else setImmediate(run);
  }

  /** Resolves when Redis has all messages up to now; undefined when it has. */
  delivered(): Promise<void> | undefined {
    if (this.#backlog.isEmpty) return undefined;
    const upTo = this.#backlog.end;
    const last = this.#waiters.at(-1);
    if (last?.upTo === upTo) return last.promise;
    const waiter: Waiter = { upTo, ...Promise.withResolvers<void>() };
    // Nobody may be listening yet when it fails.
    waiter.promise.catch(() => {});
    this.#waiters.push(waiter);
    return waiter.promise;
  }

  /** The peer has received up to this number. */
  received(seq: number): void {
    while (this.#outstanding[0] && this.#outstanding[0].lastSeq <= seq) this.#outstandingBytes -= this.#outstanding.shift()?.bytes ?? 0;
    if (this.#probe && this.#outstandingBytes < MAX_OUTSTANDING_BYTES) this.#unblock();
  }

  /** What was on its way may be lost: none of it is waited for. */
  forgetOutstanding(): void {
    this.#outstanding = [];
    this.#outstandingBytes = 0;
    if (this.#probe) this.#unblock();
  }

  /** This node has a new id: the peer counts its messages from one again. */
  restart(): void {
    this.#nextSeq = FIRST_SEQ;
    this.#epoch += 1;
    this.forgetOutstanding();
  }

  /** Drops the oldest message that may be dropped; false when there is none. */
  dropOne(): boolean {
    return this.#backlog.dropOne(this.#inFlightTo);
  }

  /** Drops the oldest messages, a frame full of them, which the peer will see as a gap. Returns how many. */
  dropHead(): number {
    const { letters, upTo } = this.#backlog.peek(MAX_FRAME_BYTES);
    this.#backlog.settle(upTo);
    this.#nextSeq += letters.length;
    this.#epoch += 1;
    // Whoever waits for later ones waits for these too.
    for (const waiter of this.#waiters.splice(0)) waiter.reject(new BacklogFull("messages to a node were dropped"));
    return letters.length;
  }

  /** Nothing more goes out; returns what waited and may not be dropped, the oldest first. */
  close(): Letter[] {
    this.#isOpen = false;
    clearTimeout(this.#probe);
    for (const waiter of this.#waiters.splice(0)) waiter.resolve();
    return this.#backlog.takeAll().filter(({ droppable }) => !droppable);
  }

  /** Sends frame after frame until nothing is left, or until it has to wait. */
  async #flush(): Promise<void> {
    let againMs = 0;
    while (this.#isOpen && !this.#backlog.isEmpty && this.#context.link.isUp && againMs === 0) {
      if (this.#outstandingBytes >= MAX_OUTSTANDING_BYTES && !this.#mayProbe) {
        this.#probe = setTimeout(() => this.#unblock(), PROBE_MS).unref();
        return;
      }
      this.#mayProbe = false;
      againMs = await this.#sendFrame();
    }
    this.#isBusy = false;
    this.schedule(againMs);
  }

  /** The peer has confirmed enough, or it is time to ask it with one more frame. */
  #unblock(): void {
    clearTimeout(this.#probe);
    this.#probe = undefined;
    this.#mayProbe = true;
    this.#isBusy = false;
    this.schedule();
  }

  /** Resolves to how long to wait before the next try, 0 after success. */
  async #sendFrame(): Promise<number> {
    const { link, log, self } = this.#context;
    const batch = this.#backlog.peek(MAX_FRAME_BYTES);
    const epoch = this.#epoch;
    if (batch.letters.length > 0) {
      this.#inFlightTo = batch.upTo;
      const frame = encodeFrame({ sender: self(), firstSeq: this.#nextSeq, letters: batch.letters });
      const key = inboxKey(this.#peerId);
      try {
        // An inbox that is gone is not made again: its owner is, or somebody has read it to its end.
        const reply = await link.command(key, "XADD", key, "NOMKSTREAM", "MAXLEN", "~", MAX_INBOX_ENTRIES, "*", "f", frame);
        if (reply === null) return RETRY_MS;
      } catch (err) {
        if (link.isUp) log.warn({ err, peerId: this.#peerId }, "a node's inbox takes nothing");
        return RETRY_MS;
      } finally {
        this.#inFlightTo = 0;
      }
    }
    if (this.#epoch === epoch && this.#isOpen) this.#took(batch);
    return 0;
  }

  #took({ letters, bytes, upTo }: Batch): void {
    this.#backlog.settle(upTo);
    while (this.#waiters[0] && this.#waiters[0].upTo <= upTo) this.#waiters.shift()?.resolve();
    if (letters.length === 0) return;
    this.#nextSeq += letters.length;
    this.#outstanding.push({ lastSeq: this.#nextSeq - 1, bytes });
    this.#outstandingBytes += bytes;
  }
}
