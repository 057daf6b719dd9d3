import type { Receive } from "./frames.ts";

const BINARY = 0x82;
const MASKED = 0x80;
const TWO_BYTES = 126;
const EIGHT_BYTES = 127;
const EMPTY_PING = [0x89, 0];

/** What a client sends: masked as the protocol demands, with the mask 0, which leaves the bytes as they are. */
export function maskedFrame(payload: Buffer): Buffer {
  const header = frameHeader(payload.length);
  header[1] = (header[1] ?? 0) | MASKED;
  return Buffer.concat([header, Buffer.alloc(4), payload]);
}

/** Of a whole unmasked binary message below 64 KiB. */
export function frameHeader(length: number): Buffer {
  return length < TWO_BYTES ? Buffer.from([BINARY, length]) : Buffer.from([BINARY, TWO_BYTES, length >> 8, length & 0xff]);
}

/**
 * `emit` gets the payload as it arrives, in pieces. Throws for a mask other than 0 and for a control frame, but a ping: no
 * run lasts until it should have been answered.
 */
export function createUnwrapper(emit: Receive): Receive {
  const header = Buffer.alloc(14);
  let have = 0;
  let left = 0;
  return (buffer, start, end) => {
    let at = start;
    while (at < end) {
      if (left > 0) {
        const taken = Math.min(left, end - at);
        emit(buffer, at, at + taken);
        at += taken;
        left -= taken;
        continue;
      }
      header[have++] = buffer[at++] ?? 0;
      if (have < 2 || have < headerBytes(header)) continue;
      left = payloadBytes(header, have);
      have = 0;
    }
  };
}

function headerBytes(header: Buffer): number {
  const second = header[1] ?? 0;
  const length = second & 0x7f;
  return 2 + (length === TWO_BYTES ? 2 : length === EIGHT_BYTES ? 8 : 0) + (second & MASKED ? 4 : 0);
}

function payloadBytes(header: Buffer, bytes: number): number {
  const kind = (header[0] ?? 0) & 0x0f;
  if (header[0] === EMPTY_PING[0] && header[1] === EMPTY_PING[1]) return 0;
  if (kind > 2) throw new Error(`a WebSocket frame of kind ${kind} came`);
  const second = header[1] ?? 0;
  if (second & MASKED && header.readUInt32BE(bytes - 4) !== 0) throw new Error("a masked WebSocket frame came");
  const length = second & 0x7f;
  if (length === TWO_BYTES) return header.readUInt16BE(2);
  return length === EIGHT_BYTES ? Number(header.readBigUInt64BE(2)) : length;
}
