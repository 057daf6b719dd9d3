import { FAULTS, type FrameFault } from "./frame-fault.ts";
import { PROPERTIES_OF, type PropertiesOf, skipProperties } from "./frame-properties.ts";
import { byteAt, isShared, shortAt, skipBinary, skipText, skipTopicFilter, skipTopicName, type TopicLimits } from "./frame-text.ts";

/**
 * The checks of one frame (a whole packet, as bytes), before anything reads it: what passes here is what MQTT 3.1, 3.1.1
 * or 5 lets a client send, so that no parser behind it can stumble. Pure, and without allocations where nothing is wrong.
 * In all functions `start` is where the fixed header is, and `end` is behind the last byte.
 */

const CONNECT = 1;
const PUBLISH = 3;
const PUBACK = 4;
const PUBREC = 5;
const PUBREL = 6;
const PUBCOMP = 7;
const SUBSCRIBE = 8;
const UNSUBSCRIBE = 10;
const PINGREQ = 12;
const DISCONNECT = 14;
const AUTH = 15;

const DUP = 0x08;

/** The fixed header is not whole yet. */
export const HEADER_INCOMPLETE = -1;
/** The remaining length has more than four bytes. */
export const HEADER_MALFORMED = -2;

/**
 * The fixed header at `start`, as one number for speed: `bodyOffset` and `remainingLength` take it apart. HEADER_INCOMPLETE
 * when more bytes are needed, HEADER_MALFORMED when no byte can mend it.
 */
export function readHeader(buffer: Buffer, start: number, end: number): number {
  let length = 0;
  for (let size = 0; size < 4; size++) {
    const at = start + 1 + size;
    if (at >= end) return HEADER_INCOMPLETE;
    const byte = byteAt(buffer, at);
    length |= (byte & 0x7f) << (7 * size);
    if (byte < 0x80) return length * 8 + size + 2;
  }
  return HEADER_MALFORMED;
}

/** Bytes from the start of the frame to its body, 2 to 5. */
export const bodyOffset = (header: number): number => header & 7;

/** Bytes of the body, 0 to 268,435,455. */
export const remainingLength = (header: number): number => header >>> 3;

/**
 * Checks a whole frame of any type from a client. `version` is the protocol level of its connection (3, 4 or 5); a CONNECT
 * brings its own.
 */
export function checkFrame(buffer: Buffer, start: number, end: number, version: number, limits: TopicLimits): FrameFault | undefined {
  const type = byteAt(buffer, start) >> 4;
  if (type === PUBLISH) return checkPublish(buffer, start, end, version, limits);
  const body = bodyOf(buffer, start);
  const level = type === CONNECT ? connectVersion(buffer, start, end) : version;
  const fault = checkFlags(byteAt(buffer, start), level) ?? checkLength(buffer, start, body, level);
  if (fault) return fault;
  switch (type) {
    case CONNECT:
      return checkConnect(buffer, body, end, level, limits);
    case PUBACK:
    case PUBREC:
    case PUBREL:
    case PUBCOMP:
      return checkAcknowledgement(buffer, start, end, version, limits);
    case SUBSCRIBE:
    case UNSUBSCRIBE:
      return checkSubscriptions(buffer, start, end, version, limits);
    case PINGREQ:
      return body === end ? undefined : FAULTS.trailing;
    case DISCONNECT:
      return checkDisconnect(buffer, body, end, version, limits);
    case AUTH:
      return version === 5 ? FAULTS.authUnasked : FAULTS.reservedType;
    default:
      return type === 0 ? FAULTS.reservedType : FAULTS.serverPacket;
  }
}

/** Checks a whole PUBLISH. Neither its topic nor its payload is decoded. */
export function checkPublish(buffer: Buffer, start: number, end: number, version: number, limits: TopicLimits): FrameFault | undefined {
  const first = byteAt(buffer, start);
  const qos = (first >> 1) & 3;
  if (qos === 3) return FAULTS.qos3;
  if (qos === 0 && (first & DUP) !== 0) return FAULTS.dupWithoutQos;
  const body = bodyOf(buffer, start);
  const padded = checkLength(buffer, start, body, version);
  if (padded) return padded;
  const isAliased = version === 5 && end - body >= 2 && shortAt(buffer, body) === 0;
  const behindTopic = isAliased ? body + 2 : skipTopicName(buffer, body, end, limits);
  if (typeof behindTopic !== "number") return behindTopic;
  const behindId = qos === 0 ? behindTopic : skipPacketId(buffer, behindTopic, end);
  if (typeof behindId !== "number") return behindId;
  if (version !== 5) return undefined;
  const packet = isAliased ? PROPERTIES_OF.aliasedPublish : PROPERTIES_OF.publish;
  const payload = skipProperties(buffer, behindId, end, packet, limits);
  return typeof payload === "number" ? undefined : payload;
}

/**
 * The protocol level that a CONNECT names, also of one that is cut off or not finished; undefined when it is not there or
 * the protocol's name is another one.
 */
export function connectVersion(buffer: Buffer, start: number, end: number): number | undefined {
  const header = readHeader(buffer, start, end);
  if (header < 0) return undefined;
  const at = start + bodyOffset(header);
  const stop = Math.min(end, at + remainingLength(header));
  for (const name of PROTOCOL_NAMES) {
    const level = at + name.length;
    if (level < stop && name.compare(buffer, at, level) === 0) return byteAt(buffer, level);
  }
  return undefined;
}

const MQTT = Buffer.from("\0\x04MQTT");
const MQISDP = Buffer.from("\0\x06MQIsdp");
const PROTOCOL_NAMES = [MQTT, MQISDP];

/** The remaining length is known to end in this frame. */
function bodyOf(buffer: Buffer, start: number): number {
  let at = start + 1;
  while (byteAt(buffer, at) >= 0x80) at++;
  return at + 1;
}

/** MQTT 5 alone asks for the shortest form. */
function checkLength(buffer: Buffer, start: number, body: number, version: number | undefined): FrameFault | undefined {
  return version === 5 && body > start + 2 && buffer[body - 1] === 0 ? FAULTS.paddedLength : undefined;
}

function checkFlags(first: number, version: number | undefined): FrameFault | undefined {
  const type = first >> 4;
  const flags = first & 0x0f;
  const expected = type === PUBREL || type === SUBSCRIBE || type === UNSUBSCRIBE ? 2 : 0;
  // MQTT 3.1 marks a PUBREL that is sent again with DUP.
  const isRepeated = version === 3 && type === PUBREL && flags === (expected | DUP);
  return flags === expected || isRepeated ? undefined : FAULTS.reservedFlags;
}

function skipPacketId(buffer: Buffer, at: number, end: number): number | FrameFault {
  if (end - at < 2) return FAULTS.overrun;
  return shortAt(buffer, at) === 0 ? FAULTS.packetIdZero : at + 2;
}

function checkConnect(buffer: Buffer, body: number, end: number, level: number | undefined, limits: TopicLimits): FrameFault | undefined {
  if (level === undefined) return FAULTS.protocolName;
  const isOld = byteAt(buffer, body + 1) === 6;
  if (isOld ? level !== 3 : level !== 4 && level !== 5) return FAULTS.protocolLevel;
  const at = body + (isOld ? MQISDP : MQTT).length + 1;
  // Flags and keepalive.
  if (end - at < 3) return FAULTS.overrun;
  const flags = byteAt(buffer, at);
  const fault = checkConnectFlags(flags, level);
  if (fault) return fault;
  const id = level === 5 ? skipProperties(buffer, at + 3, end, PROPERTIES_OF.connect, limits) : at + 3;
  if (typeof id !== "number") return id;
  const behindId = skipText(buffer, id, end);
  if (typeof behindId !== "number") return behindId;
  const behindWill = (flags & 0x04) === 0 ? behindId : skipWill(buffer, behindId, end, level, limits);
  if (typeof behindWill !== "number") return behindWill;
  const behindName = (flags & 0x80) === 0 ? behindWill : skipText(buffer, behindWill, end);
  if (typeof behindName !== "number") return behindName;
  const behindPassword = (flags & 0x40) === 0 ? behindName : skipBinary(buffer, behindName, end);
  if (typeof behindPassword !== "number") return behindPassword;
  if (behindPassword !== end) return FAULTS.trailing;
  // MQTT 3.1 has no client without an identifier, 3.1.1 none whose session stays.
  const needsId = level === 3 || (level === 4 && (flags & 0x02) === 0);
  return needsId && behindId === id + 2 ? FAULTS.clientIdEmpty : undefined;
}

function checkConnectFlags(flags: number, level: number): FrameFault | undefined {
  if ((flags & 0x01) !== 0) return FAULTS.connectReserved;
  if ((flags & 0x18) === 0x18) return FAULTS.willQos3;
  if ((flags & 0x04) === 0) {
    if ((flags & 0x18) !== 0) return FAULTS.willQosUnset;
    if ((flags & 0x20) !== 0) return FAULTS.willRetainUnset;
  }
  return level !== 5 && (flags & 0xc0) === 0x40 ? FAULTS.passwordAlone : undefined;
}

function skipWill(buffer: Buffer, at: number, end: number, level: number, limits: TopicLimits): number | FrameFault {
  const topic = level === 5 ? skipProperties(buffer, at, end, PROPERTIES_OF.will, limits) : at;
  if (typeof topic !== "number") return topic;
  const payload = skipTopicName(buffer, topic, end, limits);
  return typeof payload === "number" ? skipBinary(buffer, payload, end) : payload;
}

/** Tables 3-4 and 3-5 (PUBACK, PUBREC), 3-6 and 3-7 (PUBREL, PUBCOMP), and those of 3-10 (DISCONNECT) that a client sends. */
const RECEIVED_CODES = new Set([0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]);
const RELEASED_CODES = new Set([0x00, 0x92]);
const DISCONNECT_CODES = new Set([0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99]);

function checkAcknowledgement(buffer: Buffer, start: number, end: number, version: number, limits: TopicLimits): FrameFault | undefined {
  const at = skipPacketId(buffer, bodyOf(buffer, start), end);
  if (typeof at !== "number") return at;
  if (at === end) return undefined;
  if (version !== 5) return FAULTS.trailing;
  const isReceipt = byteAt(buffer, start) >> 4 <= PUBREC;
  if (!(isReceipt ? RECEIVED_CODES : RELEASED_CODES).has(byteAt(buffer, at))) return FAULTS.reasonCodeUnknown;
  return checkLast(buffer, at + 1, end, PROPERTIES_OF.acknowledgement, limits);
}

function checkDisconnect(buffer: Buffer, body: number, end: number, version: number, limits: TopicLimits): FrameFault | undefined {
  if (body === end) return undefined;
  if (version !== 5) return FAULTS.trailing;
  if (!DISCONNECT_CODES.has(byteAt(buffer, body))) return FAULTS.reasonCodeUnknown;
  return checkLast(buffer, body + 1, end, PROPERTIES_OF.disconnect, limits);
}

/** Properties that may be left out, with nothing behind them. */
function checkLast(buffer: Buffer, at: number, end: number, packet: PropertiesOf, limits: TopicLimits): FrameFault | undefined {
  if (at === end) return undefined;
  const last = skipProperties(buffer, at, end, packet, limits);
  if (typeof last !== "number") return last;
  return last === end ? undefined : FAULTS.trailing;
}

function checkSubscriptions(buffer: Buffer, start: number, end: number, version: number, limits: TopicLimits): FrameFault | undefined {
  const isSubscribe = byteAt(buffer, start) >> 4 === SUBSCRIBE;
  let at = skipPacketId(buffer, bodyOf(buffer, start), end);
  if (typeof at !== "number") return at;
  if (version === 5) at = skipProperties(buffer, at, end, isSubscribe ? PROPERTIES_OF.subscribe : PROPERTIES_OF.unsubscribe, limits);
  if (typeof at !== "number") return at;
  if (at === end) return isSubscribe ? FAULTS.filtersMissing : FAULTS.unsubscribeEmpty;
  while (at < end) {
    const next = skipTopicFilter(buffer, at, end, limits);
    if (typeof next !== "number") return next;
    if (isSubscribe) {
      if (next === end) return FAULTS.overrun;
      const fault = checkOptions(byteAt(buffer, next), version, isShared(buffer, at));
      if (fault) return fault;
    }
    at = isSubscribe ? next + 1 : next;
  }
  return undefined;
}

function checkOptions(options: number, version: number, isSharedFilter: boolean): FrameFault | undefined {
  if ((options & (version === 5 ? 0xc0 : 0xfc)) !== 0) return FAULTS.subscribeOptions;
  if ((options & 0x03) === 0x03) return FAULTS.subscribeQos3;
  if ((options & 0x30) === 0x30) return FAULTS.retainHandling3;
  return isSharedFilter && (options & 0x04) !== 0 ? FAULTS.shareNoLocal : undefined;
}
