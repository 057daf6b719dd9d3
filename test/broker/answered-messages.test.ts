import assert from "node:assert/strict";
import { test } from "node:test";
import { startHub } from "../support/hub.ts";
import { connectRaw } from "./limits-scene.ts";

test("what looks like a repeat is another message when its client was heard long after the answer to the one before", async (context) => {
  context.mock.timers.enable({ apis: ["Date"], now: Date.now() });
  await using hub = await startHub();
  await hub.api.login();
  const { uid, token } = await hub.api.addDevice();
  const device = { username: uid, password: token };
  const happened = async (): Promise<number> =>
    (await hub.api.call<{ data: unknown[] }>("GET", "/api/v1/events?type=device.input_event")).body.data.length;
  /** Sends the same again, and is heard for so many seconds more. */
  async function session(dup: boolean, seconds: number): Promise<void> {
    const client = await connectRaw(hub, device);
    assert.equal(
      (await client.publish(`hexa/${uid}/up/input_event`, JSON.stringify({ input: 1, event: "click" }), { qos: 1, messageId: 1, dup }))
        ?.reasonCode ?? 0,
      0,
    );
    context.mock.timers.tick(seconds * 1_000);
    await client.ping();
    await client.drop();
  }
  await session(false, 20);
  await session(true, 20);
  assert.equal(await happened(), 1, "it may not have read the answer");
  await session(false, 40);
  await session(true, 20);
  assert.equal(await happened(), 3, "it has read the answer");
  await session(true, 20);
  assert.equal(await happened(), 3, "and may not have read this one");
});
