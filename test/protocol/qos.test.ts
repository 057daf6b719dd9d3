import assert from "node:assert/strict";
import { codeOf, type RawClient } from "../support/raw-client.ts";
import { chapter, shown } from "./chapter.ts";

const sendPublish = (client: RawClient, topic: string, options: { payload?: string; messageId: number; qos: 1 | 2; dup?: boolean }): void =>
  client.send({ cmd: "publish", topic, payload: "x", dup: false, retain: false, ...options });

export const page = chapter(import.meta, "qos", (statement) => {
  statement(
    { v3: ["MQTT-4.3.2-2"], v5: ["MQTT-4.3.2-4", "MQTT-2.2.1-5"] },
    "QoS 1 is acknowledged by PUBACK with the same identifier",
    async (at) => {
      const client = await at.connect();
      for (const messageId of [1, 7, 65_535]) {
        sendPublish(client, at.topic, { messageId, qos: 1 });
        assert.equal((await client.take("puback")).messageId, messageId);
      }
    },
  );

  statement(
    { v3: ["MQTT-4.3.3-2"], v5: ["MQTT-4.3.3-8", "MQTT-4.3.3-11"] },
    "QoS 2 is acknowledged by PUBREC, and PUBREL by PUBCOMP, with the same identifier",
    async (at) => {
      const client = await at.connect();
      for (const messageId of [2, 65_535]) {
        sendPublish(client, at.topic, { messageId, qos: 2 });
        assert.equal((await client.take("pubrec")).messageId, messageId);
        client.send({ cmd: "pubrel", messageId });
        assert.equal((await client.take("pubcomp")).messageId, messageId);
      }
    },
  );

  statement(
    { v3: ["MQTT-4.3.3-2"], v5: ["MQTT-4.3.3-10"] },
    "QoS 2 sent again before PUBREL is acknowledged again and delivered once",
    async (at) => {
      const subscriber = await at.connect();
      await subscriber.subscribe({ topic: at.topic, qos: 2 });
      const publisher = await at.connect();
      sendPublish(publisher, at.topic, { messageId: 5, qos: 2 });
      await publisher.take("pubrec");
      sendPublish(publisher, at.topic, { messageId: 5, qos: 2, dup: true });
      await publisher.take("pubrec");
      publisher.send({ cmd: "pubrel", messageId: 5 });
      await publisher.take("pubcomp");
      assert.equal((await subscriber.take("publish")).payload.toString(), "x");
      assert.deepEqual(shown(await at.settled(subscriber, publisher)), []);
    },
  );

  statement({ v3: ["MQTT-4.3.3-2"], v5: ["MQTT-4.3.3-10"] }, "QoS 2 may be sent again before PUBREL as often as one likes", async (at) => {
    const publisher = await at.connect();
    for (let count = 0; count < 5; count++) {
      sendPublish(publisher, at.topic, { messageId: 5, qos: 2, dup: count > 0 });
      await publisher.take("pubrec");
    }
  });

  statement(
    { v3: ["MQTT-4.3.3-2"], v5: ["MQTT-4.3.3-10", "MQTT-4.4.0-1"] },
    "QoS 2 sent again after a reconnect is delivered once",
    async (at) => {
      const subscriber = await at.connect();
      await subscriber.subscribe({ topic: at.topic, qos: 2 });
      const clientId = at.newClientId();
      const first = await at.connect(at.lasting({ clientId }));
      sendPublish(first, at.topic, { messageId: 9, qos: 2 });
      await first.take("pubrec");
      await first.drop();
      const second = await at.connect(at.lasting({ clientId }));
      assert.equal(second.connack.sessionPresent, true);
      sendPublish(second, at.topic, { messageId: 9, qos: 2, dup: true });
      await second.take("pubrec");
      second.send({ cmd: "pubrel", messageId: 9 });
      assert.equal(codeOf(await second.take("pubcomp")), 0);
      assert.equal((await subscriber.take("publish")).payload.toString(), "x");
      assert.deepEqual(shown(await at.settled(subscriber, second)), []);
    },
  );

  statement(
    { v3: ["MQTT-4.3.3-2", "2.3.1"], v5: ["MQTT-4.3.2-5", "MQTT-4.3.3-12"] },
    "an identifier that was acknowledged to the end stands for a new message",
    async (at) => {
      const subscriber = await at.connect();
      await subscriber.subscribe({ topic: at.topic, qos: 2 });
      const publisher = await at.connect();
      for (const qos of [1, 1, 2, 2] as const) await publisher.publish(at.topic, `of ${qos}`, { qos, messageId: 3 });
      // After the end also DUP is no reason to take it for the old one.
      await publisher.publish(at.topic, "of 1", { qos: 1, messageId: 3, dup: true });
      for (const payload of ["of 1", "of 1", "of 2", "of 2", "of 1"])
        assert.equal((await subscriber.take("publish")).payload.toString(), payload);
    },
  );

  statement(
    { v3: ["MQTT-4.3.3-2"], v5: ["MQTT-4.3.3-11", "3.7.2.1"] },
    "PUBREL of an unknown message is answered by PUBCOMP",
    async (at) => {
      const client = await at.connect();
      client.send({ cmd: "pubrel", messageId: 77 });
      const completed = await client.take("pubcomp");
      assert.equal(completed.messageId, 77);
      if (at.version === 5) assert.ok([0x00, 0x92].includes(codeOf(completed)), String(codeOf(completed)));
    },
  );

  statement({ v3: ["4.3"], v5: ["4.3"] }, "acknowledgements of messages that the server never sent do no harm", async (at) => {
    const client = await at.connect();
    await client.subscribe({ topic: at.topic, qos: 2 });
    for (const cmd of ["puback", "pubrec", "pubcomp"] as const) client.send({ cmd, messageId: 4_711 });
    await client.ping();
    await client.publish(at.topic, "still here", { qos: 2 });
    assert.equal((await client.pick("publish")).payload.toString(), "still here");
  });

  statement(
    { v3: ["MQTT-4.3.3-1"], v5: ["MQTT-4.3.3-4", "MQTT-4.3.3-5"] },
    "the server's QoS 2 is PUBLISH, PUBREL after PUBREC, and done after PUBCOMP",
    async (at) => {
      const subscriber = await at.connect({ acknowledges: false });
      await subscriber.subscribe({ topic: at.topic, qos: 2 });
      const publisher = await at.connect();
      await publisher.publish(at.topic, "x", { qos: 2 });
      const { messageId } = await subscriber.take("publish");
      subscriber.send({ cmd: "pubrec", messageId: messageId as number });
      assert.equal((await subscriber.take("pubrel")).messageId, messageId);
      subscriber.send({ cmd: "pubcomp", messageId: messageId as number });
      assert.deepEqual(shown(await at.settled(subscriber, publisher)), []);
    },
  );

  statement({ v5: ["MQTT-4.3.3-4", "MQTT-4.4.0-2"] }, "a refused message of the server is not sent again", async (at) => {
    const clientId = at.newClientId();
    const subscriber = await at.connect(at.lasting({ clientId, acknowledges: false }));
    await subscriber.subscribe({ topic: at.topic, qos: 2 });
    const publisher = await at.connect();
    for (const [qos, cmd] of [
      [1, "puback"],
      [2, "pubrec"],
    ] as const) {
      await publisher.publish(at.topic, "unwanted", { qos });
      const { messageId } = await subscriber.take("publish");
      subscriber.send({ cmd, messageId: messageId as number, reasonCode: 0x83 });
    }
    await subscriber.ping();
    assert.deepEqual(shown(subscriber.takeAll()), []);
    await subscriber.drop();
    const again = await at.connect(at.lasting({ clientId }));
    assert.deepEqual(shown(await at.settled(again, publisher)), []);
  });

  statement(
    { v3: ["4.3.2"], v5: ["MQTT-3.3.1-1", "MQTT-4.4.0-1"] },
    "the server does not send again what is unacknowledged while the connection lasts",
    async (at) => {
      const subscriber = await at.connect({ acknowledges: false });
      await subscriber.subscribe({ topic: at.topic, qos: 2 });
      const publisher = await at.connect();
      await publisher.publish(at.topic, "of 1", { qos: 1 });
      await publisher.publish(at.topic, "of 2", { qos: 2 });
      for (let count = 0; count < 2; count++) await subscriber.take("publish");
      const clock = await at.connect({ keepalive: 1 });
      await clock.ended(15_000);
      assert.deepEqual(shown(await at.settled(subscriber, publisher)), []);
    },
  );
});
