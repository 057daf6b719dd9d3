import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import { assertPageHolds, startConsole, type TestConsole } from "../../support/console.ts";
import { chromiumMissing } from "../../support/services.ts";

describe("automations in the console", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  let everything = "";
  const heading = (page: Page, name: string) => page.getByRole("heading", { level: 1, name }).waitFor();
  const make = async (body: object): Promise<string> => {
    const answer = await console.hub.api.call<{ automation: { id: string } }>("POST", "/api/v1/automations", body);
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return answer.body.automation.id;
  };
  const turnOn = { kind: "command", device: "", command: { command: "set_relay", relay: 0, state: "ON" } };

  before(async () => {
    console = await startConsole();
    const { body } = await console.hub.api.call<{ devices: { uid: string; name: string }[] }>("POST", "/api/v1/demo");
    const relays = body.devices.find(({ name }) => name === "Living room relays")?.uid ?? assert.fail();
    everything = await make({
      name: "Everything",
      triggers: [
        { kind: "state", device: relays, relay: 1, to: "ON" },
        { kind: "schedule", recurrence: { kind: "cron", expression: "30 7 * * MON,FRI" } },
        { kind: "topic", filter: "hexa/+/availability" },
      ],
      condition: { kind: "time_window", from: "18:00", to: "07:00" },
      actions: [
        { ...turnOn, device: relays },
        { kind: "notify", title: "Light" },
      ],
    });
    await console.hub.api.call("PATCH", `/api/v1/automations/${everything}`, { cooldown_s: 5 }, { "if-match": "*" });
  });
  after(() => console[Symbol.asyncDispose]());

  for (const path of ["/automations", "/automations/:id", "/automations/:id?tab=versions&version=1"])
    test(`${path} holds in every look`, () =>
      assertPageHolds(console, path.replace(":id", everything), async (page) => {
        await page.getByRole("heading", { level: 1 }).waitFor();
        await page.locator("[aria-busy=true]").first().waitFor({ state: "detached" });
      }));

  test("one is filled in, tested, fires, and shows the values that decided", async () => {
    await using visit = await console.open("/automations/new");
    const { page } = visit;
    await page.getByRole("textbox", { name: "Name" }).fill("Cool the bedroom");
    const trigger = page.getByRole("group", { name: "Trigger 1" });
    await choose(page, trigger.getByRole("combobox", { name: "Device" }), "Bedroom climate");
    await trigger.getByRole("combobox", { name: "Sensor" }).fill("temperature");
    await trigger.getByRole("textbox", { name: "Above" }).fill("-40");
    const action = page.getByRole("group", { name: "Action 1" });
    await choose(page, action.getByRole("combobox", { name: "Device" }), "Living room relays");
    await choose(page, action.getByRole("combobox", { name: "What it does" }), "Relay 2");
    await page.getByRole("button", { name: "Make it" }).click();
    await heading(page, "Cool the bedroom");

    await page.getByRole("tab", { name: "Test" }).click();
    await page.getByRole("button", { name: "Test it" }).click();
    await page.getByText(/^Looked at: /).waitFor();

    await page.getByRole("button", { name: "Run now" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Run now" }).click();
    await page.getByRole("cell", { name: "By hand" }).waitFor();
    await page.getByRole("cell", { name: "1 action" }).first().waitFor();
    assert.match(page.url(), /tab=runs/);
  });

  test("a change is a version, that is compared and restored", async () => {
    const id = await make({ name: "Before", triggers: [{ kind: "device_offline" }], actions: [{ kind: "notify", title: "Gone" }] });
    await using visit = await console.open(`/automations/${id}`);
    const { page } = visit;
    await page.getByText("JSON", { exact: true }).click();
    const json = page.getByRole("textbox", { name: "JSON" });
    await json.fill((await json.inputValue()).replace("device_offline", "device_online"));
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Saved").waitFor();
    await page.getByRole("tab", { name: "Versions" }).click();
    await page.getByRole("button", { name: "Compare version 1" }).click();
    await page.getByRole("cell", { name: /device_offline/ }).waitFor();
    await page.getByRole("button", { name: "Restore version 1" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Restore" }).click();
    await page.getByRole("button", { name: "Restore version 2" }).waitFor();
    const { body } = await console.hub.api.call<{ automation: { triggers: unknown } }>("GET", `/api/v1/automations/${id}`);
    assert.deepEqual(body.automation.triggers, [{ kind: "device_offline" }]);
  });

  test("what the hub refuses is said, with the request's id", async () => {
    await using visit = await console.open("/automations/new");
    const { page } = visit;
    await page.getByRole("textbox", { name: "Name" }).fill("Nothing");
    await page.getByText("JSON", { exact: true }).click();
    await page.getByRole("textbox", { name: "JSON" }).fill('{"triggers": [{"kind": "never"}], "actions": []}');
    await page.getByRole("button", { name: "Make it" }).click();
    await page.getByRole("alert").getByText("Request").waitFor();
    visit.takeFault(/422|400/);
  });

  test("one is turned off, and removed by its name", async () => {
    const id = await make({ name: "Short-lived", triggers: [{ kind: "device_offline" }], actions: [{ kind: "notify", title: "Gone" }] });
    await using visit = await console.open("/automations?search=Short");
    const { page } = visit;
    await page.getByRole("switch", { name: "Short-lived is on" }).click({ force: true });
    await page.getByRole("row", { name: /Short-lived.*Off/ }).waitFor();
    await page.getByRole("link", { name: "Short-lived" }).click();
    await page.getByRole("button", { name: "Remove" }).last().click();
    const dialog = page.getByRole("dialog");
    assert.equal(await dialog.getByRole("button", { name: "Remove" }).isDisabled(), true);
    await dialog.getByRole("textbox").fill("Short-lived");
    await dialog.getByRole("button", { name: "Remove" }).click();
    await heading(page, "Automations");
    assert.equal((await console.hub.api.call("GET", `/api/v1/automations/${id}`)).status, 404);
  });
});

async function choose(page: Page, field: ReturnType<Page["getByRole"]>, option: string): Promise<void> {
  await field.click();
  await page.getByRole("option", { name: option }).click();
}
