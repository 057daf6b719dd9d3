import type { Duplex } from "node:stream";
import type { Counters } from "./counters.ts";

/** Above this the bytes of a turn go out before its end. */
const CHUNK_BYTES = 65_536;
const FIRST_BYTES = 1_024;
/** Buffers of a whole chunk that lie ready; more would only be memory. */
const MAX_POOLED = 64;

const pool: Buffer[] = [];

/** All connections that have something to write, written together when the turn of the event loop ends. */
export class Turn {
  readonly counters: Pick<Counters, "bytesSent">;
  #dirty: Output[] = [];
  #isPlanned = false;
  readonly #end = (): void => {
    this.#isPlanned = false;
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const output of dirty) output.flush();
  };

  constructor(counters: Pick<Counters, "bytesSent">) {
    this.counters = counters;
  }

  add(output: Output): void {
    this.#dirty.push(output);
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    setImmediate(this.#end);
  }
}

/**
 * What goes to one client: gathered for a turn of the event loop and given to the socket in one write, since a write
 * costs more than a hundred messages.
 */
export class Output {
  readonly #stream: Duplex;
  readonly #turn: Turn;
  /** A single frame, written as it is; a second one makes it a copy in `#buffer`. */
  #single: Buffer | undefined;
  #buffer: Buffer | undefined;
  #length = 0;
  #isDirty = false;

  constructor(stream: Duplex, turn: Turn) {
    this.#stream = stream;
    this.#turn = turn;
  }

  /** Bytes that the client has not taken from us yet. */
  get buffered(): number {
    return this.#length + this.#stream.writableLength;
  }

  /** Whether the stream will say when it has taken what was given to it. */
  get needsDrain(): boolean {
    return this.#stream.writableNeedDrain;
  }

  append(frame: Buffer): void {
    const { length } = frame;
    this.#plan();
    if (this.#length === 0) {
      this.#single = frame;
      this.#length = length;
      if (length >= CHUNK_BYTES) this.flush();
      return;
    }
    const at = this.#reserve(length);
    (this.#buffer as Buffer).set(frame, at);
    if (this.#length >= CHUNK_BYTES) this.flush();
  }

  /** A packet of a fixed header and a packet id alone: PUBACK, PUBREC, PUBREL, PUBCOMP. */
  appendShort(first: number, packetId: number): void {
    this.#plan();
    const at = this.#reserve(4);
    const buffer = this.#buffer as Buffer;
    buffer[at] = first;
    buffer[at + 1] = 2;
    buffer[at + 2] = packetId >> 8;
    buffer[at + 3] = packetId & 255;
    if (this.#length >= CHUNK_BYTES) this.flush();
  }

  #plan(): void {
    if (this.#isDirty) return;
    this.#isDirty = true;
    this.#turn.add(this);
  }

  /** Room for `length` bytes that the caller writes at once: returns where they begin in {@link target}. */
  #reserve(length: number): number {
    const at = this.#length;
    const needed = at + length;
    const present = this.#buffer;
    if (!present || present.length < needed) {
      const size = needed > FIRST_BYTES ? Math.max(CHUNK_BYTES, needed) : FIRST_BYTES;
      const larger =
        (size === CHUNK_BYTES ? pool.pop() : undefined) ?? (size > FIRST_BYTES ? Buffer.allocUnsafeSlow(size) : Buffer.allocUnsafe(size));
      const old = this.#single ?? present;
      if (old) larger.set(at === old.length ? old : old.subarray(0, at), 0);
      this.#buffer = larger;
      this.#single = undefined;
    }
    this.#length = needed;
    return at;
  }

  /** Gives everything to the socket. */
  flush(): void {
    this.#isDirty = false;
    const length = this.#length;
    if (length === 0) return;
    const buffer = this.#buffer;
    const { writableLength } = this.#stream;
    // A frame may be a piece of a large read; what has to wait must not keep all of it.
    const single = this.#single && writableLength > 0 ? Buffer.from(this.#single) : this.#single;
    const bytes = single ?? (buffer as Buffer).subarray(0, length);
    this.#single = undefined;
    this.#buffer = undefined;
    this.#length = 0;
    const stream = this.#stream;
    if (stream.destroyed || stream.writableEnded) return;
    this.#turn.counters.bytesSent += length;
    stream.write(bytes);
    // A stream has given the bytes to the kernel when nothing is left to write.
    if (buffer?.length === CHUNK_BYTES && stream.writableLength === 0 && pool.length < MAX_POOLED) pool.push(buffer);
  }
}
