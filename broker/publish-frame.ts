import type { Message } from "./message.ts";

export interface PublishOptions {
  readonly version: 3 | 4 | 5;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly dup?: boolean;
  /** Needed above QoS 0. */
  readonly packetId?: number;
  readonly subscriptionIds?: readonly number[] | undefined;
  /** ms since 1970; the time that a message's expiry is counted from. */
  readonly now?: number;
}

const MESSAGE_EXPIRY = 0x02;
const SUBSCRIPTION_ID = 0x0b;

/** A PUBLISH as it goes to one client, or to all who get the same. */
export function publishFrame(message: Pick<Message, "topic" | "payload" | "properties" | "expiresAt">, options: PublishOptions): Buffer {
  const { version, qos, retain, dup = false, packetId = 0, subscriptionIds, now = Date.now() } = options;
  const { topic, payload } = message;
  const topicBytes = Buffer.byteLength(topic);
  const extra = version === 5 ? extraProperties(message.expiresAt, subscriptionIds, now) : undefined;
  const propertyBytes = version === 5 ? message.properties.length + (extra?.length ?? 0) : 0;
  const remaining =
    2 + topicBytes + (qos > 0 ? 2 : 0) + (version === 5 ? variableBytes(propertyBytes) + propertyBytes : 0) + payload.length;
  const frame = Buffer.allocUnsafe(1 + variableBytes(remaining) + remaining);
  frame[0] = 0x30 | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
  let at = writeVariable(frame, remaining, 1);
  frame[at++] = topicBytes >> 8;
  frame[at++] = topicBytes & 255;
  frame.write(topic, at, topicBytes, topicBytes === topic.length ? "latin1" : "utf8");
  at += topicBytes;
  if (qos > 0) {
    frame[at++] = packetId >> 8;
    frame[at++] = packetId & 255;
  }
  if (version === 5) {
    at = writeVariable(frame, propertyBytes, at);
    frame.set(message.properties, at);
    at += message.properties.length;
    if (extra) {
      frame.set(extra, at);
      at += extra.length;
    }
  }
  frame.set(payload, at);
  return frame;
}

/** Writes 1 to 4 bytes and returns where the next one goes. */
function writeVariable(buffer: Buffer, value: number, start: number): number {
  let at = start;
  let left = value;
  do {
    const byte = left & 127;
    left >>>= 7;
    buffer[at++] = left > 0 ? byte | 128 : byte;
  } while (left > 0);
  return at;
}

const variableBytes = (value: number): number => (value < 128 ? 1 : value < 16_384 ? 2 : value < 2_097_152 ? 3 : 4);

/** What differs from client to client: the rest of the message's life, and which of the client's subscriptions matched. */
function extraProperties(expiresAt: number | undefined, subscriptionIds: readonly number[] | undefined, now: number): Buffer | undefined {
  if (expiresAt === undefined && !subscriptionIds) return undefined;
  const out = Buffer.allocUnsafe(5 + (subscriptionIds?.length ?? 0) * 5);
  let at = 0;
  if (expiresAt !== undefined) {
    out[at] = MESSAGE_EXPIRY;
    at = out.writeUInt32BE(Math.max(1, Math.ceil((expiresAt - now) / 1_000)), at + 1);
  }
  for (const id of subscriptionIds ?? []) {
    out[at++] = SUBSCRIPTION_ID;
    at = writeVariable(out, id, at);
  }
  return out.subarray(0, at);
}

/** What a client's PUBLISH says in its properties, and those of them that travel on. */
export interface InboundProperties {
  readonly travelling: Buffer;
  readonly topicAlias: number | undefined;
  /** Seconds. */
  readonly messageExpiry: number | undefined;
}

const TOPIC_ALIAS = 0x23;
const USER_PROPERTY = 0x26;

/** Reads the properties of a checked PUBLISH between `start` and `end`; the bytes that travel on are a copy. */
export function readPublishProperties(buffer: Buffer, start: number, end: number): InboundProperties {
  const kept: Buffer[] = [];
  let topicAlias: number | undefined;
  let messageExpiry: number | undefined;
  for (let at = start; at < end; ) {
    const id = buffer[at] as number;
    const next = at + 1 + valueBytes(buffer, id, at + 1);
    if (id === TOPIC_ALIAS) topicAlias = buffer.readUInt16BE(at + 1);
    else if (id === MESSAGE_EXPIRY) messageExpiry = buffer.readUInt32BE(at + 1);
    else kept.push(buffer.subarray(at, next));
    at = next;
  }
  return { travelling: Buffer.concat(kept), topicAlias, messageExpiry };
}

/** Bytes of the value behind a property's identifier, for those that a PUBLISH may have. */
function valueBytes(buffer: Buffer, id: number, at: number): number {
  switch (id) {
    case 0x01:
      return 1;
    case MESSAGE_EXPIRY:
      return 4;
    case TOPIC_ALIAS:
      return 2;
    case USER_PROPERTY: {
      const name = 2 + buffer.readUInt16BE(at);
      return name + 2 + buffer.readUInt16BE(at + name);
    }
    default:
      return 2 + buffer.readUInt16BE(at);
  }
}
