import assert from "node:assert/strict";
import { chapter, endsWith, field, frame, payloadsOf, propertyField, shown } from "./chapter.ts";

/** Filters below a test's own topic, each with what it matches and what it does not, as 4.7 has it. */
const MATCHING: readonly { readonly filter: string; readonly matches: readonly string[]; readonly not: readonly string[] }[] = [
  { filter: "/a", matches: ["/a"], not: ["/A", "/a/", "//a", "/ab", ""] },
  { filter: "/a/b", matches: ["/a/b"], not: ["/a", "/a/b/c", "/a/B"] },
  { filter: "/#", matches: ["", "/", "/a", "/a/b", "/a/b/c", "//"], not: [] },
  { filter: "/a/#", matches: ["/a", "/a/", "/a/b", "/a/b/c", "/a//c"], not: ["/b", "/ab", ""] },
  { filter: "/+", matches: ["/a", "/b", "/"], not: ["", "/a/b", "/a/", "//"] },
  { filter: "/+/b", matches: ["/a/b", "/x/b", "//b"], not: ["/b", "/a/b/c", "/a/x"] },
  { filter: "/a/+", matches: ["/a/b", "/a/"], not: ["/a", "/a/b/c", "/b/a"] },
  { filter: "/+/+", matches: ["/a/b", "//", "/a/", "//b"], not: ["/a", "/a/b/c"] },
  { filter: "/+/b/+", matches: ["/a/b/c", "//b/", "/a/b/"], not: ["/a/b", "/a/x/c"] },
  { filter: "/+/b/#", matches: ["/a/b", "/a/b/c", "/a/b/c/d", "/a/b/"], not: ["/a", "/a/x/c"] },
  { filter: "/+/#", matches: ["/a", "/", "/a/b", "//"], not: [""] },
  { filter: "//", matches: ["//"], not: ["/", "/a/", "///"] },
  { filter: "/a b", matches: ["/a b"], not: ["/a  b", "/ab"] },
  { filter: "/$a/+", matches: ["/$a/b"], not: ["/a/b"] },
  { filter: "/\u00e9", matches: ["/\u00e9"], not: ["/e\u0301", "/e"] },
];

export const page = chapter(import.meta, "subscribe", (statement) => {
  statement(
    {
      v3: ["MQTT-3.8.4-1", "MQTT-3.8.4-2", "MQTT-3.8.4-5", "MQTT-3.9.3-1"],
      v5: ["MQTT-3.8.4-1", "MQTT-3.8.4-2", "MQTT-3.8.4-7", "MQTT-3.9.3-1"],
    },
    "SUBACK has the identifier of SUBSCRIBE and the granted QoS in the order of the filters",
    async (at) => {
      const client = await at.connect();
      const asked = [2, 0, 1, 1, 0, 2] as const;
      client.send({
        cmd: "subscribe",
        messageId: 65_535,
        subscriptions: asked.map((qos, index) => ({ topic: `${at.topic}/${index}`, qos })),
      });
      const { messageId, granted } = await client.take("suback");
      assert.deepEqual([messageId, granted], [65_535, [...asked]]);
    },
  );

  statement(
    { v3: ["MQTT-3.8.4-4"], v5: ["MQTT-3.8.4-5", "MQTT-3.8.4-6"] },
    "many filters in one SUBSCRIBE are as good as many SUBSCRIBE packets",
    async (at) => {
      const client = await at.connect();
      const filters = Array.from({ length: 200 }, (_, index) => ({ topic: `${at.topic}/${index}/+`, qos: (index % 3) as 0 | 1 | 2 }));
      const { granted } = await client.subscribe(filters);
      assert.deepEqual(
        granted,
        filters.map(({ qos }) => qos),
      );
      for (const index of [0, 99, 199]) {
        await client.publish(`${at.topic}/${index}/x`, String(index), { qos: 2 });
        const { payload, qos } = await client.take("publish");
        assert.deepEqual([payload.toString(), qos], [String(index), index % 3]);
      }
    },
  );

  statement(
    {
      v3: ["MQTT-3.3.2-3", "MQTT-4.7.1-2", "MQTT-4.7.1-3", "MQTT-4.7.3-4"],
      v5: ["MQTT-3.3.2-3", "MQTT-4.7.1-1", "MQTT-4.7.1-2", "MQTT-4.7.3-4"],
    },
    "a filter matches what the table of examples says and nothing else",
    async (at) => {
      const publisher = await at.connect();
      for (const [index, { filter, matches, not }] of MATCHING.entries()) {
        const base = `${at.topic}/${index}`;
        const subscriber = await at.connect();
        const { granted } = await subscriber.subscribe({ topic: `${base}${filter}`, qos: 0 });
        assert.deepEqual(granted, [0], filter);
        for (const name of [...matches, ...not]) await publisher.publish(`${base}${name}`, name);
        assert.deepEqual(payloadsOf(await at.settled(subscriber, publisher)), matches, `base${filter}`);
      }
    },
  );

  statement({ v3: ["MQTT-4.7.1-3"], v5: ["MQTT-4.7.1-2"] }, "a wildcard may stand in the first level", async (at) => {
    const [first, ...rest] = at.topic.split("/");
    assert.ok(first);
    const publisher = await at.connect();
    const subscriber = await at.connect();
    await subscriber.subscribe({ topic: `+/${rest.join("/")}`, qos: 1 });
    await publisher.publish(at.topic, "found", { qos: 1 });
    assert.equal((await subscriber.take("publish")).payload.toString(), "found");
  });

  statement(
    { v3: ["MQTT-4.7.2-1"], v5: ["MQTT-4.7.2-1"] },
    "a filter that starts with a wildcard matches no topic that starts with $",
    async (at) => {
      const publisher = await at.connect();
      const subscriber = await at.connect();
      await subscriber.subscribe([{ topic: "#" }, { topic: "+/#" }, { topic: "+/hexa/probe" }, { topic: "+/broker/uptime" }]);
      for (const topic of ["$hexa/probe", "$SYS/hexa/probe", "$share/x", "$"]) await publisher.publish(topic, "probe", { qos: 1 });
      const topics = (await at.settled(subscriber, publisher)).map(({ topic }) => topic);
      assert.deepEqual(
        topics.filter((topic) => topic.startsWith("$")),
        [],
      );
    },
  );

  statement(
    { v3: ["MQTT-4.7.1-2", "MQTT-4.7.1-3"], v5: ["MQTT-4.7.1-1", "MQTT-4.7.1-2"] },
    "a filter with a wildcard in the wrong place is never granted",
    async (at) => {
      for (const bad of ["/#/a", "/a#", "/a+", "/+a", "/a/b+/c", "/##", "/++"]) {
        const client = await at.connect();
        const suback = await client.subscribe({ topic: `${at.topic}${bad}`, qos: 1 }).catch(() => undefined);
        if (suback === undefined) assert.equal(client.isClosed, true, bad);
        else assert.ok(Number(suback.granted[0]) >= 0x80, `${bad} granted`);
      }
    },
  );

  statement(
    { v3: ["MQTT-3.8.3-1", "MQTT-4.7.3-1", "MQTT-4.7.3-2"], v5: ["MQTT-3.8.3-1", "MQTT-4.7.3-1", "MQTT-4.7.3-2"] },
    "a filter that is empty, has NUL or is no UTF-8 is never granted",
    async (at) => {
      for (const bad of [Buffer.alloc(0), Buffer.from("a\0b"), Buffer.from([0x61, 0xff]), Buffer.from([0xed, 0xa0, 0x80])]) {
        const client = await at.connect();
        client.write(frame(0x82, 0, 1, propertyField(at.version), field(bad), 0));
        const suback = await client.pick("suback").catch(() => undefined);
        if (suback === undefined) assert.equal(client.isClosed, true, bad.toString("hex"));
        else assert.ok(Number(suback.granted[0]) >= 0x80, `${bad.toString("hex")} granted`);
      }
    },
  );

  statement({ v3: ["MQTT-3.8.3-3"], v5: ["MQTT-3.8.3-2"] }, "SUBSCRIBE without a filter ends the connection", async (at) => {
    const client = await at.connect();
    client.write(frame(0x82, 0, 1, propertyField(at.version)));
    await endsWith(at, client, [0x81, 0x82]);
  });

  statement({ v3: ["MQTT-3.8.3-4"], v5: ["MQTT-3.8.3-5"] }, "SUBSCRIBE with QoS 3 or reserved bits ends the connection", async (at) => {
    const options = at.version === 5 ? [0x03, 0x40, 0x80, 0xc1] : [0x03, 0x04, 0x40, 0x81];
    for (const option of options) {
      const client = await at.connect();
      client.write(frame(0x82, 0, 1, propertyField(at.version), field(at.topic), option));
      await endsWith(at, client, [0x81, 0x82]);
    }
  });

  statement({ v5: ["3.8.3.1"] }, "SUBSCRIBE with retain handling 3 ends the connection", async (at) => {
    const client = await at.connect();
    client.write(frame(0x82, 0, 1, propertyField(5), field(at.topic), 0x30));
    await endsWith(at, client, [0x81, 0x82]);
  });

  statement(
    { v3: ["MQTT-3.8.4-3"], v5: ["MQTT-3.8.4-3"] },
    "subscribing again to the same filter replaces the QoS and gives no second copy",
    async (at) => {
      const client = await at.connect();
      for (const qos of [2, 0, 1] as const) {
        await client.subscribe({ topic: `${at.topic}/+`, qos });
        await client.publish(`${at.topic}/x`, `now ${qos}`, { qos: 2 });
        const got = await client.take("publish");
        assert.deepEqual([got.payload.toString(), got.qos], [`now ${qos}`, qos]);
      }
      assert.deepEqual(shown(await at.settled(client, client)), []);
    },
  );

  statement(
    { v3: ["MQTT-3.8.4-3"], v5: ["MQTT-3.8.4-4"] },
    "no message is lost or doubled while a subscription is replaced again and again",
    async (at) => {
      const [subscriber, publisher] = [await at.connect(), await at.connect()];
      await subscriber.subscribe({ topic: at.topic, qos: 1 });
      const sent = Array.from({ length: 200 }, (_, index) => String(index));
      const publishing = (async () => {
        for (const payload of sent) await publisher.publish(at.topic, payload, { qos: 1 });
      })();
      for (let count = 0; count < 50; count++) await subscriber.subscribe({ topic: at.topic, qos: count % 2 === 0 ? 2 : 1 });
      await publishing;
      const got: string[] = [];
      while (got.length < sent.length) got.push(...payloadsOf([await subscriber.take("publish")]));
      assert.deepEqual(got, sent);
      assert.deepEqual(shown(await at.settled(subscriber, publisher)), []);
    },
  );

  statement(
    { v3: ["MQTT-3.3.5-1"], v5: ["MQTT-3.3.4-2"] },
    "a client with overlapping subscriptions gets the message at the highest of their QoS, and no more copies than subscriptions",
    async (at) => {
      const subscriber = await at.connect();
      await subscriber.subscribe([
        { topic: `${at.topic}/#`, qos: 0 },
        { topic: `${at.topic}/+`, qos: 2 },
        { topic: `${at.topic}/x`, qos: 1 },
      ]);
      const publisher = await at.connect();
      await publisher.publish(`${at.topic}/x`, "x", { qos: 2 });
      const first = await subscriber.take("publish");
      const qos = [first, ...(await at.settled(subscriber, publisher))].map((packet) => packet.qos);
      assert.ok(qos.length <= 3 && Math.max(...qos) === 2, `QoS ${String(qos)}`);
    },
  );

  statement({ v5: ["MQTT-3.8.3-3"] }, "no local keeps a client's own messages from it, and nobody else's", async (at) => {
    const [client, other] = [await at.connect(), await at.connect()];
    await client.subscribe({ topic: `${at.topic}/quiet`, qos: 1, nl: true });
    await client.subscribe({ topic: `${at.topic}/loud`, qos: 1, nl: false });
    for (const from of [client, other])
      for (const to of ["quiet", "loud"]) await from.publish(`${at.topic}/${to}`, from === client ? "own" : "other", { qos: 1 });
    const got = [...(await at.settled(client, client)), ...(await at.settled(client, other))];
    assert.deepEqual(got.map(({ topic, payload }) => `${topic.split("/").at(-1)} ${payload.toString()}`).toSorted(), [
      "loud other",
      "loud own",
      "quiet other",
    ]);
  });

  statement(
    { v3: ["MQTT-3.10.4-4", "MQTT-3.10.4-5"], v5: ["MQTT-3.10.4-4", "MQTT-3.10.4-5", "MQTT-3.11.3-1"] },
    "UNSUBACK has the identifier of UNSUBSCRIBE, and says in order what was subscribed, also when nothing was",
    async (at) => {
      const client = await at.connect();
      await client.subscribe([`${at.topic}/a`, `${at.topic}/c`]);
      client.send({ cmd: "unsubscribe", messageId: 65_535, unsubscriptions: ["a", "b", "c"].map((name) => `${at.topic}/${name}`) });
      const { messageId, granted } = await client.take("unsuback");
      assert.equal(messageId, 65_535);
      if (at.version === 5) assert.deepEqual(granted, [0x00, 0x11, 0x00]);
      assert.equal((await client.unsubscribe([`${at.topic}/a`])).cmd, "unsuback");
    },
  );

  statement(
    { v3: ["MQTT-3.10.4-1", "MQTT-3.10.4-2", "MQTT-3.10.4-6"], v5: ["MQTT-3.10.4-1", "MQTT-3.10.4-2", "MQTT-3.10.4-6"] },
    "UNSUBSCRIBE ends exactly the subscriptions whose filters it names, letter by letter",
    async (at) => {
      const client = await at.connect();
      await client.subscribe([`${at.topic}/+`, `${at.topic}/b`, `${at.topic}/c/#`]);
      await client.unsubscribe([`${at.topic}/a`, `${at.topic}/#`, `${at.topic}/c/d`, `${at.topic}/B`]);
      await client.publish(`${at.topic}/a`, "by the wildcard", { qos: 1 });
      await client.publish(`${at.topic}/c/d`, "below c", { qos: 1 });
      assert.deepEqual(payloadsOf(await at.settled(client, client)), ["by the wildcard", "below c"]);
      await client.unsubscribe([`${at.topic}/+`, `${at.topic}/c/#`]);
      for (const name of ["a", "c/d", "b"]) await client.publish(`${at.topic}/${name}`, name, { qos: 1 });
      assert.deepEqual(payloadsOf(await at.settled(client, client)), ["b"]);
    },
  );

  statement({ v3: ["MQTT-3.10.3-2"], v5: ["MQTT-3.10.3-2"] }, "UNSUBSCRIBE without a filter ends the connection", async (at) => {
    const client = await at.connect();
    client.write(frame(0xa2, 0, 1, propertyField(at.version)));
    await endsWith(at, client, [0x81, 0x82]);
  });

  statement(
    { v3: ["MQTT-3.10.4-3"], v5: ["MQTT-3.10.4-3"] },
    "UNSUBSCRIBE does not interrupt the delivery of a message that was sent already",
    async (at) => {
      const subscriber = await at.connect({ acknowledges: false });
      await subscriber.subscribe({ topic: at.topic, qos: 2 });
      const publisher = await at.connect();
      await publisher.publish(at.topic, "x", { qos: 2 });
      const { messageId } = await subscriber.take("publish");
      await subscriber.unsubscribe([at.topic]);
      subscriber.send({ cmd: "pubrec", messageId: messageId as number });
      assert.equal((await subscriber.take("pubrel")).messageId, messageId);
    },
  );
});
