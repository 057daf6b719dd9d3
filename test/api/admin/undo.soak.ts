import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import { assertAccessible, HELD_MS, startConsole, type TestConsole } from "../../support/console.ts";
import { chromiumMissing } from "../../support/services.ts";
import { until } from "../../support/wait.ts";

describe("what can be taken back in the console", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  before(async () => {
    console = await startConsole();
  });
  after(() => console[Symbol.asyncDispose]());

  /** A token, and whether the hub takes it. */
  async function makeToken(name: string): Promise<() => Promise<boolean>> {
    const { status, body } = await console.hub.api.call<{ token: string }>("POST", "/api/v1/access-tokens", { kind: "personal", name });
    assert.equal(status, 201, JSON.stringify(body));
    return async () =>
      (await console.hub.api.call("GET", "/api/v1/auth/me", undefined, { authorization: `Bearer ${body.token}` })).status === 200;
  }
  const isGone = (holds: () => Promise<boolean>) => until(async () => !(await holds()), { what: "the token to be revoked" });

  /** Begins to revoke it, under a clock that the test sets. */
  async function begin(page: Page, name: string): Promise<void> {
    const button = page.getByRole("button", { name: `Revoke: ${name}` });
    await button.waitFor();
    await page.clock.install();
    await button.click();
    await page
      .getByRole("alert")
      .filter({ hasText: `Revoke: ${name}` })
      .waitFor();
  }

  test("is still there when it is, whichever button was used", async () => {
    const holds = await makeToken("kept");
    await using visit = await console.open("/account");
    const { page } = visit;
    await begin(page, "kept");
    await assertAccessible(page);
    await page.getByRole("alert").getByRole("button", { name: "Undo" }).click();
    await page.getByRole("alert").waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Revoke: kept", exact: true }).click();
    await page.getByRole("button", { name: "Undo: Revoke: kept" }).click();
    await page.getByRole("button", { name: "Revoke: kept", exact: true }).waitFor();
    await page.clock.fastForward(2 * HELD_MS);
    await page.reload();
    await page.getByRole("button", { name: "Revoke: kept" }).waitFor();
    assert.equal(await holds(), true);
  });

  test("goes when the time is over, and no sooner", async () => {
    const holds = await makeToken("over");
    await using visit = await console.open("/account");
    const { page } = visit;
    await begin(page, "over");
    assert.equal(await holds(), true);
    await page.clock.fastForward(HELD_MS);
    await isGone(holds);
    await page.getByRole("row", { name: /over.*revoked/ }).waitFor();
    await page.getByRole("alert").waitFor({ state: "detached" });
  });

  test("stays held on another page of the console, and goes when all of it is left or loaded anew", async () => {
    const first = await makeToken("left");
    const second = await makeToken("reloaded");
    await using visit = await console.open("/account");
    const { page } = visit;
    await begin(page, "left");
    await page.getByRole("link", { name: "About" }).click();
    await page.getByRole("alert").getByRole("button", { name: "Undo" }).waitFor();
    assert.equal(await first(), true);
    const other = await page.context().newPage();
    await other.goto(`${console.hub.http}/account`);
    await begin(other, "reloaded");
    await other.reload();
    await isGone(second);
    assert.equal(await first(), true);
    await page.close({ runBeforeUnload: true });
    await isGone(first);
  });

  test("goes before whoever began it logs out", async () => {
    const holds = await makeToken("logged-out");
    await using visit = await console.open("/account");
    const { page } = visit;
    await begin(page, "logged-out");
    await page.getByRole("button", { name: "Your account" }).click();
    await page.getByRole("menuitem", { name: "Log out" }).click();
    await page.getByRole("button", { name: "Log in" }).waitFor();
    // An answer without a body may find its page gone, and what the page still asks for is nobody's any more.
    while (visit.faults.length > 0) visit.takeFault(/logout net::ERR_ABORTED|401 \(Unauthorized\)/);
    assert.equal(await holds(), false);
  });

  test("is seen to go in another tab, and taken back there", async () => {
    const holds = await makeToken("two-tabs");
    await using visit = await console.open("/account");
    const { page } = visit;
    const other = await page.context().newPage();
    await other.goto(`${console.hub.http}/account`);
    await other.getByRole("button", { name: "Revoke: two-tabs" }).waitFor();
    await begin(page, "two-tabs");
    await other.getByRole("button", { name: "Undo: Revoke: two-tabs" }).click();
    await page.getByRole("alert").waitFor({ state: "detached" });
    await page.clock.fastForward(HELD_MS);
    assert.equal(await holds(), true);

    await page.getByRole("button", { name: "Revoke: two-tabs" }).click();
    await page.clock.fastForward(HELD_MS);
    await other.getByRole("row", { name: /two-tabs.*revoked/ }).waitFor();
    assert.equal(await holds(), false);
  });

  test("comes back with the reason when the hub does not do it", async () => {
    const { api, http } = console.hub;
    const { body: me } = await api.call<{ organization_id: string }>("GET", "/api/v1/auth/me");
    const organization = `/api/v1/organizations/${me.organization_id}`;
    const credentials = { email: "ida@example.test", password: "a password of Ida" };
    const { body: invited } = await api.call("POST", `${organization}/invitations`, { email: credentials.email, role: "operator" });
    await api.call("POST", "/api/v1/invitations/register", { token: invited["token"], password: credentials.password });
    const { body: members } = await api.call<{ data: { email: string; user_id: string }[] }>("GET", `${organization}/members`);
    const ida = members.data.find(({ email }) => email === credentials.email)?.user_id;
    await api.call("POST", "/api/v1/alerts", { title: "The roof leaks", severity: "warning" });

    await using visit = await console.open("/about");
    const { page } = visit;
    await page.getByRole("heading", { level: 1 }).waitFor();
    const answer = await page.request.post(`${http}/api/v1/auth/login`, { data: { ...credentials, cookie: true } });
    assert.equal(answer.status(), 200);
    await page.goto(`${http}/alerts`);
    const resolve = page.getByRole("button", { name: "Resolve: The roof leaks", exact: true });
    await resolve.waitFor();
    await page.clock.install();
    await resolve.click();
    await resolve.waitFor({ state: "detached" });
    const { status } = await api.call("PATCH", `${organization}/members/${ida}`, { role: "viewer" });
    assert.equal(status, 200);
    await page.clock.fastForward(HELD_MS);
    await page.getByRole("alert").filter({ hasText: "Resolve: The roof leaks" }).getByText("Request").waitFor();
    await resolve.waitFor();
    visit.takeFault(/403/);
  });
});
