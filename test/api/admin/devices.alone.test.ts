import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertPageHolds, startConsole, type TestConsole } from "../../support/console.ts";
import { chromiumMissing } from "../../support/services.ts";

describe("devices in the console", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  before(async () => {
    console = await startConsole();
    await console.hub.api.call("POST", "/api/v1/demo");
  });
  after(() => console[Symbol.asyncDispose]());

  test("pages hold in every look", async () => {
    for (const path of ["/dashboard", "/devices", "/devices/new", "/about"])
      await assertPageHolds(console, path, (page) => page.getByRole("heading", { level: 1 }).waitFor());
  });

  test("filters stand in the URL", async () => {
    await using visit = await console.open("/devices?search=kitchen&status=nonsense");
    const { page } = visit;
    await page.getByText("1 device shown").waitFor();
    assert.equal(await page.getByRole("textbox", { name: "Search" }).inputValue(), "kitchen");
    await page.getByRole("textbox", { name: "Search" }).fill("bedroom");
    await page.getByRole("link", { name: "Bedroom climate" }).waitFor();
    assert.match(page.url(), /search=bedroom/);
  });
});
