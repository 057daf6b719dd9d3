/** Why a frame is refused. `reasonCode` is MQTT 5's, for a CONNACK or a DISCONNECT; `statement` names what the specification says. */
export interface FrameFault {
  readonly reasonCode: number;
  readonly statement: string;
}

const malformed = (statement: string): FrameFault => ({ reasonCode: 0x81, statement });
const protocolError = (statement: string): FrameFault => ({ reasonCode: 0x82, statement });
const badTopic = (statement: string): FrameFault => ({ reasonCode: 0x90, statement });
const badFilter = (statement: string): FrameFault => ({ reasonCode: 0x8f, statement });

/**
 * Every fault there is, made once: finding one allocates nothing. Where 3.1.1 and 5 give a statement different numbers,
 * 3.1.1's stands first.
 */
export const FAULTS = {
  overrun: malformed("a field is longer than its packet"),
  trailing: malformed("bytes behind the last field"),
  longLength: malformed("[MQTT-1.5.5-1] a length of more than four bytes"),
  paddedLength: malformed("[MQTT-1.5.5-1] a variable byte integer that is longer than it must be"),
  reservedFlags: malformed("[MQTT-2.2.2-2, 5: MQTT-2.1.3-1] reserved flags of the fixed header"),
  notUtf8: malformed("[MQTT-1.5.3-1, 5: MQTT-1.5.4-1] a string that is not UTF-8"),
  nulInText: malformed("[MQTT-1.5.3-2, 5: MQTT-1.5.4-2] U+0000 in a string"),
  packetIdZero: protocolError("[MQTT-2.3.1-1, 5: MQTT-2.2.1-3] packet identifier 0"),
  serverPacket: protocolError("a packet that only a server sends"),
  reservedType: protocolError("a reserved packet type"),
  authUnasked: protocolError("AUTH without an authentication method"),
  reasonCodeUnknown: malformed("a reason code that this packet does not have"),
  qos3: malformed("[MQTT-3.3.1-4] QoS 3"),
  dupWithoutQos: malformed("[MQTT-3.3.1-2] DUP with QoS 0"),

  topicEmpty: badTopic("[MQTT-4.7.3-1] a topic name without a character"),
  topicWildcard: badTopic("[MQTT-3.3.2-2, response topic: MQTT-3.3.2-14] a wildcard in a topic name"),
  topicLong: badTopic("[MQTT-4.7.3-3] a topic name longer than the limit"),
  topicDeep: badTopic("a topic name with more levels than the limit"),
  topicMissing: protocolError("neither a topic name nor a topic alias"),
  filterEmpty: badFilter("[MQTT-4.7.3-1] a topic filter without a character"),
  filterHash: badFilter("[MQTT-4.7.1-2, 5: MQTT-4.7.1-1] # that is not a whole level at the end"),
  filterPlus: badFilter("[MQTT-4.7.1-3, 5: MQTT-4.7.1-2] + that is not a whole level"),
  filterLong: badFilter("[MQTT-4.7.3-3] a topic filter longer than the limit"),
  filterPrototype: badFilter("a topic filter that names the prototype of an object"),
  filterDeep: badFilter("a topic filter with more levels than the limit"),
  shareNameEmpty: badFilter("[MQTT-4.8.2-1] a shared subscription without a share name"),
  shareForm: badFilter("[MQTT-4.8.2-2] a share name with a wildcard or without a topic filter"),
  shareNoLocal: protocolError("[MQTT-3.8.3-4] No Local on a shared subscription"),
  filtersMissing: protocolError("[MQTT-3.8.3-3, 5: MQTT-3.8.3-2] no topic filter"),
  unsubscribeEmpty: protocolError("[MQTT-3.10.3-2] no topic filter"),
  subscribeOptions: malformed("[MQTT-3-8.3-4, 5: MQTT-3.8.3-5] reserved bits of the subscription options"),
  subscribeQos3: protocolError("[MQTT-3-8.3-4] QoS 3 in the subscription options"),
  retainHandling3: protocolError("Retain Handling 3 in the subscription options"),

  protocolName: { reasonCode: 0x84, statement: "[MQTT-3.1.2-1] another protocol name" },
  protocolLevel: { reasonCode: 0x84, statement: "[MQTT-3.1.2-2] another protocol level" },
  connectReserved: malformed("[MQTT-3.1.2-3] the reserved connect flag"),
  willQosUnset: malformed("[MQTT-3.1.2-13, 5: MQTT-3.1.2-11] Will QoS without a will"),
  willRetainUnset: malformed("[MQTT-3.1.2-15, 5: MQTT-3.1.2-13] Will Retain without a will"),
  willQos3: malformed("[MQTT-3.1.2-14, 5: MQTT-3.1.2-12] Will QoS 3"),
  passwordAlone: malformed("[MQTT-3.1.2-22] a password without a user name"),
  clientIdEmpty: { reasonCode: 0x85, statement: "[MQTT-3.1.3-8] an empty client identifier for a session that stays" },

  propertyUnknown: malformed("[section 2.2.2.2] a property that does not exist"),
  propertyMisplaced: malformed("[section 2.2.2.2] a property that this packet does not have"),
  propertyTwice: protocolError("[section 2.2.2.2] a property that stands there twice"),
  propertyZero: protocolError("a property that must not be 0"),
  propertyFlag: protocolError("a property that is neither 0 nor 1"),
  propertyOverrun: malformed("a property that is longer than the property length"),
  topicAliasZero: { reasonCode: 0x94, statement: "[MQTT-3.3.2-8] topic alias 0" },
  subscriptionIdentifier: protocolError("[MQTT-3.3.4-6] a subscription identifier from a client's PUBLISH"),
  authDataAlone: protocolError("authentication data without an authentication method"),
} as const satisfies Record<string, FrameFault>;
