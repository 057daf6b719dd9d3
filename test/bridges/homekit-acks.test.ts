import assert from "node:assert/strict";
import { on as follow } from "node:events";
import { test } from "node:test";
import { startVirtualDevice } from "../../firmware/virtual/device.ts";
import { HomeController, idOf } from "../support/home-controller.ts";
import { startHomebridge } from "../support/homebridge.ts";
import { startHome } from "../support/homekit-hub.ts";
import { startPacketLine } from "../support/packet-line.ts";
import { until } from "../support/wait.ts";

test("a Homebridge of one's own shows what comes between a command's effect and its acknowledgement", { timeout: 60_000 }, async () => {
  await using hub = await startHome({ env: { HEXA_HOMEKIT: "external" } });
  const made = await hub.api.addDevice({ name: "Hall" });
  await using device = await startVirtualDevice({ url: hub.mqtt, uid: made.uid, password: made.token, deviceClass: "relay_controller" });
  await using line = await startPacketLine(Number(new URL(hub.mqtt).port));
  await using own = await startHomebridge(hub, `mqtt://127.0.0.1:${line.port}`);
  await using home = await HomeController.pair(own.code);
  const [seen] = await home.accessoriesOnce(1);
  assert.ok(seen);
  const on = idOf(seen, "Switch", "On");
  const state = `hexa/${made.uid}/relay/0/state`;
  const heard = async (wanted: string): Promise<void> => {
    for await (const [topic, text] of follow(line.passed, "message", { signal: AbortSignal.timeout(2_000) }))
      if (topic === state && text === wanted) return;
  };

  await until(async () => (await home.read(on)) === 0, { what: "the device in HomeKit" });
  line.hold();
  const effect = heard("ON");
  const written = home.write({ [on]: true });
  await effect;
  const another = heard("OFF");
  await device.setRelayLocally(0, "OFF");
  await another;
  line.release();
  assert.deepEqual(await written, []);
  await until(async () => (await home.read(on)) === 0, { what: "what came in between", timeoutMs: 500 });
});
