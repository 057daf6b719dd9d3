import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertPageHolds, clickForGood, startConsole, type TestConsole } from "../../support/console.ts";
import { chromiumMissing } from "../../support/services.ts";

describe("alerts in the console", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  before(async () => {
    console = await startConsole();
  });
  after(() => console[Symbol.asyncDispose]());

  async function raise(title: string, severity = "warning"): Promise<string> {
    const { status, body } = await console.hub.api.call<{ alert: { id: string } }>("POST", "/api/v1/alerts", { title, severity });
    assert.equal(status, 201, JSON.stringify(body));
    return body.alert.id;
  }
  const statusOf = async (id: string) =>
    (await console.hub.api.call<{ alert: { status: string } }>("GET", `/api/v1/alerts/${id}`)).body.alert.status;

  test("pages hold in every look, and what is open comes first", async () => {
    const id = await raise("The cellar is wet", "critical");
    for (const path of ["/alerts", "/alerts/rules", "/alerts/rules/new"])
      await assertPageHolds(console, path, (page) => page.getByRole("heading", { level: 1 }).waitFor());
    await assertPageHolds(console, `/alerts/${id}`, (page) => page.getByRole("heading", { name: "The cellar is wet" }).waitFor());
    await using visit = await console.open("/alerts");
    await visit.page.getByRole("link", { name: "The cellar is wet" }).waitFor();
    assert.equal(await visit.page.getByRole("combobox", { name: "Status" }).inputValue(), "Open");
  });

  test("an alert is acknowledged, silenced and resolved, and its history says so", async () => {
    const id = await raise("The gate is open");
    await using visit = await console.open(`/alerts/${id}`);
    const { page } = visit;
    await page.getByRole("button", { name: "Acknowledge" }).click();
    await page.locator(".mantine-Timeline-item").filter({ hasText: "Acknowledged" }).waitFor();
    await page.getByRole("button", { name: "Silence" }).click();
    await page.getByRole("menuitem", { name: "For a day" }).click();
    await page.getByText("Silenced until").first().waitFor();
    await clickForGood(page.getByRole("button", { name: "Resolve" }));
    await page.getByRole("button", { name: "Acknowledge" }).waitFor({ state: "detached" });
    await page.locator(".mantine-Timeline-item").filter({ hasText: "Resolved" }).waitFor();
    assert.equal(await statusOf(id), "resolved");
  });

  test("filters stand in the URL, and what comes is shown by itself", async () => {
    await using visit = await console.open("/alerts?severity=info");
    await visit.page.getByText("No alert is open").waitFor();
    await raise("The door bell's battery is low", "info");
    await visit.page.getByRole("link", { name: "The door bell's battery is low" }).waitFor();
  });

  test("a rule is made by the form, changed, restored and removed by its name", async () => {
    await using visit = await console.open("/alerts/rules/new");
    const { page } = visit;
    await page.getByRole("textbox", { name: "Name" }).fill("Too warm");
    await page.getByRole("textbox", { name: "Reading" }).fill("temperature");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Give at least one bound").waitFor();
    await page.getByRole("textbox", { name: "Above" }).fill("30");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("link", { name: "Too warm" }).click();
    await page.getByRole("textbox", { name: "Above" }).fill("35");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("tab", { name: "Versions" }).click();
    await page.getByRole("button", { name: "Compare version 1" }).click();
    await page.getByRole("row", { name: "/condition/above 30 35" }).waitFor();
    await page.getByRole("button", { name: "Restore version 1" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Restore" }).click();
    await page.getByRole("button", { name: "Restore version 2" }).waitFor();
    await page.getByRole("tab", { name: "Rule" }).click();
    assert.equal(await page.getByRole("textbox", { name: "Above" }).inputValue(), "30");
    await page.getByRole("button", { name: "Remove" }).click();
    await page.getByRole("textbox", { name: "Type Too warm" }).fill("Too warm");
    await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
    await page.getByText("There is no such rule").waitFor();
  });

  test("any other rule is written as JSON, and the hub says what is wrong with it", async () => {
    await using visit = await console.open("/alerts/rules/new");
    const { page } = visit;
    await page.getByText("Something else, as JSON").click();
    const json = page.getByRole("textbox", { name: "Rule" });
    await json.fill(JSON.stringify({ name: "Silent", severity: "info", condition: { kind: "absent" } }));
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("alert").filter({ hasText: "Request" }).waitFor();
    visit.takeFault(/422|400/);
    await json.fill(JSON.stringify({ name: "Silent", severity: "info", condition: { kind: "absence" }, for_s: 60 }));
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("no message at all").waitFor();
    await page.getByRole("switch", { name: "Enable Silent" }).click();
    await page.getByRole("switch", { name: "Enable Silent", checked: false }).waitFor();
  });
});
