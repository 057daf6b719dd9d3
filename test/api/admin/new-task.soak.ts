import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import { assertPageHolds, LISTENING, startConsole, type TestConsole } from "../../support/console.ts";
import { chromiumMissing } from "../../support/services.ts";

const LAMP = {
  name: "Lamp",
  actions: [{ command: "set_relay", relay: "{{relay}}", state: "ON" }],
  variables: [{ name: "relay", type: "integer", min: 0, max: 31 }],
};
interface Task {
  readonly name: string;
  readonly status: string;
  readonly priority: number;
  readonly actions: readonly object[];
  readonly tags: readonly string[];
}

describe("a new task in the console", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  let uid: string;
  before(async () => {
    console = await startConsole();
    ({ uid } = await console.hub.api.addDevice({ name: "Gate", capabilities: { relays: 2 } }));
    assert.equal((await console.hub.api.call("POST", "/api/v1/templates", LAMP)).status, 201);
  });
  after(() => console[Symbol.asyncDispose]());

  const taskOn = async (page: Page): Promise<Task> => {
    await page.waitForURL(/tasks\/[0-9a-f]{8}-/);
    const { body } = await console.hub.api.call<{ task: Task }>("GET", `/api/v1${new URL(page.url()).pathname}`);
    return body.task;
  };

  test("the form holds in every look", () =>
    assertPageHolds(console, `/tasks/new?device=${uid}`, (page) => page.locator('input[value="Gate"]').waitFor()));

  test("a task is made of commands, and waits as a draft", async () => {
    await using visit = await console.open("/tasks");
    const { page } = visit;
    await page.getByRole("link", { name: "New task" }).first().click();
    await page.getByRole("textbox", { name: "Name" }).fill("Close the gate");
    await choose(page, "Device", "Gate");
    await choose(page, "What it does", "Relay 1");
    await choose(page, "State", "Off");
    await page.getByRole("button", { name: "Add a command" }).click();
    await page.getByRole("textbox", { name: "Priority" }).fill("7");
    await page.getByLabel("Tags").first().fill("evening");
    await page.keyboard.press("Enter");
    await page.getByRole("switch", { name: "Draft" }).click({ force: true });
    await page.getByRole("button", { name: "Make it" }).click();
    const { name, status, priority, actions, tags } = await taskOn(page);
    assert.deepEqual(
      { name, status, priority, actions, tags },
      {
        name: "Close the gate",
        status: "draft",
        priority: 7,
        actions: [
          { command: "set_relay", relay: 1, state: "OFF" },
          { command: "set_relay", relay: 0, state: "ON" },
        ],
        tags: ["evening"],
      },
    );
    await page.getByRole("button", { name: "Submit" }).click();
    await page.getByRole("button", { name: "Give up" }).waitFor();
  });

  test("what becomes of a task is shown as it happens", async () => {
    const made = await console.hub.api.call<{ task: { id: string } }>("POST", "/api/v1/tasks", {
      device: uid,
      name: "Watched",
      actions: [{ command: "identify" }],
    });
    await using visit = await console.open("/tasks", LISTENING);
    const row = visit.page.getByRole("row", { name: /Watched/ });
    await row.getByText("Queued").waitFor();
    const asked = Date.now();
    await console.hub.api.call("POST", `/api/v1/tasks/${made.body.task.id}/cancel`);
    await row.getByText("Given up").waitFor();
    assert.ok(Date.now() - asked < 10_000, "it was asked for, not told");
  });

  test("one is made of a template, and what the hub refuses is said", async () => {
    await using visit = await console.open(`/tasks/new?device=${uid}`);
    const { page } = visit;
    await page.getByRole("textbox", { name: "Name" }).fill("Light the gate");
    await page.getByText("A template").click();
    await choose(page, "Template", "Lamp");
    await page.getByRole("textbox", { name: "relay" }).fill("99");
    await page.getByRole("button", { name: "Make it" }).click();
    await page.getByRole("alert").filter({ hasText: "Request" }).waitFor();
    visit.takeFault(/status of 4\d\d/);
    await page.getByRole("textbox", { name: "relay" }).fill("1");
    await page.getByRole("button", { name: "Make it" }).click();
    assert.deepEqual((await taskOn(page)).actions, [{ command: "set_relay", relay: 1, state: "ON" }]);
  });
});

async function choose(page: Page, field: string, option: string): Promise<void> {
  await page.getByRole("combobox", { name: field }).first().click();
  await page.getByRole("option", { name: option }).click();
}
