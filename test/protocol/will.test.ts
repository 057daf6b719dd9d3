import assert from "node:assert/strict";
import type { IConnectPacket } from "mqtt-packet";
import { chapter, payloadsOf, shown } from "./chapter.ts";

type Will = NonNullable<IConnectPacket["will"]>;

const willOn = (topic: string, more: Partial<Will> = {}): Will => ({ topic, payload: Buffer.from("gone"), qos: 0, retain: false, ...more });

export const page = chapter(import.meta, "will", (statement) => {
  statement(
    { v3: ["MQTT-3.1.2-8", "MQTT-3.1.2-9"], v5: ["MQTT-3.1.2-8", "MQTT-3.1.2-9", "MQTT-3.1.2-16"] },
    "a will is sent when its client's connection is lost, at the will's QoS",
    async (at) => {
      const witness = await at.connect();
      await witness.subscribe({ topic: `${at.topic}/#`, qos: 2 });
      for (const qos of [0, 1, 2] as const) {
        const client = await at.connect({ will: willOn(`${at.topic}/${qos}`, { qos }) });
        await client.drop();
        const { topic, payload, qos: given, retain } = await witness.take("publish");
        assert.deepEqual([topic, payload.toString(), given, retain], [`${at.topic}/${qos}`, "gone", qos, false]);
      }
    },
  );

  statement({ v3: ["MQTT-3.1.2-17"], v5: ["MQTT-3.1.2-17"] }, "a retained will is retained", async (at) => {
    const witness = await at.connect();
    await witness.subscribe(at.topic);
    const client = await at.connect({ will: willOn(at.topic, { retain: true, qos: 1 }) });
    await client.drop();
    assert.equal((await witness.take("publish")).retain, false);
    const late = await at.connect();
    await late.subscribe(at.topic);
    const { payload, retain } = await late.take("publish");
    assert.deepEqual([payload.toString(), retain], ["gone", true]);
  });

  statement(
    { v3: ["MQTT-3.14.4-3", "MQTT-3.1.2-10"], v5: ["MQTT-3.14.4-3", "MQTT-3.1.2-10"] },
    "DISCONNECT takes the will out of the world, also for the connections after it",
    async (at) => {
      const clientId = at.newClientId();
      const witness = await at.connect();
      await witness.subscribe(at.topic);
      const client = await at.connect(at.lasting({ clientId, will: willOn(at.topic) }));
      await client.disconnect();
      const again = await at.connect(at.lasting({ clientId }));
      await again.drop();
      assert.deepEqual(shown(await at.settled(witness, await at.connect({ clientId }))), []);
    },
  );

  for (const [claim, reasonCodes] of [
    ["DISCONNECT with reason 0x04 sends the will", [0x04]],
    ["DISCONNECT with the reason of an error sends the will", [0x80, 0x93]],
  ] as const)
    statement({ v5: ["3.14.2.1", "MQTT-3.1.2-8"] }, claim, async (at) => {
      const witness = await at.connect();
      await witness.subscribe(at.topic);
      for (const reasonCode of reasonCodes) {
        const client = await at.connect({ will: willOn(at.topic, { payload: Buffer.from(String(reasonCode)) }) });
        await client.disconnect({ reasonCode });
        assert.deepEqual(payloadsOf(await at.settled(witness, await at.connect())), [String(reasonCode)]);
      }
    });

  statement({ v3: ["MQTT-3.1.2-8"], v5: ["MQTT-3.1.2-8"] }, "a connection that ends for a protocol error sends the will", async (at) => {
    const witness = await at.connect();
    await witness.subscribe(at.topic);
    const client = await at.connect({ will: willOn(at.topic) });
    client.write(Buffer.from([0x82, 0]));
    await client.ended();
    assert.equal((await witness.take("publish")).payload.toString(), "gone");
  });

  statement({ v3: ["MQTT-3.1.2-12"], v5: ["MQTT-3.1.2-12"] }, "a lost connection without a will is no message", async (at) => {
    const witness = await at.connect();
    await witness.subscribe(`${at.topic}/#`);
    const client = await at.connect();
    await client.subscribe(at.topic);
    await client.drop();
    assert.deepEqual(shown(await at.settled(witness, witness)), []);
  });

  statement(
    { v3: ["MQTT-3.1.4-2", "MQTT-3.1.2-8"], v5: ["MQTT-3.1.4-3", "MQTT-3.1.2-8"] },
    "a connection whose client id connects again sends its will",
    async (at) => {
      const clientId = at.newClientId();
      const witness = await at.connect();
      await witness.subscribe(at.topic);
      const first = await at.connect({ clientId, will: willOn(at.topic) });
      const second = await at.connect({ clientId });
      await first.ended();
      assert.equal((await witness.take("publish")).payload.toString(), "gone");
      await second.ping();
    },
  );

  statement({ v3: ["MQTT-3.1.2-10"], v5: ["MQTT-3.1.2-10"] }, "a will is sent once", async (at) => {
    const clientId = at.newClientId();
    const witness = await at.connect();
    await witness.subscribe({ topic: at.topic, qos: 1 });
    const client = await at.connect(at.lasting({ clientId, will: willOn(at.topic, { qos: 1 }) }));
    await client.drop();
    await witness.take("publish");
    const again = await at.connect(at.lasting({ clientId }));
    await again.drop();
    assert.deepEqual(shown(await at.settled(witness, await at.connect({ clientId }))), []);
  });

  statement({ v5: ["MQTT-3.1.2-8", "3.1.3.2.2"] }, "a delayed will waits, and is sent when its delay is over", async (at) => {
    const witness = await at.connect();
    await witness.subscribe(at.topic);
    const startedAt = performance.now();
    const client = await at.connect(at.lasting({ will: willOn(at.topic, { properties: { willDelayInterval: 2 } }) }));
    await client.drop();
    assert.deepEqual(shown(await at.settled(witness, witness)), []);
    assert.equal((await witness.take("publish")).payload.toString(), "gone");
    const waitedMs = performance.now() - startedAt;
    assert.ok(waitedMs >= 900 && waitedMs < 4_500, `sent after ${waitedMs} ms`);
  });

  statement({ v5: ["MQTT-3.1.2-26"] }, "a delayed will is not sent when its client is back before", async (at) => {
    const clientId = at.newClientId();
    const witness = await at.connect();
    await witness.subscribe(`${at.topic}/#`);
    const client = await at.connect(at.lasting({ clientId, will: willOn(at.topic, { properties: { willDelayInterval: 1 } }) }));
    await client.drop();
    const back = await at.connect(at.lasting({ clientId }));
    // Another will with the same delay, of a client that stays away, says when the first would have been due.
    const other = await at.connect(at.lasting({ will: willOn(`${at.topic}/other`, { properties: { willDelayInterval: 2 } }) }));
    await other.drop();
    assert.equal((await witness.take("publish")).topic, `${at.topic}/other`);
    await back.ping();
  });

  const DELAYED = { properties: { willDelayInterval: 300 } };

  statement({ v5: ["MQTT-3.1.2-8", "3.1.3.2.2"] }, "a delayed will is sent when its session expires, if that comes first", async (at) => {
    const witness = await at.connect();
    await witness.subscribe(at.topic);
    const client = await at.connect(at.lasting({ expiryS: 1, will: willOn(at.topic, DELAYED) }));
    await client.drop();
    assert.equal((await witness.take("publish")).payload.toString(), "gone");
  });

  statement({ v5: ["MQTT-3.1.2-8", "3.1.3.2.2"] }, "a delayed will is sent when a clean start ends its session", async (at) => {
    const clientId = at.newClientId();
    const witness = await at.connect();
    await witness.subscribe(at.topic);
    const client = await at.connect(at.lasting({ clientId, will: willOn(at.topic, DELAYED) }));
    await client.drop();
    await at.connect({ clientId, clean: true });
    assert.equal((await witness.take("publish")).payload.toString(), "gone");
  });

  statement(
    { v5: ["MQTT-3.1.2-8", "3.1.3.2.2"] },
    "a delayed will of a session that ends with its connection is sent at once",
    async (at) => {
      const witness = await at.connect();
      await witness.subscribe(at.topic);
      const client = await at.connect({ will: willOn(at.topic, DELAYED) });
      await client.drop();
      assert.equal((await witness.take("publish")).payload.toString(), "gone");
    },
  );

  statement(
    { v5: ["MQTT-3.1.4-3", "3.1.4"] },
    "a session that is taken over sends its will, unless the will is delayed and the session goes on",
    async (at) => {
      const witness = await at.connect();
      await witness.subscribe(`${at.topic}/#`);
      const sentOf = async (name: string, { delayed, clean }: { delayed: boolean; clean: boolean }): Promise<boolean> => {
        const clientId = at.newClientId();
        const first = await at.connect(at.lasting({ clientId, will: willOn(`${at.topic}/${name}`, delayed ? DELAYED : {}) }));
        const second = await at.connect(at.lasting({ clientId, clean }));
        await first.ended();
        const came = (await at.settled(witness, second)).map(({ topic }) => topic);
        return came.includes(`${at.topic}/${name}`);
      };
      assert.equal(await sentOf("at-once", { delayed: false, clean: false }), true);
      assert.equal(await sentOf("goes-on", { delayed: true, clean: false }), false);
    },
  );

  statement({ v5: ["MQTT-3.1.4-3", "3.1.4"] }, "a delayed will is sent when a clean start takes over its connection", async (at) => {
    const clientId = at.newClientId();
    const witness = await at.connect();
    await witness.subscribe(at.topic);
    await at.connect(at.lasting({ clientId, will: willOn(at.topic, DELAYED) }));
    await at.connect({ clientId, clean: true });
    assert.equal((await witness.take("publish")).payload.toString(), "gone");
  });

  statement({ v5: ["3.1.3.2", "MQTT-3.3.2-17"] }, "a will is sent with its properties, and without its delay", async (at) => {
    const witness = await at.connect();
    await witness.subscribe(at.topic);
    const properties = {
      contentType: "text/plain",
      responseTopic: `${at.topic}/answer`,
      correlationData: Buffer.from([0, 9]),
      payloadFormatIndicator: true,
      messageExpiryInterval: 300,
      userProperties: { why: "lost" },
    };
    const client = await at.connect({ will: willOn(at.topic, { properties: { ...properties, willDelayInterval: 0 } }) });
    await client.drop();
    const got = (await witness.take("publish")).properties;
    assert.ok((got?.messageExpiryInterval ?? 0) >= 298, String(got?.messageExpiryInterval));
    assert.deepEqual({ ...got, messageExpiryInterval: 300, userProperties: { ...got?.userProperties } }, properties);
  });

  statement(
    { v3: ["MQTT-3.1.2-9"], v5: ["MQTT-3.1.2-9"] },
    "a will without a payload is sent, and a retained one removes what is retained",
    async (at) => {
      const witness = await at.connect();
      await witness.publish(at.topic, "kept", { qos: 1, retain: true });
      await witness.subscribe({ topic: at.topic, qos: 1 });
      await witness.take("publish");
      const client = await at.open();
      client.write(at.connectBytes({ will: willOn(at.topic, { payload: Buffer.alloc(0), retain: true }) }));
      await client.take("connack");
      await client.drop();
      assert.deepEqual(payloadsOf([await witness.take("publish")]), [""]);
      const late = await at.connect();
      await late.subscribe(at.topic);
      assert.deepEqual(shown(await at.settled(late, witness)), []);
    },
  );
});
