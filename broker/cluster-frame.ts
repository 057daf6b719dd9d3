/** One message between nodes. `bytes` of a received one is a view into the whole frame. */
export interface Letter {
  /** 0–239 is the broker's, the rest is the cluster's own ({@link OWN_KINDS}). */
  readonly kind: number;
  readonly bytes: Buffer;
}

/** What one node puts into another one's inbox at once: its messages of a turn, numbered without a hole from `firstSeq`. */
export interface Frame {
  readonly sender: string;
  readonly firstSeq: number;
  readonly letters: readonly Letter[];
}

export const OWN_KINDS = {
  received: 255,
  interest: 254,
  interestKnown: 253,
  interestWanted: 252,
  release: 251,
  released: 250,
  settle: 249,
  settled: 248,
} as const;
export const MAX_BROKER_KIND = 239;

const VERSION = 1;
const ID_BYTES = 16;
const HEADER_BYTES = 1 + ID_BYTES + 6;
/** In front of each message: kind, length. */
export const LETTER_OVERHEAD_BYTES = 5;

/** version u8 · sender (UUID, 16 bytes) · first sequence number u48 · messages: kind u8, length u32, bytes. Numbers big endian. */
export function encodeFrame({ sender, firstSeq, letters }: Frame): Buffer {
  let size = HEADER_BYTES;
  for (const { bytes } of letters) size += LETTER_OVERHEAD_BYTES + bytes.length;
  const frame = Buffer.allocUnsafe(size);
  frame[0] = VERSION;
  frame.write(sender.replaceAll("-", ""), 1, "hex");
  frame.writeUIntBE(firstSeq, 1 + ID_BYTES, 6);
  let at = HEADER_BYTES;
  for (const { kind, bytes } of letters) {
    frame[at] = kind;
    frame.writeUInt32BE(bytes.length, at + 1);
    at += LETTER_OVERHEAD_BYTES;
    at += bytes.copy(frame, at);
  }
  return frame;
}

/** undefined for what is no frame of this version: cut short, or with bytes left over. */
export function parseFrame(frame: Buffer): Frame | undefined {
  if (frame.length < HEADER_BYTES || frame[0] !== VERSION) return undefined;
  const hex = frame.toString("hex", 1, 1 + ID_BYTES);
  const sender = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
  const letters: Letter[] = [];
  for (let at = HEADER_BYTES; at < frame.length; ) {
    if (at + LETTER_OVERHEAD_BYTES > frame.length) return undefined;
    const end = at + LETTER_OVERHEAD_BYTES + frame.readUInt32BE(at + 1);
    if (end > frame.length) return undefined;
    letters.push({ kind: frame[at] as number, bytes: frame.subarray(at + LETTER_OVERHEAD_BYTES, end) });
    at = end;
  }
  return { sender, firstSeq: frame.readUIntBE(1 + ID_BYTES, 6), letters };
}

export function encodeSeq(seq: number): Buffer {
  const bytes = Buffer.allocUnsafe(6);
  bytes.writeUIntBE(seq, 0, 6);
  return bytes;
}

export const parseSeq = (bytes: Buffer): number => (bytes.length === 6 ? bytes.readUIntBE(0, 6) : 0);
