import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { connectAsync } from "mqtt";
import { assertPageHolds, startConsole, type TestConsole } from "../../support/console.ts";
import { chromiumMissing } from "../../support/services.ts";

const MINUTE_MS = 60_000;

describe("readings in the console", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  let uid: string;
  let token: string;
  before(async () => {
    console = await startConsole();
    ({ uid, token } = await console.hub.api.addDevice({ name: "Cellar", device_class: "sensor_hub" }));
    const lines = Array.from({ length: 120 }, (_, at) => {
      const ts = Date.now() - (at + 1) * MINUTE_MS;
      return `${uid},temperature,${ts},${20 + (at % 5)}\n${uid},humidity,${ts},${50 + (at % 7)}`;
    });
    await sendReadings(console, `device,key,ts,value\n${lines.join("\n")}\n`);
  });
  after(() => console[Symbol.asyncDispose]());

  const chosen = () => `/readings?series=${uid}:temperature,${uid}:humidity`;

  test("holds in every look, with series and without", async () => {
    await assertPageHolds(console, "/readings", (page) => page.getByRole("heading", { level: 1 }).waitFor());
    await assertPageHolds(console, chosen(), (page) => page.locator(".line-chart canvas").waitFor());
  });

  test("chooses a series of a device that is searched for, and keeps it in the URL", async () => {
    await using visit = await console.open("/readings");
    const { page } = visit;
    await page.getByRole("combobox", { name: "Device" }).fill("cell");
    await page.getByRole("option", { name: "Cellar" }).click();
    await page.getByRole("combobox", { name: "Add a series" }).click();
    await page.getByRole("option", { name: "temperature" }).click();
    await page.getByRole("img", { name: /Cellar · temperature 20/ }).waitFor();
    assert.equal(new URL(page.url()).searchParams.get("series"), `${uid}:temperature`);
    await page.getByRole("button", { name: "Take Cellar · temperature away" }).click();
    await page.getByText("No series chosen").waitFor();
  });

  test("asks for finer data of what is dragged over, and goes back", async () => {
    await using visit = await console.open(chosen());
    const { page } = visit;
    const over = page.locator(".line-chart .u-over");
    await over.waitFor();
    const { x = 0, y = 0, width = 0 } = (await over.boundingBox()) ?? {};
    const asked = page.waitForRequest((request) => request.url().includes("/readings/chart") && request.url().includes("to="));
    await page.mouse.move(x + width * 0.4, y + 50);
    await page.mouse.down();
    await page.mouse.move(x + width * 0.6, y + 50, { steps: 3 });
    await page.mouse.up();
    const { searchParams } = new URL((await asked).url());
    const hours = (Date.parse(searchParams.get("to") ?? "") - Date.parse(searchParams.get("from") ?? "")) / (60 * MINUTE_MS);
    assert.ok(hours < 24 && hours > 0, `${hours} h`);
    await page.getByRole("button", { name: "Back to: Last 24 hours" }).click();
    await page.getByText(/^Live, since/).waitFor();
    assert.equal(new URL(page.url()).searchParams.get("from"), null);
  });

  test("draws what comes", async () => {
    await using visit = await console.open(`/readings?series=${uid}:pressure`);
    await visit.page.getByText("No reading in this time").waitFor();
    const device = await connectAsync(console.hub.mqtt, { clientId: uid, username: uid, password: token });
    await device.publishAsync(`hexa/${uid}/up/telemetry`, JSON.stringify({ values: { pressure: 1013 } }), { qos: 1 });
    await visit.page.getByRole("img", { name: /pressure 1,013/ }).waitFor();
    await device.endAsync();
  });

  test("exports a series of the time that is shown", async () => {
    await using visit = await console.open(chosen());
    const { page } = visit;
    await page.getByRole("button", { name: "Export" }).click();
    const began = page.waitForEvent("download");
    await page.getByRole("menuitem", { name: "Cellar · temperature as csv" }).click();
    const stream = await (await began).createReadStream();
    const text = (await stream.toArray()).join("");
    assert.match(text, new RegExp(`^device,key,ts,value\\r?\\n${uid},temperature,`));
  });

  test("takes in a file, and tells which lines it refused", async () => {
    await using visit = await console.open("/readings");
    const { page } = visit;
    const lines = ["device,key,ts,value", `${uid},temperature,${Date.now() - 30 * MINUTE_MS - 7},19`, "nobody-here,temperature,0,1"];
    await page
      .locator("input[type=file]")
      .setInputFiles({ name: "readings.csv", mimeType: "text/csv", buffer: Buffer.from(`${lines.join("\n")}\n`) });
    await page.getByText("2 lines: 1 stored, 0 known already, 1 refused").waitFor();
    await page.getByRole("region", { name: "Refused lines" }).getByRole("cell").first().waitFor();
  });
});

async function sendReadings({ hub }: TestConsole, csv: string): Promise<void> {
  const answer = await fetch(`${hub.http}/api/v1/readings/import`, {
    method: "POST",
    headers: { authorization: `Bearer ${hub.api.token}`, "content-type": "text/csv" },
    body: csv,
  });
  assert.equal(answer.status, 200);
}
