import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertPageHolds, startConsole, type TestConsole } from "../../support/console.ts";
import { chromiumMissing } from "../../support/services.ts";

const LAMP = {
  name: "Lamp",
  category: "light",
  actions: [{ command: "set_relay", relay: "{{relay}}", state: "ON" }],
  variables: [{ name: "relay", type: "integer", min: 0, max: 31 }],
};

describe("templates in the console", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  let id: string;
  before(async () => {
    console = await startConsole();
    const made = await console.hub.api.call<{ template: { id: string } }>("POST", "/api/v1/templates", LAMP);
    assert.equal(made.status, 201, JSON.stringify(made.body));
    ({ id } = made.body.template);
  });
  after(() => console[Symbol.asyncDispose]());

  for (const page of ["list", "new", "one"])
    test(`the page "${page}" holds in every look`, async () => {
      const path = { list: "/templates", new: "/templates/new" }[page] ?? `/templates/${id}`;
      await assertPageHolds(console, path, (shown) => shown.getByRole("heading", { level: 1 }).waitFor());
    });

  test("a template shows what it would do, and says what it cannot do", async () => {
    await using visit = await console.open(`/templates/${id}`);
    const { page } = visit;
    await page.getByRole("textbox", { name: "relay" }).fill("3");
    await page.getByRole("button", { name: "Show what it would do" }).click();
    await page.getByRole("status", { name: "Preview" }).getByText('"relay": 3').waitFor();
    await page.getByRole("textbox", { name: "relay" }).fill("99");
    await page.getByRole("button", { name: "Show what it would do" }).click();
    await page.getByRole("alert").filter({ hasText: "Request" }).waitFor();
    visit.takeFault(/status of 4\d\d/);
  });

  test("one is made, changed, put back, exported, removed by its name and imported again", async () => {
    await using visit = await console.open("/templates?search=nothing");
    const { page } = visit;
    await page.getByText("No template is here").waitFor();
    await page.getByRole("link", { name: "New template" }).click();
    await page.getByRole("textbox", { name: "Name" }).fill("Pump");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("heading", { level: 1, name: "Pump" }).waitFor();
    await page.getByRole("textbox", { name: "Name" }).fill("Well pump");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("tab", { name: "Versions" }).click();
    await page.getByRole("button", { name: "Compare version 1" }).click();
    await page.getByRole("row", { name: '/name "Pump" "Well pump"' }).waitFor();
    await page.getByRole("button", { name: "Restore version 1" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Restore" }).click();
    await page.getByRole("heading", { level: 1, name: "Pump", exact: true }).waitFor();
    const download = page.waitForEvent("download");
    await page.getByRole("link", { name: "Export" }).click();
    const file = await (await download).path();
    await page.getByRole("button", { name: "Remove" }).click();
    await page.getByRole("textbox", { name: "Type Pump" }).fill("Pump");
    await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
    await page.getByRole("link", { name: "Lamp" }).waitFor();
    assert.equal(await page.getByRole("link", { name: "Pump" }).count(), 0);
    await page.locator("input[type=file]").setInputFiles(file);
    await page.getByRole("heading", { level: 1, name: "Pump" }).waitFor();
  });
});
