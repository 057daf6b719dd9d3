import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertAccessible, startConsole, type TestConsole } from "../../support/console.ts";
import { chromiumMissing } from "../../support/services.ts";

const DEVICES = 450;
const AT_ONCE = 15;

describe("many devices in the console", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  let room: string;
  before(async () => {
    console = await startConsole();
    const { api } = console.hub;
    const site = await api.call<{ site: { id: string } }>("POST", "/api/v1/sites", { name: "Works", time_zone: "UTC" });
    const made = await api.call<{ room: { id: string } }>("POST", "/api/v1/rooms", { name: "Hall", site_id: site.body.site.id });
    room = made.body.room.id;
    for (let at = 0; at < DEVICES; at += AT_ONCE)
      await Promise.all(Array.from({ length: AT_ONCE }, (_, one) => api.addDevice({ name: `Meter ${String(at + one).padStart(3, "0")}` })));
  });
  after(() => console[Symbol.asyncDispose]());

  test("are all reached by scrolling, with few of them in the document at a time", async () => {
    await using visit = await console.open("/devices");
    const { page } = visit;
    const table = page.getByRole("table");
    await page.getByText("200 devices shown").waitFor();
    assert.equal(await table.getAttribute("aria-rowcount"), "-1");
    const all = page.getByText(`${DEVICES} devices shown`);
    while ((await all.count()) === 0) await page.mouse.wheel(0, 2_000);
    assert.equal(await table.getAttribute("aria-rowcount"), String(DEVICES + 1));
    await page.evaluate("scrollTo(0, document.documentElement.scrollHeight)");
    await page.locator(`tr[aria-rowindex="${DEVICES + 1}"]`).waitFor();
    assert.ok((await page.getByRole("row").count()) < 100);
    await assertAccessible(page);
    await page.evaluate("scrollTo(0, 0)");
    await page.locator('tr[aria-rowindex="2"]').getByRole("link").focus();
    for (let presses = 0; presses < 150; presses++) {
      await page.keyboard.press("Tab");
      // No person is quicker than what is drawn.
      await page.evaluate("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))");
    }
    const row = await page.evaluate<string>('document.activeElement.closest("tr").getAttribute("aria-rowindex")');
    assert.equal(row, "77");
  });

  test("are found by room, name and connection, as the URL says", async () => {
    const { api } = console.hub;
    const { uid } = await api.addDevice({ name: "By the door" });
    assert.equal((await api.call("PATCH", `/api/v1/devices/${uid}`, { room_id: room })).status, 200);
    await using visit = await console.open(`/devices?room_id=${room}&status=offline`);
    const { page } = visit;
    await page.getByText("1 device shown").waitFor();
    await page.getByRole("cell", { name: "Hall" }).waitFor();
    await page.getByRole("textbox", { name: "Search" }).fill("nothing of that name");
    await page.getByText("No device matches").waitFor();
    assert.match(page.url(), /search=nothing/);
    await page.getByRole("textbox", { name: "Search" }).fill("door");
    await page.getByRole("link", { name: "By the door" }).waitFor();
  });

  test("are moved together, and of each it is told whether it was", async () => {
    const { api } = console.hub;
    const { uid: gone } = await api.addDevice({ name: "Pump A" });
    await api.addDevice({ name: "Pump B" });
    await using visit = await console.open("/devices?search=Pump");
    const { page } = visit;
    await page.getByRole("checkbox", { name: "Choose all that are shown" }).check();
    await page.getByRole("button", { name: "Move to a room" }).click();
    const dialog = page.getByRole("dialog");
    await dialog
      .getByRole("combobox", { name: "Room" })
      .or(dialog.getByRole("textbox", { name: "Room" }))
      .first()
      .click();
    await page.getByRole("option", { name: "Hall" }).click();
    await api.call("DELETE", `/api/v1/devices/${gone}`);
    await dialog.getByRole("button", { name: "Move to a room" }).click();
    await dialog.getByText("1 of 2 done. 1 failed.").waitFor();
    await dialog.getByRole("row", { name: /Pump A.*Request.*Failed/ }).waitFor();
    await assertAccessible(page);
    await dialog.getByRole("button", { name: "Close" }).last().click();
    visit.takeFault(/404/);
    await page.getByRole("row", { name: /Pump B.*Hall/ }).waitFor();
  });

  test("are removed together when their number was typed", async () => {
    await using visit = await console.open("/devices?search=Meter+44");
    const { page } = visit;
    await page.getByText("10 devices shown").waitFor();
    await page.getByRole("checkbox", { name: "Choose Meter 440" }).check();
    await page.getByRole("checkbox", { name: "Choose Meter 441" }).check();
    await page.getByText("2 chosen").waitFor();
    await page.getByRole("button", { name: "Remove" }).click();
    const dialog = page.getByRole("dialog");
    const remove = dialog.getByRole("button", { name: "Remove" });
    assert.equal(await remove.isDisabled(), true);
    await dialog.getByRole("textbox", { name: "Type 2 to confirm" }).fill("2");
    await remove.click();
    await dialog.getByText("2 of 2 done.").waitFor();
    await dialog.getByRole("button", { name: "Close" }).last().click();
    await page.getByText("8 devices shown").waitFor();
    await page.getByRole("link", { name: "Meter 440" }).waitFor({ state: "detached" });
  });
});
