import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import mqttPacket, { type Packet } from "mqtt-packet";
import {
  bodyOffset,
  checkFrame,
  checkPublish,
  connectVersion,
  HEADER_INCOMPLETE,
  HEADER_MALFORMED,
  readHeader,
  remainingLength,
} from "../../broker/frame.ts";
import { FAULTS } from "../../broker/frame-fault.ts";
import { damaged } from "../attack/packet-damage.ts";
import {
  anyConnect,
  anyDisconnect,
  anyPacket,
  type PacketTree,
  type Random,
  randomOf,
  type Version,
  variableInteger,
  type Vocabulary,
  writePacket,
} from "../attack/packet-grammar.ts";
import {
  ALL,
  LIMITS,
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
  willWith,
} from "./frame-bytes.ts";

const TAKEN: readonly Row[] = [
  ["[MQTT-1.5.3-3, 5: MQTT-1.5.4-3] U+FEFF is a character of a topic", ALL, (version) => publish(version, "\ufeffa")],
  ["a topic of all lengths of UTF-8 is taken", ALL, (version) => publish(version, "aé€\u{1f600}")],
  ["a topic of the most bytes is taken", ALL, (version) => publish(version, "a".repeat(40))],
  ["a topic of the most levels is taken", ALL, (version) => publish(version, "/".repeat(7))],
  ["a payload of any bytes is taken, also as UTF-8 that it is not", NEW, () => frame(0x30, text("a"), props(1, 1), hex("c3ff00"))],
  [
    "a PUBLISH with every property is taken",
    NEW,
    () =>
      publishWith(
        1,
        1,
        2,
        0,
        0,
        0,
        0,
        3,
        text(""),
        8,
        text("r"),
        9,
        text(hex("ff00")),
        0x23,
        255,
        255,
        0x26,
        text(""),
        text(""),
        0x26,
        text(""),
        text(""),
      ),
  ],
  ["an empty topic with an alias is taken", NEW, () => frame(0x30, 0, 0, props(0x26, text("a"), text("b"), 0x23, 0, 1), "x")],
  ["a PUBLISH of QoS 2 with DUP and RETAIN is taken", ALL, (version) => publish(version, "a", 0x3d)],
  ["MQTT 3.1 sends a PUBREL again with DUP", [3], () => frame(0x6a, 0, 1)],
  ["a remaining length that is longer than it must be was no fault before MQTT 5", OLD, () => hex("c08000")],
  ["an acknowledgement without a reason code is taken", ALL, () => frame(0x40, 0, 1)],
  ["[MQTT-3.4.2-1] an acknowledgement with a reason code and no properties is taken", NEW, () => frame(0x50, 0, 1, 0x91)],
  [
    "an acknowledgement with a reason string is taken",
    NEW,
    () => frame(0x70, 0, 1, 0x92, props(0x1f, text("why"), 0x26, text("a"), text("b"))),
  ],
  ["a DISCONNECT with nothing is taken", ALL, () => frame(0xe0)],
  ["a DISCONNECT with a reason code is taken", NEW, () => frame(0xe0, 4)],
  ["a DISCONNECT with a session expiry is taken", NEW, () => frame(0xe0, 0, props(0x11, 0, 0, 0, 0))],
  [
    "filters with wildcards in whole levels are taken",
    ALL,
    (version) =>
      frame(0x82, 0, 1, none(version), ...["#", "+", "+/#", "a/+/b", "/+", "/", "$SYS/#", "a/#"].flatMap((filter) => [text(filter), 2])),
  ],
  [
    "shared subscriptions of the right form are taken",
    ALL,
    (version) =>
      frame(
        0x82,
        0,
        1,
        none(version),
        ...["$share/g/#", "$share/g//", "$share/é/a/+", "$share", "$shared/+"].flatMap((filter) => [text(filter), 0]),
      ),
  ],
  ["a share name counts no level", ALL, (version) => subscribe(version, `$share/g/${"/".repeat(7)}`)],
  ["all subscription options are taken", NEW, () => subscribe(5, "a", 0x2e)],
  ["the largest subscription identifier is taken", NEW, () => frame(0x82, 0, 1, props(0x0b, hex("ffffff7f")), text("a"), 0)],
  ["names of what every object has are topics like others", ALL, (version) => subscribe(version, "constructor")],
  [
    "[MQTT-3.1.3-7, 5: MQTT-3.1.3-6] a client without an identifier is taken if its session does not stay",
    [4, 5],
    (version) => connect(version, 2, text("")),
  ],
  ["[MQTT-3.1.3-6] MQTT 5 assigns an identifier also where the session stays", NEW, () => connect(5, 0, text(""))],
  ["a password without a user name is MQTT 5's", NEW, () => connect(5, 0x42, text("id"), text("pw"))],
  [
    "a CONNECT with everything is taken",
    ALL,
    (version) => connect(version, 0xf6, text("id"), none(version), text("will"), text(hex("ff00")), text("me"), text(hex("ff00"))),
  ],
  [
    "a CONNECT with every property is taken",
    NEW,
    () =>
      connectWith(
        0x11,
        hex("ffffffff"),
        0x15,
        text("m"),
        0x16,
        text("d"),
        0x17,
        0,
        0x19,
        1,
        0x21,
        0,
        1,
        0x22,
        0,
        0,
        0x26,
        text("a"),
        text("b"),
        0x27,
        hex("00000001"),
      ),
  ],
  [
    "a will with every property is taken",
    NEW,
    () => willWith(1, 0, 2, hex("00000001"), 3, text("t"), 8, text("r"), 9, text("c"), 0x18, hex("00000000"), 0x26, text("a"), text("b")),
  ],
];

for (const [claim, versions, make] of TAKEN)
  test(claim, () => {
    for (const version of versions) {
      const packet = make(version);
      assert.equal(check(packet, version), undefined, `MQTT ${version}: ${packet.toString("hex")}`);
    }
  });

test("a PUBLISH is judged alike by its own check", () => {
  const packet = publish(4, "a/+");
  assert.equal(checkPublish(packet, 0, packet.length, 4, LIMITS), FAULTS.topicWildcard);
});

test("the fixed header is read as soon as it is whole", () => {
  for (const length of [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455]) {
    const header = bytes(0x30, variableInteger(length), 0xff);
    const read = readHeader(header, 0, header.length);
    assert.deepEqual([bodyOffset(read), remainingLength(read)], [header.length - 1, length]);
    for (let end = 1; end < header.length - 1; end++)
      assert.equal(readHeader(header, 0, end), HEADER_INCOMPLETE, `${end} bytes of ${length}`);
  }
});

test("[MQTT-1.5.5-1] a remaining length whose fourth byte is not the last can never be right", () => {
  const header = hex("30808080800100");
  assert.equal(readHeader(header, 0, 4), HEADER_INCOMPLETE);
  assert.equal(readHeader(header, 0, 5), HEADER_MALFORMED);
  assert.equal(readHeader(header, 0, header.length), HEADER_MALFORMED);
});

test("the protocol level of a CONNECT is known as soon as its byte is there, and never read behind the packet", () => {
  for (const version of ALL) {
    const packet = connect(version, 2, text("id"));
    const at = 2 + head(version).length;
    for (let end = 0; end <= packet.length; end++)
      assert.equal(connectVersion(packet, 0, end), end < at ? undefined : version, `${end} bytes`);
  }
  assert.equal(connectVersion(bytes(hex("1006"), text("MQTT"), 4), 0, 9), undefined);
  assert.equal(connectVersion(bytes(hex("10ff7f"), text("MQTT"), 6), 0, 10), 6);
});

const VOCABULARY: Omit<Vocabulary, "version"> = {
  login: { clientId: "client", username: "user", password: "secret" },
  topics: ["a", "a/b", "hexa/x/up/telemetry", "/", "größe/x"],
};

function anyTree(version: Version, random: Random): PacketTree {
  const vocabulary = { ...VOCABULARY, version };
  const kind = random(8);
  return kind === 0 ? anyConnect(vocabulary, random) : kind === 1 ? anyDisconnect(vocabulary, random) : anyPacket(vocabulary, random);
}

/** What the parser behind the check makes of one frame. A throw or an error is the failure that the check is there to prevent. */
function parsed(packet: Buffer, protocolVersion: Version): Packet[] {
  const parser = mqttPacket.parser({ protocolVersion });
  const packets: Packet[] = [];
  parser.on("packet", (one) => packets.push(one));
  parser.on("error", (error) => {
    throw error;
  });
  parser.parse(packet);
  return packets;
}

const WIDE = { topicLevels: 100, topicBytes: 65_535 };
const versions = fc.constantFrom(...ALL);

test("whatever the grammar of the attack makes without damage is taken, and the parser reads it as one packet", () => {
  fc.assert(
    fc.property(versions, fc.integer(), (version, seed) => {
      const packet = writePacket(anyTree(version, randomOf(seed)));
      assert.equal(checkFrame(packet, 0, packet.length, version, WIDE)?.statement, undefined, packet.toString("hex"));
      assert.equal(parsed(packet, version).length, 1);
    }),
    { numRuns: 5_000 },
  );
});

test("a damaged frame is refused, or the parser reads it as one packet without an error", () => {
  let refused = 0;
  let taken = 0;
  fc.assert(
    fc.property(versions, fc.integer(), (version, seed) => {
      const random = randomOf(seed);
      const broken = damaged(anyTree(version, random), anyTree(version, random), random);
      const body = bodyOf(broken);
      // As the connection would cut it, and with a remaining length that is right, so that what is inside is read.
      for (const packet of [broken.subarray(0, broken.length), frame(broken[0] as number, body)]) {
        const header = readHeader(packet, 0, packet.length);
        if (header < 0) continue;
        const end = bodyOffset(header) + remainingLength(header);
        if (end > packet.length) continue;
        if (checkFrame(packet, 0, end, version, WIDE)) refused++;
        else if (version === 3 && packet[0] === 0x6a) {
          // A PUBREL of MQTT 3.1 that is sent again, which the parser does not know; the hub reads it itself.
        } else {
          taken++;
          assert.equal(parsed(packet.subarray(0, end), version).length, 1, packet.toString("hex"));
        }
      }
    }),
    { numRuns: 20_000 },
  );
  assert.ok(refused > 10_000 && taken > 2_000, `${refused} refused, ${taken} taken`);
});

const word = fc.string({ unit: "grapheme", maxLength: 12 }).filter((value) => value.isWellFormed() && !value.includes("\0"));
const topic = word.filter((value) => value.length > 0 && value !== "__proto__" && !/[+#]/.test(value));
const blob = fc.uint8Array({ maxLength: 12 }).map((value) => Buffer.from(value));
const above0 = (most: number): fc.Arbitrary<number> => fc.integer({ min: 1, max: most });
const number32 = fc.nat(0xffff_ffff);
const qos = fc.constantFrom(0, 1, 2);
const messageId = above0(0xffff);
const userProperties = fc.dictionary(
  word.filter((name) => name.length > 0),
  word,
  { minKeys: 1, maxKeys: 3 },
);
const some = (model: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<object> => fc.record(model, { requiredKeys: [] });
const ofMessage = {
  payloadFormatIndicator: fc.boolean(),
  messageExpiryInterval: number32,
  contentType: word,
  responseTopic: topic,
  correlationData: blob,
  userProperties,
};
const connectProperties = some({
  sessionExpiryInterval: number32,
  receiveMaximum: above0(0xffff),
  maximumPacketSize: above0(0xffff_ffff),
  topicAliasMaximum: fc.nat(0xffff),
  requestResponseInformation: fc.boolean(),
  requestProblemInformation: fc.boolean(),
  userProperties,
});
const acknowledgement = (cmd: string, codes: number[]): fc.Arbitrary<object> =>
  fc.record({
    cmd: fc.constant(cmd),
    messageId,
    reasonCode: fc.constantFrom(...codes),
    properties: some({ reasonString: word, userProperties }),
  });
const subscription = fc.record({ topic, qos, nl: fc.boolean(), rap: fc.boolean(), rh: qos });

/** Every packet of a client, as mqtt-packet takes it; what a version does not have is left out by its writer. */
const clientPackets = fc.oneof(
  fc.record({
    cmd: fc.constant("connect"),
    clean: fc.constant(true),
    keepalive: fc.nat(0xffff),
    clientId: topic,
    username: word.filter((name) => name.length > 0),
    password: blob,
    properties: connectProperties,
    will: fc.option(
      fc.record({ topic, payload: blob, qos, retain: fc.boolean(), properties: some({ ...ofMessage, willDelayInterval: number32 }) }),
      { nil: undefined },
    ),
  }),
  fc.record({
    cmd: fc.constant("publish"),
    topic,
    payload: blob,
    qos,
    messageId,
    dup: fc.constant(false),
    retain: fc.boolean(),
    properties: some({ ...ofMessage, topicAlias: above0(0xffff) }),
  }),
  acknowledgement("puback", [0x00, 0x10, 0x80, 0x99]),
  acknowledgement("pubrec", [0x00, 0x91, 0x97]),
  acknowledgement("pubrel", [0x00, 0x92]),
  acknowledgement("pubcomp", [0x00, 0x92]),
  fc.record({
    cmd: fc.constant("subscribe"),
    messageId,
    subscriptions: fc.array(subscription, { minLength: 1, maxLength: 4 }),
    properties: some({ subscriptionIdentifier: above0(268_435_455), userProperties }),
  }),
  fc.record({
    cmd: fc.constant("unsubscribe"),
    messageId,
    unsubscriptions: fc.array(topic, { minLength: 1, maxLength: 4 }),
    properties: some({ userProperties }),
  }),
  fc.constant({ cmd: "pingreq" }),
  fc.record({
    cmd: fc.constant("disconnect"),
    reasonCode: fc.constantFrom(0x00, 0x04, 0x81),
    properties: some({ sessionExpiryInterval: number32, reasonString: word, userProperties }),
  }),
);

test("whatever mqtt-packet writes for a client is taken", () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(versions, clientPackets, (protocolVersion, packet) => {
      const protocolId = protocolVersion === 3 ? "MQIsdp" : "MQTT";
      const written = mqttPacket.generate({ ...packet, protocolId, protocolVersion } as Packet, { protocolVersion });
      assert.equal(checkFrame(written, 0, written.length, protocolVersion, WIDE)?.statement, undefined, written.toString("hex"));
      seen.add(`${(packet as { cmd: string }).cmd} ${protocolVersion}`);
    }),
    { numRuns: 5_000 },
  );
  assert.equal(seen.size, 30, [...seen].join(", "));
});

/** What is behind the remaining length, or behind the first byte if there is none. */
function bodyOf(packet: Buffer): Buffer {
  const header = readHeader(packet, 0, packet.length);
  return packet.subarray(header < 0 ? 1 : bodyOffset(header));
}
