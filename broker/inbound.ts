import { NO_PROPERTIES } from "./message.ts";
import { readPublishProperties } from "./publish-frame.ts";

/** A client's PUBLISH, taken apart. */
export interface Inbound {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  /** Sent before, maybe: then it counts once. */
  readonly dup: boolean;
  /** 0 for QoS 0. */
  readonly packetId: number;
  readonly properties: Buffer;
  /** ms since 1970. */
  readonly expiresAt: number | undefined;
  /** The whole packet, when it is what a QoS 0 subscriber of MQTT 3.1.1 gets. */
  readonly frame: Buffer | undefined;
}

/** Topic aliases that a client may set on its connection. */
export const MAX_TOPIC_ALIASES = 16;

/** What a PUBLISH is read with: the version and the aliases of its connection. */
export interface InboundContext {
  readonly version: 3 | 4 | 5;
  /** Topic names by alias. */
  aliases: Map<number, string> | undefined;
}

/** Reads the checked PUBLISH between `start` and `end`; undefined when it names no topic, since its alias is not in use. */
export function readPublish(context: InboundContext, buffer: Buffer, start: number, end: number, now: number): Inbound | undefined {
  const first = buffer[start] as number;
  const qos = ((first >> 1) & 3) as 0 | 1 | 2;
  let at = start + 1;
  while ((buffer[at++] as number) >= 0x80);
  const topicStart = at + 2;
  at = topicStart + (((buffer[at] as number) << 8) | (buffer[at + 1] as number));
  const name = buffer.toString("utf8", topicStart, at);
  let topic: string | undefined = name;
  let packetId = 0;
  if (qos > 0) {
    packetId = buffer.readUInt16BE(at);
    at += 2;
  }
  let properties: Buffer = NO_PROPERTIES;
  let expiresAt: number | undefined;
  if (context.version === 5) {
    const { bytes, next } = readVariable(buffer, at);
    at = next + bytes;
    if (bytes > 0) {
      const inbound = readPublishProperties(buffer, next, at);
      properties = inbound.travelling;
      expiresAt = inbound.messageExpiry === undefined ? undefined : now + inbound.messageExpiry * 1_000;
      if (inbound.topicAlias !== undefined) topic = resolveAlias(context, inbound.topicAlias, name);
    }
  }
  if (topic === undefined) return undefined;
  const retain = (first & 1) === 1;
  // What may outlive this turn must not hold on to the chunk that it came in.
  const isKept = qos > 0 || retain;
  const payload = isKept ? Buffer.from(buffer.subarray(at, end)) : buffer.subarray(at, end);
  const frame = isKept || context.version === 5 ? undefined : buffer.subarray(start, end);
  return { topic, payload, qos, retain, dup: (first & 8) !== 0, packetId, properties, expiresAt, frame };
}

function resolveAlias(context: InboundContext, alias: number, topic: string): string | undefined {
  if (alias > MAX_TOPIC_ALIASES) return undefined;
  context.aliases ??= new Map();
  if (topic === "") return context.aliases.get(alias);
  context.aliases.set(alias, topic);
  return topic;
}

function readVariable(buffer: Buffer, start: number): { bytes: number; next: number } {
  let bytes = 0;
  let at = start;
  let shift = 0;
  let byte: number;
  do {
    byte = buffer[at++] as number;
    bytes |= (byte & 127) << shift;
    shift += 7;
  } while (byte >= 0x80);
  return { bytes, next: at };
}
