import { bodyOffset, readHeader } from "./frame.ts";

/** One filter of a SUBSCRIBE, with its options. */
export interface Asked {
  readonly filter: string;
  readonly qos: 0 | 1 | 2;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  readonly retainHandling: 0 | 1 | 2;
}

export interface Subscribe {
  readonly packetId: number;
  /** MQTT 5: the subscription identifier, for all filters of the packet. */
  readonly id: number | undefined;
  /** The first ones, as many as were asked for. */
  readonly asked: readonly Asked[];
  /** How many filters there are in all. */
  readonly count: number;
}

const SUBSCRIPTION_ID = 0x0b;
const SUBACK = 0x90;
const UNSUBACK = 0xb0;

/*
 * Frames that passed the checks, and their answers. A packet of 256 KiB has room for 65,000 filters, for which
 * mqtt-packet's parser takes half a second in which nobody else is served.
 */

/** Reads a checked SUBSCRIBE; filters beyond the first `most` are only counted. */
export function readSubscribe(frame: Buffer, version: number, most: number): Subscribe {
  const { packetId, id, filters: start } = readHead(frame, version);
  const asked: Asked[] = [];
  let count = 0;
  for (let at = start; at < frame.length; count++) {
    const next = at + 2 + frame.readUInt16BE(at);
    if (count < most) asked.push(askedOf(frame.toString("utf8", at + 2, next), frame[next] as number));
    at = next + 1;
  }
  return { packetId, id, asked, count };
}

/** Reads a checked UNSUBSCRIBE. */
export function readUnsubscribe(frame: Buffer, version: number): { readonly packetId: number; readonly filters: readonly string[] } {
  const { packetId, filters: start } = readHead(frame, version);
  const filters: string[] = [];
  for (let at = start; at < frame.length; ) {
    const next = at + 2 + frame.readUInt16BE(at);
    filters.push(frame.toString("utf8", at + 2, next));
    at = next;
  }
  return { packetId, filters };
}

export function subackFrame(version: number, packetId: number, codes: readonly number[]): Buffer {
  return answerFrame(SUBACK, packetId, version === 5 ? [0, ...codes] : codes);
}

/** MQTT 3.1.1 has no codes here. */
export function unsubackFrame(version: number, packetId: number, codes: readonly number[]): Buffer {
  return answerFrame(UNSUBACK, packetId, version === 5 ? [0, ...codes] : []);
}

function answerFrame(first: number, packetId: number, payload: readonly number[]): Buffer {
  const length: number[] = [];
  for (let left = 2 + payload.length; left > 0 || length.length === 0; left >>= 7) length.push((left & 127) | (left > 127 ? 128 : 0));
  return Buffer.from([first, ...length, packetId >> 8, packetId & 255, ...payload]);
}

function askedOf(filter: string, options: number): Asked {
  return {
    filter,
    qos: (options & 3) as 0 | 1 | 2,
    noLocal: (options & 4) !== 0,
    retainAsPublished: (options & 8) !== 0,
    retainHandling: ((options >> 4) & 3) as 0 | 1 | 2,
  };
}

/** What stands before the filters, and where those begin. */
function readHead(frame: Buffer, version: number): { packetId: number; id: number | undefined; filters: number } {
  const body = bodyOffset(readHeader(frame, 0, frame.length));
  const packetId = frame.readUInt16BE(body);
  if (version !== 5) return { packetId, id: undefined, filters: body + 2 };
  const properties = readVariable(frame, body + 2);
  const end = properties.next + properties.value;
  let id: number | undefined;
  for (let at = properties.next; at < end; ) {
    if (frame[at] === SUBSCRIPTION_ID) {
      const found = readVariable(frame, at + 1);
      id = found.value;
      at = found.next;
    } else {
      // A user property: two strings. The checks let nothing else pass here.
      const name = at + 3 + frame.readUInt16BE(at + 1);
      at = name + 2 + frame.readUInt16BE(name);
    }
  }
  return { packetId, id, filters: end };
}

function readVariable(frame: Buffer, start: number): { value: number; next: number } {
  let value = 0;
  for (let at = start, shift = 0; ; at++, shift += 7) {
    const byte = frame[at] as number;
    value |= (byte & 127) << shift;
    if (byte < 0x80) return { value, next: at + 1 };
  }
}
