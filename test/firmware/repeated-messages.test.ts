import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { MqttClient } from "mqtt";
import { startVirtualDevice } from "../../firmware/virtual/device.ts";
import { closeLink, connected, openLink } from "../../firmware/virtual/link.ts";
import { type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import { startHub, type TestHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";

/** Longer than a busy machine needs to see that the hub has a message, and to cut the line before its answer is through. */
const DELAY_MS = 1_000;
const RECONNECT_MS = 50;

describe("what a virtual device sends again", () => {
  let hub: TestHub;
  let proxy: FaultProxy;
  before(async () => {
    hub = await startHub();
    await hub.api.login();
    proxy = await startFaultProxy({ port: Number(new URL(hub.mqtt).port) });
  });
  after(async () => {
    await proxy[Symbol.asyncDispose]();
    await hub[Symbol.asyncDispose]();
  });

  const clicks = async (id: string): Promise<number> => {
    const { body } = await hub.api.call<{ data: unknown[] }>("GET", `/api/v1/events?type=device.input_event&entity_id=${id}`);
    return body.data.length;
  };

  /** Ends the line after the hub has done what came, and before the device hears so. */
  async function loseAnswer(id: string, send: () => Promise<void>): Promise<void> {
    proxy.slow({ delayMs: DELAY_MS });
    const sent = send();
    await until(async () => (await clicks(id)) === 1, { what: "the click" });
    proxy.cut();
    proxy.slow({});
    await sent;
  }

  for (const protocolVersion of [4, 5] as const) {
    test(`a click whose acknowledgement was lost is one click (protocol ${protocolVersion})`, async () => {
      const { uid, id, token: password } = await hub.api.addDevice();
      const url = `mqtt://127.0.0.1:${proxy.port}`;
      await using device = await startVirtualDevice({
        url,
        uid,
        password,
        protocolVersion,
        deviceClass: "relay_controller",
        heartbeatMs: 0,
        reconnectMs: RECONNECT_MS,
      });
      await loseAnswer(id, () => device.press(0));
      assert.equal(await clicks(id), 1);
      // The next one is the same to the letter, and another click.
      await device.press(0);
      assert.equal(await clicks(id), 2);
    });

    test(`[MQTT-3.3.1-1] DUP is on what was sent before, and on nothing else (protocol ${protocolVersion})`, async () => {
      const { uid, id, token: password } = await hub.api.addDevice();
      const url = `mqtt://127.0.0.1:${proxy.port}`;
      const options = { url, uid, password, protocolVersion, reconnectMs: RECONNECT_MS };
      const client = openLink(options, { topic: `hexa/${uid}/availability`, payload: "offline" });
      client.on("error", () => undefined);
      await using _link = { [Symbol.asyncDispose]: () => closeLink(client, "without a word") };
      await connected(client);
      const written: [number | undefined, boolean][] = [];
      client.on("packetsend", (packet) => {
        if (packet.cmd === "publish") written.push([inputOf(packet.payload), packet.dup]);
      });
      await loseAnswer(id, () => click(client, uid, 1));
      proxy.refuse();
      proxy.cut();
      await until(() => !client.connected, { what: "the end of the connection" });
      const late = click(client, uid, 2);
      proxy.accept();
      await late;
      assert.deepEqual(written, [
        [1, false],
        [1, true],
        [2, false],
      ]);
    });
  }
});

const inputOf = (payload: string | Buffer): number | undefined => (JSON.parse(String(payload)) as { input?: number }).input;

async function click(client: MqttClient, uid: string, input: number): Promise<void> {
  await client.publishAsync(`hexa/${uid}/up/input_event`, JSON.stringify({ input, event: "click" }), { qos: 1 });
}
