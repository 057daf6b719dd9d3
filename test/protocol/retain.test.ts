import assert from "node:assert/strict";
import type { ISubscription } from "mqtt-packet";
import type { RawClient } from "../support/raw-client.ts";
import { until } from "../support/wait.ts";
import { chapter, payloadsOf, shown } from "./chapter.ts";

/** More than a broker may look at in one go. */
const MANY = 150;

/** Returns the payloads, one to a topic below the given one. */
async function retainMany(publisher: RawClient, topic: string): Promise<string[]> {
  const names = Array.from({ length: MANY }, (_, index) => String(index));
  for (const name of names) await publisher.publish(`${topic}/${name}`, name, { qos: 1, retain: true });
  return names;
}

async function messagesOf(client: RawClient, count: number): Promise<string[]> {
  const got: string[] = [];
  while (got.length < count) got.push(...payloadsOf([await client.pick("publish")]));
  return got;
}

export const page = chapter(import.meta, "retain", (statement) => {
  statement(
    { v3: ["MQTT-3.3.1-5", "MQTT-3.3.1-6", "MQTT-3.3.1-8"], v5: ["MQTT-3.3.1-5", "MQTT-3.3.1-9"] },
    "a new subscriber gets the retained message, marked as retained, at the lower of both QoS",
    async (at) => {
      const publisher = await at.connect();
      for (const qos of [0, 1, 2] as const) await publisher.publish(`${at.topic}/${qos}`, `of ${qos}`, { qos, retain: true });
      for (const asked of [0, 1, 2] as const) {
        const subscriber = await at.connect();
        for (const qos of [0, 1, 2] as const) {
          await subscriber.subscribe({ topic: `${at.topic}/${qos}`, qos: asked });
          const { payload, qos: given, retain, dup } = await subscriber.take("publish");
          assert.deepEqual([payload.toString(), given, retain, dup], [`of ${qos}`, Math.min(qos, asked), true, false]);
        }
      }
    },
  );

  statement({ v3: ["MQTT-3.3.1-5"], v5: ["MQTT-3.3.1-5"] }, "a retained message replaces the one before", async (at) => {
    const publisher = await at.connect();
    for (const payload of ["first", "second", "third"]) await publisher.publish(at.topic, payload, { qos: 1, retain: true });
    const subscriber = await at.connect();
    await subscriber.subscribe({ topic: at.topic, qos: 1 });
    assert.deepEqual(payloadsOf([await subscriber.take("publish")]), ["third"]);
    assert.deepEqual(shown(await at.settled(subscriber, publisher)), []);
  });

  statement({ v3: ["MQTT-3.3.1-7"], v5: ["MQTT-3.3.1-5"] }, "a retained message of QoS 0 replaces one of a higher QoS", async (at) => {
    const publisher = await at.connect();
    await publisher.publish(at.topic, "of QoS 2", { qos: 2, retain: true });
    await publisher.publish(at.topic, "of QoS 0", { qos: 0, retain: true });
    await publisher.ping();
    const subscriber = await at.connect();
    await subscriber.subscribe({ topic: at.topic, qos: 2 });
    const { payload, qos } = await subscriber.take("publish");
    assert.deepEqual([payload.toString(), qos], ["of QoS 0", 0]);
  });

  statement(
    { v3: ["MQTT-3.3.1-10", "MQTT-3.3.1-11"], v5: ["MQTT-3.3.1-6", "MQTT-3.3.1-7"] },
    "an empty retained message removes the one that is kept, is not kept itself, and reaches those who are subscribed",
    async (at) => {
      const publisher = await at.connect();
      const witness = await at.connect();
      await publisher.publish(at.topic, "kept", { qos: 1, retain: true });
      await witness.subscribe(at.topic);
      await witness.take("publish");
      await publisher.publish(at.topic, "", { qos: 1, retain: true });
      const { payload, retain } = await witness.take("publish");
      assert.deepEqual([payload.length, retain], [0, false]);
      const subscriber = await at.connect();
      await subscriber.subscribe(at.topic);
      assert.deepEqual(shown(await at.settled(subscriber, publisher)), []);
    },
  );

  statement(
    { v3: ["MQTT-3.3.1-9"], v5: ["MQTT-3.3.1-12"] },
    "who is subscribed already gets a retained message like any other",
    async (at) => {
      const subscriber = await at.connect();
      const publisher = await at.connect();
      await subscriber.subscribe({ topic: at.topic, qos: 1 });
      for (const qos of [0, 1] as const) {
        await publisher.publish(at.topic, "live", { qos, retain: true });
        assert.equal((await subscriber.take("publish")).retain, false, `QoS ${qos}`);
      }
    },
  );

  statement(
    { v3: ["MQTT-3.3.1-12"], v5: ["MQTT-3.3.1-8"] },
    "a message that is not retained neither replaces nor removes one that is",
    async (at) => {
      const publisher = await at.connect();
      await publisher.publish(at.topic, "kept", { qos: 1, retain: true });
      await publisher.publish(at.topic, "passing", { qos: 1 });
      await publisher.publish(at.topic, "", { qos: 1 });
      const subscriber = await at.connect();
      await subscriber.subscribe(at.topic);
      assert.equal((await subscriber.take("publish")).payload.toString(), "kept");
    },
  );

  statement({ v3: ["MQTT-3.1.2-7"], v5: ["4.1"] }, "retained messages outlive the session that published them", async (at) => {
    const publisher = await at.connect();
    await publisher.publish(at.topic, "kept", { qos: 1, retain: true });
    await publisher.disconnect();
    const subscriber = await at.connect();
    await subscriber.subscribe(at.topic);
    assert.equal((await subscriber.take("publish")).payload.toString(), "kept");
  });

  statement(
    { v3: ["MQTT-3.3.1-6"], v5: ["MQTT-3.3.1-9"] },
    "a wildcard subscription gets all retained messages that it matches, once",
    async (at) => {
      const publisher = await at.connect();
      const names = Array.from({ length: 100 }, (_, index) => String(index));
      for (const name of names) await publisher.publish(`${at.topic}/${name}/state`, name, { qos: 1, retain: true });
      await publisher.publish(`${at.topic}/0/other`, "other", { qos: 1, retain: true });
      const subscriber = await at.connect();
      await subscriber.subscribe({ topic: `${at.topic}/+/state`, qos: 1 });
      const got: string[] = [];
      while (got.length < names.length) got.push(...payloadsOf([await subscriber.take("publish")]));
      assert.deepEqual(got.toSorted(), names.toSorted());
      assert.deepEqual(shown(await at.settled(subscriber, publisher)), []);
    },
  );

  statement(
    { v3: ["MQTT-3.8.4-3"], v5: ["MQTT-3.8.4-4"] },
    "subscribing again to the same filter sends the retained messages again",
    async (at) => {
      const client = await at.connect();
      await client.publish(at.topic, "kept", { qos: 1, retain: true });
      for (let round = 0; round < 2; round++) {
        await client.subscribe({ topic: at.topic, qos: 1 });
        const { payload, retain } = await client.take("publish");
        assert.deepEqual([payload.toString(), retain], ["kept", true]);
      }
    },
  );

  statement(
    { v3: ["MQTT-3.8.4-4", "MQTT-3.8.4-3"], v5: ["MQTT-3.8.4-5", "MQTT-3.8.4-4", "MQTT-3.3.1-9"] },
    "a filter that stands twice in one SUBSCRIBE gets its retained messages twice, as it would in two",
    async (at) => {
      const publisher = await at.connect();
      const names = await retainMany(publisher, at.topic);
      const filter = { topic: `${at.topic}/+`, qos: 1 as const };
      for (const packets of [[[filter, filter]], [[filter], [filter]]]) {
        const subscriber = await at.connect();
        for (const [index, subscriptions] of packets.entries())
          subscriber.send({ cmd: "subscribe", messageId: 100 + index, subscriptions });
        for (const _ of packets) await subscriber.pick("suback");
        assert.deepEqual((await messagesOf(subscriber, 2 * names.length)).toSorted(), [...names, ...names].toSorted());
        assert.deepEqual(shown(await at.settled(subscriber, publisher)), []);
      }
    },
  );

  statement(
    { v5: ["MQTT-3.8.4-5", "MQTT-3.3.1-10"] },
    "a filter that stands twice in one SUBSCRIBE with retain handling 1 gets its retained messages once",
    async (at) => {
      const publisher = await at.connect();
      const names = await retainMany(publisher, at.topic);
      const filter = { topic: `${at.topic}/+`, qos: 1, rh: 1 } satisfies ISubscription;
      const subscriber = await at.connect();
      await subscriber.subscribe([filter, filter]);
      assert.deepEqual((await messagesOf(subscriber, names.length)).toSorted(), names.toSorted());
      assert.deepEqual(shown(await at.settled(subscriber, publisher)), []);
    },
  );

  statement(
    { v3: ["MQTT-3.3.1-6"], v5: ["MQTT-3.3.1-9"] },
    "a session that comes back with its subscriptions gets no retained message again",
    async (at) => {
      const clientId = at.newClientId();
      const publisher = await at.connect();
      await publisher.publish(at.topic, "kept", { qos: 1, retain: true });
      const first = await at.connect(at.lasting({ clientId }));
      await first.subscribe({ topic: at.topic, qos: 1 });
      await first.take("publish");
      await first.ping();
      await first.disconnect();
      const second = await at.connect(at.lasting({ clientId }));
      assert.deepEqual(shown(await at.settled(second, publisher)), []);
    },
  );

  statement(
    { v5: ["MQTT-3.3.1-9", "MQTT-3.3.1-10", "MQTT-3.3.1-11"] },
    "retain handling 0 always sends the retained message, 1 to a new subscription only, 2 never",
    async (at) => {
      const publisher = await at.connect();
      await publisher.publish(at.topic, "kept", { qos: 1, retain: true });
      const subscriber = await at.connect();
      const came = async (rh: number): Promise<number> => {
        await subscriber.subscribe({ topic: at.topic, qos: 1, rh } satisfies ISubscription);
        return (await at.settled(subscriber, publisher)).length;
      };
      const counts = [await came(2), await came(1), await came(0), await came(1)];
      await subscriber.unsubscribe([at.topic]);
      assert.deepEqual([...counts, await came(1)], [0, 0, 1, 0, 1]);
    },
  );

  statement(
    { v5: ["MQTT-3.3.1-12", "MQTT-3.3.1-13"] },
    "retain as published keeps the flag of a live message, and is never needed for a retained one",
    async (at) => {
      const publisher = await at.connect();
      const [keeping, plain] = [await at.connect(), await at.connect()];
      await keeping.subscribe({ topic: at.topic, qos: 1, rap: true });
      await plain.subscribe({ topic: at.topic, qos: 1, rap: false });
      await publisher.publish(at.topic, "retained", { qos: 1, retain: true });
      await publisher.publish(at.topic, "passing", { qos: 1 });
      const flags = async (client: typeof keeping): Promise<boolean[]> => [
        (await client.take("publish")).retain,
        (await client.take("publish")).retain,
      ];
      assert.deepEqual(
        [await flags(keeping), await flags(plain)],
        [
          [true, false],
          [false, false],
        ],
      );
      const late = await at.connect();
      await late.subscribe({ topic: at.topic, rap: false });
      assert.equal((await late.take("publish")).retain, true);
    },
  );

  statement({ v5: ["MQTT-3.3.1-13"] }, "retain as published holds for a message that waited for its session as well", async (at) => {
    const clientId = at.newClientId();
    const publisher = await at.connect();
    const first = await at.connect(at.lasting({ clientId }));
    await first.subscribe([
      { topic: `${at.topic}/as-published`, qos: 1, rap: true },
      { topic: `${at.topic}/plain`, qos: 1, rap: false },
    ]);
    await first.disconnect();
    for (const name of ["as-published", "plain"]) await publisher.publish(`${at.topic}/${name}`, "kept", { qos: 1, retain: true });
    const second = await at.connect(at.lasting({ clientId }));
    const got = [await second.take("publish"), await second.take("publish")];
    assert.deepEqual(
      got.map(({ topic, retain }) => [topic.split("/").at(-1), retain]),
      [
        ["as-published", true],
        ["plain", false],
      ],
    );
  });

  statement({ v5: ["MQTT-3.3.2-17", "MQTT-3.3.2-20"] }, "a retained message keeps its properties", async (at) => {
    const publisher = await at.connect();
    const properties = {
      contentType: "text/plain",
      responseTopic: `${at.topic}/answer`,
      correlationData: Buffer.from([0, 1, 255]),
      payloadFormatIndicator: true,
      userProperties: { unit: "°C" },
    };
    await publisher.publish(at.topic, "21", { qos: 1, retain: true, properties });
    const subscriber = await at.connect();
    await subscriber.subscribe(at.topic);
    const got = (await subscriber.take("publish")).properties;
    assert.deepEqual({ ...got, userProperties: { ...got?.userProperties } }, properties);
  });

  statement(
    { v5: ["MQTT-3.3.2-5", "MQTT-3.3.2-6"] },
    "a retained message tells how long it is still good for, and is gone when that is over",
    async (at) => {
      const publisher = await at.connect();
      await publisher.publish(at.topic, "short", { qos: 1, retain: true, properties: { messageExpiryInterval: 2 } });
      await publisher.publish(`${at.topic}/long`, "long", { qos: 1, retain: true, properties: { messageExpiryInterval: 100 } });
      const first = await at.connect();
      await first.subscribe(at.topic);
      assert.equal((await first.take("publish")).payload.toString(), "short");
      const isGone = async (): Promise<boolean> => {
        const client = await at.connect();
        await client.subscribe(at.topic);
        return (await at.settled(client, publisher)).length === 0;
      };
      await until(isGone, { what: "the end of a retained message" });
      const late = await at.connect();
      await late.subscribe(`${at.topic}/long`);
      const left = (await late.take("publish")).properties?.messageExpiryInterval;
      assert.ok(left !== undefined && left >= 90 && left < 100, `${left} s left of 100 after 2`);
    },
  );
});
