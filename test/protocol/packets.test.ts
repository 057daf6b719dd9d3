import assert from "node:assert/strict";
import mqttPacket from "mqtt-packet";
import { chapter, endsWith, field, frame, propertyField, shown } from "./chapter.ts";

export const page = chapter(import.meta, "packets", (statement) => {
  const wrong = (claim: string, bytes: readonly number[], where: { v3: string[]; v5: string[] }): void =>
    statement(where, `${claim} ends the connection`, async (at) => {
      const client = await at.connect();
      client.write(Buffer.from(bytes));
      await endsWith(at, client, [0x81, 0x82]);
    });

  wrong("a packet of the reserved type 0", [0x00, 0], { v3: ["2.2.1"], v5: ["MQTT-4.13.1-1"] });
  wrong("CONNACK from a client", [0x20, 2, 0, 0], { v3: ["2.2.1"], v5: ["MQTT-4.13.1-1"] });
  wrong("SUBACK from a client", [0x90, 3, 0, 1, 0], { v3: ["2.2.1"], v5: ["MQTT-4.13.1-1"] });
  wrong("UNSUBACK from a client", [0xb0, 2, 0, 1], { v3: ["2.2.1"], v5: ["MQTT-4.13.1-1"] });
  wrong("PINGRESP from a client", [0xd0, 0], { v3: ["2.2.1"], v5: ["MQTT-4.13.1-1"] });
  wrong("a remaining length of more than four bytes", [0xc0, 0x80, 0x80, 0x80, 0x80, 0x01], { v3: ["2.2.3"], v5: ["MQTT-1.5.5-1"] });
  wrong("PINGREQ with reserved bits", [0xc1, 0], { v3: ["MQTT-2.2.2-2"], v5: ["MQTT-2.1.3-1"] });
  wrong("PUBACK with reserved bits", [0x42, 2, 0, 1], { v3: ["MQTT-2.2.2-2"], v5: ["MQTT-2.1.3-1"] });
  wrong("PUBREL without its reserved bits", [0x60, 2, 0, 1], { v3: ["MQTT-3.6.1-1"], v5: ["MQTT-3.6.1-1"] });
  wrong("a PUBACK of one byte", [0x40, 1, 0], { v3: ["2.1"], v5: ["MQTT-4.13.1-1"] });
  wrong("a PINGREQ with a body", [0xc0, 1, 0], { v3: ["3.12"], v5: ["MQTT-4.13.1-1"] });

  statement({ v3: ["MQTT-3.8.1-1"], v5: ["MQTT-3.8.1-1"] }, "SUBSCRIBE without its reserved bits ends the connection", async (at) => {
    const client = await at.connect();
    client.write(frame(0x80, 0, 1, propertyField(at.version), field(at.topic), 0));
    await endsWith(at, client, [0x81]);
  });

  statement({ v3: ["MQTT-3.10.1-1"], v5: ["MQTT-3.10.1-1"] }, "UNSUBSCRIBE without its reserved bits ends the connection", async (at) => {
    const client = await at.connect();
    client.write(frame(0xa0, 0, 1, propertyField(at.version), field(at.topic)));
    await endsWith(at, client, [0x81]);
  });

  statement({ v3: ["MQTT-3.12.4-1"], v5: ["MQTT-3.12.4-1"] }, "every PINGREQ is answered", async (at) => {
    const client = await at.connect();
    for (let count = 0; count < 5; count++) client.send({ cmd: "pingreq" });
    for (let count = 0; count < 5; count++) await client.take("pingresp");
  });

  statement({ v3: ["2.1"], v5: ["2.1"] }, "a packet may come byte by byte, and many in one piece", async (at) => {
    const client = await at.connect();
    await client.subscribe({ topic: at.topic, qos: 0 });
    const bytes = mqttPacket.generate(
      { cmd: "publish", topic: at.topic, payload: "in pieces", qos: 0, dup: false, retain: false },
      { protocolVersion: at.version },
    );
    for (const byte of bytes) {
      client.write(Buffer.from([byte]));
      // The other side has read it when it answers another connection.
      await new Promise(setImmediate);
    }
    assert.equal((await client.take("publish")).payload.toString(), "in pieces");
    client.write(Buffer.concat(Array.from({ length: 500 }, () => bytes)));
    for (let count = 0; count < 500; count++) assert.equal((await client.take("publish")).payload.toString(), "in pieces");
  });

  statement({ v3: ["4.8"], v5: ["MQTT-4.13.1-1"] }, "one client's malformed packet is no matter of the others", async (at) => {
    const good = await at.connect();
    await good.subscribe({ topic: at.topic, qos: 1 });
    const bad = await at.connect();
    bad.write(Buffer.from([0x82, 0]));
    await bad.ended();
    await good.publish(at.topic, "still here", { qos: 1 });
    assert.deepEqual(shown([await good.take("publish")]).length, 1);
  });
});
