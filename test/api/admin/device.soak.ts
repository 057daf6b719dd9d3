import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startVirtualDevice } from "../../../firmware/virtual/device.ts";
import { assertAccessible, clickForGood, startConsole, type TestConsole } from "../../support/console.ts";
import { ADMIN } from "../../support/hub.ts";
import { chromiumMissing } from "../../support/services.ts";

const FLIPPER = `Filetype: IR signals file
Version: 1
#
name: Power
type: parsed
protocol: NEC
address: 04 00 00 00
command: 08 00 00 00
`;

describe("one device in the console", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  let uid: string;
  before(async () => {
    console = await startConsole();
    const capabilities = { ir: true, relays: 1, sensors: [{ key: "temperature", unit: "°C" }] };
    ({ uid } = await console.hub.api.addDevice({ name: "Lounge", device_class: "hybrid", capabilities }));
  });
  after(() => console[Symbol.asyncDispose]());

  for (const look of [{}, { language: "de", scheme: "dark", width: 320, height: 640 }] as const)
    test(`each part holds, ${"scheme" in look ? "dark on a small phone" : "light on a desk"}`, async () => {
      await using visit = await console.open(`/devices/${uid}`, look);
      const { page } = visit;
      await page.getByRole("heading", { level: 1 }).waitFor();
      const tabs = page.getByRole("tab");
      for (let at = 0; at < (await tabs.count()); at++) {
        await tabs.nth(at).click();
        await page.getByRole("tabpanel").getByRole("heading", { level: 2 }).first().waitFor();
        await assertAccessible(page);
        await visit.assertFits();
      }
    });

  test("is renamed", async () => {
    await using visit = await console.open(`/devices/${uid}?tab=settings`);
    const { page } = visit;
    await page.getByRole("textbox", { name: "Name", exact: true }).fill("Salon");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByRole("heading", { level: 1, name: "Salon" }).waitFor();
    const switched = page.waitForResponse((answer) => answer.url().endsWith("/exposure") && answer.request().method() === "PATCH");
    await page.getByRole("switch", { name: "HomeKit" }).click({ force: true });
    assert.equal((await switched).status(), 200);
  });

  test("says what a sensor measures in", async () => {
    await using visit = await console.open(`/devices/${uid}?tab=units`);
    const { page } = visit;
    await page.getByRole("button", { name: "Change temperature" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("textbox", { name: "Name" }).fill("By the window");
    await dialog.getByRole("button", { name: "Save" }).click();
    await page.getByRole("cell", { name: "By the window" }).waitFor();
  });

  test("takes over a file of infrared codes, gives one another name, and loses one that is removed", async () => {
    await using visit = await console.open(`/devices/${uid}?tab=infrared`);
    const { page } = visit;
    await page.locator("input[type=file]").setInputFiles({ name: "tv.ir", mimeType: "text/plain", buffer: Buffer.from(FLIPPER) });
    await page.getByRole("cell", { name: "Power", exact: true }).waitFor();
    await page.getByRole("button", { name: "Rename: Power" }).click();
    await page.getByRole("dialog").getByRole("textbox", { name: "Name" }).fill("On and off");
    await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
    await page.getByRole("cell", { name: "On and off", exact: true }).waitFor();
    await clickForGood(page.getByRole("button", { name: "Remove: On and off" }));
    await page.getByText("It has no code yet.").waitFor();
  });

  test("shows a new token once, and revokes it", async () => {
    await using visit = await console.open(`/devices/${uid}?tab=access`);
    const { page } = visit;
    await page.getByRole("button", { name: "Give it a new token" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Give it a new token" }).click();
    await page.getByRole("dialog", { name: "New credentials" }).getByRole("button", { name: "Copy Token" }).waitFor();
    await page.keyboard.press("Escape");
    const valid = page.getByRole("row", { name: /Token Valid/ });
    await clickForGood(valid.getByRole("button", { name: "Revoke" }));
    await valid.waitFor({ state: "detached" });
  });

  test("gives a member a role on it alone, and takes it back", async () => {
    await using visit = await console.open(`/devices/${uid}?tab=access`);
    const { page } = visit;
    await page.getByRole("button", { name: "Give a role: " }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("combobox", { name: "Person" }).click();
    await page.getByRole("option", { name: ADMIN.email }).click();
    await dialog.getByRole("combobox", { name: "Role" }).selectOption("operator");
    await dialog.getByRole("button", { name: "Save" }).click();
    const row = page.getByRole("row", { name: /Operator: sees and commands it this device/ });
    await clickForGood(row.getByRole("button", { name: `Take back: ${ADMIN.email}` }));
    await row.waitFor({ state: "detached" });
  });

  test("calls its relay what it is told to, and tells the device", async () => {
    await using visit = await console.open(`/devices/${uid}?tab=settings`);
    const { page } = visit;
    await page.getByRole("textbox", { name: "Name of relay 0" }).fill("Lamp");
    await page.getByRole("textbox", { name: "Seconds between readings" }).fill("60");
    await page.getByRole("button", { name: "Save the configuration" }).click();
    await page.getByText("Saved").waitFor();
    const { body } = await console.hub.api.call<{ device: { settings: unknown } }>("GET", `/api/v1/devices/${uid}`);
    assert.deepEqual(body.device.settings, { relay_names: ["Lamp"], reading_interval_s: 60 });
  });

  test("identifies itself, is shown with its relay's name, and says why it did not restart", async () => {
    const { uid: own, token } = await console.hub.api.addDevice({
      name: "Hall",
      device_class: "relay_controller",
      capabilities: { relays: 1 },
    });
    await console.hub.api.call("PATCH", `/api/v1/devices/${own}`, { settings: { relay_names: ["Lamp"] } });
    const url = console.hub.mqtt;
    await using device = await startVirtualDevice({ url, uid: own, password: token, deviceClass: "relay_controller", protocolVersion: 5 });
    await using visit = await console.open(`/devices/${own}`);
    const { page } = visit;
    await page.getByRole("switch", { name: "Lamp" }).waitFor();
    await page
      .getByRole("listitem")
      .filter({ hasText: /^\d+ relays?$/ })
      .waitFor();
    await page.getByRole("button", { name: "Identify" }).click();
    await page.getByText("It shows itself").waitFor();
    await device[Symbol.asyncDispose]();
    await page.getByText("Offline").waitFor();
    await page.getByRole("button", { name: "Restart" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Restart" }).click();
    await page.getByText("The device did not do it").waitFor();
    visit.takeFault(/50\d|40\d/);
  });

  test("is released, and claimed with the code that is shown", async () => {
    const { uid: own } = await console.hub.api.addDevice({ name: "Loft" });
    await using visit = await console.open(`/devices/${own}?tab=settings`);
    const { page } = visit;
    await page.getByRole("button", { name: "Release: Loft" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("textbox", { name: "Type Loft to confirm" }).fill("Loft");
    await dialog.getByRole("button", { name: "Release" }).click();
    const shown = page.getByRole("dialog", { name: "Loft is released" });
    const code = await shown.locator("code").innerText();
    await shown.getByRole("button", { name: "I have it" }).click();
    await page.getByRole("heading", { level: 1, name: "Devices" }).waitFor();
    await page.getByRole("link", { name: "Add a device" }).first().click();
    await page.getByRole("textbox", { name: "Claim code" }).fill(code);
    await page.getByRole("button", { name: "Claim it" }).click();
    await page.getByRole("heading", { level: 1, name: "Loft" }).waitFor();
  });

  test("is removed when its name was typed", async () => {
    const { uid: other } = await console.hub.api.addDevice({ name: "Shed" });
    await using visit = await console.open(`/devices/${other}?tab=settings`);
    const { page } = visit;
    await page.getByRole("button", { name: "Remove Shed?" }).click();
    const remove = page.getByRole("dialog").getByRole("button", { name: "Remove", exact: true });
    assert.equal(await remove.isDisabled(), true);
    await page.getByRole("textbox", { name: "Type Shed to confirm" }).fill("Shed");
    await remove.click();
    await page.getByRole("heading", { level: 1, name: "Devices" }).waitFor();
    assert.equal((await console.hub.api.call("GET", `/api/v1/devices/${other}`)).status, 404);
  });
});
