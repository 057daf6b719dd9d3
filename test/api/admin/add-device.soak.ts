import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import mqtt from "mqtt";
import type { Page } from "playwright-core";
import { assertAccessible, startConsole, type TestConsole } from "../../support/console.ts";
import { chromiumMissing, findProgram } from "../../support/services.ts";

const run = promisify(execFile);
const LIMIT_MS = 10_000;

describe("adding a device in the console", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  before(async () => {
    console = await startConsole();
  });
  after(() => console[Symbol.asyncDispose]());

  async function enrol(page: Page, name: string, deviceClass = "Sensor hub"): Promise<{ uid: string; token: string }> {
    await page.getByRole("textbox", { name: "Name" }).fill(name);
    await page.getByRole("combobox", { name: "What it is" }).click();
    await page.getByRole("option", { name: deviceClass }).click();
    await page.getByRole("button", { name: "Make its credentials" }).click();
    await page.getByText("Waiting for the first message …").waitFor();
    const values = await page.getByRole("main").locator("code:not(pre)").allTextContents();
    return { uid: values[0] ?? "", token: values[1] ?? "" };
  }

  async function snippet(page: Page, way: string): Promise<string> {
    await page.getByRole("tab", { name: way }).click();
    const block = page.getByRole("tabpanel", { name: way }).locator("pre");
    await block.waitFor();
    return block.innerText();
  }

  for (const look of [
    {},
    { language: "de", scheme: "dark", width: 320, height: 640 },
    { language: "en-XA", width: 320, height: 640 },
  ] as const)
    test(`each way to make it speak holds, ${"language" in look ? `in ${look.language} on a small phone` : "on a desk"}`, async () => {
      await using visit = await console.open("/devices/new", look);
      const { page } = visit;
      await page.getByRole("textbox").first().fill("Cellar");
      await page.getByRole("main").locator("button[type=submit]").first().click();
      const tabs = page.getByRole("main").getByRole("tab");
      await tabs.first().waitFor();
      for (let at = 0; at < (await tabs.count()); at++) {
        await tabs.nth(at).click();
        await page.getByRole("tabpanel").locator("pre").waitFor();
        await assertAccessible(page);
        await visit.assertFits();
      }
    });

  test("turns green with the line for the shell, as it stands there", { skip: findProgram("mosquitto_pub") === undefined }, async (t) => {
    await using visit = await console.open("/devices/new");
    const { page } = visit;
    const { uid } = await enrol(page, "Shell");
    const line = await snippet(page, "Shell");
    await run("sh", ["-c", line], { cwd: console.hub.dataDir, timeout: LIMIT_MS, signal: t.signal });
    await page.getByText("It is connected and has spoken.").waitFor();
    const { body } = await console.hub.api.call<{ sensors: { key: string; value: number }[] }>("GET", `/api/v1/devices/${uid}`);
    assert.deepEqual(
      body.sensors.map(({ key, value }) => [key, value]),
      [["temperature", 21.5]],
    );
    await page.getByRole("link", { name: "Open the device" }).click();
    await page.getByRole("heading", { level: 1, name: "Shell" }).waitFor();
  });

  test("turns green with Tasmota's line, read as Tasmota reads it", async () => {
    await using visit = await console.open("/devices/new");
    const { page } = visit;
    await enrol(page, "Plug");
    const text = await snippet(page, "Tasmota");
    const { url, heads, body } = /^WebQuery (?<url>\S+) POST \[(?<heads>[^\]]*)\](?<body>.*)$/m.exec(text)?.groups ?? {};
    const headers = (heads ?? "").split("|").map((head) => [head.slice(0, head.indexOf(":")), head.slice(head.indexOf(":") + 1)]);
    const answer = await fetch(url ?? "", { method: "POST", headers: Object.fromEntries(headers), body: body ?? "" });
    assert.equal(answer.status, 202, await answer.text());
    assert.ok(text.includes(`${body?.replace("21.5", "%value%")} ENDON`));
    await page.getByText("It is connected and has spoken.").waitFor();
  });

  test("lets in a device that is set up as the text for ESPHome says, and takes all that it publishes", async () => {
    await using visit = await console.open("/devices/new");
    const { page } = visit;
    const { uid, token } = await enrol(page, "Relay", "Relay controller");
    await page.getByRole("tab", { name: "ESPHome" }).click();
    await page.getByText("BEGIN CERTIFICATE").waitFor();
    const text = await snippet(page, "ESPHome");
    const valueOf = (key: string) => new RegExp(`^  ${key}: "?([^"\\n]*)"?$`, "m").exec(text)?.[1] ?? assert.fail(`no ${key}`);
    const will = /will_message:\n {4}topic: (\S+)\n {4}payload: (\S+)/.exec(text) ?? assert.fail("no will");
    const ca = /(-----BEGIN[\s\S]*?END CERTIFICATE-----)/.exec(text)?.[1]?.replaceAll(/^ +/gm, "");
    assert.deepEqual([valueOf("client_id"), valueOf("password")], [uid, token]);
    const client = await mqtt.connectAsync(`mqtts://${valueOf("broker")}:${valueOf("port")}`, {
      clientId: valueOf("client_id"),
      username: valueOf("username"),
      password: valueOf("password"),
      ca: ca ?? "",
      will: { topic: will[1] ?? "", payload: Buffer.from(will[2] ?? ""), qos: 1, retain: true },
      reconnectPeriod: 0,
    });
    try {
      const command = /on_json_message:\n {4}topic: (\S+)/.exec(text)?.[1] ?? assert.fail("no commands");
      const [granted] = await client.subscribeAsync(command, { qos: 1 });
      assert.equal(granted?.qos, 1);
      const commanded = new Promise<{ command_id: string; state: string }>((resolve) =>
        client.once("message", (_topic, payload) => resolve(JSON.parse(payload.toString()) as { command_id: string; state: string })),
      );
      const done = console.hub.api.call("POST", `/api/v1/devices/${uid}/commands`, { command: "set_relay", relay: 0, state: "ON" });
      const { command_id: id, state } = await commanded;
      const ack = /topic: (\S+\/up\/ack)/.exec(text)?.[1] ?? assert.fail("no ack");
      await client.publishAsync(ack, JSON.stringify({ command_id: id, status: "ok", state }), { qos: 1 });
      assert.equal((await done).status, 200);
      const report = /topic: (\S+)\n\s+qos: 1\n\s+payload: '(.*"ON".*)'/.exec(text) ?? assert.fail("no report");
      await client.publishAsync(report[1] ?? "", report[2] ?? "", { qos: 1 });
      await page.getByText("It is connected and has spoken.").waitFor();
    } finally {
      await client.endAsync();
    }
  });

  test("says why a device was refused", async () => {
    await using visit = await console.open("/devices/new");
    const { page } = visit;
    const { uid, token } = await enrol(page, "Lost");
    await page.getByText("The hub has refused it no connect so far.").waitFor();
    const connect = (options: mqtt.IClientOptions) =>
      assert.rejects(
        mqtt.connectAsync(console.hub.mqtt, { clientId: uid, username: uid, password: token, reconnectPeriod: 0, ...options }),
      );
    await connect({ password: "not the token" });
    await page.getByText("the password is wrong, or revoked.").waitFor();
    await connect({ clientId: "another" });
    await page.getByText("its client id is not its uid.").waitFor();
    await connect({ will: { topic: `hexa/${uid}/tele/LWT`, payload: Buffer.from("Offline"), qos: 1, retain: true } });
    await page.getByText("its last will is for a topic that it may not use.").waitFor();
    const arduino = await snippet(page, "Arduino");
    assert.ok(
      arduino.includes(`"hexa/${uid}/availability"`) && arduino.includes(`"${token}"`) && arduino.includes(`"hexa/${uid}/up/telemetry"`),
    );
    const client = await mqtt.connectAsync(console.hub.mqtt, { clientId: uid, username: uid, password: token, reconnectPeriod: 0 });
    await page.getByText("It is connected and has spoken.").waitFor();
    await client.endAsync();
  });
});
