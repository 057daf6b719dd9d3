import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertPageHolds, startConsole, type TestConsole } from "../../support/console.ts";
import { startFaultProxy } from "../../support/fault-proxy.ts";
import { ADMIN } from "../../support/hub.ts";
import { chromiumMissing } from "../../support/services.ts";

describe("the MQTT explorer in the console", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  let bus: string;
  before(async () => {
    console = await startConsole();
    await console.hub.api.call("POST", "/api/v1/demo");
    const { body } = await console.hub.api.call<{ user: { organization_id: string } }>("GET", "/api/v1/auth/me");
    bus = `hexa-app/${body.user.organization_id}/bus`;
  });
  after(() => console[Symbol.asyncDispose]());

  test("the page holds in every look", async () => {
    await assertPageHolds(console, `/mqtt?topic=${bus}/hall`, async (page) => {
      await page.getByRole("button", { name: "hexa", exact: false }).first().waitFor();
      await page.getByRole("cell", { name: ADMIN.email }).waitFor();
    });
  });

  test("what is published stands in the tree, retained, and what is refused is said", async () => {
    await using visit = await console.open(`/mqtt?filter=${encodeURIComponent(`${bus}/#`)}&topic=${bus}/hall`);
    const { page } = visit;
    await page.getByText("Connected", { exact: true }).waitFor();
    await page.getByLabel("Payload").last().fill('{"lamp":"on"}');
    await page.getByLabel("Retain it").check();
    await page.getByRole("button", { name: "Publish now" }).click();
    await page.getByText("The hub has it.").waitFor();
    await page.getByText('"lamp": "on"').waitFor();
    await page.getByText("Retained", { exact: true }).waitFor();
    await page.getByText("Members of the organisation who may see all its devices").waitFor();
    // More than one frame.
    await page.getByLabel("Payload").last().fill("x".repeat(100_000));
    await page.getByRole("button", { name: "Publish now" }).click();
    await page.getByText("100,000 bytes").waitFor();
    await page.getByRole("textbox", { name: "Topic", exact: true }).fill("hexa/nobody-at-all/availability");
    await page.getByRole("button", { name: "Publish now" }).click();
    await page.getByRole("alert").getByText("Not authorized: it names what you may not see or change (0x87)").waitFor();
    await page.getByLabel("Topic filter").fill("$hub/#");
    await page.getByRole("button", { name: "Subscribe" }).click();
    await page.getByText("The hub refused “$hub/#”").waitFor();
    await page.getByText("Not authorized: it names what you may not see or change (0x87)").waitFor();
    assert.match(page.url(), /filter=/);
  });

  test("who may read a topic is told, and plainly where it is not", async () => {
    const { body } = await console.hub.api.call<{ id: string }>("POST", "/api/v1/access-tokens", { kind: "service", name: "panel" });
    await using visit = await console.open(`/mqtt?topic=${bus}/hall`);
    const { page } = visit;
    await page.getByRole("row", { name: `${ADMIN.email} person read, publish` }).waitFor();
    await page.getByRole("row", { name: "panel account of a machine read, publish" }).waitFor();
    await console.hub.api.call("DELETE", `/api/v1/access-tokens/${body.id}`);
    await page.reload();
    await page.getByRole("row", { name: ADMIN.email }).waitFor();
    assert.equal(await page.getByRole("row", { name: "panel" }).count(), 0);
    await page.goto(`${console.hub.http}/mqtt?topic=hexa/nobody-at-all/availability`);
    await page.getByText("There is no such topic in your organisation.").waitFor();
    await using guest = await console.browser.visit({ width: 390, height: 844 });
    await guest.page.request.post(`${console.hub.http}/api/v1/auth/login`, { data: { ...(await viewer(console)), cookie: true } });
    await guest.page.goto(`${console.hub.http}/mqtt?topic=${bus}/hall`);
    await guest.page.getByText("takes the right to manage members").waitFor();
    await guest.page.getByText("Connected", { exact: true }).waitFor();
    assert.equal(await guest.page.getByRole("button", { name: "Publish now" }).count(), 0);
    while (visit.faults.length > 0) visit.takeFault(/404/);
  });

  test("what came is searched, and what is retained stands alone", async () => {
    await using visit = await console.open(`/mqtt?find=porch`);
    const { page } = visit;
    await page.getByRole("heading", { name: "Topics" }).waitFor();
    await page.getByText("Nothing that came is like it").waitFor();
    await page.getByRole("textbox", { name: "Topic", exact: true }).fill(`${bus}/porch/lamp`);
    await page.getByLabel("Payload").fill("dim");
    await page.getByRole("button", { name: "Publish now" }).click();
    await page.getByRole("button", { name: "lamp dim" }).waitFor();
    await page.getByLabel("Only what is retained").check();
    await page.getByText("Nothing that came is like it").waitFor();
    assert.match(page.url(), /show=retained/);
    await page.getByLabel("Find in what came").fill("");
    await page.getByRole("button", { name: /^hexa \d/ }).waitFor();
  });

  test("a lost connection is shown, and comes back by itself with what is retained; a frozen one is noticed", async () => {
    await using proxy = await startFaultProxy({ port: Number(new URL(console.hub.http).port) });
    await using visit = await console.browser.visit({ width: 1280, height: 800 });
    const { page } = visit;
    const through = `http://127.0.0.1:${proxy.port}`;
    await page.request.post(`${through}/api/v1/auth/login`, { data: { ...ADMIN, cookie: true } });
    await page.goto(`${through}/mqtt?filter=${encodeURIComponent(`${bus}/#`)}&topic=${bus}/kept`);
    await page.getByText("Connected", { exact: true }).waitFor();
    proxy.refuse();
    proxy.cut();
    await page.getByText("Connection lost (the hub was not reached), trying again").waitFor();
    await publishRetained(console, `${bus}/kept`, "since then");
    proxy.accept();
    await page.getByText("since then").first().waitFor({ timeout: 40_000 });
    await page.getByText("Connected", { exact: true }).waitFor();
    proxy.freeze();
    await page.getByText("the hub did not answer in time").waitFor({ timeout: 30_000 });
    proxy.thaw();
    // The next try may be half a minute away.
    await page.getByText("Connected", { exact: true }).waitFor({ timeout: 60_000 });
    while (visit.faults.length > 0) visit.takeFault(/ERR_|WebSocket/);
  });
});

/** Somebody else in the administrator's organisation. */
async function viewer({ hub: { api } }: TestConsole): Promise<{ readonly email: string; readonly password: string }> {
  const [email, password] = ["viewer@example.test", "correct horse battery"];
  const { body } = await api.call<{ user: { organization_id: string } }>("GET", "/api/v1/auth/me");
  const invited = await api.call<{ token: string }>("POST", `/api/v1/organizations/${body.user.organization_id}/invitations`, {
    email,
    role: "viewer",
  });
  const made = await api.call("POST", "/api/v1/invitations/register", { token: invited.body.token, password });
  assert.equal(made.status, 201);
  return { email, password };
}

/** As somebody else does it, who is connected to the hub itself. */
async function publishRetained(console: TestConsole, topic: string, payload: string): Promise<void> {
  await using visit = await console.open(`/mqtt?filter=homeassistant&topic=${topic}`);
  const { page } = visit;
  await page.getByText("Connected", { exact: true }).waitFor();
  await page.getByLabel("Payload").fill(payload);
  await page.getByLabel("Retain it").check();
  await page.getByRole("button", { name: "Publish now" }).click();
  await page.getByText("The hub has it.").waitFor();
}
