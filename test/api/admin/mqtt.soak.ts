import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { WebSocketRoute } from "playwright-core";
import { assertPageHolds, startConsole, type TestConsole } from "../../support/console.ts";
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
    await assertPageHolds(console, "/mqtt?topic=hexa/nobody-at-all/availability", (page) =>
      page.getByRole("button", { name: "hexa", exact: false }).first().waitFor(),
    );
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
    await page.getByRole("textbox", { name: "Topic", exact: true }).fill("hexa/nobody-at-all/availability");
    await page.getByRole("button", { name: "Publish now" }).click();
    await page.getByRole("alert").getByText("Not authorized").waitFor();
    await page.getByLabel("Topic filter").fill("$hub/#");
    await page.getByRole("button", { name: "Subscribe" }).click();
    await page.getByText("The hub refused “$hub/#”").waitFor();
    assert.match(page.url(), /filter=/);
  });

  test("a lost connection is shown, and comes back with what is retained", async () => {
    await using visit = await console.open("/about");
    const { page } = visit;
    await page.getByRole("heading", { level: 1 }).waitFor();
    const sockets: WebSocketRoute[] = [];
    await page.routeWebSocket(/\/mqtt$/, (socket) => {
      socket.connectToServer();
      sockets.push(socket);
    });
    await page.getByRole("link", { name: "MQTT explorer" }).click();
    await page.getByText("Connected", { exact: true }).waitFor();
    await sockets[0]?.close();
    await page.getByText("Connection lost, trying again").waitFor();
    await page.getByText("Connected", { exact: true }).waitFor();
    assert.equal(sockets.length, 2);
  });
});
