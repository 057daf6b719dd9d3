import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import mqttPacket, { type Packet } from "mqtt-packet";
import { readSubscribe, readUnsubscribe, subackFrame, unsubackFrame } from "../../broker/subscribe-frame.ts";

const packetId = fc.integer({ min: 1, max: 65_535 });
const version = fc.constantFrom(4, 5);
const userProperties = fc.option(
  fc.dictionary(fc.stringMatching(/^[a-zäöü]{1,8}$/), fc.string({ maxLength: 200 }), { minKeys: 1, maxKeys: 20, noNullPrototype: true }),
  {
    nil: undefined,
  },
);
const subscription = fc.record({
  topic: fc.string({ minLength: 1, maxLength: 60, unit: "grapheme" }),
  qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
  nl: fc.boolean(),
  rap: fc.boolean(),
  rh: fc.constantFrom(0, 1, 2),
});

function parse(frame: Buffer, protocolVersion: number): Packet {
  const found: Packet[] = [];
  const parser = mqttPacket.parser({ protocolVersion });
  parser.on("packet", (packet) => found.push(packet));
  parser.parse(frame);
  return found[0] as Packet;
}

test("a SUBSCRIBE is read as mqtt-packet wrote it, and no further than asked", () => {
  fc.assert(
    fc.property(
      fc.record({
        protocolVersion: version,
        messageId: packetId,
        subscriptions: fc.array(subscription, { minLength: 1, maxLength: 40 }),
        subscriptionIdentifier: fc.option(fc.integer({ min: 1, max: 268_435_455 }), { nil: undefined }),
        userProperties,
        most: fc.integer({ min: 0, max: 50 }),
      }),
      ({ protocolVersion, messageId, subscriptions, subscriptionIdentifier, userProperties: user, most }) => {
        const properties = {
          ...(subscriptionIdentifier === undefined ? {} : { subscriptionIdentifier }),
          ...(user === undefined ? {} : { userProperties: user }),
        };
        const frame = mqttPacket.generate({ cmd: "subscribe", messageId, subscriptions, properties }, { protocolVersion });
        const isV5 = protocolVersion === 5;
        assert.deepEqual(readSubscribe(frame, protocolVersion, most), {
          packetId: messageId,
          id: isV5 ? subscriptionIdentifier : undefined,
          count: subscriptions.length,
          asked: subscriptions.slice(0, most).map(({ topic, qos, nl, rap, rh }) => ({
            filter: topic,
            qos,
            noLocal: isV5 && nl,
            retainAsPublished: isV5 && rap,
            retainHandling: isV5 ? rh : 0,
          })),
        });
      },
    ),
  );
});

test("an UNSUBSCRIBE is read as mqtt-packet wrote it", () => {
  fc.assert(
    fc.property(
      version,
      packetId,
      fc.array(fc.string({ minLength: 1, maxLength: 300 }), { minLength: 1, maxLength: 40 }),
      userProperties,
      (protocolVersion, messageId, unsubscriptions, user) => {
        const properties = user === undefined ? {} : { userProperties: user };
        const frame = mqttPacket.generate({ cmd: "unsubscribe", messageId, unsubscriptions, properties }, { protocolVersion });
        assert.deepEqual(readUnsubscribe(frame, protocolVersion), { packetId: messageId, filters: unsubscriptions });
      },
    ),
  );
});

test("SUBACK and UNSUBACK are what mqtt-packet reads, of any length", () => {
  const codes = fc.array(fc.constantFrom(0, 1, 2, 0x80), { minLength: 1, maxLength: 300 });
  fc.assert(
    fc.property(version, packetId, codes, (protocolVersion, messageId, granted) => {
      const suback = parse(subackFrame(protocolVersion, messageId, granted), protocolVersion);
      assert.ok(suback.cmd === "suback" && suback.messageId === messageId);
      assert.deepEqual(suback.granted, granted);
      const unsuback = parse(
        unsubackFrame(
          protocolVersion,
          messageId,
          granted.map(() => 0x11),
        ),
        protocolVersion,
      );
      assert.ok(unsuback.cmd === "unsuback" && unsuback.messageId === messageId);
      if (protocolVersion === 5)
        assert.deepEqual(
          unsuback.granted,
          granted.map(() => 0x11),
        );
      else assert.equal(unsubackFrame(4, messageId, granted).length, 4);
    }),
  );
  assert.equal(
    subackFrame(
      4,
      1,
      Array.from({ length: 20_000 }, () => 0),
    ).length,
    1 + 3 + 2 + 20_000,
  );
});
