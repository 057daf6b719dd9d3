import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import { type AnsweringProxy, startAnsweringProxy } from "../../support/answering-proxy.ts";
import type { Visit } from "../../support/browser.ts";
import { startConsole, type TestConsole } from "../../support/console.ts";
import { startFaultProxy } from "../../support/fault-proxy.ts";
import { ADMIN } from "../../support/hub.ts";
import { chromiumMissing } from "../../support/services.ts";

const RATE = 60;
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

describe("what stands between the console and its hub", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  let proxy: AnsweringProxy;
  before(async () => {
    console = await startConsole();
    proxy = await startAnsweringProxy(console.hub.http);
  });
  after(async () => {
    await proxy[Symbol.asyncDispose]();
    await console[Symbol.asyncDispose]();
  });

  const answers: readonly [string, (response: ServerResponse) => unknown, RegExp][] = [
    [
      "a page instead of an answer",
      (response) => response.writeHead(200, { "content-type": "text/html" }).end("<p>Log in</p>"),
      /not what the hub says/,
    ],
    [
      "half an answer",
      (response) => response.writeHead(200, { "content-type": "application/json" }).end('{"data":[{"id'),
      /not what the hub says/,
    ],
    [
      "an answer that breaks off",
      (response) => response.writeHead(200, { "content-length": "100" }).end('{"data":', () => response.destroy()),
      /not what the hub says/,
    ],
    [
      "413 of another server",
      (response) => response.writeHead(413, { "content-type": "text/html" }).end("<h1>413</h1>"),
      /more than the hub/,
    ],
    [
      "503 for ten minutes",
      (response) => response.writeHead(503, { "retry-after": "600" }).end(),
      /not available at the moment.*next request in \d+ s/,
    ],
  ];
  for (const [name, answer, words] of answers)
    test(`${name} is told, and what comes after it is shown`, async () => {
      await using visit = await console.open(`${proxy.url}/about`);
      const { page } = visit;
      await page.getByRole("heading", { name: "About" }).waitFor();
      proxy.answer = (request, response) => {
        if (!request.url?.startsWith("/api/v1/devices?")) return undefined;
        answer(response);
        return true;
      };
      await page.getByRole("link", { name: "Devices", exact: true }).click();
      await page.getByText(words).waitFor({ timeout: 30_000 });
      proxy.answer = undefined;
      await page.getByRole("button", { name: "Try again" }).click();
      await page.getByText("No device yet").waitFor();
      takeFaults(visit, /413|503|net::ERR_/);
    });

  test("503 with a moment to wait is asked again by itself", async () => {
    await using visit = await console.open(`${proxy.url}/about`);
    const { page } = visit;
    await page.getByRole("heading", { name: "About" }).waitFor();
    let refusals = 0;
    proxy.answer = (request, response) => {
      if (!request.url?.startsWith("/api/v1/devices?") || refusals > 0) return undefined;
      refusals++;
      response.writeHead(503, { "retry-after": "1", "content-type": "text/html" }).end();
      return true;
    };
    await page.getByRole("link", { name: "Devices", exact: true }).click();
    await page.getByText("No device yet").waitFor();
    takeFaults(visit, /503/);
  });

  test("a change whose answer is lost is not made again by itself", async () => {
    await using visit = await console.open(`${proxy.url}/account`);
    const { page } = visit;
    let changes = 0;
    proxy.answer = (request, response) => {
      if (request.method !== "PATCH" || !request.url?.endsWith("/auth/me")) return undefined;
      changes++;
      // Of an answer that never began, the browser itself would ask again.
      response.writeHead(200, { "content-length": "100" }).write("{", () => response.destroy());
      return true;
    };
    await page.getByRole("textbox", { name: "Name" }).fill("Ada");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByText("not what the hub says").waitFor();
    await page.getByRole("link", { name: "Devices", exact: true }).click();
    await page.getByText("No device yet").waitFor();
    assert.equal(changes, 1);
    proxy.answer = undefined;
    takeFaults(visit, /net::ERR_/);
  });

  test("a line that is cut loses no event: what was missed is shown", async () => {
    await using line = await startFaultProxy({ port: Number(new URL(console.hub.http).port) });
    await using visit = await console.open(`http://127.0.0.1:${line.port}/devices`);
    const { page } = visit;
    await page.getByText("No device yet").waitFor();
    line.refuse();
    line.cut();
    await page.getByText("The connection to the hub is lost").waitFor();
    const { id } = await console.hub.api.addDevice({ name: "Meanwhile" });
    line.accept();
    await page.getByRole("link", { name: "Meanwhile" }).waitFor();
    await page.getByText("The connection to the hub is lost").waitFor({ state: "detached" });
    // The stream too is there again.
    await console.hub.api.call("DELETE", `/api/v1/devices/${id}`);
    await page.getByRole("link", { name: "Meanwhile" }).waitFor({ state: "detached" });
    await page.close();
    takeFaults(visit, /net::ERR_/);
  });

  test("a hub that answers nothing is given up in time, and told so", { timeout: MINUTE_MS }, async () => {
    await using visit = await console.open(`${proxy.url}/about`);
    const { page } = visit;
    await page.getByRole("heading", { name: "About" }).waitFor();
    proxy.answer = (request) => (/\/devices\?|\/health/.test(request.url ?? "") ? true : undefined);
    await page.getByRole("link", { name: "Devices", exact: true }).click();
    await page.getByText("The connection to the hub is lost").waitFor();
    await page.getByText("The hub has not answered in time").waitFor({ timeout: 30_000 });
    proxy.answer = undefined;
    await page.getByText("No device yet").waitFor();
    await page.getByText("The connection to the hub is lost").waitFor({ state: "detached" });
    await page.close();
    takeFaults(visit, /net::ERR_/);
  });

  for (const days of [-40, 400])
    test(`a clock that is ${days} days wrong logs nobody out`, async () => {
      await using visit = await console.browser.visit({ width: 1280, height: 800 });
      const { page } = visit;
      await page.clock.install({ time: Date.now() + days * DAY_MS });
      await page.clock.resume();
      await page.goto(`${console.hub.http}/devices`);
      await logIn(page);
      await page.getByText("No device yet").waitFor();
      await page.getByRole("link", { name: "About", exact: true }).click();
      await page.getByRole("heading", { name: "About" }).waitFor();
      takeFaults(visit, /401|ERR_ABORTED/);
    });
});

describe("tabs of the console", { skip: chromiumMissing() }, () => {
  test("agree on the language, the look, what was changed, and who is logged in", async () => {
    await using console = await startConsole();
    await using visit = await console.browser.visit({ width: 1280, height: 800 });
    const { page } = visit;
    await page.goto(`${console.hub.http}/settings`);
    const other = await page.context().newPage();
    await other.goto(`${console.hub.http}/settings`);
    await other.getByRole("heading", { name: "Log in" }).waitFor();
    await logIn(page);
    await other.getByText("There is no site yet").waitFor();

    await page.getByRole("button", { name: "Add a site" }).click();
    await page.getByRole("dialog").getByRole("textbox", { name: "Name" }).fill("Mill");
    await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
    await other.getByText("Mill").first().waitFor();

    await page.getByRole("button", { name: "Your account" }).click();
    await page.getByRole("menuitem", { name: "Dark" }).click();
    await other.locator(":root[data-mantine-color-scheme=dark]").waitFor();
    await page.getByRole("button", { name: "Your account" }).click();
    await page.getByRole("menuitem", { name: "Deutsch" }).click();
    await other.getByRole("link", { name: "Geräte", exact: true }).waitFor();
    await page.getByRole("button", { name: "Dein Konto" }).click();
    await page.getByRole("menuitem", { name: "Abmelden" }).click();
    await other.waitForURL("**/auth/login?next=%2Fsettings");
    takeFaults(visit, /401|ERR_ABORTED/);
  });

  test("leave the hub connections when there are many that nobody looks at", async () => {
    await using console = await startConsole();
    await using visit = await console.open("/about");
    const { page } = visit;
    await page.clock.install();
    for (let tab = 0; tab < 7; tab++) {
      const hidden = await page.context().newPage();
      await hidden.clock.install();
      await hidden.goto(`${console.hub.http}/about`, { waitUntil: "commit" });
      await hidden.getByRole("heading", { name: "About" }).waitFor();
      await hidden.evaluate(
        'Object.defineProperty(document, "hidden", { value: true }); document.dispatchEvent(new Event("visibilitychange")); undefined',
      );
      await hidden.clock.runFor(11_000);
    }
    await page.getByRole("link", { name: "Devices", exact: true }).click();
    await page.getByText("No device yet").waitFor();
    takeFaults(visit, /ERR_ABORTED/);
  });
});

describe("a hub that was asked too often", { skip: chromiumMissing() }, () => {
  test("says until when, what was asked for comes by itself, and what was to be done does not", { timeout: 3 * MINUTE_MS }, async () => {
    await using console = await startConsole({ env: { HEXA_API_RATE: String(RATE) } });
    await using visit = await console.open("/account");
    const { page } = visit;
    await page.getByRole("textbox", { name: "Name" }).fill("Ada");
    for (let asked = 0; asked < RATE; asked++) await console.hub.api.call("GET", "/api/v1/auth/me");
    let changes = 0;
    page.on("request", (request) => request.method() === "PATCH" && request.url().endsWith("/auth/me") && changes++);
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByText(/The hub was asked too often\. It takes the next request in \d+ s/).waitFor();
    await page.getByRole("link", { name: "Devices", exact: true }).click();
    await page.getByText(/It takes requests again in \d+ s/).waitFor();
    await page.getByText("No device yet").waitFor({ timeout: 1.5 * MINUTE_MS });
    await page.getByText(/It takes requests again in/).waitFor({ state: "detached" });
    assert.equal(changes, 1);
    takeFaults(visit, /429/);
  });
});

async function logIn(page: Page): Promise<void> {
  await page.getByLabel("E-mail").fill(ADMIN.email);
  await page.locator("input[type=password]").fill(ADMIN.password);
  await page.getByRole("button", { name: "Log in" }).click();
}

function takeFaults(visit: Visit, pattern: RegExp): void {
  const others = visit.faults.filter((fault) => !pattern.test(fault));
  assert.deepEqual(others, []);
  while (visit.faults.length > 0) visit.takeFault(pattern);
}
