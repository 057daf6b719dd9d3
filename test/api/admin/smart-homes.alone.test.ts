import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { connectAsync } from "mqtt";
import { assertPageHolds, startConsole, type TestConsole } from "../../support/console.ts";
import { chromiumMissing } from "../../support/services.ts";

describe("smart homes in the console", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  before(async () => {
    console = await startConsole();
    await console.hub.api.call("POST", "/api/v1/demo");
  });
  after(() => console[Symbol.asyncDispose]());

  for (const path of ["/home-assistant", "/homekit", "/alexa"])
    test(`${path} holds in every look`, async () => {
      await assertPageHolds(console, path, (page) =>
        page.getByRole("heading", { level: 2 }).or(page.getByText("HEXA_HOMEKIT=on")).first().waitFor(),
      );
    });

  test("Home Assistant's account is made, its light turns, and it ends", async () => {
    await using visit = await console.open("/home-assistant");
    const { page } = visit;
    await page.getByRole("button", { name: "Create the account" }).click();
    const value = async (label: string) =>
      (await page.getByText(label, { exact: true }).first().locator("xpath=../code").textContent()) ?? "";
    await page.getByText("Shown this once").waitFor();
    const [username, password] = [await value("Username"), await value("Password")];
    await page.getByText("Waiting for the other side").waitFor();
    const homeAssistant = await connectAsync(console.hub.mqtt, { protocolVersion: 5, username, password });
    await homeAssistant.publishAsync("homeassistant/status", "online", { qos: 1 });
    await page.getByText("Connected", { exact: true }).waitFor();
    await homeAssistant.endAsync();
    await page.getByRole("button", { name: "Unlink" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Unlink" }).click();
    await page.getByText("Not set up").waitFor();
  });

  test("a program for account linking is made, gets another secret, and goes when its name is typed", async () => {
    await using visit = await console.open("/alexa");
    const { page } = visit;
    await page.getByLabel("Redirect addresses").fill("https://layla.amazon.com/api/skill/link/M2");
    await page.getByRole("button", { name: "Make a client" }).click();
    await page.getByText("Client secret").waitFor();
    await page.getByRole("button", { name: "I have it" }).click();
    await page.getByRole("button", { name: "New secret for Alexa" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "New secret" }).click();
    await page.getByText("The former secret is right for 24 hours more.").waitFor();
    await page.getByRole("button", { name: "Remove Alexa" }).click();
    const dialog = page.getByRole("dialog");
    const remove = dialog.getByRole("button", { name: "Remove", exact: true });
    assert.equal(await remove.isDisabled(), true);
    await dialog.getByRole("textbox").fill("Alexa");
    await remove.click();
    await page.getByRole("button", { name: "Remove Alexa" }).waitFor({ state: "detached" });
  });
});
