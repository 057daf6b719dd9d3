import assert from "node:assert/strict";
import { codeOf, hex } from "../support/raw-client.ts";
import { chapter, endsWith, field, frame, propertyField, shown } from "./chapter.ts";

/** One user property as it stands in a packet. */
const userProperty = (name: string, value: string): Buffer => Buffer.concat([Buffer.from([0x26]), field(name), field(value)]);

export const page = chapter(import.meta, "v5-properties", (statement) => {
  statement(
    { v5: ["MQTT-3.3.2-17", "MQTT-3.3.2-18"] },
    "user properties arrive unaltered and in order, also when a name comes twice",
    async (at) => {
      const client = await at.connect();
      await client.subscribe({ topic: at.topic, qos: 1 });
      const pairs = Buffer.concat([
        userProperty("b", "1"),
        userProperty("a", "2"),
        userProperty("b", "3"),
        userProperty("", ""),
        userProperty("größe", "°C"),
        userProperty("a", "2"),
      ]);
      client.write(frame(0x32, field(at.topic), 0, 1, propertyField(5, pairs), Buffer.from("x")));
      const { raw } = await client.pick("publish");
      assert.ok(raw.includes(pairs), raw.toString("hex"));
    },
  );

  statement(
    { v5: ["MQTT-3.3.2-4", "MQTT-3.3.2-15", "MQTT-3.3.2-16", "MQTT-3.3.2-20"] },
    "payload format, content type, response topic and correlation data arrive unaltered",
    async (at) => {
      const client = await at.connect();
      await client.subscribe({ topic: at.topic, qos: 1 });
      for (const sent of [
        { payloadFormatIndicator: true, contentType: "application/json; charset=utf-8" },
        { payloadFormatIndicator: false, contentType: "" },
        { responseTopic: `${at.topic}/answer/°C`, correlationData: Buffer.from([0, 255, 0]) },
        { correlationData: Buffer.alloc(0) },
        { correlationData: Buffer.alloc(5_000, 7) },
      ]) {
        await client.publish(at.topic, "{}", { qos: 1, properties: sent });
        assert.deepEqual({ ...(await client.take("publish")).properties }, sent);
      }
      await client.publish(at.topic, "plain", { qos: 1 });
      assert.deepEqual({ ...(await client.take("publish")).properties }, {});
    },
  );

  statement({ v5: ["MQTT-3.3.2-14"] }, "a response topic with a wildcard ends the connection", async (at) => {
    const client = await at.connect();
    client.write(frame(0x30, field(at.topic), propertyField(5, 0x08, field("a/#")), Buffer.from("x")));
    await endsWith(at, client, [0x81, 0x82, 0x90]);
  });

  const wrong = (claim: string, bytes: (topic: string) => Buffer): void =>
    statement({ v5: ["2.2.2.2", "MQTT-4.13.1-1"] }, `PUBLISH with ${claim} ends the connection`, async (at) => {
      const client = await at.connect();
      client.write(bytes(at.topic));
      await endsWith(at, client, [0x81, 0x82]);
    });
  const publishWith =
    (...parts: readonly (Buffer | number)[]): ((topic: string) => Buffer) =>
    (topic) =>
      frame(0x30, field(topic), propertyField(5, ...parts), Buffer.from("x"));
  wrong("an unknown property", publishWith(0x7f, 0));
  wrong("a property of another packet", publishWith(0x21, 0, 10));
  wrong("a property twice", publishWith(0x03, field("a"), 0x03, field("b")));
  wrong("a payload format of 2", publishWith(0x01, 2));
  wrong("a property cut short", publishWith(0x02, 0, 0));
  wrong("a property length beyond its end", (topic) => frame(0x30, field(topic), 100, 0x01, 1));
  wrong("a property length in more bytes than needed", (topic) => frame(0x30, field(topic), Buffer.from([0x80, 0x80, 0x80, 0x80, 0x01])));

  statement({ v5: ["MQTT-3.3.2-6"] }, "a message expiry arrives with its message, and not larger than it was sent", async (at) => {
    const client = await at.connect();
    await client.subscribe({ topic: at.topic, qos: 1 });
    for (const sentS of [60, 4_294_967_295]) {
      await client.publish(at.topic, "x", { qos: 1, properties: { messageExpiryInterval: sentS } });
      const gotS = (await client.take("publish")).properties?.messageExpiryInterval ?? 0;
      assert.ok(gotS <= sentS && gotS > sentS - 5, `${gotS} of ${sentS} s`);
    }
  });

  statement(
    { v5: ["MQTT-3.3.4-3", "MQTT-3.3.4-4", "MQTT-3.3.4-5"] },
    "a message carries the identifiers of all subscriptions that it matches",
    async (at) => {
      const client = await at.connect();
      await client.subscribe({ topic: `${at.topic}/#`, qos: 1 }, { subscriptionIdentifier: 1 });
      await client.subscribe({ topic: `${at.topic}/+`, qos: 1 }, { subscriptionIdentifier: 268_435_455 });
      await client.subscribe({ topic: `${at.topic}/x`, qos: 1 });
      await client.subscribe({ topic: `${at.topic}/y`, qos: 1 }, { subscriptionIdentifier: 3 });
      await client.publish(`${at.topic}/x`, "x", { qos: 1 });
      const ids = (await at.settled(client, client)).flatMap(({ properties: own }) => own?.subscriptionIdentifier ?? []);
      assert.deepEqual(
        ids.toSorted((a, b) => a - b),
        [1, 268_435_455],
      );
    },
  );

  statement({ v5: ["MQTT-3.8.4-3", "3.8.2.1.2"] }, "subscribing again replaces the identifier, or takes it away", async (at) => {
    const client = await at.connect();
    const seen: (number | number[] | undefined)[] = [];
    for (const own of [{ subscriptionIdentifier: 5 }, { subscriptionIdentifier: 6 }, undefined]) {
      await client.subscribe({ topic: at.topic, qos: 1 }, own);
      await client.publish(at.topic, "x", { qos: 1 });
      seen.push((await client.take("publish")).properties?.subscriptionIdentifier);
    }
    assert.deepEqual(seen, [5, 6, undefined]);
  });

  statement({ v5: ["MQTT-3.3.4-3"] }, "a retained message carries the identifier of the subscription that asked for it", async (at) => {
    const client = await at.connect();
    await client.publish(at.topic, "kept", { qos: 1, retain: true });
    await client.subscribe({ topic: at.topic, qos: 1 }, { subscriptionIdentifier: 9 });
    assert.equal((await client.take("publish")).properties?.subscriptionIdentifier, 9);
  });

  statement({ v5: ["3.8.2.1.2"] }, "SUBSCRIBE with a subscription identifier of 0 ends the connection", async (at) => {
    const client = await at.connect();
    client.write(frame(0x82, 0, 1, propertyField(5, 0x0b, 0), field(at.topic), 0));
    await endsWith(at, client, [0x81, 0x82]);
  });

  statement({ v5: ["3.8.2.1.3", "3.10.2.1.2", "3.4.2.2"] }, "user properties and reason strings are taken on every packet", async (at) => {
    const client = await at.connect({ acknowledges: false, properties: { userProperties: { who: "me" } } });
    await client.subscribe({ topic: at.topic, qos: 2 }, { userProperties: { why: "test" } });
    const own = { reasonString: "fine", userProperties: { a: "b" } };
    await client.publish(at.topic, "1", { qos: 1, properties: { userProperties: { a: "b" } } });
    client.send({ cmd: "puback", messageId: (await client.take("publish")).messageId as number, reasonCode: 0, properties: own });
    await client.publish(at.topic, "2", { qos: 2 });
    const messageId = (await client.take("publish")).messageId as number;
    client.send({ cmd: "pubrec", messageId, reasonCode: 0, properties: own });
    await client.take("pubrel");
    client.send({ cmd: "pubcomp", messageId, reasonCode: 0, properties: own });
    client.send({ cmd: "unsubscribe", messageId: 900, unsubscriptions: [at.topic], properties: { userProperties: { a: "b" } } });
    await client.take("unsuback");
    await client.ping();
  });

  statement({ v5: ["MQTT-3.3.2-12", "3.3.2.3.4"] }, "a topic alias stands for its topic until it is given to another", async (at) => {
    const publisher = await at.connect();
    assert.ok((publisher.connack.properties?.topicAliasMaximum ?? 0) >= 2, "no topic aliases");
    const subscriber = await at.connect();
    await subscriber.subscribe({ topic: `${at.topic}/#`, qos: 1 });
    const send = (name: string, topicAlias: number): Promise<unknown> =>
      publisher.publish(name === "" ? "" : `${at.topic}/${name}`, `${name}:${topicAlias}`, { qos: 1, properties: { topicAlias } });
    for (const [name, alias] of [
      ["a", 1],
      ["b", 2],
      ["", 1],
      ["", 2],
      ["c", 1],
      ["", 1],
      ["", 2],
    ] as const)
      await send(name, alias);
    const got = await at.settled(subscriber, publisher);
    assert.deepEqual(
      got.map(({ topic }) => topic.split("/").at(-1)),
      ["a", "b", "a", "b", "c", "c", "b"],
    );
    assert.equal(
      got.some(({ properties: own }) => own?.topicAlias !== undefined),
      false,
    );
  });

  statement({ v5: ["MQTT-3.3.2-12"] }, "every topic alias up to the server's maximum is taken", async (at) => {
    const client = await at.connect();
    await client.subscribe({ topic: `${at.topic}/#`, qos: 1 });
    const maximum = client.connack.properties?.topicAliasMaximum ?? 0;
    for (const topicAlias of [1, maximum]) {
      await client.publish(`${at.topic}/${topicAlias}`, "named", { qos: 1, properties: { topicAlias } });
      await client.publish("", "alias", { qos: 1, properties: { topicAlias } });
    }
    assert.deepEqual(
      (await at.settled(client, client)).map(({ topic, payload }) => `${topic.split("/").at(-1)} ${payload.toString()}`),
      [1, 1, maximum, maximum].map((alias, index) => `${alias} ${index % 2 === 0 ? "named" : "alias"}`),
    );
  });

  statement({ v5: ["MQTT-3.3.2-8"] }, "a topic alias of 0 ends the connection", async (at) => {
    const client = await at.connect();
    client.write(frame(0x30, field(at.topic), propertyField(5, 0x23, 0, 0), Buffer.from("x")));
    await endsWith(at, client, [0x81, 0x82, 0x94]);
  });

  statement({ v5: ["MQTT-3.3.2-9", "3.14.2.1"] }, "a topic alias above the server's maximum ends the connection", async (at) => {
    const probe = await at.connect();
    const maximum = probe.connack.properties?.topicAliasMaximum ?? 0;
    for (const alias of [maximum + 1, 65_535]) {
      const client = await at.connect();
      client.write(frame(0x30, field(at.topic), propertyField(5, 0x23, alias >> 8, alias & 0xff), Buffer.from("x")));
      await endsWith(at, client, [0x94]);
    }
  });

  statement(
    { v5: ["MQTT-3.3.2-7", "3.3.2.3.4"] },
    "a topic alias that was not given on this connection is a protocol error",
    async (at) => {
      const clientId = at.newClientId();
      const first = await at.connect(at.lasting({ clientId }));
      await first.publish(at.topic, "x", { qos: 1, properties: { topicAlias: 1 } });
      await first.disconnect();
      const second = await at.connect(at.lasting({ clientId }));
      second.write(frame(0x30, field(""), propertyField(5, 0x23, 0, 1), Buffer.from("x")));
      await endsWith(at, second, [0x82, 0x94]);
    },
  );

  statement(
    { v5: ["MQTT-3.1.2-29", "MQTT-3.1.2-30", "MQTT-3.3.2-11"] },
    "the server uses no topic alias above the client's maximum, and none without one",
    async (at) => {
      const publisher = await at.connect();
      for (const maximum of [undefined, 0, 2]) {
        const topic = `${at.topic}/${String(maximum)}`;
        const subscriber = await at.connect({ properties: maximum === undefined ? {} : { topicAliasMaximum: maximum } });
        await subscriber.subscribe({ topic: `${topic}/+`, qos: 1 });
        for (let count = 0; count < 12; count++) await publisher.publish(`${topic}/${count % 4}`, String(count), { qos: 1 });
        const known = new Map<number, string>();
        for (const { topic: name, payload, properties: own } of await at.settled(subscriber, publisher)) {
          const alias = own?.topicAlias;
          if (alias !== undefined) {
            assert.ok(alias > 0 && alias <= (maximum ?? 0), `alias ${alias}`);
            if (name !== "") known.set(alias, name);
          }
          assert.equal((name || known.get(alias ?? 0))?.split("/").at(-1), String(Number(payload.toString()) % 4));
        }
      }
    },
  );

  statement({ v5: ["3.1.2.11.6"] }, "request and response work with a response topic of the asker's", async (at) => {
    const [asker, answerer] = [await at.connect(), await at.connect()];
    await asker.subscribe({ topic: `${at.topic}/answers`, qos: 1 });
    await answerer.subscribe({ topic: `${at.topic}/questions`, qos: 1 });
    await asker.publish(`${at.topic}/questions`, "6 × 7?", {
      qos: 1,
      properties: { responseTopic: `${at.topic}/answers`, correlationData: Buffer.from("q1") },
    });
    const { properties: asked } = await answerer.take("publish");
    await answerer.publish(asked?.responseTopic ?? "", "42", { qos: 1, properties: { correlationData: asked?.correlationData as Buffer } });
    const answer = await asker.take("publish");
    assert.deepEqual([answer.payload.toString(), answer.properties?.correlationData?.toString()], ["42", "q1"]);
    assert.deepEqual(shown(await at.settled(asker, answerer)), []);
  });

  statement({ v5: ["3.2.2.3"] }, "what CONNACK says of the server's abilities is within the specification's ranges", async (at) => {
    const { connack } = await at.connect();
    assert.equal(codeOf(connack), 0, hex(codeOf(connack)));
    const { receiveMaximum, maximumQoS, maximumPacketSize, serverKeepAlive } = connack.properties ?? {};
    assert.notEqual(receiveMaximum, 0);
    assert.notEqual(maximumPacketSize, 0);
    assert.ok(maximumQoS === undefined || maximumQoS === 0 || maximumQoS === 1, String(maximumQoS));
    assert.ok(serverKeepAlive === undefined || serverKeepAlive > 0);
  });
});
