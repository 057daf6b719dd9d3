import assert from "node:assert/strict";
import { once } from "node:events";
import mqttPacket from "mqtt-packet";
import { codeOf } from "../support/raw-client.ts";
import { chapter } from "./chapter.ts";

export const page = chapter(import.meta, "websocket", (statement) => {
  statement(
    { v3: ["MQTT-6.0.0-3", "MQTT-6.0.0-4"], v5: ["MQTT-6.0.0-3", "MQTT-6.0.0-4"] },
    "MQTT over WebSocket is the subprotocol mqtt, and its clients and those over TCP understand each other",
    async (at) => {
      const web = await at.connect({ transport: "websocket" });
      const plain = await at.connect();
      for (const [from, to, name] of [
        [web, plain, "a"],
        [plain, web, "b"],
      ] as const) {
        await to.subscribe({ topic: `${at.topic}/${name}`, qos: 2 });
        for (const qos of [0, 1, 2] as const) {
          await from.publish(`${at.topic}/${name}`, Buffer.alloc(5_000, qos), { qos });
          const { payload, qos: got } = await to.take("publish");
          assert.deepEqual([payload.length, got], [5_000, qos]);
        }
      }
    },
  );

  statement(
    { v3: ["MQTT-6.0.0-2"], v5: ["MQTT-6.0.0-2"] },
    "a packet may be spread over several frames, and a frame may hold several packets",
    async (at) => {
      const client = await at.open({ transport: "websocket" });
      const bytes = Buffer.concat([
        at.connectBytes(),
        mqttPacket.generate(
          { cmd: "subscribe", messageId: 1, subscriptions: [{ topic: at.topic, qos: 0 }] },
          { protocolVersion: at.version },
        ),
        mqttPacket.generate(
          { cmd: "publish", topic: at.topic, payload: "in pieces", qos: 0, dup: false, retain: false },
          { protocolVersion: at.version },
        ),
      ]);
      for (let from = 0; from < bytes.length; from += 7) client.write(bytes.subarray(from, from + 7));
      assert.equal(codeOf(await client.take("connack")), 0);
      await client.take("suback");
      assert.equal((await client.take("publish")).payload.toString(), "in pieces");
      client.write(Buffer.concat([Buffer.from([0xc0, 0]), Buffer.from([0xc0, 0]), Buffer.from([0xc0])]));
      await client.take("pingresp");
      await client.take("pingresp");
      client.write(Buffer.from([0]));
      await client.take("pingresp");
    },
  );

  statement({ v3: ["MQTT-6.0.0-1"], v5: ["MQTT-6.0.0-1"] }, "a text frame ends the connection", async (at) => {
    const socket = new WebSocket(at.broker.ws, "mqtt");
    await once(socket, "open");
    const closed = once(socket, "close", { signal: AbortSignal.timeout(5_000) });
    // As bytes it would be a packet that is answered.
    socket.send(at.connectBytes({ clientId: "text", username: "a", password: Buffer.from("b") }).toString("latin1"));
    await closed;
  });
});
