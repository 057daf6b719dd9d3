import { FAULTS, type FrameFault } from "./frame-fault.ts";
import { byteAt, shortAt, skipBinary, skipText, skipTopicName, type TopicLimits } from "./frame-text.ts";

/** Whose properties they are; a property may stand in some of them. */
export const PROPERTIES_OF = {
  connect: 1,
  will: 2,
  publish: 4,
  /** Without a topic name, so that a topic alias must be there. */
  aliasedPublish: 8,
  subscribe: 16,
  unsubscribe: 32,
  acknowledgement: 64,
  disconnect: 128,
} as const;

export type PropertiesOf = (typeof PROPERTIES_OF)[keyof typeof PROPERTIES_OF];

const FLAG = 1;
const SHORT = 2;
const SHORT_ABOVE_0 = 3;
const LONG = 4;
const LONG_ABOVE_0 = 5;
const VARIABLE_ABOVE_0 = 6;
const TEXT = 7;
const TOPIC = 8;
const BINARY = 9;
const PAIR = 10;
const SERVER_ONLY = 11;

const SUBSCRIPTION_IDENTIFIER = 0x0b;
const AUTHENTICATION_METHOD = 0x15;
const AUTHENTICATION_DATA = 0x16;
const TOPIC_ALIAS = 0x23;
const USER_PROPERTY = 0x26;

const IN_PUBLISH = PROPERTIES_OF.publish | PROPERTIES_OF.aliasedPublish;
const IN_MESSAGE = IN_PUBLISH | PROPERTIES_OF.will;

/** Table 2-4 of MQTT 5 as far as clients send them: identifier, type, in which packets. */
const TABLE: readonly (readonly [id: number, type: number, packets: number])[] = [
  [0x01, FLAG, IN_MESSAGE],
  [0x02, LONG, IN_MESSAGE],
  [0x03, TEXT, IN_MESSAGE],
  [0x08, TOPIC, IN_MESSAGE],
  [0x09, BINARY, IN_MESSAGE],
  [SUBSCRIPTION_IDENTIFIER, VARIABLE_ABOVE_0, PROPERTIES_OF.subscribe],
  [0x11, LONG, PROPERTIES_OF.connect | PROPERTIES_OF.disconnect],
  [0x12, SERVER_ONLY, 0],
  [0x13, SERVER_ONLY, 0],
  [AUTHENTICATION_METHOD, TEXT, PROPERTIES_OF.connect],
  [AUTHENTICATION_DATA, BINARY, PROPERTIES_OF.connect],
  [0x17, FLAG, PROPERTIES_OF.connect],
  [0x18, LONG, PROPERTIES_OF.will],
  [0x19, FLAG, PROPERTIES_OF.connect],
  [0x1a, SERVER_ONLY, 0],
  [0x1c, SERVER_ONLY, 0],
  [0x1f, TEXT, PROPERTIES_OF.acknowledgement | PROPERTIES_OF.disconnect],
  [0x21, SHORT_ABOVE_0, PROPERTIES_OF.connect],
  [0x22, SHORT, PROPERTIES_OF.connect],
  [TOPIC_ALIAS, SHORT_ABOVE_0, IN_PUBLISH],
  [0x24, SERVER_ONLY, 0],
  [0x25, SERVER_ONLY, 0],
  [USER_PROPERTY, PAIR, 0xff],
  [0x27, LONG_ABOVE_0, PROPERTIES_OF.connect],
  [0x28, SERVER_ONLY, 0],
  [0x29, SERVER_ONLY, 0],
  [0x2a, SERVER_ONLY, 0],
];

/** 0: there is no such property. */
const TYPES = new Uint8Array(256);
const PACKETS = new Uint8Array(256);
for (const [id, type, packets] of TABLE) {
  TYPES[id] = type;
  PACKETS[id] = packets;
}

/** Where the properties at `at`, with their length in front, end. Allocates nothing. */
export function skipProperties(buffer: Buffer, at: number, end: number, packet: PropertiesOf, limits: TopicLimits): number | FrameFault {
  const length = variableAt(buffer, at, end);
  if (typeof length !== "number") return length;
  let next = at + sizeOfVariable(length);
  const stop = next + length;
  if (stop > end) return FAULTS.overrun;
  // The identifiers end at 0x2a, so that two numbers of 32 bits remember all that were there.
  let seenLow = 0;
  let seenHigh = 0;
  while (next < stop) {
    const id = byteAt(buffer, next);
    const misplaced = checkPlace(id, packet);
    if (misplaced) return misplaced;
    const bit = 1 << (id & 31);
    const isRepeated = id < 32 ? seenLow & bit : seenHigh & bit;
    if (isRepeated !== 0 && id !== USER_PROPERTY) return FAULTS.propertyTwice;
    if (id < 32) seenLow |= bit;
    else seenHigh |= bit;
    const after = skipValue(buffer, next + 1, stop, id, limits);
    if (typeof after !== "number") return after;
    next = after;
  }
  if (packet === PROPERTIES_OF.aliasedPublish && (seenHigh & (1 << (TOPIC_ALIAS & 31))) === 0) return FAULTS.topicMissing;
  const hasLoneAuthData = (seenLow & (1 << AUTHENTICATION_DATA)) !== 0 && (seenLow & (1 << AUTHENTICATION_METHOD)) === 0;
  return hasLoneAuthData ? FAULTS.authDataAlone : stop;
}

function checkPlace(id: number, packet: PropertiesOf): FrameFault | undefined {
  if (((PACKETS[id] as number) & packet) !== 0) return undefined;
  if (TYPES[id] === 0) return FAULTS.propertyUnknown;
  return id === SUBSCRIPTION_IDENTIFIER && (packet & IN_PUBLISH) !== 0 ? FAULTS.subscriptionIdentifier : FAULTS.propertyMisplaced;
}

/** Where the value of the property ends; `stop` is the end of all properties. */
function skipValue(buffer: Buffer, at: number, stop: number, id: number, limits: TopicLimits): number | FrameFault {
  switch (TYPES[id]) {
    case FLAG:
      if (at >= stop) return FAULTS.propertyOverrun;
      return byteAt(buffer, at) > 1 ? FAULTS.propertyFlag : at + 1;
    case SHORT:
      return at + 2 > stop ? FAULTS.propertyOverrun : at + 2;
    case SHORT_ABOVE_0:
      if (at + 2 > stop) return FAULTS.propertyOverrun;
      if (shortAt(buffer, at) !== 0) return at + 2;
      return id === TOPIC_ALIAS ? FAULTS.topicAliasZero : FAULTS.propertyZero;
    case LONG:
      return at + 4 > stop ? FAULTS.propertyOverrun : at + 4;
    case LONG_ABOVE_0:
      if (at + 4 > stop) return FAULTS.propertyOverrun;
      return (shortAt(buffer, at) | shortAt(buffer, at + 2)) === 0 ? FAULTS.propertyZero : at + 4;
    case VARIABLE_ABOVE_0: {
      const value = variableAt(buffer, at, stop);
      if (typeof value !== "number") return value;
      return value === 0 ? FAULTS.propertyZero : at + sizeOfVariable(value);
    }
    default:
      return skipLongValue(buffer, at, stop, id, limits);
  }
}

function skipLongValue(buffer: Buffer, at: number, stop: number, id: number, limits: TopicLimits): number | FrameFault {
  switch (TYPES[id]) {
    case TOPIC:
      return skipTopicName(buffer, at, stop, limits);
    case BINARY:
      return skipBinary(buffer, at, stop);
    case PAIR: {
      const value = skipText(buffer, at, stop);
      return typeof value === "number" ? skipText(buffer, value, stop) : value;
    }
    default:
      return skipText(buffer, at, stop);
  }
}

/** A variable byte integer, which must not be longer than its value needs [MQTT-1.5.5-1]. */
function variableAt(buffer: Buffer, at: number, end: number): number | FrameFault {
  let value = 0;
  for (let size = 0; size < 4; size++) {
    if (at + size >= end) return FAULTS.overrun;
    const byte = byteAt(buffer, at + size);
    value |= (byte & 0x7f) << (7 * size);
    if (byte < 0x80) return byte === 0 && size > 0 ? FAULTS.paddedLength : value;
  }
  return FAULTS.longLength;
}

const sizeOfVariable = (value: number): number => (value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4);
