import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Page } from "playwright-core";
import { startAnsweringProxy } from "../../support/answering-proxy.ts";
import { startBrowser, type Visit } from "../../support/browser.ts";
import { startConsole } from "../../support/console.ts";
import { ADMIN, spawnHub } from "../../support/hub.ts";
import { chromiumMissing, freePort } from "../../support/services.ts";
import { temporaryFolder } from "../../support/wait.ts";

const LOST = "The connection to the hub is lost";

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
    await page.getByText("No device yet").waitFor();
    await hub.kill9();
    await page.getByText(LOST).waitFor();
    await using again = await spawnHub(options);
    await again.api.login();
    await again.api.addDevice({ name: "Lamp", capabilities: { relays: 1 } });
    await page.getByText(LOST).waitFor({ state: "detached" });
    await page.getByRole("link", { name: "Lamp" }).waitFor();

    again.child.kill("SIGSTOP");
    try {
      await page.getByRole("textbox", { name: "Search" }).fill("nothing");
      await page.getByText(LOST).waitFor();
    } finally {
      again.child.kill("SIGCONT");
    }
    await page.getByText(LOST).waitFor({ state: "detached" });
    await page.getByText("No device matches").waitFor();
    await page.close();
    takeFaults(visit, /net::ERR_/);
  });

  test("a session that was ended elsewhere leads every tab to the log-in, and from there back", async () => {
    await using console = await startConsole();
    await using visit = await console.open("/devices?search=lamp");
    const { page } = visit;
    const other = await page.context().newPage();
    await other.goto(`${console.hub.http}/about`);
    await page.getByText("No device matches").waitFor();
    await other.getByRole("heading", { name: "About" }).waitFor();
    await page.request.post(`${console.hub.http}/api/v1/auth/logout`, { headers: { "x-hexahub-csrf": "1" } });
    await other.getByRole("heading", { name: "Log in" }).waitFor();
    await page.getByRole("heading", { name: "Log in" }).waitFor();
    await logIn(page);
    await page.getByText("No device matches").waitFor();
    assert.match(page.url(), /\/devices\?search=/);
    await other.waitForURL("**/about");
    await other.getByRole("heading", { name: "About" }).waitFor();
    takeFaults(visit, /401|ERR_ABORTED/);
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
    await page.getByText("No device yet").waitFor();
    takeFaults(visit, /500/);
  });

  test("who has to wait is told how long, and what was asked for comes by itself", async () => {
    await using console = await startConsole();
    await using proxy = await startAnsweringProxy(console.hub.http);
    await using visit = await console.open(`${proxy.url}/about`);
    const { page } = visit;
    let refusals = 0;
    proxy.answer = (request, response) => {
      if (!request.url?.startsWith("/api/v1/devices?") || refusals > 0) return undefined;
      refusals++;
      response.writeHead(429, { "retry-after": "2", "content-type": "application/json" }).end('{"code":"rate_limited","message":"no"}');
      return true;
    };
    await page.getByRole("link", { name: "Devices", exact: true }).click();
    await page.getByText("The hub was asked too often").waitFor();
    await page.getByText(/requests again in [12] s/).waitFor();
    await page.getByText("No device yet").waitFor();
    await page.getByText("The hub was asked too often").waitFor({ state: "detached" });
    takeFaults(visit, /429/);
  });
});

async function logIn(page: Page): Promise<void> {
  await page.getByLabel("E-mail").fill(ADMIN.email);
  await page.locator("input[type=password]").fill(ADMIN.password);
  await page.getByRole("button", { name: "Log in" }).click();
}

function takeFaults(visit: Visit, pattern: RegExp): void {
  while (visit.faults.length > 0) visit.takeFault(pattern);
}
