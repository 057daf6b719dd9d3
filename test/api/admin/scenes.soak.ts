import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertPageHolds, startConsole, type TestConsole } from "../../support/console.ts";
import { chromiumMissing } from "../../support/services.ts";

describe("scenes in the console", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  before(async () => {
    console = await startConsole();
    await console.hub.api.call("POST", "/api/v1/demo");
  });
  after(() => console[Symbol.asyncDispose]());

  const scenes = async () =>
    (await console.hub.api.call<{ data: { id: string; commands: { command: object }[] }[] }>("GET", "/api/v1/scenes")).body;

  test("what devices do now is captured, activated, changed, and removed by its name", async () => {
    await using visit = await console.open("/scenes");
    const { page } = visit;
    await page.getByText("No scene yet").waitFor();
    await page.getByRole("link", { name: "Capture a scene" }).first().click();
    await page.getByRole("textbox", { name: "Name" }).fill("Film evening");
    await page.getByRole("combobox", { name: "Devices" }).click();
    await page.getByRole("option", { name: "Kitchen light" }).click();
    await page.getByRole("heading", { name: "How they are now" }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Capture" }).click();
    await page.getByRole("button", { name: "Activate Film evening" }).click();
    await page.getByText("All devices did their part").waitFor();
    await page.getByText("Kitchen light: done").waitFor();

    await page.getByRole("link", { name: "Film evening" }).click();
    await page.getByRole("textbox", { name: "Name" }).fill("Film night");
    await page.getByRole("button", { name: "Add a command" }).click();
    const added = page.getByRole("group", { name: "Command 2" });
    await added.getByRole("combobox", { name: "Device" }).click();
    await page.getByRole("option", { name: "Living room relays" }).click();
    await added.getByRole("combobox", { name: "State" }).click();
    await page.getByRole("option", { name: "Off" }).click();
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("heading", { level: 1, name: "Film night" }).waitFor();
    const [scene] = (await scenes()).data;
    assert.equal(scene?.commands.length, 2);
    assert.deepEqual(scene.commands[1]?.command, { command: "set_relay", relay: 0, state: "OFF" });
    await page.goBack();

    for (const path of ["/scenes", "/scenes/new", `/scenes/${scene.id}`])
      await assertPageHolds(console, path, async (looked) => {
        await looked.getByRole("heading", { level: 1 }).waitFor();
        await looked.locator("[aria-busy=true]").first().waitFor({ state: "detached" });
      });

    await page.getByRole("button", { name: "Remove" }).click();
    await page.getByRole("dialog").getByRole("textbox").fill("Film night");
    await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
    await page.getByText("No scene yet").waitFor();
    assert.equal((await scenes()).data.length, 0);
  });
});
