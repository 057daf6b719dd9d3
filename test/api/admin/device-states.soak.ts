import assert from "node:assert/strict";
import { describe, test } from "node:test";
import mqtt from "mqtt";
import { type Packet, parser } from "mqtt-packet";
import type { Page, WebSocket } from "playwright-core";
import { startConsole, type TestConsole } from "../../support/console.ts";
import { chromiumMissing } from "../../support/services.ts";

/** Of the page of one device. */
const FILTERS = 3;

describe("the states of devices in the console", { skip: chromiumMissing() }, () => {
  test("come by MQTT where no stream of events does", async () => {
    await using console = await startConsole();
    const device = await console.hub.api.addDevice({ name: "Porch", capabilities: { relays: 2, lights: 1 } });
    await using visit = await console.open("/about");
    const { page } = visit;
    await page.getByRole("heading", { level: 1 }).waitFor();
    await page.route("**/api/v1/live", (route) => route.abort());
    const subscribed = subscriptions(page);
    await page.goto(`${console.hub.http}/devices/${device.uid}`);
    await page.getByText("Offline", { exact: true }).waitFor();
    await subscribed;
    await using client = await connect(console, device);
    await page.getByText("Online", { exact: true }).waitFor();
    await client.report({ relays: [{ index: 1, state: "ON" }], lights: [{ index: 0, state: "ON", brightness: 40 }] });
    await page.getByRole("switch", { name: "Relay 1", checked: true }).waitFor();
    await page.getByRole("switch", { name: "Light 0", checked: true }).waitFor();
    assert.equal(await page.getByRole("slider").getAttribute("aria-valuenow"), "40");
    await page.getByRole("link", { name: "Devices", exact: true }).click();
    await page.getByRole("cell", { name: "Online" }).waitFor();
    while (visit.faults.length > 0) visit.takeFault(/\/api\/v1\/live|ERR_ABORTED/);
  });

  test("come by the stream of events where MQTT over WebSocket is refused", async () => {
    await using console = await startConsole({ env: { HEXA_MQTT_WEBSOCKET: "off" } });
    const device = await console.hub.api.addDevice({ name: "Porch", capabilities: { relays: 1 } });
    await using visit = await console.open(`/devices/${device.uid}`);
    const { page } = visit;
    await page.getByText("Offline", { exact: true }).waitFor();
    await using client = await connect(console, device);
    await page.getByText("Online", { exact: true }).waitFor();
    await client.report({ relays: [{ index: 0, state: "ON" }] });
    await page.getByRole("switch", { name: "Relay 0", checked: true }).waitFor();
    assert.equal(await page.getByRole("status").filter({ hasText: "lost" }).count(), 0);
    while (visit.faults.length > 0) visit.takeFault(/WebSocket connection/);
  });
});

/** Resolves when the hub has answered to all that the page of a device subscribes to. */
async function subscriptions(page: Page): Promise<void> {
  const socket: WebSocket = await page.waitForEvent("websocket", (one) => one.url().endsWith("/mqtt"));
  let answers = 0;
  const reader = parser({ protocolVersion: 5 });
  reader.on("packet", ({ cmd }: Packet) => {
    if (cmd === "suback") answers++;
  });
  await socket.waitForEvent("framereceived", ({ payload }) => {
    reader.parse(Buffer.from(payload));
    return answers === FILTERS;
  });
}

interface Client extends AsyncDisposable {
  report(state: object): Promise<void>;
}

async function connect({ hub }: TestConsole, { uid, token }: { readonly uid: string; readonly token: string }): Promise<Client> {
  const client = await mqtt.connectAsync(hub.mqtt, { clientId: uid, username: uid, password: token, protocolVersion: 5 });
  await client.publishAsync(`hexa/${uid}/availability`, "online", { qos: 1, retain: true });
  return {
    report: async (state) => void (await client.publishAsync(`hexa/${uid}/up/state_report`, JSON.stringify(state), { qos: 1 })),
    [Symbol.asyncDispose]: () => client.endAsync(true),
  };
}
