import assert from "node:assert/strict";
import type { RawClient } from "../support/raw-client.ts";
import { MAX_PACKET_BYTES } from "./brokers.ts";
import { chapter, endsWith, field, frame, payloadsOf, propertyField, shown, variableByteInteger } from "./chapter.ts";

async function publishMany(client: RawClient, topic: string, count: number, qos: 0 | 1 | 2): Promise<void> {
  for (let index = 0; index < count; index++) await client.publish(topic, String(index), { qos });
}

export const page = chapter(import.meta, "limits", (statement) => {
  statement(
    { v5: ["MQTT-3.3.4-9", "MQTT-4.9.0-1", "MQTT-4.9.0-2"] },
    "no more messages of QoS 1 and 2 are on their way to a client than its receive maximum, and QoS 0 is not held up",
    async (at) => {
      const subscriber = await at.connect({ acknowledges: false, properties: { receiveMaximum: 3 } });
      await subscriber.subscribe({ topic: `${at.topic}/+`, qos: 2 });
      const publisher = await at.connect();
      await publishMany(publisher, `${at.topic}/x`, 6, 1);
      await publisher.publish(`${at.topic}/y`, "QoS 0");
      const first = await at.settled(subscriber, publisher);
      assert.deepEqual(payloadsOf(first).toSorted(), ["0", "1", "2", "QoS 0"]);
      const ids = first.filter(({ qos }) => qos > 0).map(({ messageId }) => messageId as number);
      subscriber.send({ cmd: "puback", messageId: ids[0] as number });
      assert.equal((await subscriber.take("publish")).payload.toString(), "3");
      assert.deepEqual(shown(await at.settled(subscriber, publisher)), []);
      for (const messageId of ids.slice(1)) subscriber.send({ cmd: "puback", messageId });
      assert.deepEqual(payloadsOf([await subscriber.take("publish"), await subscriber.take("publish")]), ["4", "5"]);
    },
  );

  statement({ v5: ["MQTT-3.3.4-9", "MQTT-4.9.0-2"] }, "a QoS 2 message counts against the receive maximum until PUBCOMP", async (at) => {
    const subscriber = await at.connect({ acknowledges: false, properties: { receiveMaximum: 1 } });
    await subscriber.subscribe({ topic: at.topic, qos: 2 });
    const publisher = await at.connect();
    await publishMany(publisher, at.topic, 2, 2);
    const messageId = (await subscriber.take("publish")).messageId as number;
    subscriber.send({ cmd: "pubrec", messageId });
    await subscriber.take("pubrel");
    assert.deepEqual(shown(await at.settled(subscriber, publisher)), []);
    subscriber.send({ cmd: "pubcomp", messageId });
    assert.equal((await subscriber.take("publish")).payload.toString(), "1");
  });

  statement({ v5: ["MQTT-4.9.0-2", "4.9"] }, "a refused QoS 2 message no longer counts against the receive maximum", async (at) => {
    const subscriber = await at.connect({ acknowledges: false, properties: { receiveMaximum: 1 } });
    await subscriber.subscribe({ topic: at.topic, qos: 2 });
    const publisher = await at.connect();
    await publishMany(publisher, at.topic, 2, 2);
    const messageId = (await subscriber.take("publish")).messageId as number;
    subscriber.send({ cmd: "pubrec", messageId, reasonCode: 0x97 });
    assert.equal((await subscriber.take("publish")).payload.toString(), "1");
  });

  statement(
    { v5: ["MQTT-3.3.4-9", "MQTT-4.4.0-1"] },
    "the receive maximum of the new connection holds for what waited and what comes again",
    async (at) => {
      const clientId = at.newClientId();
      const first = await at.connect(at.lasting({ clientId, acknowledges: false, properties: { receiveMaximum: 10 } }));
      await first.subscribe({ topic: at.topic, qos: 1 });
      const publisher = await at.connect();
      await publishMany(publisher, at.topic, 4, 1);
      for (let count = 0; count < 4; count++) await first.take("publish");
      await first.drop();
      await publishMany(publisher, at.topic, 4, 1);
      const second = await at.connect(at.lasting({ clientId, acknowledges: false, properties: { receiveMaximum: 2 } }));
      const got = [await second.take("publish"), await second.take("publish")];
      assert.deepEqual(shown(await at.settled(second, publisher)), []);
      // Each acknowledgement lets one more come.
      for (let next = 0; got.length < 8; next++) {
        second.send({ cmd: "puback", messageId: got[next]?.messageId as number });
        got.push(await second.take("publish"));
      }
      assert.deepEqual(payloadsOf(got), ["0", "1", "2", "3", "0", "1", "2", "3"]);
    },
  );

  statement({ v5: ["MQTT-4.9.0-3", "MQTT-3.3.4-10"] }, "other packets are answered while the receive maximum is used up", async (at) => {
    const client = await at.connect({ acknowledges: false, properties: { receiveMaximum: 1 } });
    await client.subscribe({ topic: at.topic, qos: 1 });
    await publishMany(client, at.topic, 3, 1);
    await client.subscribe(`${at.topic}/other`);
    await client.publish(`${at.topic}/other`, "x", { qos: 2 });
    await client.unsubscribe([`${at.topic}/other`]);
    await client.ping();
  });

  statement(
    { v5: ["MQTT-3.3.4-7", "3.2.2.3.3"] },
    "a client with more messages on their way than the server's receive maximum is told so and cut off",
    async (at) => {
      const client = await at.connect();
      const maximum = client.connack.properties?.receiveMaximum ?? 65_535;
      assert.ok(maximum <= 1_000, `receive maximum ${maximum}`);
      for (let messageId = 1; messageId <= maximum; messageId++)
        client.send({ cmd: "publish", topic: at.topic, payload: "x", qos: 2, dup: false, retain: false, messageId });
      for (let messageId = 1; messageId <= maximum; messageId++) assert.equal((await client.take("pubrec")).messageId, messageId);
      client.send({ cmd: "publish", topic: at.topic, payload: "x", qos: 2, dup: false, retain: false, messageId: maximum + 1 });
      await endsWith(at, client, [0x93]);
    },
  );

  statement(
    { v5: ["MQTT-3.1.2-27", "MQTT-3.1.2-28"] },
    "a message larger than the client's maximum packet size is left out, and the ones around it come",
    async (at) => {
      const subscriber = await at.connect({ properties: { maximumPacketSize: 200 } });
      const publisher = await at.connect();
      for (const qos of [0, 1, 2] as const) {
        const topic = `${at.topic}/${qos}`;
        await subscriber.subscribe({ topic, qos });
        await publisher.publish(topic, "before", { qos });
        await publisher.publish(topic, Buffer.alloc(300, 1), { qos });
        await publisher.publish(topic, "after", { qos });
        assert.deepEqual(payloadsOf([await subscriber.take("publish"), await subscriber.take("publish")]), ["before", "after"]);
      }
      assert.deepEqual(shown(await at.settled(subscriber, publisher)), []);
    },
  );

  statement(
    { v5: ["MQTT-3.1.2-27"] },
    "a message of exactly the client's maximum packet size comes, and one of a byte more does not",
    async (at) => {
      const publisher = await at.connect();
      const maximum = 120;
      const subscriber = await at.connect({ properties: { maximumPacketSize: maximum } });
      await subscriber.subscribe(at.topic);
      // Two bytes of header, two of the topic's length, one of the property length.
      const room = maximum - 5 - Buffer.byteLength(at.topic);
      await publisher.publish(at.topic, Buffer.alloc(room + 1, 0x62));
      await publisher.publish(at.topic, Buffer.alloc(room, 0x61));
      const got = await at.settled(subscriber, publisher);
      assert.deepEqual(
        got.map(({ raw }) => raw.length),
        [maximum],
      );
    },
  );

  statement({ v5: ["MQTT-3.1.2-28"] }, "a message too large for the client counts as delivered", async (at) => {
    const clientId = at.newClientId();
    const limited = at.lasting({ clientId, properties: { maximumPacketSize: 200, receiveMaximum: 1 } });
    const first = await at.connect(limited);
    await first.subscribe({ topic: at.topic, qos: 1 });
    const publisher = await at.connect();
    await publisher.publish(at.topic, Buffer.alloc(300, 1), { qos: 1 });
    // It does not take the one place that the receive maximum leaves.
    await publisher.publish(at.topic, "fits", { qos: 1 });
    assert.equal((await first.take("publish")).payload.toString(), "fits");
    await first.ping();
    await first.drop();
    const second = await at.connect(at.lasting({ clientId }));
    assert.deepEqual(shown(await at.settled(second, publisher)), []);
  });

  statement(
    { v5: ["MQTT-3.1.2-27", "MQTT-3.1.2-28"] },
    "a retained or waiting message too large for the client is left out",
    async (at) => {
      const publisher = await at.connect();
      const clientId = at.newClientId();
      const first = await at.connect(at.lasting({ clientId }));
      await first.subscribe({ topic: `${at.topic}/+`, qos: 1 });
      await first.disconnect();
      for (const [name, payload] of [
        ["a", Buffer.alloc(300, 1)],
        ["b", Buffer.from("fits")],
      ] as const)
        await publisher.publish(`${at.topic}/${name}`, payload, { qos: 1, retain: true });
      const second = await at.connect(at.lasting({ clientId, properties: { maximumPacketSize: 200 } }));
      assert.equal((await second.take("publish")).payload.toString(), "fits");
      await second.subscribe({ topic: `${at.topic}/#`, qos: 1 });
      assert.equal((await second.take("publish")).payload.toString(), "fits");
      assert.deepEqual(shown(await at.settled(second, publisher)), []);
    },
  );

  statement(
    { v5: ["MQTT-3.4.2-2", "MQTT-3.5.2-2", "MQTT-3.2.2-19"] },
    "a reason that would make an acknowledgement too large for the client is left out",
    async (at) => {
      const maximumPacketSize = 64;
      const client = await at.connect({ properties: { maximumPacketSize } });
      const packets = [
        client.connack,
        await client.publish(at.broker.forbiddenTopic, "x", { qos: 1 }),
        await client.publish(at.broker.forbiddenTopic, "x", { qos: 2 }),
      ];
      for (const packet of packets)
        assert.ok(packet && packet.raw.length <= maximumPacketSize, `${packet?.cmd} of ${packet?.raw.length} bytes`);
    },
  );

  statement(
    { v3: ["4.8"], v5: ["MQTT-3.2.2-15", "3.2.2.3.6"] },
    "a packet above the server's maximum ends the connection, and one of that size does not",
    async (at) => {
      const client = await at.connect();
      if (at.version === 5) assert.equal(client.connack.properties?.maximumPacketSize, MAX_PACKET_BYTES);
      const head = Buffer.concat([field(at.topic), propertyField(at.version)]);
      const room = MAX_PACKET_BYTES - 1 - variableByteInteger(MAX_PACKET_BYTES).length - head.length;
      await client.subscribe(at.topic);
      client.write(frame(0x30, head, Buffer.alloc(room, 1)));
      assert.equal((await client.take("publish")).payload.length, room);
      // Not one byte more: some count without the header.
      client.write(frame(0x30, head, Buffer.alloc(room + 10, 1)));
      await endsWith(at, client, [0x95]);
    },
  );

  statement({ v3: ["MQTT-4.7.3-3"], v5: ["MQTT-4.7.3-3"] }, "a topic of a thousand bytes is as good as any", async (at) => {
    const client = await at.connect();
    const topic = `${at.topic}/${"t".repeat(1_000 - at.topic.length - 1)}`;
    assert.deepEqual((await client.subscribe({ topic, qos: 1 })).granted, [1]);
    await client.publish(topic, "x", { qos: 1 });
    assert.equal((await client.take("publish")).topic, topic);
  });
});
