import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { assertPageHolds, startConsole, type TestConsole } from "../../support/console.ts";
import { chromiumMissing } from "../../support/services.ts";

describe("the audit in the console", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  before(async () => {
    console = await startConsole();
    for (const name of ["Cellar", "Attic"]) await console.hub.api.addDevice({ name });
    assert.equal((await console.hub.api.call("POST", "/api/v1/alerts", { title: "Wet", severity: "info" })).status, 201);
  });
  after(() => console[Symbol.asyncDispose]());

  test("holds in every look", async () => {
    await assertPageHolds(console, "/audit", (page) => page.getByText("alert.raise").first().waitFor());
  });

  test("filters stand in the URL, go along into the file, and are cleared", async () => {
    await using visit = await console.open("/audit?action=alert.raise");
    const { page } = visit;
    await page.getByRole("cell", { name: "alert.raise" }).waitFor();
    const download = page.waitForEvent("download");
    await page.getByRole("link", { name: "Export as NDJSON" }).click();
    const lines = (await readFile(await (await download).path(), "utf8")).trim().split("\n");
    assert.deepEqual(
      lines.map((line) => (JSON.parse(line) as { action: string }).action),
      ["alert.raise"],
    );
    await page.getByRole("textbox", { name: "Action" }).fill("alert.never");
    await page.waitForURL(/action=alert\.never/);
    await page.getByRole("button", { name: "Show all" }).click();
    await page.getByRole("cell", { name: "alert.raise" }).waitFor();
    assert.equal(await page.getByRole("textbox", { name: "Action" }).inputValue(), "");
    await page.getByLabel("From").fill("2000-01-01T00:00");
    await page.waitForURL(/from=/);
    await page.getByLabel("To", { exact: true }).fill("2000-01-02T00:00");
    await page.getByText("Nothing in the audit matches").waitFor();
  });

  test("is verified, and what was written is signed", async () => {
    await using visit = await console.open("/audit");
    const { page } = visit;
    await page.getByRole("button", { name: "Verify" }).click();
    await page.getByText("The audit is intact").waitFor();
    await page.getByRole("button", { name: "Sign now" }).click();
    await page.getByText("New checkpoints").waitFor();
  });
});
