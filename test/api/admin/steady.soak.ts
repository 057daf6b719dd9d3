import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import { type AnsweringProxy, startAnsweringProxy } from "../../support/answering-proxy.ts";
import type { Visit } from "../../support/browser.ts";
import { startConsole, type TestConsole } from "../../support/console.ts";
import { startFaultProxy } from "../../support/fault-proxy.ts";
import { chromiumMissing } from "../../support/services.ts";
import { until } from "../../support/wait.ts";

const BUILT = path.join(import.meta.dirname, "../../../api/admin/dist");
const LOST = "The connection to the hub is lost";

describe("the console that is kept in the browser", { skip: chromiumMissing() }, () => {
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

  test("starts while the hub is away, says so, and goes on by itself", async () => {
    await using line = await startFaultProxy({ port: Number(new URL(console.hub.http).port) });
    await using visit = await console.open(`http://127.0.0.1:${line.port}/devices`, { withWorker: true });
    const { page } = visit;
    await isKept(page);
    // What the page takes is kept when it is fetched by the worker.
    await page.reload();
    await page.getByText("No device yet").waitFor();
    line.refuse();
    line.cut();
    await page.reload();
    await page.getByText(LOST).waitFor();
    await page.getByRole("link", { name: "Automations" }).waitFor();
    assert.deepEqual(await keptOfApi(page), []);
    line.accept();
    await page.getByText("No device yet").waitFor();
    await page.getByText(LOST).waitFor({ state: "detached" });
    await page.close();
    takeFaults(visit, /net::ERR_|502/);
  });

  test("says that the device is offline, and goes on when it is not any more", async () => {
    await using visit = await console.open("/devices", { withWorker: true });
    const { page } = visit;
    await isKept(page);
    await page.reload();
    await page.getByText("No device yet").waitFor();
    await page.context().setOffline(true);
    await page.getByText("This device is offline").waitFor();
    await page.reload();
    await page.getByText("This device is offline").waitFor();
    await page.context().setOffline(false);
    await page.getByText("No device yet").waitFor();
    await page.getByText("This device is offline").waitFor({ state: "detached" });
    await page.close();
    takeFaults(visit, /net::ERR_/);
  });

  test("is the hub's newest at the next load, and no older one is kept", async () => {
    await using visit = await console.open(`${proxy.url}/devices`, { withWorker: true });
    const { page } = visit;
    await isKept(page);
    const first = await entryOf(page);
    using _ = secondBuild(proxy);
    await page.reload();
    await page.getByText("No device yet").waitFor();
    assert.equal(await entryOf(page), first.replace("/assets/", "/assets/second-"));
    const names = 'caches.keys().then((names) => names.length === 1 && names[0].includes("second-"))';
    await until(() => page.evaluate(names), { what: "the newer console in the browser, and no other" });
    takeFaults(visit, /ERR_ABORTED/);
  });

  test("a tab of before says that it was loaded anew, once, when its parts are gone", async () => {
    await using visit = await console.open(`${proxy.url}/about`);
    const { page } = visit;
    await page.getByRole("heading", { name: "About" }).waitFor();
    using _ = secondBuild(proxy);
    let loads = 0;
    page.on("load", () => loads++);
    await page.getByRole("link", { name: "Scenes" }).click();
    await page.getByText("The hub has a newer console").waitFor();
    await page.getByRole("heading", { name: "Scenes", level: 1 }).waitFor();
    assert.match(await entryOf(page), /second-/);
    assert.equal(loads, 1);
    takeFaults(visit, /404|ERR_ABORTED|part_missing/);
  });

  test("a part that stays away is said to be missing, without loading anew, and comes when it is tried again", async () => {
    await using visit = await console.open(`${proxy.url}/about`);
    const { page } = visit;
    await page.getByRole("heading", { name: "About" }).waitFor();
    proxy.answer = (request, response) => {
      if (!/scenes-page/.test(request.url ?? "")) return undefined;
      response.writeHead(404).end();
      return true;
    };
    let loads = 0;
    page.on("load", () => loads++);
    await page.getByRole("link", { name: "Scenes" }).click();
    await page.getByText("A part of the console could not be loaded").waitFor();
    await page.getByRole("link", { name: "Devices", exact: true }).waitFor();
    proxy.answer = undefined;
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("heading", { name: "Scenes", level: 1 }).waitFor();
    assert.equal(loads, 0);
    takeFaults(visit, /404|ERR_ABORTED|part_missing/);
  });
});

const isKept = (page: Page): Promise<unknown> =>
  until(() => page.evaluate("navigator.serviceWorker.controller !== null"), { what: "the service worker" });
const entryOf = (page: Page): Promise<string> => page.evaluate<string>('document.querySelector("script[type=module]").getAttribute("src")');
const keptOfApi = (page: Page): Promise<string[]> =>
  page.evaluate<string[]>(
    `caches.keys().then((names) => Promise.all(names.map((name) => caches.open(name).then((cache) => cache.keys()))))
      .then((kept) => kept.flat().map(({ url }) => new URL(url).pathname).filter((path) => path.startsWith("/api/")))`,
  );

/** The same console under other names, as if it had been built anew; those of before are gone. */
function secondBuild(proxy: AnsweringProxy): Disposable {
  const names = readdirSync(path.join(BUILT, "assets")).filter((name) => /\.(?:js|css)$/.test(name));
  const any = new RegExp(names.map((name) => name.replaceAll(".", "\\.")).join("|"), "g");
  proxy.rewrite = {
    path: (asked) => (asked.startsWith("/assets/second-") ? asked.replace("second-", "") : asked.replace("/assets/", "/assets/gone-")),
    body: (body) => body.replaceAll(any, "second-$&"),
  };
  return {
    [Symbol.dispose]: () => {
      proxy.rewrite = undefined;
    },
  };
}

function takeFaults(visit: Visit, pattern: RegExp): void {
  while (visit.faults.length > 0) visit.takeFault(pattern);
}
