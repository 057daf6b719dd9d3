import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertAccessible, startConsole, type TestConsole } from "../../support/console.ts";
import { HOMEKIT } from "../../support/homekit-hub.ts";
import { chromiumMissing } from "../../support/services.ts";

const START_MS = 30_000;

describe("HomeKit in the console", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  before(async () => {
    console = await startConsole({ env: HOMEKIT });
    await console.hub.api.addDevice({ capabilities: { relays: 1 } });
  });
  after(() => console[Symbol.asyncDispose]());

  test("each bridge has its code, as a QR code too", async () => {
    await using visit = await console.open("/homekit", { scheme: "dark" });
    const { page } = visit;
    await page.getByRole("img", { name: "The same as a QR code" }).waitFor({ timeout: START_MS });
    const { body } = await console.hub.api.call<{ data: { pin: string }[] }>("GET", "/api/v1/bridges/homekit/pairings");
    await page.getByText(body.data[0]?.pin ?? assert.fail("there is no code")).waitFor();
    await page.getByText("Not paired").waitFor();
    await assertAccessible(page);
    await visit.assertFits();
  });
});
