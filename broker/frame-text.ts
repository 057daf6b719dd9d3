import { isUtf8 } from "node:buffer";
import { FAULTS, type FrameFault } from "./frame-fault.ts";

/** What the hub takes of topics: bytes of a name or filter at most (65,535 is MQTT's own limit), and levels. */
export interface TopicLimits {
  readonly topicLevels: number;
  readonly topicBytes: number;
}

const SLASH = 0x2f;
const PLUS = 0x2b;
const HASH = 0x23;
const SHARE_PREFIX = Buffer.from("$share/");
/** Aedes keeps the filters of a SUBSCRIBE as keys of a plain object, and dies of this one beside another. */
const PROTOTYPE = Buffer.from("__proto__");

export const byteAt = (buffer: Buffer, at: number): number => buffer[at] as number;

export const shortAt = (buffer: Buffer, at: number): number => (byteAt(buffer, at) << 8) | byteAt(buffer, at + 1);

/** Where the binary data at `at` (two bytes of length, then as many) ends. */
export function skipBinary(buffer: Buffer, at: number, end: number): number | FrameFault {
  if (end - at < 2) return FAULTS.overrun;
  const stop = at + 2 + shortAt(buffer, at);
  return stop > end ? FAULTS.overrun : stop;
}

/** Where the string at `at` ends, if it is UTF-8 without U+0000. */
export function skipText(buffer: Buffer, at: number, end: number): number | FrameFault {
  const stop = skipBinary(buffer, at, end);
  if (typeof stop !== "number") return stop;
  let bits = 0;
  for (let i = at + 2; i < stop; i++) {
    const byte = byteAt(buffer, i);
    if (byte === 0) return FAULTS.nulInText;
    bits |= byte;
  }
  return checkUtf8(buffer, at + 2, stop, bits) ?? stop;
}

/** Where the topic name at `at` ends. ASCII, which nearly all are, is read byte by byte and decoded by nobody. */
export function skipTopicName(buffer: Buffer, at: number, end: number, limits: TopicLimits): number | FrameFault {
  const stop = skipBinary(buffer, at, end);
  if (typeof stop !== "number") return stop;
  const length = stop - at - 2;
  if (length === 0) return FAULTS.topicEmpty;
  if (length > limits.topicBytes) return FAULTS.topicLong;
  let bits = 0;
  let levels = 1;
  for (let i = at + 2; i < stop; i++) {
    const byte = byteAt(buffer, i);
    if (byte > SLASH) bits |= byte;
    else if (byte === SLASH) levels++;
    else if (byte === PLUS || byte === HASH) return FAULTS.topicWildcard;
    else if (byte === 0) return FAULTS.nulInText;
  }
  if (levels > limits.topicLevels) return FAULTS.topicDeep;
  return checkUtf8(buffer, at + 2, stop, bits) ?? stop;
}

/** Where the topic filter at `at` ends. `$share/<group>/` in front is checked for its form and counts no level. */
export function skipTopicFilter(buffer: Buffer, at: number, end: number, limits: TopicLimits): number | FrameFault {
  const stop = skipText(buffer, at, end);
  if (typeof stop !== "number") return stop;
  if (stop - at - 2 > limits.topicBytes) return FAULTS.filterLong;
  const start = isShared(buffer, at) ? skipShareName(buffer, at, stop) : at + 2;
  if (typeof start !== "number") return start;
  if (start === stop) return FAULTS.filterEmpty;
  if (PROTOTYPE.compare(buffer, start, stop) === 0) return FAULTS.filterPrototype;
  return checkLevels(buffer, start, stop, limits.topicLevels) ?? stop;
}

/** Whether the topic filter at `at`, which is whole, asks for a shared subscription. */
export function isShared(buffer: Buffer, at: number): boolean {
  const { length } = SHARE_PREFIX;
  return shortAt(buffer, at) >= length && SHARE_PREFIX.compare(buffer, at + 2, at + 2 + length) === 0;
}

function skipShareName(buffer: Buffer, at: number, stop: number): number | FrameFault {
  const start = at + 2 + SHARE_PREFIX.length;
  for (let i = start; i < stop; i++) {
    const byte = byteAt(buffer, i);
    if (byte === PLUS || byte === HASH) return FAULTS.shareForm;
    if (byte === SLASH) return i === start ? FAULTS.shareNameEmpty : i + 1 === stop ? FAULTS.shareForm : i + 1;
  }
  return start === stop ? FAULTS.shareNameEmpty : FAULTS.shareForm;
}

function checkLevels(buffer: Buffer, start: number, stop: number, maxLevels: number): FrameFault | undefined {
  let levels = 1;
  for (let i = start; i < stop; i++) {
    const byte = byteAt(buffer, i);
    if (byte === SLASH) levels++;
    if (byte !== PLUS && byte !== HASH) continue;
    const isLast = i + 1 === stop;
    const isFirstOfLevel = i === start || buffer[i - 1] === SLASH;
    if (byte === HASH && !(isFirstOfLevel && isLast)) return FAULTS.filterHash;
    if (byte === PLUS && !(isFirstOfLevel && (isLast || buffer[i + 1] === SLASH))) return FAULTS.filterPlus;
  }
  return levels > maxLevels ? FAULTS.filterDeep : undefined;
}

/** `bits`: all bytes of the string, or-ed. */
function checkUtf8(buffer: Buffer, start: number, stop: number, bits: number): FrameFault | undefined {
  return bits >= 0x80 && !isUtf8(buffer.subarray(start, stop)) ? FAULTS.notUtf8 : undefined;
}
