/** Bytes from `start` to `end` of a buffer that is used again after the call. */
export type Receive = (buffer: Buffer, start: number, end: number) => void;

/**
 * Cuts a stream of frames of one size; `onFrame` gets where a whole frame begins. One that came in two reads is put
 * together first, so that it is whole for the reader in any case.
 */
export function createFrameReader(size: number, onFrame: (buffer: Buffer, at: number) => void): Receive {
  const whole = Buffer.alloc(size);
  let partial = 0;
  return (buffer, start, end) => {
    let at = start;
    if (partial > 0) {
      const taken = Math.min(size - partial, end - start);
      buffer.copy(whole, partial, start, start + taken);
      partial += taken;
      if (partial < size) return;
      partial = 0;
      at += taken;
      onFrame(whole, 0);
    }
    for (; at + size <= end; at += size) onFrame(buffer, at);
    if (at < end) {
      buffer.copy(whole, 0, at, end);
      partial = end - at;
    }
  };
}

/**
 * Counts frames of one size without a look at each: of every read only the first byte of the first frame that begins in
 * it is compared with `firstByte`. Throws when another comes.
 */
export function createFrameCounter(size: number, firstByte: number, onCount: (frames: number) => void): Receive {
  let partial = 0;
  return (buffer, start, end) => {
    const boundary = partial === 0 ? start : start + size - partial;
    if (boundary < end && buffer[boundary] !== firstByte) throw unexpected(buffer[boundary]);
    const bytes = partial + end - start;
    const frames = Math.floor(bytes / size);
    partial = bytes - frames * size;
    if (frames > 0) onCount(frames);
  };
}

export function unexpected(byte: number | undefined): Error {
  return new Error(`a frame of another kind came: 0x${(byte ?? 0).toString(16)}`);
}
