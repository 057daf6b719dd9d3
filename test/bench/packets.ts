import { generate } from "mqtt-packet";

/** 4 is MQTT 3.1.1. */
export type Version = 4 | 5;
export type QoS = 0 | 1;

export interface Framing {
  readonly qos: QoS;
  readonly version: Version;
}

export const PUBACK = 0x40;
export const PUBACK_BYTES = 4;

/** First byte of a PUBLISH that is neither retained nor sent again. */
export function publishByte(qos: QoS): number {
  return 0x30 | (qos << 1);
}

export function publishFrame(topic: string, payload: string, { qos, version }: Framing): Buffer {
  const packet = { cmd: "publish", topic, payload, dup: false, retain: false } as const;
  return generate(qos === 0 ? { ...packet, qos } : { ...packet, qos, messageId: 1 }, { protocolVersion: version });
}

/** Where the packet id of a PUBLISH of QoS 1 begins: behind type, remaining length and topic. */
export function idOffset(frame: Uint8Array): number {
  let at = 1;
  while ((frame[at] ?? 0) >= 0x80) at++;
  return at + 3 + (((frame[at + 1] ?? 0) << 8) | (frame[at + 2] ?? 0));
}

/** Bytes of the first packet in `bytes`, which holds at least its fixed header. */
export function frameBytes(bytes: Uint8Array): number {
  let length = 0;
  for (let at = 1, unit = 1; ; at++, unit *= 128) {
    const digit = bytes[at] ?? 0;
    length += (digit & 0x7f) * unit;
    if (digit < 0x80) return at + 1 + length;
  }
}

export function topicOf(frame: Buffer): string {
  let at = 1;
  while ((frame[at] ?? 0) >= 0x80) at++;
  return frame.toString("utf8", at + 3, at + 3 + frame.readUInt16BE(at + 1));
}
