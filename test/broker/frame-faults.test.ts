import assert from "node:assert/strict";
import { test } from "node:test";
import { FAULTS } from "../../broker/frame-fault.ts";
import {
  ALL,
  NEW,
  OLD,
  bytes,
  check,
  connect,
  connectWith,
  frame,
  head,
  hex,
  none,
  props,
  publish,
  publishWith,
  subscribe,
  text,
  type Row,
  unsubscribe,
  willWith,
} from "./frame-bytes.ts";

const REFUSED: Record<keyof typeof FAULTS, readonly Row[]> = {
  overrun: [
    ["a topic that is longer than its packet is malformed", ALL, () => frame(0x30, 0, 9, "a/b")],
    ["a topic without its length is malformed", ALL, () => frame(0x30, 0)],
    ["a PUBLISH that ends before its packet identifier is malformed", ALL, () => frame(0x32, text("a/b"), 1)],
    ["a PUBLISH without a property length is malformed", NEW, () => frame(0x30, text("a/b"))],
    ["properties that are longer than their packet are malformed", NEW, () => frame(0x30, text("a/b"), 9, 1, 1)],
    ["an acknowledgement of one byte is malformed", ALL, () => frame(0x40, 1)],
    ["a filter without options is malformed", ALL, (version) => frame(0x82, 0, 1, none(version), text("a"))],
    ["a filter that is longer than its packet is malformed", ALL, (version) => frame(0xa2, 0, 1, none(version), 0, 9, "a")],
    ["a CONNECT that ends before its keepalive is malformed", ALL, (version) => frame(0x10, head(version), 2, 0)],
    ["a CONNECT without a client identifier is malformed", ALL, (version) => connect(version, 2)],
    ["[MQTT-3.1.2-9, 3.1.1: MQTT-3.1.2-9] a will flag without will fields is malformed", ALL, (version) => connect(version, 6, text("id"))],
    [
      "a will payload that is longer than its packet is malformed",
      ALL,
      (version) => connect(version, 6, text("id"), none(version), text("will"), hex("0009")),
    ],
    [
      "[MQTT-3.1.2-19, 5: MQTT-3.1.2-17] a user name flag without a user name is malformed",
      ALL,
      (version) => connect(version, 0x82, text("id")),
    ],
    [
      "[MQTT-3.1.2-21, 5: MQTT-3.1.2-19] a password flag without a password is malformed",
      ALL,
      (version) => connect(version, 0xc2, text("id"), text("me")),
    ],
    ["a CONNECT whose session expiry is cut off is malformed", NEW, () => frame(0x10, head(5), 2, 0, 60, 5, 0x11, 0)],
  ],
  trailing: [
    [
      "[MQTT-3.1.2-18, 5: MQTT-3.1.2-16] a user name without its flag is malformed",
      ALL,
      (version) => connect(version, 2, text("id"), text("me")),
    ],
    [
      "[MQTT-3.1.2-20, 5: MQTT-3.1.2-18] a password without its flag is malformed",
      ALL,
      (version) => connect(version, 0x82, text("id"), text("me"), text("pw")),
    ],
    ["a PINGREQ with a body is malformed", ALL, () => frame(0xc0, 0)],
    ["a DISCONNECT with a body is malformed", OLD, () => frame(0xe0, 0)],
    ["an acknowledgement of three bytes is malformed", OLD, () => frame(0x40, 0, 1, 0)],
    ["bytes behind the properties of an acknowledgement are malformed", NEW, () => frame(0x40, 0, 1, 0, 0, 0)],
    ["bytes behind the properties of a DISCONNECT are malformed", NEW, () => frame(0xe0, 0, 0, 0)],
  ],
  longLength: [
    ["[MQTT-1.5.5-1] a property length of five bytes is malformed", NEW, () => frame(0x30, text("a/b"), hex("8080808001"), "x")],
  ],
  paddedLength: [
    ["[MQTT-1.5.5-1] a remaining length that is longer than it must be is malformed", NEW, () => hex("c08000")],
    ["[MQTT-1.5.5-1] a PUBLISH whose remaining length is longer than it must be is malformed", NEW, () => hex("3084800000016100")],
    ["[MQTT-1.5.5-1] a property length that is longer than it must be is malformed", NEW, () => frame(0x30, text("a/b"), hex("8000"))],
    [
      "[MQTT-1.5.5-1] a subscription identifier that is longer than it must be is malformed",
      NEW,
      () => frame(0x82, 0, 1, props(hex("0b8100")), text("a"), 0),
    ],
  ],
  reservedFlags: [
    ["[MQTT-2.2.2-2, 5: MQTT-2.1.3-1] CONNECT has no flags", ALL, (version) => bytes(0x11, connect(version, 2, text("id")).subarray(1))],
    ...[0x41, 0x58, 0x74].map(
      (first): Row => [
        `[MQTT-2.2.2-2, 5: MQTT-2.1.3-1] the acknowledgement 0x${first.toString(16)} has no flags`,
        ALL,
        () => frame(first, 0, 1),
      ],
    ),
    ["[MQTT-3.6.1-1] PUBREL's flags are 0010", ALL, () => frame(0x60, 0, 1)],
    ["[MQTT-3.6.1-1] PUBREL has no DUP any more", [4, 5], () => frame(0x6a, 0, 1)],
    ["[MQTT-3.8.1-1] SUBSCRIBE's flags are 0010", ALL, (version) => bytes(0x80, subscribe(version, "a").subarray(1))],
    ["[MQTT-3.10.1-1] UNSUBSCRIBE's flags are 0010", ALL, (version) => bytes(0xa3, unsubscribe(version, "a").subarray(1))],
    ["[MQTT-2.2.2-2, 5: MQTT-2.1.3-1] PINGREQ has no flags", ALL, () => frame(0xc8)],
    ["[MQTT-3.14.1-1] DISCONNECT has no flags", ALL, () => frame(0xe1)],
    ["[MQTT-3.15.1-1] AUTH has no flags", NEW, () => frame(0xf1)],
  ],
  notUtf8: [
    ...["c3", "c080", "eda080", "edbfbf", "f4908080", "f0808080", "e28228", "80", "ff"].map(
      (digits): Row => [
        `[MQTT-1.5.3-1, 5: MQTT-1.5.4-1, MQTT-3.3.2-1] a topic with the bytes ${digits} is malformed`,
        ALL,
        (version) => publish(version, bytes("a/", hex(digits))),
      ],
    ),
    ["[MQTT-3.8.3-1] a filter that is not UTF-8 is malformed", ALL, (version) => subscribe(version, hex("61ff"))],
    ["[MQTT-3.10.3-1] a filter to unsubscribe that is not UTF-8 is malformed", ALL, (version) => unsubscribe(version, hex("61ff"))],
    ["[MQTT-3.1.3-4] a client identifier that is not UTF-8 is malformed", ALL, (version) => connect(version, 2, text(hex("c3")))],
    [
      "[MQTT-3.1.3-10, 5: MQTT-3.1.3-11] a will topic that is not UTF-8 is malformed",
      ALL,
      (version) => connect(version, 6, text("id"), none(version), text(hex("c3")), text("")),
    ],
    [
      "[MQTT-3.1.3-11, 5: MQTT-3.1.3-12] a user name that is not UTF-8 is malformed",
      ALL,
      (version) => connect(version, 0x82, text("id"), text(hex("c3"))),
    ],
    ["[MQTT-3.3.2-19] a content type that is not UTF-8 is malformed", NEW, () => publishWith(3, text(hex("c3")))],
    ["[MQTT-3.3.2-13] a response topic that is not UTF-8 is malformed", NEW, () => publishWith(8, text(hex("c3")))],
    ["[MQTT-1.5.7-1] a user property whose name is not UTF-8 is malformed", NEW, () => publishWith(0x26, text(hex("c3")), text("b"))],
    ["[MQTT-1.5.7-1] a user property whose value is not UTF-8 is malformed", NEW, () => publishWith(0x26, text("a"), text(hex("c3")))],
    ["a reason string that is not UTF-8 is malformed", NEW, () => frame(0x40, 0, 1, 0, props(0x1f, text(hex("c3"))))],
    ["an authentication method that is not UTF-8 is malformed", NEW, () => connectWith(0x15, text(hex("c3")))],
  ],
  nulInText: [
    ["[MQTT-1.5.3-2, 5: MQTT-1.5.4-2, MQTT-4.7.3-2] U+0000 in a topic is malformed", ALL, (version) => publish(version, "a\0b")],
    ["[MQTT-1.5.3-2, 5: MQTT-1.5.4-2, MQTT-4.7.3-2] U+0000 in a filter is malformed", ALL, (version) => subscribe(version, "a\0b")],
    ["[MQTT-1.5.3-2, 5: MQTT-1.5.4-2] U+0000 in a client identifier is malformed", ALL, (version) => connect(version, 2, text("\0"))],
    ["[MQTT-1.5.4-2] U+0000 in a user property is malformed", NEW, () => publishWith(0x26, text("a"), text("\0"))],
  ],
  packetIdZero: [
    [
      "[MQTT-2.3.1-1, 5: MQTT-2.2.1-3] a PUBLISH of QoS 1 has a packet identifier above 0",
      ALL,
      (version) => frame(0x32, text("a"), 0, 0, none(version)),
    ],
    [
      "[MQTT-2.3.1-1, 5: MQTT-2.2.1-3] a SUBSCRIBE has a packet identifier above 0",
      ALL,
      (version) => frame(0x82, 0, 0, none(version), text("a"), 0),
    ],
    [
      "[MQTT-2.3.1-1, 5: MQTT-2.2.1-3] an UNSUBSCRIBE has a packet identifier above 0",
      ALL,
      (version) => frame(0xa2, 0, 0, none(version), text("a")),
    ],
    ...[0x40, 0x50, 0x62, 0x70].map(
      (first): Row => [`an acknowledgement 0x${first.toString(16)} has a packet identifier above 0`, ALL, () => frame(first, 0, 0)],
    ),
  ],
  serverPacket: [0x20, 0x90, 0xb0, 0xd0].map(
    (first): Row => [`a packet 0x${first.toString(16)}, which only servers send, is a protocol error`, ALL, () => frame(first, 0, 1)],
  ),
  reservedType: [
    ["packet type 0 is reserved", ALL, () => frame(0x00)],
    ["packet type 15 is reserved before MQTT 5", OLD, () => frame(0xf0)],
  ],
  authUnasked: [["AUTH from a client that named no method is a protocol error", NEW, () => frame(0xf0, 0x18, 0)]],
  reasonCodeUnknown: [
    ["[MQTT-3.4.2-1] PUBACK has no reason code 0x92", NEW, () => frame(0x40, 0, 1, 0x92)],
    ["[MQTT-3.5.2-1] PUBREC has no reason code 0x01", NEW, () => frame(0x50, 0, 1, 0x01, 0)],
    ["[MQTT-3.6.2-1] PUBREL has no reason code 0x80", NEW, () => frame(0x62, 0, 1, 0x80)],
    ["[MQTT-3.7.2-1] PUBCOMP has no reason code 0x10", NEW, () => frame(0x70, 0, 1, 0x10)],
    ["[MQTT-3.14.2-1] a client's DISCONNECT has no reason code 0x8e", NEW, () => frame(0xe0, 0x8e)],
  ],
  qos3: [["[MQTT-3.3.1-4] a PUBLISH has no QoS 3", ALL, (version) => publish(version, "a", 0x36)]],
  dupWithoutQos: [["[MQTT-3.3.1-2] a PUBLISH of QoS 0 has no DUP", ALL, (version) => publish(version, "a", 0x38)]],
  topicEmpty: [
    ["[MQTT-4.7.3-1] a topic has at least one character", OLD, (version) => publish(version, "")],
    [
      "[MQTT-4.7.3-1] a will topic has at least one character",
      ALL,
      (version) => connect(version, 6, text("id"), none(version), text(""), text("")),
    ],
    ["[MQTT-4.7.3-1] a response topic has at least one character", NEW, () => publishWith(8, text(""))],
  ],
  topicWildcard: [
    ["[MQTT-3.3.2-2, MQTT-4.7.1-1, 5: MQTT-4.7.0-1] a topic has no +", ALL, (version) => publish(version, "a/+/b")],
    ["[MQTT-3.3.2-2, MQTT-4.7.1-1, 5: MQTT-4.7.0-1] a topic has no #", ALL, (version) => publish(version, "a/b#")],
    ["[MQTT-3.3.2-14] a response topic has no wildcard", NEW, () => publishWith(8, text("a/#"))],
    ["a will topic has no wildcard", ALL, (version) => connect(version, 6, text("id"), none(version), text("a/#"), text(""))],
  ],
  topicLong: [["[MQTT-4.7.3-3] a topic of more bytes than the limit is refused", ALL, (version) => publish(version, "a".repeat(41))]],
  topicDeep: [["a topic of more levels than the limit is refused", ALL, (version) => publish(version, "/".repeat(8))]],
  topicMissing: [
    ["an empty topic without an alias is a protocol error", NEW, () => publish(5, "")],
    [
      "an empty topic with other properties but no alias is a protocol error",
      NEW,
      () => frame(0x30, 0, 0, props(1, 1, 0x26, text("a"), text("b"))),
    ],
  ],
  filterEmpty: [
    ["[MQTT-4.7.3-1] a filter has at least one character", ALL, (version) => subscribe(version, "")],
    ["[MQTT-4.7.3-1] a filter to unsubscribe has at least one character", ALL, (version) => unsubscribe(version, "")],
  ],
  filterHash: ["a/#/b", "a#", "#a", "##", "a/b#", "#/"].map(
    (filter): Row => [`[MQTT-4.7.1-2, 5: MQTT-4.7.1-1] "${filter}" is no filter`, ALL, (version) => subscribe(version, filter)],
  ),
  filterPlus: ["a+", "+a", "++", "a/b+/c", "a/+b"].map(
    (filter): Row => [`[MQTT-4.7.1-3, 5: MQTT-4.7.1-2] "${filter}" is no filter`, ALL, (version) => unsubscribe(version, filter)],
  ),
  filterLong: [["[MQTT-4.7.3-3] a filter of more bytes than the limit is refused", ALL, (version) => subscribe(version, "a".repeat(41))]],
  filterPrototype: [
    ["a filter that would change the prototype of an object is refused", ALL, (version) => subscribe(version, "__proto__")],
  ],
  filterDeep: [["a filter of more levels than the limit is refused", ALL, (version) => subscribe(version, "+/".repeat(8))]],
  shareNameEmpty: ["$share/", "$share//a"].map(
    (filter): Row => [`[MQTT-4.8.2-1] "${filter}" has no share name`, ALL, (version) => subscribe(version, filter)],
  ),
  shareForm: ["$share/g", "$share/g/", "$share/+/a", "$share/g#/a"].map(
    (filter): Row => [`[MQTT-4.8.2-2] "${filter}" is no shared subscription`, ALL, (version) => subscribe(version, filter)],
  ),
  shareNoLocal: [["[MQTT-3.8.3-4] a shared subscription with No Local is a protocol error", NEW, () => subscribe(5, "$share/g/a", 0x04)]],
  filtersMissing: [
    [
      "[MQTT-3.8.3-3, 5: MQTT-3.8.3-2] a SUBSCRIBE without a filter is a protocol error",
      ALL,
      (version) => frame(0x82, 0, 1, none(version)),
    ],
  ],
  unsubscribeEmpty: [
    ["[MQTT-3.10.3-2] an UNSUBSCRIBE without a filter is a protocol error", ALL, (version) => frame(0xa2, 0, 1, none(version))],
  ],
  subscribeOptions: [
    ...[0x04, 0x08, 0x10, 0x20].map(
      (options): Row => [
        `[MQTT-3-8.3-4] option 0x${options.toString(16)} is reserved before MQTT 5`,
        OLD,
        (version) => subscribe(version, "a", options),
      ],
    ),
    ...[0x40, 0x80].map(
      (options): Row => [
        `[MQTT-3-8.3-4, 5: MQTT-3.8.3-5] option 0x${options.toString(16)} is reserved`,
        ALL,
        (version) => subscribe(version, "a", options),
      ],
    ),
  ],
  subscribeQos3: [["[MQTT-3-8.3-4] a subscription has no QoS 3", ALL, (version) => subscribe(version, "a", 3)]],
  retainHandling3: [["a subscription has no Retain Handling 3", NEW, () => subscribe(5, "a", 0x30)]],
  protocolName: [
    ...["MQTX", "mqtt", "MQTTT", "", "MQIsd"].map(
      (name): Row => [`[MQTT-3.1.2-1] the protocol "${name}" is another one`, [4], () => frame(0x10, text(name), 4, 2, 0, 60, text("id"))],
    ),
    ["a CONNECT without anything is none", ALL, () => frame(0x10)],
    ["a CONNECT without a protocol level is none", ALL, () => frame(0x10, text("MQTT"))],
  ],
  protocolLevel: [
    ...[0, 3, 6, 0x84, 0x85, 255].map(
      (level): Row => [
        `[MQTT-3.1.2-2] level ${level} of MQTT is another protocol`,
        [4],
        () => frame(0x10, text("MQTT"), level, 2, 0, 60, text("id")),
      ],
    ),
    ...[4, 5, 0x83].map(
      (level): Row => [
        `[MQTT-3.1.2-2] level ${level} of MQIsdp is another protocol`,
        [3],
        () => frame(0x10, text("MQIsdp"), level, 2, 0, 60, text("id")),
      ],
    ),
  ],
  connectReserved: [["[MQTT-3.1.2-3] the reserved connect flag is 0", ALL, (version) => connect(version, 3, text("id"))]],
  willQosUnset: [
    ["[MQTT-3.1.2-13, 5: MQTT-3.1.2-11] without a will there is no Will QoS", ALL, (version) => connect(version, 0x0a, text("id"))],
  ],
  willRetainUnset: [
    ["[MQTT-3.1.2-15, 5: MQTT-3.1.2-13] without a will there is no Will Retain", ALL, (version) => connect(version, 0x22, text("id"))],
  ],
  willQos3: [
    [
      "[MQTT-3.1.2-14, 5: MQTT-3.1.2-12] there is no Will QoS 3",
      ALL,
      (version) => connect(version, 0x1e, text("id"), none(version), text("will"), text("")),
    ],
  ],
  passwordAlone: [
    ["[MQTT-3.1.2-22] without a user name there is no password", OLD, (version) => connect(version, 0x42, text("id"), text("pw"))],
  ],
  clientIdEmpty: [
    ["[MQTT-3.1.3-8] a session that stays has a client identifier", OLD, (version) => connect(version, 0, text(""))],
    ["MQTT 3.1 has no client without an identifier", [3], () => connect(3, 2, text(""))],
  ],
  propertyUnknown: [0x00, 0x04, 0x2b, 0x7f, 0x80, 0xff].map(
    (id): Row => [`[section 2.2.2.2] there is no property 0x${id.toString(16)}`, NEW, () => publishWith(id, 0)],
  ),
  propertyMisplaced: [
    ...[0x12, 0x13, 0x1a, 0x1c, 0x1f, 0x24, 0x25, 0x28, 0x29, 0x2a, 0x23, 0x01, 0x0b].map(
      (id): Row => [`[section 2.2.2.2] CONNECT has no property 0x${id.toString(16)}`, NEW, () => connectWith(id, 0, 0, 0, 0)],
    ),
    ...[0x0b, 0x11, 0x15, 0x21, 0x23].map(
      (id): Row => [`[section 2.2.2.2] a will has no property 0x${id.toString(16)}`, NEW, () => willWith(id, 0, 1)],
    ),
    ...[0x11, 0x18, 0x1f, 0x27].map(
      (id): Row => [`[section 2.2.2.2] PUBLISH has no property 0x${id.toString(16)}`, NEW, () => publishWith(id, 0)],
    ),
    ["[section 2.2.2.2] SUBSCRIBE has no reason string", NEW, () => frame(0x82, 0, 1, props(0x1f, text("a")), text("a"), 0)],
    ["[section 2.2.2.2] UNSUBSCRIBE has no subscription identifier", NEW, () => frame(0xa2, 0, 1, props(0x0b, 1), text("a"))],
    ["[section 2.2.2.2] PUBREL has no topic alias", NEW, () => frame(0x62, 0, 1, 0, props(0x23, 0, 1))],
    ["[section 2.2.2.2] a client's DISCONNECT has no server reference", NEW, () => frame(0xe0, 0, props(0x1c, text("a")))],
  ],
  propertyTwice: [
    ["[section 2.2.2.2] a session expiry stands in CONNECT once", NEW, () => connectWith(0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1)],
    ["[section 2.2.2.2] a topic alias stands in PUBLISH once", NEW, () => publishWith(0x23, 0, 1, 0x23, 0, 1)],
    ["[section 2.2.2.2] a response topic stands in a will once", NEW, () => willWith(8, text("a"), 8, text("b"))],
    [
      "[section 2.2.2.2] a subscription identifier stands in SUBSCRIBE once",
      NEW,
      () => frame(0x82, 0, 1, props(0x0b, 1, 0x0b, 2), text("a"), 0),
    ],
    ["[section 2.2.2.2] a reason string stands in PUBACK once", NEW, () => frame(0x40, 0, 1, 0, props(0x1f, text("a"), 0x1f, text("a")))],
  ],
  propertyZero: [
    ["a Receive Maximum of 0 is a protocol error", NEW, () => connectWith(0x21, 0, 0)],
    ["a Maximum Packet Size of 0 is a protocol error", NEW, () => connectWith(0x27, 0, 0, 0, 0)],
    ["a Subscription Identifier of 0 is a protocol error", NEW, () => frame(0x82, 0, 1, props(0x0b, 0), text("a"), 0)],
  ],
  propertyFlag: [
    ["Request Problem Information is 0 or 1", NEW, () => connectWith(0x17, 2)],
    ["Request Response Information is 0 or 1", NEW, () => connectWith(0x19, 255)],
    ["a Payload Format Indicator is 0 or 1", NEW, () => publishWith(0x01, 2)],
  ],
  propertyOverrun: [0x01, 0x02, 0x23]
    .map((id): Row => [`a property 0x${id.toString(16)} that the property length cuts off is malformed`, NEW, () => publishWith(id)])
    .concat([
      ["a Maximum Packet Size that the property length cuts off is malformed", NEW, () => connectWith(0x27, 0, 0, 1)],
      ["a Topic Alias Maximum that the property length cuts off is malformed", NEW, () => connectWith(0x22, 1)],
    ]),
  topicAliasZero: [["[MQTT-3.3.2-8] a topic alias is above 0", NEW, () => publishWith(0x23, 0, 0)]],
  subscriptionIdentifier: [["[MQTT-3.3.4-6] a client's PUBLISH has no subscription identifier", NEW, () => publishWith(0x0b, 1)]],
  authDataAlone: [["authentication data without a method is a protocol error", NEW, () => connectWith(0x16, text("x"))]],
};

for (const [name, rows] of Object.entries(REFUSED) as [keyof typeof FAULTS, readonly Row[]][])
  for (const [claim, versions, make] of rows)
    test(claim, () => {
      for (const version of versions) {
        const packet = make(version);
        assert.equal(check(packet, version)?.statement, FAULTS[name].statement, `MQTT ${version}: ${packet.toString("hex")}`);
      }
    });
