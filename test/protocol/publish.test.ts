import assert from "node:assert/strict";
import { chapter, endsWith, field, frame, payloadsOf, propertyField, shown } from "./chapter.ts";

export const page = chapter(import.meta, "publish", (statement) => {
  statement(
    { v3: ["MQTT-3.3.1-2", "MQTT-3.8.4-6"], v5: ["MQTT-3.3.1-2", "MQTT-3.8.4-8"] },
    "a message arrives at the lower of the QoS it was sent with and the one that was granted",
    async (at) => {
      const publisher = await at.connect();
      for (const granted of [0, 1, 2] as const) {
        const subscriber = await at.connect();
        await subscriber.subscribe({ topic: `${at.topic}/${granted}`, qos: granted });
        for (const sent of [0, 1, 2] as const) {
          await publisher.publish(`${at.topic}/${granted}`, `sent at ${sent}`, { qos: sent });
          const { payload, qos, dup, retain, messageId } = await subscriber.take("publish");
          assert.deepEqual([payload.toString(), qos, dup, retain], [`sent at ${sent}`, Math.min(sent, granted), false, false]);
          assert.equal(messageId === undefined, qos === 0);
        }
      }
    },
  );

  statement(
    { v3: ["MQTT-3.3.2-1", "MQTT-1.5.3-3"], v5: ["MQTT-3.3.2-1", "MQTT-1.5.4-3"] },
    "topic and payload arrive byte for byte",
    async (at) => {
      const client = await at.connect();
      await client.subscribe({ topic: `${at.topic}/#`, qos: 1 });
      const everyByte = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
      const payloads = [
        Buffer.alloc(0),
        everyByte,
        Buffer.alloc(127, 1),
        Buffer.alloc(128, 2),
        Buffer.alloc(20_000, 3),
        Buffer.alloc(200_000, 4),
      ];
      for (const [index, payload] of payloads.entries()) {
        const topic = `${at.topic}/größe °C/温度/${index} \ufeff`;
        await client.publish(topic, payload, { qos: 1 });
        const got = await client.take("publish");
        assert.equal(got.topic, topic);
        assert.ok(payload.equals(got.payload as Buffer), `${payload.length} bytes`);
      }
    },
  );

  statement({ v3: ["MQTT-3.3.1-3"], v5: ["MQTT-3.3.1-3"] }, "the DUP flag of a publisher is not passed on", async (at) => {
    const client = await at.connect();
    await client.subscribe({ topic: at.topic, qos: 2 });
    for (const qos of [1, 2] as const) {
      await client.publish(at.topic, "again", { qos, dup: true });
      assert.equal((await client.take("publish")).dup, false, `QoS ${qos}`);
    }
  });

  statement({ v3: ["MQTT-3.3.1-4"], v5: ["MQTT-3.3.1-4"] }, "PUBLISH with both QoS bits ends the connection", async (at) => {
    const client = await at.connect();
    client.write(frame(0x36, field(at.topic), 0, 1, propertyField(at.version), Buffer.from("x")));
    await endsWith(at, client, [0x81]);
  });

  statement({ v3: ["MQTT-3.3.1-2"], v5: ["MQTT-3.3.1-2"] }, "PUBLISH with DUP and QoS 0 ends the connection", async (at) => {
    const client = await at.connect();
    client.write(frame(0x38, field(at.topic), propertyField(at.version), Buffer.from("x")));
    await endsWith(at, client, [0x81, 0x82]);
  });

  statement({ v3: ["MQTT-2.3.1-1"], v5: ["MQTT-2.2.1-3"] }, "a packet identifier of 0 ends the connection", async (at) => {
    for (const bytes of [
      frame(0x32, field(at.topic), 0, 0, propertyField(at.version), Buffer.from("x")),
      frame(0x82, 0, 0, propertyField(at.version), field(at.topic), 0),
      frame(0xa2, 0, 0, propertyField(at.version), field(at.topic)),
    ]) {
      const client = await at.connect();
      client.write(bytes);
      await endsWith(at, client, [0x81, 0x82]);
    }
  });

  statement(
    { v3: ["MQTT-3.3.2-2", "MQTT-4.7.1-1"], v5: ["MQTT-3.3.2-2", "MQTT-4.7.0-1"] },
    "a wildcard in PUBLISH's topic ends the connection",
    async (at) => {
      for (const topic of [`${at.topic}/+`, `${at.topic}/#`, "#", "+", `${at.topic}/a+b`]) {
        const client = await at.connect();
        client.write(frame(0x32, field(topic), 0, 1, propertyField(at.version), Buffer.from("x")));
        await endsWith(at, client, [0x81, 0x82, 0x90]);
      }
    },
  );

  statement(
    {
      v3: ["MQTT-3.3.2-1", "MQTT-1.5.3-1", "MQTT-1.5.3-2", "MQTT-4.7.3-2"],
      v5: ["MQTT-3.3.2-1", "MQTT-1.5.4-1", "MQTT-1.5.4-2", "MQTT-4.7.3-2"],
    },
    "a topic with NUL, or that is no UTF-8, ends the connection",
    async (at) => {
      const bad = [
        Buffer.from("/a\0b"),
        Buffer.from([0xff]),
        Buffer.from([0xed, 0xa0, 0x80]),
        Buffer.from([0xc0, 0xaf]),
        Buffer.from([0xf5, 0x80, 0x80, 0x80]),
      ];
      for (const text of bad) {
        const client = await at.connect();
        client.write(frame(0x30, field(Buffer.concat([Buffer.from(at.topic), text])), propertyField(at.version), Buffer.from("x")));
        await endsWith(at, client, [0x81, 0x82, 0x90]);
      }
    },
  );

  statement({ v3: ["MQTT-4.7.3-1"], v5: ["MQTT-4.7.3-1"] }, "an empty topic ends the connection", async (at) => {
    const client = await at.connect();
    client.write(frame(0x30, field(""), propertyField(at.version), Buffer.from("x")));
    await endsWith(at, client, [0x81, 0x82, 0x90]);
  });

  statement(
    { v3: ["MQTT-4.6.0-5", "MQTT-4.6.0-6"], v5: ["MQTT-4.6.0-5", "MQTT-4.6.0-6"] },
    "messages of one topic and QoS arrive in the order they were sent",
    async (at) => {
      const publisher = await at.connect();
      const subscriber = await at.connect();
      const sent = Array.from({ length: 200 }, (_, index) => String(index));
      for (const qos of [0, 1, 2] as const) {
        const topic = `${at.topic}/${qos}`;
        await subscriber.subscribe({ topic, qos });
        for (let from = 0; from < sent.length; from += 20)
          await Promise.all(sent.slice(from, from + 20).map((payload) => publisher.publish(topic, payload, { qos })));
        const got: string[] = [];
        while (got.length < sent.length) got.push(...payloadsOf([await subscriber.take("publish")]));
        assert.deepEqual(got, sent, `QoS ${qos}`);
      }
    },
  );

  statement(
    { v3: ["MQTT-2.3.1-4"], v5: ["MQTT-2.2.1-4"] },
    "messages in flight to one client have different packet identifiers",
    async (at) => {
      const publisher = await at.connect();
      const subscriber = await at.connect({ acknowledges: false });
      await subscriber.subscribe({ topic: at.topic, qos: 2 });
      for (let count = 0; count < 10; count++) await publisher.publish(at.topic, String(count), { qos: count % 2 === 0 ? 1 : 2 });
      const ids = new Set<number>();
      for (let count = 0; count < 10; count++) ids.add((await subscriber.take("publish")).messageId as number);
      assert.equal(ids.size, 10);
      assert.equal(ids.has(0), false);
    },
  );

  statement({ v3: ["MQTT-3.3.5-2"], v5: ["3.4.2.1"] }, "a message nobody is subscribed to is acknowledged", async (at) => {
    const client = await at.connect();
    for (const qos of [1, 2] as const) {
      const answer = await client.publish(at.topic, "x", { qos });
      assert.ok([0x00, 0x10].includes(answer?.reasonCode ?? 0), String(answer?.reasonCode));
    }
  });

  statement(
    { v3: ["MQTT-3.3.5-2"], v5: ["MQTT-3.4.2-1", "MQTT-3.5.2-1"] },
    "a forbidden message is acknowledged as 3.1.1 wants it, refused with a reason in 5, and goes nowhere",
    async (at) => {
      const client = await at.connect();
      for (const qos of [1, 2] as const) {
        const answer = await client.publish(at.broker.forbiddenTopic, "x", { qos });
        assert.equal(answer?.cmd, qos === 1 ? "puback" : "pubrec");
        if (at.version === 5) assert.equal(answer?.reasonCode, 0x87);
      }
      await client.ping();
    },
  );

  statement({ v5: ["MQTT-3.3.4-6"] }, "PUBLISH with a subscription identifier ends the connection", async (at) => {
    const client = await at.connect();
    client.write(frame(0x30, field(at.topic), propertyField(5, 0x0b, 1), Buffer.from("x")));
    await endsWith(at, client, [0x81, 0x82]);
  });

  statement({ v3: ["4.5"], v5: ["MQTT-4.5.0-1"] }, "every subscriber gets its own copy", async (at) => {
    const publisher = await at.connect();
    const subscribers = await Promise.all(Array.from({ length: 20 }, () => at.connect()));
    for (const [index, subscriber] of subscribers.entries())
      await subscriber.subscribe({ topic: index % 2 === 0 ? at.topic : `${at.topic}/#`, qos: (index % 3) as 0 | 1 | 2 });
    await publisher.publish(at.topic, "to all", { qos: 2 });
    for (const [index, subscriber] of subscribers.entries())
      assert.deepEqual(shown([await subscriber.take("publish")]), [`publish ${at.topic.split("/").at(-1)} "to all" qos ${index % 3}`]);
    assert.deepEqual(shown(await at.settled(subscribers[0] as typeof publisher, publisher)), []);
  });

  statement({ v3: ["4.1"], v5: ["2.2.2"] }, "clients of both versions understand each other", async (at) => {
    const other = await at.connect({ version: at.version === 5 ? 4 : 5 });
    const client = await at.connect();
    await client.subscribe({ topic: `${at.topic}/to`, qos: 1 });
    await other.subscribe({ topic: `${at.topic}/from`, qos: 1 });
    const userProperties = { unit: "°C" };
    await other.publish(`${at.topic}/to`, "hello", { qos: 1, ...(at.version === 5 ? {} : { properties: { userProperties } }) });
    await client.publish(`${at.topic}/from`, "hello", { qos: 1, ...(at.version === 5 ? { properties: { userProperties } } : {}) });
    for (const side of [client, other]) assert.equal((await side.take("publish")).payload.toString(), "hello");
  });
});
