import { Message, NO_PROPERTIES } from "./message.ts";

/** A message as a row holds it. */
export interface MessageRow {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly properties: Buffer | undefined;
  readonly expiresAt: number | undefined;
}

export function messageRow({ topic, payload, qos, properties, expiresAt }: Message): MessageRow {
  return { topic, payload, qos, properties: properties.length === 0 ? undefined : properties, expiresAt };
}

/** The rows are the hub's own: what was written is what comes back, as plain typed arrays. */
export function messageOf(row: Record<string, unknown>): Message {
  const { topic, payload, qos, retain, properties, expiresAt } = row;
  return new Message({
    topic: topic as string,
    payload: bufferOf(payload as Uint8Array),
    qos: qos as 0 | 1 | 2,
    retain: retain === true,
    properties: properties instanceof Uint8Array ? bufferOf(properties) : NO_PROPERTIES,
    expiresAt: expiresAt as number | undefined,
  });
}

const bufferOf = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
