import { fault } from "./definition.ts";
import { checkSignal, type IrSignal, MOST_REPEATS, signedTimings, USUAL_CARRIER_HZ } from "./ir-signal.ts";

/** Lengths are counted in 269/8192 of a microsecond's inverse, about 30.45 µs. */
const UNIT_US = 8_192 / 269;
const INFRARED = 0x26;
const HEADER_BYTES = 4;

/**
 * What Broadlink's emitters are sent: 0x26, how often it is repeated, the number of bytes (lowest first), and the lengths, a byte each, or 0 and
 * two bytes (highest first). What follows is padding. Throws `validation_error` at `/broadlink`.
 */
export function parseBroadlink(packet: Uint8Array): IrSignal {
  const [kind, repeat = 0, low = 0, high = 0] = packet;
  if (packet.length < HEADER_BYTES) throw refused("is too short for a Broadlink code");
  if (kind !== INFRARED) throw refused(`begins with ${kind}, and a Broadlink code for infrared with ${INFRARED}`);
  const bytes = packet.subarray(HEADER_BYTES, HEADER_BYTES + low + high * 256);
  if (bytes.length < low + high * 256) throw refused(`announces ${low + high * 256} bytes and has ${bytes.length}`);
  const lengths = lengthsOf(bytes).map((count) => Math.round(count * UNIT_US));
  const timings = signedTimings(lengths);
  const signal = { carrierHz: USUAL_CARRIER_HZ, timings, repeatFrom: 0, repeat: Math.min(repeat, MOST_REPEATS) };
  checkSignal(signal, "/broadlink");
  return signal;
}

function lengthsOf(bytes: Uint8Array): number[] {
  const lengths: number[] = [];
  for (let at = 0; at < bytes.length; at++) {
    const short = bytes[at] as number;
    if (short > 0) {
      lengths.push(short);
      continue;
    }
    const [high, low] = [bytes[at + 1], bytes[at + 2]];
    // One 0 behind the last length is padding that was counted.
    if (high === undefined || low === undefined) break;
    lengths.push(high * 256 + low);
    at += 2;
  }
  return lengths;
}

/** Files in use have padding where none belongs. */
const BASE64 = /^[A-Za-z0-9+/]+=*$/;

/** A Broadlink packet in Base64. Throws `validation_error`. */
export function parseBroadlinkBase64(text: string): IrSignal {
  const compact = text.replaceAll(/\s+/g, "");
  if (!BASE64.test(compact)) throw refused("is no Base64");
  return parseBroadlink(Buffer.from(compact, "base64"));
}

/** A Broadlink packet in hexadecimal. Throws `validation_error`. */
export function parseBroadlinkHex(text: string): IrSignal {
  const compact = text.replaceAll(/\s+/g, "");
  if (!/^(?:[0-9a-f]{2})+$/i.test(compact)) throw refused("is not hexadecimal");
  return parseBroadlink(Buffer.from(compact, "hex"));
}

const refused = (message: string) => fault("/broadlink", message);
