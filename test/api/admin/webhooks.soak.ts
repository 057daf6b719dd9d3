import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertPageHolds, startConsole, type TestConsole } from "../../support/console.ts";
import { type HookReceiver, startHookReceiver } from "../../support/hook-receiver.ts";
import { chromiumMissing } from "../../support/services.ts";

describe("webhooks in the console", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  let receiver: HookReceiver;
  before(async () => {
    receiver = await startHookReceiver();
    console = await startConsole({ env: { HEXA_OUTBOUND_ALLOW: "127.0.0.1/32" } });
  });
  after(async () => {
    await console[Symbol.asyncDispose]();
    await receiver[Symbol.asyncDispose]();
  });

  test("a webhook is made, tested, replayed, gets another secret, is changed, and goes when its name is typed", async () => {
    const { id } = await console.hub.api.addDevice({ name: "Cellar" });
    await using visit = await console.open("/webhooks");
    const { page } = visit;
    await page.getByText("No webhook yet").waitFor();
    await page.getByRole("textbox", { name: "Name" }).fill("Pager");
    await page.getByRole("textbox", { name: "Address" }).fill(receiver.url);
    await page.getByLabel("Events").first().fill("device.*");
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Make a webhook" }).click();
    await page.getByText("Shown this once").waitFor();
    await page.getByRole("link", { name: "Pager" }).click();
    await page.getByRole("button", { name: "Send a test" }).click();
    await page.getByRole("cell", { name: "Delivered" }).waitFor();
    await page.getByRole("button", { name: "Send again", exact: true }).click();
    await page.getByText("1 on their way again").waitFor();
    await page.getByRole("button", { name: "New secret" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "New secret" }).click();
    await page.getByText("For 24 hours both secrets sign.").waitFor();
    await page.getByRole("tab", { name: "Settings" }).click();
    await page.getByRole("textbox", { name: "Name" }).fill("Night pager");
    await page.getByLabel("Events").first().fill("alert.raised");
    await page.keyboard.press("Enter");
    await page.getByRole("combobox", { name: "Devices" }).click();
    await page.getByRole("option", { name: "Cellar" }).click();
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("heading", { level: 1, name: "Night pager" }).waitFor();
    const { body } = await console.hub.api.call<{ data: { name: string; events: string[]; devices: string[] }[] }>(
      "GET",
      "/api/v1/webhooks",
    );
    assert.deepEqual(
      body.data.map(({ name, events, devices }) => ({ name, events, devices })),
      [{ name: "Night pager", events: ["device.*", "alert.raised"], devices: [id] }],
    );
    await page.getByRole("button", { name: "Remove" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("textbox").fill("Night pager");
    await dialog.getByRole("button", { name: "Remove" }).click();
    await page.getByText("No webhook yet").waitFor();
    assert.ok(receiver.received.length >= 1);
  });

  test("an address that others call is made, switched off, and removed", async () => {
    await using visit = await console.open("/webhooks?tab=in");
    const { page } = visit;
    await page.getByRole("textbox", { name: "Name" }).fill("Door");
    await page.getByRole("button", { name: "Make an address" }).click();
    await page.getByText("Call it with POST").waitFor();
    const isOn = page.getByRole("switch", { name: "Door is on" });
    await isOn.click({ force: true });
    await page.getByRole("switch", { name: "Door is on", checked: false }).and(page.locator(":enabled")).waitFor();
    await page.getByRole("button", { name: "Remove Door" }).click();
    await page.getByRole("dialog").getByRole("textbox").fill("Door");
    await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
    await page.getByText("No inbound webhook yet").waitFor();
  });

  for (const path of ["/webhooks", "/webhooks?tab=in", "/webhooks/:id", "/webhooks/:id?tab=settings"])
    test(`${path} holds in every look`, async () => {
      const { api } = console.hub;
      const wanted = { name: "Pager", url: receiver.url, events: ["*"] };
      const { webhook } = (await api.call<{ webhook: { id: string } }>("POST", "/api/v1/webhooks", wanted)).body;
      await api.call("POST", "/api/v1/inbound-hooks", { name: "Door", scheme: "token" });
      await api.call("POST", `/api/v1/webhooks/${webhook.id}/test`);
      await assertPageHolds(console, path.replace(":id", webhook.id), async (page) => {
        await page.getByRole("heading", { level: 1 }).waitFor();
        await page.waitForFunction("!document.querySelector('[aria-busy=true]')");
      });
    });
});
