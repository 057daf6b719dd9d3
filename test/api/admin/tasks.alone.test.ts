import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertPageHolds, startConsole, type TestConsole } from "../../support/console.ts";
import { ADMIN } from "../../support/hub.ts";
import { chromiumMissing } from "../../support/services.ts";

const ON = { command: "set_relay", relay: 0, state: "ON" };
const PIN = "4711";

describe("tasks in the console", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  let uid: string;
  before(async () => {
    console = await startConsole();
    ({ uid } = await console.hub.api.addDevice({ name: "Gate" }));
    await call("PATCH", `devices/${uid}`, { sensitivity: "critical" });
  });
  after(() => console[Symbol.asyncDispose]());

  async function call<T = Record<string, unknown>>(method: string, path: string, body?: object, headers = {}): Promise<T> {
    const answer = await console.hub.api.call<T>(method, `/api/v1/${path}`, body, headers);
    assert.ok(answer.status < 300, `${method} ${path}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  }
  const make = async (name: string, more = {}) =>
    (await call<{ task: { id: string } }>("POST", "tasks", { device: uid, name, actions: [ON], ...more })).task.id;
  const statusOf = async (id: string) => (await call<{ task: { status: string } }>("GET", `tasks/${id}`)).task.status;

  for (const page of ["the list", "the inbox", "a task"])
    test(`${page} holds in every look`, async () => {
      const id = await make("Open the gate for a look", { tags: ["evening"] });
      const path = { "the list": "/tasks", "the inbox": "/tasks/inbox" }[page] ?? `/tasks/${id}`;
      await assertPageHolds(console, path, (shown) => shown.getByText("Open the gate for a look").first().waitFor());
      await call("POST", `tasks/${id}/cancel`);
    });

  test("filters stand in the URL, and what fits none says how to go on", async () => {
    const id = await make("Tagged", { tags: ["night"] });
    await using visit = await console.open("/tasks?tag=night&status=awaiting_confirmation");
    await visit.page.getByRole("link", { name: "Tagged" }).waitFor();
    await visit.page.getByRole("textbox", { name: "Tag" }).fill("noon");
    await visit.page.getByText("No task matches").waitFor();
    await visit.page.getByRole("button", { name: "All tasks" }).click();
    await visit.page.getByRole("link", { name: "Tagged" }).waitFor();
    await call("POST", `tasks/${id}/cancel`);
  });

  test("what waits is rejected with a reason, and approved with the PIN where it takes one", async () => {
    const refused = await make("Open it at night");
    await using visit = await console.open("/tasks/inbox");
    const { page } = visit;
    const waiting = page.getByRole("region", { name: "Open it at night" });
    await waiting.getByText(/Risk \d+ of 100/).waitFor();
    await waiting.getByRole("button", { name: "Reject" }).click();
    await waiting.getByText("Say why you reject it").waitFor();
    await waiting.getByRole("textbox", { name: "Reason" }).fill("Nobody is there");
    await waiting.getByRole("button", { name: "Reject" }).click();
    await waiting.waitFor({ state: "detached" });
    assert.equal(await statusOf(refused), "rejected");

    const policy = await console.hub.api.call("GET", "/api/v1/risk-policy");
    await call("PUT", "risk-policy", { pin_required: true }, { "if-match": policy.headers.get("etag") });
    const id = await make("Open it for the post");
    const asked = page.getByRole("region", { name: "Open it for the post" });
    await asked.getByRole("button", { name: "Set your PIN" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("New PIN").fill(PIN);
    await dialog.getByLabel("Password of your account").fill(ADMIN.password);
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "detached" });
    await asked.getByRole("button", { name: "Approve" }).click();
    await asked.getByRole("alert").filter({ hasText: "Request" }).waitFor();
    visit.takeFault(/403/);
    await asked.getByLabel("PIN", { exact: true }).fill(PIN);
    await asked.getByRole("button", { name: "Approve" }).click();
    await asked.waitFor({ state: "detached" });
    assert.notEqual(await statusOf(id), "awaiting_confirmation");
    await call("POST", `tasks/${id}/cancel`);
  });

  test("a task is given up, says what happened to it, and is forgotten by its name", async () => {
    const id = await make("Blink", { actions: [{ command: "identify" }] });
    await using visit = await console.open(`/tasks/${id}`);
    const { page } = visit;
    await page.getByRole("button", { name: "Give up" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Give up" }).click();
    await page.getByRole("button", { name: "Remove" }).click();
    await page.getByRole("textbox", { name: "Type Blink" }).fill("Blink");
    await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
    await page.waitForURL("**/tasks");
    assert.equal((await console.hub.api.call("GET", `/api/v1/tasks/${id}`)).status, 404);
  });
});
