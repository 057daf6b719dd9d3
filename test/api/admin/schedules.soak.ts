import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import { assertPageHolds, startConsole, type TestConsole } from "../../support/console.ts";
import { chromiumMissing } from "../../support/services.ts";

describe("schedules in the console", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  let id = "";
  before(async () => {
    console = await startConsole();
    const { status, body } = await console.hub.api.call<{ schedule: { id: string } }>("POST", "/api/v1/schedules", {
      name: "Garden lights",
      recurrence: { kind: "cron", expression: "30 18 * * MON,FRI" },
      actions: [{ kind: "event", type: "custom.told" }],
      time_zone: "Europe/Zurich",
    });
    assert.equal(status, 201);
    id = body.schedule.id;
    await console.hub.api.call("POST", `/api/v1/schedules/${id}/run`);
  });
  after(() => console[Symbol.asyncDispose]());

  for (const path of ["/schedules", "/schedules/:id", "/schedules/:id?tab=history"])
    test(`${path} holds in every look`, () =>
      assertPageHolds(console, path.replace(":id", id), async (page) => {
        await page.getByRole("heading", { level: 1 }).waitFor();
        await page.waitForFunction("!document.querySelector('[aria-busy=true]')");
      }));

  test("one is made with its next five times in sight, and run", async () => {
    await using visit = await console.open("/schedules/new");
    const { page } = visit;
    await page.getByRole("textbox", { name: "Name" }).fill("Every quarter of an hour");
    await choose(page, "When it comes", "Again and again");
    await page.getByRole("textbox", { name: "Every so many minutes" }).fill("15");
    await choose(page, "Kind", "Tell an event of your own");
    await page.getByRole("textbox", { name: "Type of the event" }).fill("custom.quarter");
    const coming = page.getByText("The next five times").locator("..").getByRole("listitem");
    await coming.nth(4).waitFor();
    assert.equal(await coming.count(), 5);
    await page.getByRole("button", { name: "Make it" }).click();
    await page.getByRole("heading", { level: 1, name: "Every quarter of an hour" }).waitFor();
    await page.getByRole("button", { name: "Run now" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Run now" }).click();
    await page.getByRole("cell", { name: "By hand" }).waitFor();
  });

  test("one is paused, found among the paused, and changed", async () => {
    await using visit = await console.open("/schedules");
    const { page } = visit;
    await page.getByRole("switch", { name: "Garden lights is active" }).click({ force: true });
    await page.getByRole("row", { name: /Garden lights.*Paused/ }).waitFor();
    await choose(page, "State", "Paused");
    await page.waitForURL(/state=paused/);
    await page.getByRole("link", { name: "Garden lights" }).click();
    await page.getByLabel("Time", { exact: false }).and(page.locator("[type=time]")).fill("19:45");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Saved as a new version").waitFor();
    const { body } = await console.hub.api.call<{ schedule: { recurrence: object; is_active: boolean } }>("GET", `/api/v1/schedules/${id}`);
    assert.deepEqual(body.schedule.recurrence, { kind: "cron", expression: "45 19 * * MON,FRI" });
    assert.equal(body.schedule.is_active, false);
  });
});

async function choose(page: Page, field: string, option: string): Promise<void> {
  await page.getByRole("combobox", { name: field }).click();
  await page.getByRole("option", { name: option }).click();
}
