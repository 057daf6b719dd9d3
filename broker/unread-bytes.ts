/** What came of a packet that is not whole. Grows with what really came, never to what was only announced. */
export class UnreadBytes {
  #buffer: Buffer | undefined;
  length = 0;

  /** All bytes there are: those kept, and the chunk behind them. */
  with(chunk: Buffer): Buffer {
    const kept = this.#buffer;
    if (!kept) return chunk;
    const needed = this.length + chunk.length;
    // Doubled, so that a packet that comes byte by byte is not copied each time.
    const room = kept.length >= needed ? kept : Buffer.allocUnsafeSlow(Math.max(needed, kept.length * 2));
    if (room !== kept) kept.copy(room, 0, 0, this.length);
    chunk.copy(room, this.length);
    this.#buffer = room;
    return room;
  }

  /** Keeps what stands between `start` and `end`; `whole` is the size of the packet that begins there, if it is known. */
  keep(buffer: Buffer, start: number, end: number, whole: number): void {
    const left = end - start;
    if (left === 0) return this.clear();
    // A client that is read slowly has its chunk cut packet by packet, which must not copy the rest each time.
    if (buffer === this.#buffer && (start === 0 || left * 4 >= buffer.buffer.byteLength)) {
      if (start > 0) this.#buffer = buffer.subarray(start);
      this.length = left;
      return;
    }
    // A copy of its own: a few bytes must not hold on to the chunk that they came in.
    const kept = Buffer.allocUnsafeSlow(Math.max(left, Math.min(whole, 4_096)));
    buffer.copy(kept, 0, start, end);
    this.#buffer = kept;
    this.length = left;
  }

  clear(): void {
    this.#buffer = undefined;
    this.length = 0;
  }
}
