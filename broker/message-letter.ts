import { Message } from "./message.ts";

/** A message from another node. */
export interface Letter {
  readonly message: Message;
  /** Whose limit a retained message counts for. */
  readonly owner: string | undefined;
}

const HEAD_BYTES = 23;

/**
 * Flags (QoS in bits 0 and 1, retain in bit 2), expiry in ms since 1970 (8 bytes, 0 for none), seed (6), and the lengths of
 * topic (2), owner (2) and properties (4), followed by those three and the payload.
 */
export function encodeLetter({ message, owner = "" }: Letter): Buffer {
  const { topic, payload, qos, retain, properties, expiresAt, seed } = message;
  const topicBytes = Buffer.byteLength(topic);
  const ownerBytes = Buffer.byteLength(owner);
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + topicBytes + ownerBytes + properties.length + payload.length);
  bytes[0] = qos | (retain ? 4 : 0);
  bytes.writeDoubleBE(expiresAt ?? 0, 1);
  bytes.writeUIntBE(seed, 9, 6);
  bytes.writeUInt16BE(topicBytes, 15);
  bytes.writeUInt16BE(ownerBytes, 17);
  bytes.writeUInt32BE(properties.length, 19);
  let at = HEAD_BYTES;
  at += bytes.write(topic, at);
  at += bytes.write(owner, at);
  bytes.set(properties, at);
  bytes.set(payload, at + properties.length);
  return bytes;
}

/** The letter is a view of what it came in: what may be kept is copied. */
export function parseLetter(bytes: Buffer): Letter {
  const flags = bytes[0] as number;
  const expiresAt = bytes.readDoubleBE(1);
  const topicEnd = HEAD_BYTES + bytes.readUInt16BE(15);
  const ownerEnd = topicEnd + bytes.readUInt16BE(17);
  const propertiesEnd = ownerEnd + bytes.readUInt32BE(19);
  const qos = (flags & 3) as 0 | 1 | 2;
  const retain = (flags & 4) !== 0;
  const keep = (part: Buffer): Buffer => (qos > 0 || retain ? Buffer.from(part) : part);
  return {
    owner: ownerEnd === topicEnd ? undefined : bytes.toString("utf8", topicEnd, ownerEnd),
    message: new Message({
      topic: bytes.toString("utf8", HEAD_BYTES, topicEnd),
      payload: keep(bytes.subarray(propertiesEnd)),
      qos,
      retain,
      seed: bytes.readUIntBE(9, 6),
      properties: keep(bytes.subarray(ownerEnd, propertiesEnd)),
      expiresAt: expiresAt === 0 ? undefined : expiresAt,
    }),
  };
}
