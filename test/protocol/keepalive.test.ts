import assert from "node:assert/strict";
import { MAX_KEEPALIVE_S } from "./brokers.ts";
import { chapter, shown } from "./chapter.ts";

/** How much later than one and a half times the keepalive a broker may notice, in milliseconds. */
const LATE_MS = 1_500;

export const page = chapter(import.meta, "keepalive", (statement) => {
  statement(
    { v3: ["MQTT-3.1.2-24"], v5: ["MQTT-3.1.2-24"] },
    "a silent client is cut off after one and a half times its keepalive, and its will is sent",
    async (at) => {
      const witness = await at.connect();
      await witness.subscribe(at.topic);
      const client = await at.connect({ keepalive: 2, will: { topic: at.topic, payload: Buffer.from("silent"), qos: 0, retain: false } });
      const startedAt = performance.now();
      const last = await client.ended(15_000);
      const afterMs = performance.now() - startedAt;
      if (at.version === 5 && at.broker.tellsWhy) assert.deepEqual(shown(last), ["disconnect 0x8d"]);
      assert.equal((await witness.take("publish")).payload.toString(), "silent");
      assert.ok(afterMs > 2_900, `cut off after ${afterMs} ms`);
      assert.ok(afterMs < 3_000 + LATE_MS, `late: cut off after ${Math.round(afterMs / 1000)} s`);
    },
  );

  statement(
    { v3: ["MQTT-3.1.2-23", "MQTT-3.1.2-24"], v5: ["MQTT-3.1.2-22", "MQTT-3.1.2-24"] },
    "any packet keeps a client alive, and a keepalive of 0 needs none",
    async (at) => {
      const publishing = await at.connect({ keepalive: 2 });
      const pinging = await at.connect({ keepalive: 2 });
      const unlimited = await at.connect({ keepalive: 0 });
      const timer = setInterval(() => {
        void publishing.publish(at.topic, "here");
        pinging.send({ cmd: "pingreq" });
      }, 500);
      try {
        const silent = await at.connect({ keepalive: 2 });
        await silent.ended(15_000);
      } finally {
        clearInterval(timer);
      }
      for (const client of [publishing, pinging, unlimited]) {
        assert.equal(client.isClosed, false);
        await client.ping();
      }
    },
  );

  statement(
    { v5: ["MQTT-3.2.2-22", "3.2.2.3.14"] },
    "a keepalive that is longer than the server's maximum is answered with that maximum",
    async (at) => {
      const long = await at.connect({ keepalive: MAX_KEEPALIVE_S + 1 });
      assert.equal(long.connack.properties?.serverKeepAlive, MAX_KEEPALIVE_S);
      const none = await at.connect({ keepalive: 0 });
      assert.equal(none.connack.properties?.serverKeepAlive, MAX_KEEPALIVE_S);
      const right = await at.connect({ keepalive: MAX_KEEPALIVE_S });
      assert.ok([undefined, MAX_KEEPALIVE_S].includes(right.connack.properties?.serverKeepAlive));
    },
  );
});
