import { createFrameReader, type Receive, unexpected } from "./frames.ts";
import { PUBACK, publishByte } from "./packets.ts";
import type { Wire } from "./wire.ts";

export interface Frames {
  /** Of every PUBLISH that comes. */
  readonly size: number;
  readonly idAt: number;
}

export interface Arrivals {
  /** A whole PUBLISH begins there; its bytes are used again after the call. */
  readonly onFrame?: ((buffer: Buffer, at: number) => void) | undefined;
  /** How many came in one read. */
  readonly onRead?: ((messages: number) => void) | undefined;
}

/** What a subscriber of QoS 1 does: one write of PUBACKs for each read. */
export function acknowledging(wire: Wire, { size, idAt }: Frames, { onFrame, onRead }: Arrivals): Receive {
  const ack = wire.wrap(Buffer.from([PUBACK, 2, 0, 0]));
  let acks = Buffer.alloc(0);
  let end = 0;
  const read = createFrameReader(size, (buffer, at) => {
    if (buffer[at] !== publishByte(1)) throw unexpected(buffer[at]);
    ack.copy(acks, end);
    end += ack.length;
    acks[end - 2] = buffer[at + idAt] ?? 0;
    acks[end - 1] = buffer[at + idAt + 1] ?? 0;
    onFrame?.(buffer, at);
  });
  return (buffer, start, stop) => {
    acks = Buffer.allocUnsafe((Math.floor((stop - start) / size) + 1) * ack.length);
    end = 0;
    read(buffer, start, stop);
    if (end === 0) return;
    wire.socket.write(acks.subarray(0, end));
    onRead?.(end / ack.length);
  };
}
