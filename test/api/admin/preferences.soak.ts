import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import type { Visit } from "../../support/browser.ts";
import { assertPageHolds, startConsole, type TestConsole } from "../../support/console.ts";
import { ApiClient } from "../../support/hub.ts";
import { chromiumMissing } from "../../support/services.ts";
import { until } from "../../support/wait.ts";

interface Person {
  readonly email: string;
  readonly password: string;
}
interface Kept {
  readonly dashboard_settings: Record<string, unknown>;
  readonly dashboard_layout: Record<string, unknown>;
  readonly device_view_state: Record<string, unknown>;
}

const DESK = { width: 1280, height: 800 };
const schemeOf = (page: Page) => page.locator("html").getAttribute("data-mantine-color-scheme");

describe("what the console keeps for a person", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  let people = 0;
  before(async () => {
    console = await startConsole();
    await console.hub.api.call("POST", "/api/v1/demo");
  });
  after(() => console[Symbol.asyncDispose]());

  async function person(): Promise<{ who: Person; api: ApiClient; kept: () => Promise<Kept> }> {
    const who = { email: `person${people++}@example.test`, password: "a password of a person" };
    const { body } = await console.hub.api.call<{ organization_id: string }>("GET", "/api/v1/auth/me");
    const asked = { email: who.email, role: "admin" };
    const made = await console.hub.api.call<{ token: string }>("POST", `/api/v1/organizations/${body.organization_id}/invitations`, asked);
    await console.hub.api.call("POST", "/api/v1/invitations/register", { token: made.body.token, password: who.password });
    const api = await new ApiClient(console.hub.http).login(who);
    return { who, api, kept: async () => (await api.call<Kept>("GET", "/api/v1/preferences")).body };
  }

  /** In a browser that has never been here. */
  async function logIn(who: Person, options = {}) {
    const visit = await console.browser.visit({ ...DESK, ...options });
    const answer = await visit.page.request.post(`${console.hub.http}/api/v1/auth/login`, { data: { ...who, cookie: true } });
    assert.equal(answer.status(), 200);
    return visit;
  }

  async function choose(page: Page, item: string): Promise<void> {
    await page.getByRole("button", { name: /^(?:Your account|Dein Konto)$/ }).click();
    await page.getByRole("menuitem", { name: item, exact: true }).click();
  }

  test("the page of it holds in every look", () => assertPageHolds(console, "/account", (page) => page.locator("select").nth(1).waitFor()));

  test("colours, language and folded cards are the same in another browser, and in another tab at once", async () => {
    const { who, kept } = await person();
    await using here = await logIn(who);
    const { page } = here;
    await page.goto(`${console.hub.http}/dashboard`);
    const other = await page.context().newPage();
    await other.goto(`${console.hub.http}/dashboard`);
    await other.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
    await page.getByRole("button", { name: "Fold or unfold Health" }).click();
    await choose(page, "Dark");
    await choose(page, "Deutsch");
    await page.getByRole("heading", { name: "Übersicht", level: 1 }).waitFor();
    await other.getByRole("heading", { name: "Übersicht", level: 1 }).waitFor();
    await until(async () => (await schemeOf(other)) === "dark", { what: "the other tab to be dark" });
    await other.locator("[aria-expanded=false]").first().waitFor();
    await until(async () => (await kept()).dashboard_settings["language"] === "de", { what: "the hub to keep it" });

    await using there = await logIn(who);
    await there.page.goto(`${console.hub.http}/dashboard`);
    await there.page.getByRole("heading", { name: "Übersicht", level: 1 }).waitFor();
    await until(async () => (await schemeOf(there.page)) === "dark", { what: "the other browser to be dark" });
    assert.equal(await there.page.locator("main [aria-expanded=false]").count(), 1);
  });

  test("a page begins in its own colours, before any of its scripts has run", async () => {
    const { who } = await person();
    await using visit = await logIn(who);
    const { page } = visit;
    await page.goto(`${console.hub.http}/dashboard`);
    await choose(page, "Dark");
    await until(async () => (await schemeOf(page)) === "dark", { what: "the page to be dark" });
    await page.route("**/assets/*.js", (route) => route.abort());
    await page.reload();
    assert.equal(await page.evaluate("getComputedStyle(document.documentElement).backgroundColor"), "rgb(36, 36, 36)");
    takeAll(visit, /assets|ERR_ABORTED|ERR_FAILED/);
  });

  for (const status of [503, 403])
    test(`a choice that the hub refuses with ${status} stays, and is sent when it takes it`, async () => {
      const { who, kept } = await person();
      await using visit = await logIn(who);
      const { page } = visit;
      const refusal = { status, json: { code: "unavailable", message: "not now", details: null, request_id: "req-1" } };
      await page.route("**/api/v1/preferences", (route) =>
        route.request().method() === "PATCH" ? route.fulfill(refusal) : route.continue(),
      );
      await page.goto(`${console.hub.http}/dashboard`);
      const refused = page.waitForResponse((response) => response.status() === status);
      await choose(page, "Dark");
      await refused;
      assert.deepEqual((await kept()).dashboard_settings, {});
      await page.reload();
      await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
      assert.equal(await schemeOf(page), "dark");
      await page.unroute("**/api/v1/preferences");
      await page.reload();
      await until(async () => (await kept()).dashboard_settings["theme"] === "dark", { what: "the hub to have it" });
      takeAll(visit, /preferences|ERR_ABORTED/);
    });

  test("whoever wants to goes on where they were, in any browser", async () => {
    const { who, kept } = await person();
    await using here = await logIn(who);
    const { page } = here;
    await page.goto(`${console.hub.http}/`);
    await page.waitForURL("**/dashboard");
    await page.goto(`${console.hub.http}/account`);
    await page.getByRole("combobox", { name: "The console begins with" }).selectOption("last");
    await page.getByRole("link", { name: "Devices", exact: true }).click();
    await page.getByRole("textbox").first().fill("kitchen");
    await until(async () => (await kept()).device_view_state["last_view"] === "/devices?search=kitchen", {
      what: "the hub to keep the view",
    });
    await using there = await logIn(who);
    await there.page.goto(`${console.hub.http}/`);
    await there.page.waitForURL("**/devices?search=kitchen");
    takeAll(here, /ERR_ABORTED/);
  });

  test("times are in the person's zone, which goes before the browser's, and all is written as it is where they are", async () => {
    const { who, api } = await person();
    const raised = await api.call<{ alert: { id: string; raised_at: string } }>("POST", "/api/v1/alerts", {
      title: "Wet",
      severity: "warning",
    });
    const { id, raised_at: at } = raised.body.alert;
    const options = { dateStyle: "medium", timeStyle: "medium" } as const;
    const written = (timeZone: string) => plain(new Intl.DateTimeFormat("en-GB", { ...options, timeZone }).format(new Date(at)));
    await using visit = await logIn(who, { locale: "en-GB", timeZone: "America/New_York" });
    const { page } = visit;
    const shown = async (text: string) =>
      until(async () => plain((await page.locator("main").textContent()) ?? "").includes(text), { what: `${text} on the page` });
    await page.goto(`${console.hub.http}/alerts/${id}`);
    await shown(written("America/New_York"));
    await page.goto(`${console.hub.http}/account`);
    await page.getByRole("combobox", { name: "Time zone" }).fill("Tokyo");
    const taken = page.waitForResponse((response) => response.request().method() === "PATCH");
    await page.getByRole("option", { name: "Asia/Tokyo" }).click();
    assert.equal((await taken).status(), 200);
    await page.goto(`${console.hub.http}/alerts/${id}`);
    await shown(written("Asia/Tokyo"));
    await page.goto(`${console.hub.http}/events?from=2026-01-01T15:30:00.000Z`);
    await until(async () => (await page.getByLabel("From").inputValue()).startsWith("2026-01-02T00:30"), {
      what: "the filter in Tokyo's time",
    });
    takeAll(visit, /ERR_ABORTED/);
  });
});

/** What a test brings about by itself: a page that is left ends what it listens to. */
function takeAll(visit: Visit, pattern: RegExp): void {
  while (visit.faults.some((fault) => pattern.test(fault))) visit.takeFault(pattern);
}

/** Narrow and fixed spaces are another's in each version of ICU. */
const plain = (text: string): string => text.replaceAll(/\s/g, " ");
