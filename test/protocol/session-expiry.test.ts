import assert from "node:assert/strict";
import { chapter, endsWith, type Scene } from "./chapter.ts";

/** Connects with what asks for the session of before, and says whether it was there; the connection lasts. */
const comesBack = async (at: Scene, clientId: string): Promise<boolean> =>
  (await at.connect(at.lasting({ clientId }))).connack.sessionPresent;

export const page = chapter(import.meta, "session-expiry", (statement) => {
  statement({ v5: ["MQTT-4.1.0-2", "3.1.2.11.2"] }, "without a session expiry the session ends with its connection", async (at) => {
    for (const properties of [{}, { sessionExpiryInterval: 0 }]) {
      const clientId = at.newClientId();
      const client = await at.connect({ clientId, clean: false, properties });
      await client.subscribe({ topic: at.topic, qos: 1 });
      await client.disconnect();
      assert.equal(await comesBack(at, clientId), false);
    }
  });

  statement({ v5: ["MQTT-4.1.0-2", "MQTT-3.1.2-25"] }, "a session is there until its expiry and gone after it", async (at) => {
    const clientId = at.newClientId();
    const expiring = at.lasting({ clientId, expiryS: 1 });
    const client = await at.connect(expiring);
    await client.subscribe({ topic: at.topic, qos: 1 });
    await client.disconnect();
    const back = await at.connect(expiring);
    assert.equal(back.connack.sessionPresent, true);
    await back.disconnect();
    const publisher = await at.connect();
    // It is counted from the end of the connection; another session of one more second says when that is over.
    const clock = at.newClientId();
    const away = await at.connect(
      at.lasting({
        clientId: clock,
        expiryS: 2,
        will: { topic: `${at.topic}/clock`, payload: Buffer.from("tick"), qos: 0, retain: false, properties: { willDelayInterval: 2 } },
      }),
    );
    await publisher.subscribe(`${at.topic}/clock`);
    await away.drop();
    await publisher.take("publish");
    assert.equal(await comesBack(at, clientId), false);
  });

  statement({ v5: ["3.2.2.3.2"] }, "a client whose session is kept shorter than it asked is told how long", async (at) => {
    const { connack } = await at.connect(at.lasting({ expiryS: 0xffffffff }));
    assert.equal(connack.properties?.sessionExpiryInterval, at.broker.maxSessionExpiryS);
    const granted = await at.connect(at.lasting({ expiryS: 300 }));
    assert.ok([undefined, 300].includes(granted.connack.properties?.sessionExpiryInterval));
  });

  statement({ v5: ["3.14.2.2.2"] }, "DISCONNECT can end the session, shorten and prolong it", async (at) => {
    const left = async (expiryS: number, atEndS: number): Promise<boolean> => {
      const clientId = at.newClientId();
      const client = await at.connect(at.lasting({ clientId, expiryS }));
      await client.disconnect({ properties: { sessionExpiryInterval: atEndS } });
      return comesBack(at, clientId);
    };
    assert.deepEqual([await left(300, 0), await left(300, 60), await left(1, 300)], [false, true, true]);
  });

  statement(
    { v5: ["3.14.2.2.2"] },
    "DISCONNECT that gives an expiry to a session that had none is a protocol error and no goodbye",
    async (at) => {
      const witness = await at.connect();
      await witness.subscribe(at.topic);
      const client = await at.connect({ clean: false, will: { topic: at.topic, payload: Buffer.from("gone"), qos: 0, retain: false } });
      client.send({ cmd: "disconnect", reasonCode: 0, properties: { sessionExpiryInterval: 60 } });
      await endsWith(at, client, [0x82]);
      assert.equal((await witness.take("publish")).payload.toString(), "gone");
    },
  );
});
