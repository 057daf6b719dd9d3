import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { LISTENING, startConsole, type TestConsole } from "../../support/console.ts";
import { chromiumMissing } from "../../support/services.ts";

describe("what an automation decided, in the console", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  let uid: string;
  let token: string;
  let id: string;
  before(async () => {
    console = await startConsole();
    ({ uid, token } = await console.hub.api.addDevice({ name: "Cellar" }));
    const { body, status } = await console.hub.api.call<{ automation: { id: string } }>("POST", "/api/v1/automations", {
      name: "Dry the cellar",
      triggers: [{ kind: "telemetry", device: uid, key: "humidity", above: 70 }],
      condition: {
        kind: "and",
        conditions: [
          { kind: "time_window", from: "00:00", to: "23:59:59" },
          { kind: "numeric", device: uid, key: "temperature", below: 20 },
        ],
      },
      actions: [{ kind: "event", type: "custom.dry" }],
    });
    assert.equal(status, 201, JSON.stringify(body));
    ({ id } = body.automation);
  });
  after(() => console[Symbol.asyncDispose]());

  async function report(values: object): Promise<void> {
    const { status } = await fetch(`${console.hub.http}/api/v1/devices/sensor-report`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-device-uid": uid, "x-device-token": token },
      body: JSON.stringify([{ values }]),
    });
    assert.equal(status, 202);
  }

  test("a firing comes by itself with the values that decided, and a trial says what each part of the condition found", async () => {
    await using visit = await console.open(`/automations/${id}?tab=runs`, LISTENING);
    const { page } = visit;
    await page.getByText("No run yet").waitFor();
    await report({ temperature: 12, humidity: 60 });
    await report({ humidity: 81.5 });
    await page.getByRole("cell", { name: "device = Cellar · key = humidity · value = 81.5" }).waitFor();

    await page.getByRole("tab", { name: "Test" }).click();
    await page.getByRole("button", { name: "Test it" }).click();
    await page.getByText("Looked at: 2. Would have fired: 1.").waitFor();
    const row = page.getByRole("row", { name: /value = 81.5.*Fires/ });
    await row.getByText("A reading · Cellar · temperature · < 20: 12 (met)").waitFor();

    await page.getByRole("tab", { name: "Runs" }).click();
    await page.getByRole("link", { name: "All that belongs to it" }).click();
    await page.waitForURL("**/events/*");
    await page.getByText("custom.dry").first().waitFor();
  });
});
