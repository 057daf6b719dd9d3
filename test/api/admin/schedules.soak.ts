import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import { assertPageHolds, LISTENING, startConsole, type TestConsole } from "../../support/console.ts";
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

  async function call(method: "GET" | "PATCH", change?: object) {
    const { body, status } = await console.hub.api.call<{ schedule: { name: string; recurrence: object } }>(
      method,
      `/api/v1/schedules/${id}`,
      change,
      { "if-match": "*" },
    );
    assert.equal(status, 200);
    return body;
  }

  for (const path of ["/schedules", "/schedules/:id", "/schedules/:id?tab=history", "/schedules/:id?tab=versions&version=1"])
    test(`${path} holds in every look`, () =>
      assertPageHolds(console, path.replace(":id", id), async (page) => {
        await page.getByRole("heading", { level: 1 }).waitFor();
        await page.locator("[aria-busy=true]").first().waitFor({ state: "detached" });
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
    await page.getByText("Saved").waitFor();
    const { body } = await console.hub.api.call<{ schedule: { recurrence: object; is_active: boolean } }>("GET", `/api/v1/schedules/${id}`);
    assert.deepEqual(body.schedule.recurrence, { kind: "cron", expression: "45 19 * * MON,FRI" });
    assert.equal(body.schedule.is_active, false);
  });

  test("a run comes by itself, as it begins", async () => {
    await using visit = await console.open(`/schedules/${id}?tab=history`, LISTENING);
    const rows = visit.page.getByRole("cell", { name: "By hand" });
    await rows.first().waitFor();
    const already = await rows.count();
    await console.hub.api.call("POST", `/api/v1/schedules/${id}/run`);
    await rows.nth(already).waitFor();
  });

  test("a change is a version, that is compared and restored", async () => {
    await call("PATCH", { name: "Lights in the garden" });
    await using visit = await console.open(`/schedules/${id}?tab=versions`);
    const { page } = visit;
    await page.getByRole("button", { name: "Compare version 1" }).click();
    await page.getByRole("row", { name: '/name "Garden lights" "Lights in the garden"' }).waitFor();
    await page.getByRole("button", { name: "Restore version 1" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Restore" }).click();
    await page.getByRole("heading", { level: 1, name: "Garden lights" }).waitFor();
  });

  test("what somebody else has changed meanwhile is told, and what was written stays", async () => {
    await using visit = await console.open(`/schedules/${id}`);
    const { page } = visit;
    const name = page.getByRole("textbox", { name: "Name" });
    await name.fill("Written here");
    await call("PATCH", { recurrence: { kind: "cron", expression: "0 20 * * *" } });
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("status").getByText("Somebody has changed it meanwhile").waitFor();
    visit.takeFault(/412/);
    await page.getByRole("button", { name: "Load it, keep mine" }).click();
    const time = page.getByLabel("Time", { exact: false }).and(page.locator("[type=time]"));
    await page.locator('input[value="20:00"]').waitFor();
    assert.equal(await name.inputValue(), "Written here");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Saved").waitFor();
    const { schedule } = await call("GET");
    assert.deepEqual([schedule.name, schedule.recurrence], ["Written here", { kind: "cron", expression: "0 20 * * *" }]);

    await time.fill("21:00");
    await call("PATCH", { name: "Written there" });
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("button", { name: "Load it, drop mine" }).click();
    await page.getByRole("heading", { level: 1, name: "Written there" }).waitFor();
    await page.locator('input[value="20:00"]').waitFor();
    visit.takeFault(/412/);
    // Where nothing is written, the new one is simply shown, as soon as an event has the page ask for it.
    await call("PATCH", { name: "Garden lights" });
    await console.hub.api.call("POST", `/api/v1/schedules/${id}/run`);
    await page.locator('input[value="Garden lights"]').waitFor();
  });
});

async function choose(page: Page, field: string, option: string): Promise<void> {
  await page.getByRole("combobox", { name: field }).click();
  await page.getByRole("option", { name: option }).click();
}
