import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertAccessible, assertPageHolds, startConsole, type TestConsole } from "../../support/console.ts";
import { chromiumMissing } from "../../support/services.ts";

describe("settings in the console", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  before(async () => {
    console = await startConsole();
    await console.hub.api.addDevice({ name: "Front door" });
  });
  after(() => console[Symbol.asyncDispose]());

  test("sites and rooms are added, renamed and removed", async () => {
    await using visit = await console.open("/settings");
    const { page } = visit;
    await page.getByText("There is no site yet").waitFor();
    await page.getByRole("button", { name: "Add a site" }).click();
    await page.getByRole("textbox", { name: "Name" }).fill("Home");
    await assertAccessible(page);
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("button", { name: "Add a room: Home" }).click();
    await page.getByRole("textbox", { name: "Name" }).fill("Kitchen");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("button", { name: "Rename: Kitchen" }).click();
    await page.getByRole("textbox", { name: "Name" }).fill("Pantry");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("list", { name: "Rooms of Home" }).getByText("Pantry").waitFor();
    await page.getByRole("button", { name: "Remove Pantry?" }).click();
    await page.getByRole("textbox").fill("Pantry");
    await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
    await page.getByText("There is no room yet.").waitFor();
  });

  test("a value of the organisation is set and changed", async () => {
    await using visit = await console.open("/settings?view=values");
    const { page } = visit;
    await page.getByRole("button", { name: "Set a value" }).click();
    await page.getByRole("combobox", { name: "Key" }).fill("sensors.unit_system");
    await page.getByRole("textbox", { name: "Value" }).fill("imperial");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("button", { name: "Change: sensors.unit_system" }).click();
    await page.getByRole("textbox", { name: "Value" }).fill("metric");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("cell", { name: '"metric"' }).waitFor();
    const { body } = await console.hub.api.call("GET", "/api/v1/settings/sensors.unit_system");
    assert.deepEqual([body["value"], body["version"]], ["metric", 2]);
  });

  test("a feature flag is made, and says why it is on", async () => {
    await using visit = await console.open("/settings?view=flags");
    const { page } = visit;
    await page.getByRole("button", { name: "Make a flag" }).click();
    await page.getByRole("textbox", { name: "Name" }).fill("new_charts");
    await page.getByRole("dialog").getByRole("switch", { name: "Enabled" }).click();
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("cell", { name: "new_charts" }).first().waitFor();
    await page.getByRole("button", { name: "What somebody gets" }).click();
    await page.getByText("Inside of the share").waitFor();
  });

  test("the risk policy is changed, and says what would need approval", async () => {
    await using visit = await console.open("/settings?view=risk");
    const { page } = visit;
    const field = page.getByRole("textbox", { name: "Policy as JSON" });
    const policy = JSON.parse(await field.inputValue()) as Record<string, unknown>;
    await field.fill(JSON.stringify({ ...policy, threshold: 1 }));
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Version 1.").waitFor();
    await page.getByRole("combobox", { name: "Device" }).click();
    await page.getByRole("option", { name: "Front door" }).click();
    await page.getByRole("button", { name: "Try it" }).click();
    await page.getByText("of a threshold of 1").waitFor();
  });

  for (const view of ["places", "values", "risk", "flags"])
    test(`${view} hold in every look`, () =>
      assertPageHolds(console, `/settings?view=${view}`, async (page) => {
        await page.getByRole("tabpanel").waitFor();
        await page.locator("[aria-busy=true]").first().waitFor({ state: "detached" });
      }));
});
