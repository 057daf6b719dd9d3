import assert from "node:assert/strict";
import mqttPacket from "mqtt-packet";
import { chapter, endsWith, shown } from "./chapter.ts";

const DISCONNECT = Buffer.from([0xe0, 0]);

export const page = chapter(import.meta, "disconnect", (statement) => {
  statement({ v3: ["MQTT-3.14.1-1"], v5: ["MQTT-3.14.1-1"] }, "DISCONNECT with reserved bits is no goodbye", async (at) => {
    const witness = await at.connect();
    await witness.subscribe(at.topic);
    const client = await at.connect({ will: { topic: at.topic, payload: Buffer.from("gone"), qos: 0 } });
    client.write(Buffer.from([0xe1, 0]));
    await endsWith(at, client, [0x81]);
    assert.equal((await witness.take("publish")).payload.toString(), "gone");
  });

  statement({ v3: ["MQTT-3.14.4-2"], v5: ["MQTT-3.14.4-1"] }, "what follows DISCONNECT is not looked at", async (at) => {
    const client = await at.connect();
    const witness = await at.connect();
    await witness.subscribe(at.topic);
    const publish = { cmd: "publish", topic: at.topic, payload: "late", qos: 0, dup: false, retain: false } as const;
    client.write(Buffer.concat([DISCONNECT, mqttPacket.generate(publish, { protocolVersion: at.version })]));
    assert.deepEqual(shown(await client.ended()), []);
    assert.deepEqual(shown(await at.settled(witness, witness)), []);
  });

  statement({ v5: ["MQTT-3.14.2-1", "3.14.2.2"] }, "DISCONNECT may carry a reason string and user properties", async (at) => {
    const client = await at.connect();
    client.send({ cmd: "disconnect", reasonCode: 0, properties: { reasonString: "done", userProperties: { by: "hand" } } });
    assert.deepEqual(shown(await client.ended()), []);
  });
});
