import assert from "node:assert/strict";
import { test } from "node:test";
import { limitScene } from "./limits-scene.ts";

test("a client that asks again and again for the same and takes nothing has ten searches for retained messages waiting at most", async () => {
  await using scene = await limitScene();
  const client = await scene.connect(await scene.service(), { acknowledges: false, properties: { receiveMaximum: 1 } });
  const topic = `${scene.bus}one`;
  await client.publish(topic, "kept", { qos: 1, retain: true });
  for (let count = 0; count < 100; count++) await client.subscribe({ topic, qos: 1 });
  let came = 0;
  for (let [message] = client.takeAll(); message?.cmd === "publish"; [message] = client.takeAll()) {
    came++;
    client.send({ cmd: "puback", messageId: message.messageId as number });
    await client.ping();
  }
  assert.ok(came >= 2 && came <= 11, `${came} messages for 100 subscriptions`);
});
