import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startBrowser } from "../../support/browser.ts";
import { startConsole } from "../../support/console.ts";
import { ADMIN, spawnHub } from "../../support/hub.ts";
import { chromiumMissing, freePort } from "../../support/services.ts";
import { temporaryFolder } from "../../support/wait.ts";

describe("what goes wrong, in the console", { skip: chromiumMissing() }, () => {
  test("a hub that was killed is said to be away, and what is shown goes on by itself when it is back", async () => {
    await using folder = temporaryFolder();
    const port = await freePort();
    const options = { dataDir: folder.path, env: { HEXA_HTTP_PORT: String(port) } };
    const hub = await spawnHub(options);
    await using browser = await startBrowser();
    await using visit = await browser.visit({ width: 1280, height: 800 });
    const { page } = visit;
    await page.request.post(`${hub.http}/api/v1/auth/login`, { data: { ...ADMIN, cookie: true } });
    await page.goto(`${hub.http}/devices`);
    await page.getByText("No device matches").waitFor();
    await hub.kill9();
    await page.getByText("The connection to the hub is lost").waitFor();
    await using again = await spawnHub(options);
    await again.api.login();
    await again.api.addDevice({ name: "Lamp", capabilities: { relays: 1 } });
    await page.getByText("The connection to the hub is lost").waitFor({ state: "detached", timeout: 45_000 });
    await page.getByRole("link", { name: "Lamp" }).waitFor();
    while (visit.faults.length > 0) visit.takeFault(/net::ERR_/);
  });

  test("a session that was ended elsewhere leads to the log-in, and from there back", async () => {
    await using console = await startConsole();
    await using visit = await console.open("/devices?search=lamp");
    const { page } = visit;
    await page.getByText("No device matches").waitFor();
    await page.request.post(`${console.hub.http}/api/v1/auth/logout`, { headers: { "x-hexahub-csrf": "1" } });
    await page.getByRole("textbox", { name: "Search" }).fill("other");
    await page.getByRole("heading", { name: "Log in" }).waitFor();
    await page.getByLabel("E-mail").fill(ADMIN.email);
    await page.locator("input[type=password]").fill(ADMIN.password);
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByText("No device matches").waitFor();
    assert.match(page.url(), /\/devices\?search=/);
    while (visit.faults.length > 0) visit.takeFault(/401|ERR_ABORTED/);
  });

  test("what the hub refuses is told with the request's id, and can be tried again", async () => {
    await using console = await startConsole();
    let status = 500;
    await using visit = await console.open("/about");
    const { page } = visit;
    await page.route("**/api/v1/devices?*", async (route) => {
      if (status === 200) return await route.continue();
      await route.fulfill({ status, json: { code: "internal_error", message: "no", details: null, request_id: "req-failed" } });
    });
    await page.getByRole("link", { name: "Devices", exact: true }).click();
    await page.getByText("req-failed").waitFor();
    status = 200;
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByText("No device matches").waitFor();
    while (visit.faults.length > 0) visit.takeFault(/500/);
  });
});
