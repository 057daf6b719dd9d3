import assert from "node:assert/strict";
import type { ReceivedOf } from "../support/raw-client.ts";
import { chapter, endsWith, field, frame, payloadsOf, propertyField, type Scene, shown } from "./chapter.ts";

/** $share is a convention in 3.1.1, which has no statement about it. */
const CONVENTION = "4.8.2 of MQTT 5, by convention";

type Client = Awaited<ReturnType<Scene["connect"]>>;

async function members(at: Scene, count: number, filter: string): Promise<Client[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => at.connect()));
  for (const client of clients) assert.deepEqual((await client.subscribe({ topic: filter, qos: 1 })).granted, [1]);
  return clients;
}

async function sendAll(publisher: Client, topic: string, count: number): Promise<string[]> {
  const sent = Array.from({ length: count }, (_, index) => String(index).padStart(3, "0"));
  for (const payload of sent) await publisher.publish(topic, payload, { qos: 1 });
  return sent;
}

async function settledAll(at: Scene, clients: readonly Client[], publisher: Client): Promise<ReceivedOf<"publish">[][]> {
  const all: ReceivedOf<"publish">[][] = [];
  for (const client of clients) all.push(await at.settled(client, publisher));
  return all;
}

export const page = chapter(import.meta, "shared", (statement) => {
  statement({ v3: [CONVENTION], v5: ["4.8.2"] }, "a message goes to one member of a group, and every member gets some", async (at) => {
    const publisher = await at.connect();
    const group = await members(at, 3, `$share/g/${at.topic}/+`);
    const sent = await sendAll(publisher, `${at.topic}/x`, 60);
    const got = await settledAll(at, group, publisher);
    assert.deepEqual(got.flatMap(payloadsOf).toSorted(), sent);
    for (const share of got) assert.ok(share.length >= 5, `shares of ${got.map(({ length }) => length).join(", ")}`);
  });

  statement({ v3: [CONVENTION], v5: ["4.8.2"] }, "every group gets a copy, and so does who is subscribed without one", async (at) => {
    const publisher = await at.connect();
    const one = await members(at, 2, `$share/one/${at.topic}`);
    const two = await members(at, 2, `$share/two/${at.topic}`);
    const alone = await members(at, 1, at.topic);
    const sent = await sendAll(publisher, at.topic, 10);
    for (const group of [one, two, alone]) assert.deepEqual((await settledAll(at, group, publisher)).flatMap(payloadsOf).toSorted(), sent);
  });

  statement({ v3: [CONVENTION], v5: ["4.8.2"] }, "a group with the same name on another filter is another group", async (at) => {
    const publisher = await at.connect();
    const [narrow] = await members(at, 1, `$share/g/${at.topic}`);
    const [wide] = await members(at, 1, `$share/g/${at.topic}/#`);
    const sent = await sendAll(publisher, at.topic, 10);
    for (const client of [narrow, wide]) assert.deepEqual(payloadsOf(await at.settled(client as Client, publisher)), sent);
  });

  statement({ v3: [CONVENTION], v5: ["MQTT-4.8.2-3"] }, "each member gets its messages at the QoS it was granted", async (at) => {
    const publisher = await at.connect();
    const clients = [await at.connect(), await at.connect()];
    for (const [qos, client] of clients.entries()) await client.subscribe({ topic: `$share/g/${at.topic}`, qos: qos as 0 | 1 });
    const sent = await sendAll(publisher, at.topic, 20);
    const got = await settledAll(at, clients, publisher);
    assert.equal(got.flat().length, sent.length);
    for (const [qos, share] of got.entries()) assert.deepEqual([...new Set(share.map((packet) => packet.qos))], [qos]);
  });

  statement(
    { v3: [CONVENTION], v5: ["4.8.2"] },
    "who leaves a group, by UNSUBSCRIBE or with its session, leaves its share to the others",
    async (at) => {
      const publisher = await at.connect();
      const filter = `$share/g/${at.topic}`;
      const [stays, unsubscribes, goes] = (await members(at, 3, filter)) as [Client, Client, Client];
      await unsubscribes.unsubscribe([filter]);
      await goes.disconnect();
      const sent = await sendAll(publisher, at.topic, 20);
      assert.deepEqual(payloadsOf(await at.settled(stays, publisher)), sent);
      assert.deepEqual(shown(await at.settled(unsubscribes, publisher)), []);
    },
  );

  statement(
    { v3: [CONVENTION], v5: ["4.8.2", "MQTT-4.8.2-4"] },
    "no message is lost to a member that is away: another gets it, or the member does when it is back",
    async (at) => {
      const publisher = await at.connect();
      const filter = `$share/g/${at.topic}`;
      const clientId = at.newClientId();
      const away = await at.connect(at.lasting({ clientId }));
      await away.subscribe({ topic: filter, qos: 1 });
      const [online] = (await members(at, 1, filter)) as [Client];
      await away.disconnect();
      const sent = await sendAll(publisher, at.topic, 20);
      const live = payloadsOf(await at.settled(online, publisher));
      const back = await at.connect(at.lasting({ clientId }));
      const late = payloadsOf(await at.settled(back, publisher));
      assert.deepEqual([...live, ...late].toSorted(), sent);
    },
  );

  statement({ v3: [CONVENTION], v5: ["MQTT-4.8.2-4", "MQTT-4.8.2-5"] }, "what is on its way to one member goes to no other", async (at) => {
    const publisher = await at.connect();
    const filter = `$share/g/${at.topic}`;
    const slow = await at.connect({ acknowledges: false });
    await slow.subscribe({ topic: filter, qos: 1 });
    await publisher.publish(at.topic, "on its way", { qos: 1 });
    await slow.take("publish");
    const [other] = (await members(at, 1, filter)) as [Client];
    await slow.drop();
    assert.deepEqual(shown(await at.settled(other, publisher)), []);
  });

  statement({ v3: [CONVENTION], v5: ["4.8.2"] }, "a shared subscription gets no retained messages", async (at) => {
    const publisher = await at.connect();
    await publisher.publish(at.topic, "kept", { qos: 1, retain: true });
    const [member] = (await members(at, 1, `$share/g/${at.topic}`)) as [Client];
    assert.deepEqual(shown(await at.settled(member, publisher)), []);
  });

  statement(
    { v3: [CONVENTION], v5: ["MQTT-4.8.2-1", "MQTT-4.8.2-2"] },
    "a shared filter without a name, without a filter or with a wildcard in the name is never granted",
    async (at) => {
      const granted: string[] = [];
      for (const bad of [
        "$share",
        "$share/",
        "$share/g",
        "$share/g/",
        `$share//${at.topic}`,
        `$share/g+/${at.topic}`,
        `$share/#/${at.topic}`,
        `$share/+/${at.topic}`,
      ]) {
        const client = await at.connect();
        const suback = await client.subscribe({ topic: bad, qos: 1 }).catch(() => undefined);
        if (suback === undefined ? !client.isClosed : Number(suback.granted[0]) < 0x80) granted.push(bad.replace(at.topic, "topic"));
      }
      assert.deepEqual(granted, []);
    },
  );

  statement({ v5: ["MQTT-3.8.3-4"] }, "no local on a shared subscription is a protocol error", async (at) => {
    const client = await at.connect();
    client.write(frame(0x82, 0, 1, propertyField(5), field(`$share/g/${at.topic}`), 0x05));
    await endsWith(at, client, [0x82]);
  });

  statement({ v5: ["MQTT-3.3.4-3"] }, "a message of a shared subscription carries its identifier", async (at) => {
    const client = await at.connect();
    await client.subscribe({ topic: `$share/g/${at.topic}`, qos: 1 }, { subscriptionIdentifier: 77 });
    await client.publish(at.topic, "x", { qos: 1 });
    assert.equal((await client.take("publish")).properties?.subscriptionIdentifier, 77);
  });
});
