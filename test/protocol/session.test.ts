import assert from "node:assert/strict";
import type { RawClient, Received, ReceivedOf } from "../support/raw-client.ts";
import { until } from "../support/wait.ts";
import { chapter, payloadsOf, shown } from "./chapter.ts";

/** A receiver as 4.3 has it, whose state of QoS 2 outlives its connections. */
function receiverOf(got: { 1: Set<string>; 2: string[] }): (client: RawClient, packet: Received) => void {
  const unreleased = new Set<number>();
  return (client, packet) => {
    const messageId = packet.messageId ?? 0;
    if (packet.cmd === "publish" && packet.qos === 1) {
      got[1].add(packet.payload.toString());
      client.send({ cmd: "puback", messageId });
    } else if (packet.cmd === "publish") {
      if (!unreleased.has(messageId)) got[2].push(packet.payload.toString());
      unreleased.add(messageId);
      client.send({ cmd: "pubrec", messageId });
    } else if (packet.cmd === "pubrel") {
      unreleased.delete(messageId);
      client.send({ cmd: "pubcomp", messageId });
    }
  };
}

export const page = chapter(import.meta, "session", (statement) => {
  statement(
    {
      v3: ["MQTT-3.2.2-1", "MQTT-3.2.2-2", "MQTT-3.2.2-3", "MQTT-3.1.2-4"],
      v5: ["MQTT-3.2.2-2", "MQTT-3.2.2-3", "MQTT-3.1.2-5", "MQTT-3.1.2-6"],
    },
    "CONNACK says whether there was a session: not the first time, then yes, and not after a clean start",
    async (at) => {
      const clientId = at.newClientId();
      const present: boolean[] = [];
      for (const options of [at.lasting({ clientId }), at.lasting({ clientId }), { clientId, clean: true }, at.lasting({ clientId })]) {
        const client = await at.connect(options);
        present.push(client.connack.sessionPresent);
        await client.disconnect();
      }
      assert.deepEqual(present, [false, true, false, false]);
    },
  );

  statement(
    { v3: ["MQTT-3.1.2-5", "MQTT-4.4.0-1"], v5: ["MQTT-3.1.2-25", "MQTT-4.5.0-1"] },
    "a session that is away gets its messages of QoS 1 and 2 when it is back, in order, and its subscriptions go on",
    async (at) => {
      const clientId = at.newClientId();
      const first = await at.connect(at.lasting({ clientId }));
      await first.subscribe([
        { topic: `${at.topic}/+`, qos: 2 },
        { topic: `${at.topic}/at-most-1/x`, qos: 1 },
      ]);
      await first.disconnect();
      const publisher = await at.connect();
      const sent = Array.from({ length: 200 }, (_, index) => `message ${index}`);
      for (const [index, payload] of sent.entries()) await publisher.publish(`${at.topic}/x`, payload, { qos: index % 2 === 0 ? 1 : 2 });
      await publisher.publish(`${at.topic}/at-most-1/x`, "last", { qos: 2 });
      const second = await at.connect(at.lasting({ clientId }));
      assert.equal(second.connack.sessionPresent, true);
      const got: ReceivedOf<"publish">[] = [];
      while (got.length < sent.length + 1) got.push(await second.take("publish"));
      const of = (qos: number): string[] => payloadsOf(got.filter((packet) => packet.qos === qos && packet.topic === `${at.topic}/x`));
      assert.deepEqual(
        of(1),
        sent.filter((_, index) => index % 2 === 0),
      );
      assert.deepEqual(
        of(2),
        sent.filter((_, index) => index % 2 === 1),
      );
      assert.deepEqual(shown(got.filter(({ topic }) => topic !== `${at.topic}/x`)), [`publish x "last" qos 1`]);
      assert.equal(
        got.some(({ dup, retain }) => dup || retain),
        false,
      );
      await publisher.publish(`${at.topic}/x`, "live", { qos: 1 });
      assert.equal((await second.take("publish")).payload.toString(), "live");
    },
  );

  statement(
    { v3: ["MQTT-3.1.2-5"], v5: ["4.1"] },
    "a session that is away misses messages of QoS 0, and what is delivered at QoS 0",
    async (at) => {
      const clientId = at.newClientId();
      const first = await at.connect(at.lasting({ clientId }));
      await first.subscribe([
        { topic: `${at.topic}/a`, qos: 2 },
        { topic: `${at.topic}/b`, qos: 0 },
      ]);
      await first.disconnect();
      const publisher = await at.connect();
      await publisher.publish(`${at.topic}/a`, "sent at QoS 0");
      await publisher.publish(`${at.topic}/b`, "granted QoS 0", { qos: 2 });
      const second = await at.connect(at.lasting({ clientId }));
      assert.deepEqual(shown(await at.settled(second, publisher)), []);
    },
  );

  statement(
    { v3: ["MQTT-3.1.2-6"], v5: ["MQTT-3.1.2-4"] },
    "a clean start drops the subscriptions and the messages of the session before",
    async (at) => {
      const clientId = at.newClientId();
      const first = await at.connect(at.lasting({ clientId }));
      await first.subscribe({ topic: at.topic, qos: 1 });
      await first.disconnect();
      const publisher = await at.connect();
      await publisher.publish(at.topic, "missed", { qos: 1 });
      const clean = await at.connect({ clientId, clean: true });
      await publisher.publish(at.topic, "not subscribed", { qos: 1 });
      assert.deepEqual(shown(await at.settled(clean, publisher)), []);
      await clean.disconnect();
      const last = await at.connect(at.lasting({ clientId }));
      assert.equal(last.connack.sessionPresent, false);
      assert.deepEqual(shown(await at.settled(last, publisher)), []);
    },
  );

  statement(
    { v3: ["MQTT-3.3.1-1", "MQTT-4.4.0-1"], v5: ["MQTT-3.3.1-1", "MQTT-4.4.0-1"] },
    "what was not acknowledged comes again after a reconnect: in order, marked as DUP, with the identifier it had",
    async (at) => {
      const clientId = at.newClientId();
      const first = await at.connect(at.lasting({ clientId, acknowledges: false }));
      await first.subscribe({ topic: at.topic, qos: 2 });
      const publisher = await at.connect();
      for (const [payload, qos] of [
        ["a", 1],
        ["b", 2],
        ["c", 1],
      ] as const)
        await publisher.publish(at.topic, payload, { qos });
      const before = [await first.take("publish"), await first.take("publish"), await first.take("publish")];
      await first.drop();
      const second = await at.connect(at.lasting({ clientId }));
      const after = [await second.take("publish"), await second.take("publish"), await second.take("publish")];
      const parts = (packets: typeof before): unknown[] =>
        packets.map(({ payload, qos, messageId }) => [payload.toString(), qos, messageId]);
      assert.deepEqual(parts(after), parts(before));
      assert.deepEqual(
        [...before, ...after].map(({ dup }) => dup),
        [false, false, false, true, true, true],
      );
      assert.deepEqual(shown(await at.settled(second, publisher)), []);
    },
  );

  statement(
    { v3: ["MQTT-4.3.3-1", "MQTT-4.4.0-1"], v5: ["MQTT-4.3.3-6", "MQTT-4.4.0-1"] },
    "a QoS 2 message that the client has received goes on with PUBREL after a reconnect",
    async (at) => {
      const clientId = at.newClientId();
      const first = await at.connect(at.lasting({ clientId, acknowledges: false }));
      await first.subscribe({ topic: at.topic, qos: 2 });
      const publisher = await at.connect();
      await publisher.publish(at.topic, "x", { qos: 2 });
      const messageId = (await first.take("publish")).messageId as number;
      first.send({ cmd: "pubrec", messageId });
      await first.take("pubrel");
      await first.drop();
      const second = await at.connect(at.lasting({ clientId, acknowledges: false }));
      assert.equal((await second.take("pubrel")).messageId, messageId);
      second.send({ cmd: "pubcomp", messageId });
      await second.ping();
      await second.drop();
      const third = await at.connect(at.lasting({ clientId }));
      assert.deepEqual(shown(await at.settled(third, publisher)), []);
    },
  );

  statement({ v3: ["MQTT-4.4.0-1"], v5: ["MQTT-4.4.0-1"] }, "what was acknowledged does not come again", async (at) => {
    const clientId = at.newClientId();
    const first = await at.connect(at.lasting({ clientId }));
    await first.subscribe({ topic: at.topic, qos: 2 });
    const publisher = await at.connect();
    for (const qos of [1, 2] as const) await publisher.publish(at.topic, "x", { qos });
    await first.take("publish");
    await first.take("publish");
    // The acknowledgements were written before; the ping's answer says that they were read, and the second one covers PUBCOMP.
    await first.ping();
    await first.ping();
    await first.drop();
    const second = await at.connect(at.lasting({ clientId }));
    assert.deepEqual(shown(await at.settled(second, publisher)), []);
  });

  statement(
    { v3: ["MQTT-3.1.4-2", "MQTT-4.4.0-1"], v5: ["MQTT-3.1.4-3", "MQTT-4.4.0-1"] },
    "a connection that takes over a session takes over what was on its way",
    async (at) => {
      const clientId = at.newClientId();
      const first = await at.connect(at.lasting({ clientId, acknowledges: false }));
      await first.subscribe({ topic: at.topic, qos: 1 });
      const publisher = await at.connect();
      await publisher.publish(at.topic, "on its way", { qos: 1 });
      await first.take("publish");
      const second = await at.connect(at.lasting({ clientId }));
      assert.equal(second.connack.sessionPresent, true);
      const { payload, dup } = await second.take("publish");
      assert.deepEqual([payload.toString(), dup], ["on its way", true]);
      await publisher.publish(at.topic, "next", { qos: 1 });
      assert.equal((await second.take("publish")).payload.toString(), "next");
      assert.deepEqual(shown(first.takeAll().filter(({ cmd }) => cmd === "publish")), []);
    },
  );

  statement(
    { v3: ["MQTT-4.4.0-1", "MQTT-4.3.2-1", "MQTT-4.3.3-1"], v5: ["MQTT-4.4.0-1", "MQTT-4.3.2-3", "MQTT-4.3.3-3"] },
    "a stream of messages arrives whole and in order over many lost connections: at least once at QoS 1, exactly once at QoS 2",
    async (at) => {
      const options = at.lasting({ clientId: at.newClientId(), acknowledges: false });
      let client = await at.connect(options);
      await client.subscribe([1, 2].map((qos) => ({ topic: `${at.topic}/${qos}`, qos: qos as 1 | 2 })));
      const sent = Array.from({ length: 150 }, (_, index) => String(index));
      const publisher = await at.connect();
      const publishing = (async () => {
        for (const payload of sent) for (const qos of [1, 2] as const) await publisher.publish(`${at.topic}/${qos}`, payload, { qos });
      })();
      const got = { 1: new Set<string>(), 2: [] as string[] };
      const receive = receiverOf(got);
      for (let taken = 1; got[1].size < sent.length || got[2].length < sent.length; taken++) {
        receive(client, await client.next());
        if (taken % 23 !== 0) continue;
        await client.drop();
        client = await at.connect(options);
      }
      await publishing;
      assert.deepEqual([[...got[1]], got[2]], [sent, sent]);
    },
  );

  statement({ v3: ["MQTT-3.10.4-1"], v5: ["MQTT-3.10.4-1"] }, "a subscription that was ended stays ended in the session", async (at) => {
    const clientId = at.newClientId();
    const first = await at.connect(at.lasting({ clientId }));
    await first.subscribe([
      { topic: `${at.topic}/a`, qos: 1 },
      { topic: `${at.topic}/b`, qos: 1 },
    ]);
    await first.unsubscribe([`${at.topic}/a`]);
    await first.disconnect();
    const publisher = await at.connect();
    for (const name of ["a", "b"]) await publisher.publish(`${at.topic}/${name}`, name, { qos: 1 });
    const second = await at.connect(at.lasting({ clientId }));
    assert.equal((await second.take("publish")).payload.toString(), "b");
    assert.deepEqual(shown(await at.settled(second, publisher)), []);
  });

  statement(
    { v5: ["MQTT-3.3.2-5", "MQTT-3.3.2-6"] },
    "a message that waits for a session grows older, and is not sent when it is too old",
    async (at) => {
      const clientId = at.newClientId();
      const first = await at.connect(at.lasting({ clientId }));
      await first.subscribe({ topic: at.topic, qos: 1 });
      await first.disconnect();
      const publisher = await at.connect();
      await publisher.publish(at.topic, "short", { qos: 1, properties: { messageExpiryInterval: 1 } });
      await publisher.publish(at.topic, "long", { qos: 1, properties: { messageExpiryInterval: 100 } });
      await publisher.publish(at.topic, "endless", { qos: 1 });
      // A retained message of the same age tells when two seconds are over.
      await publisher.publish(`${at.topic}/clock`, "tick", { qos: 1, retain: true, properties: { messageExpiryInterval: 2 } });
      const isOver = async (): Promise<boolean> => {
        const client = await at.connect();
        await client.subscribe(`${at.topic}/clock`);
        return (await at.settled(client, publisher)).length === 0;
      };
      await until(isOver, { what: "two seconds to pass" });
      const second = await at.connect(at.lasting({ clientId }));
      const got = [await second.take("publish"), await second.take("publish")];
      assert.deepEqual(payloadsOf(got), ["long", "endless"]);
      const left = got[0]?.properties?.messageExpiryInterval;
      assert.ok(left !== undefined && left >= 90 && left <= 98, `${left} s left of 100 after 2`);
      assert.equal(got[1]?.properties?.messageExpiryInterval, undefined);
    },
  );

  statement({ v5: ["MQTT-3.3.2-17", "MQTT-3.3.2-20"] }, "a message that waited for its session has all its properties", async (at) => {
    const clientId = at.newClientId();
    const first = await at.connect(at.lasting({ clientId }));
    await first.subscribe({ topic: at.topic, qos: 1 }, { subscriptionIdentifier: 42 });
    await first.disconnect();
    const publisher = await at.connect();
    const properties = {
      contentType: "a",
      responseTopic: `${at.topic}/r`,
      correlationData: Buffer.from([1]),
      payloadFormatIndicator: true,
      userProperties: { a: "b" },
    };
    await publisher.publish(at.topic, "x", { qos: 1, properties });
    const second = await at.connect(at.lasting({ clientId }));
    const got = (await second.take("publish")).properties;
    assert.deepEqual({ ...got, userProperties: { ...got?.userProperties } }, { ...properties, subscriptionIdentifier: 42 });
  });
});
