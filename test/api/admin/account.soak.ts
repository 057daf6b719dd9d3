import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertPageHolds, clickForGood, startConsole, type TestConsole } from "../../support/console.ts";
import { ADMIN } from "../../support/hub.ts";
import { chromiumMissing } from "../../support/services.ts";
import { until } from "../../support/wait.ts";

describe("the account in the console", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  before(async () => {
    console = await startConsole();
  });
  after(() => console[Symbol.asyncDispose]());

  test("the page holds in every look", () =>
    assertPageHolds(console, "/account", async (page) => {
      await page.getByRole("table").first().waitFor();
      await page.locator("form input[type=checkbox]").first().waitFor({ state: "attached" });
    }));

  test("a token is shown once, works, and is revoked", async () => {
    await using visit = await console.open("/account");
    const { page } = visit;
    await page.getByRole("button", { name: "Make a token" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("textbox", { name: "Name" }).fill("backup");
    await dialog.getByRole("button", { name: "Save" }).click();
    const token = (await dialog.locator("code").textContent()) ?? "";
    assert.equal((await meBy(console, token)).status, 200);
    await dialog.getByRole("button", { name: "Close" }).last().click();
    await clickForGood(page.getByRole("button", { name: "Revoke: backup" }));
    await page.getByText("revoked").waitFor();
    assert.equal((await meBy(console, token)).status, 401);
  });

  test("name and quiet hours stay on the hub, and a login elsewhere is ended", async () => {
    await using visit = await console.open("/account");
    const { page } = visit;
    await page.getByRole("textbox", { name: "Name" }).fill("Ada");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByText("Saved").waitFor();
    await page.getByRole("switch", { name: "Quiet hours" }).click();
    await page.getByLabel("From").fill("21:30");
    const answered = page.waitForResponse((response) => response.url().endsWith("/preferences") && response.request().method() === "PATCH");
    await page.getByRole("button", { name: "Save notifications" }).click();
    assert.equal((await answered).status(), 200);
    const { body } = await console.hub.api.call<{ notification_settings: { quiet_hours: { from: string } } }>("GET", "/api/v1/preferences");
    assert.equal(body.notification_settings.quiet_hours.from, "21:30");
    const who = await console.hub.api.call<{ user: { name: string } }>("GET", "/api/v1/auth/me");
    assert.equal(who.body.user.name, "Ada");

    const others = await page.getByRole("button", { name: "Log out there" }).count();
    await clickForGood(page.getByRole("button", { name: "Log out there" }).first());
    await until(async () => (await page.getByRole("button", { name: "Log out there" }).count()) === others - 1, {
      what: "the login elsewhere to be gone",
    });
  });

  test("a wrong password does not set a PIN, and the right one does", async () => {
    await using visit = await console.open("/account");
    const { page } = visit;
    await page.getByRole("button", { name: "Set PIN" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Your password now").fill("not mine");
    await dialog.getByRole("textbox", { name: "PIN" }).fill("270118");
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.getByRole("alert").waitFor();
    visit.takeFault(/403|401/);
    await dialog.getByLabel("Your password now").fill(ADMIN.password);
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.getByText("The PIN holds from now on.").waitFor();
  });
});

const meBy = (console: TestConsole, token: string) =>
  console.hub.api.call("GET", "/api/v1/auth/me", undefined, { authorization: `Bearer ${token}` });
