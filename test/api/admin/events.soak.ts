import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertPageHolds, startConsole, type TestConsole } from "../../support/console.ts";
import { chromiumMissing } from "../../support/services.ts";

describe("events in the console", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  let cause: string;
  let device: { readonly uid: string; readonly id: string };
  const say = async (type: string, more: object = {}): Promise<string> => {
    const { status, body } = await console.hub.api.call<{ event: { id: string } }>("POST", "/api/v1/events", { type, data: {}, ...more });
    assert.equal(status, 201);
    return body.event.id;
  };
  before(async () => {
    console = await startConsole();
    device = await console.hub.api.addDevice({ name: "Front door" });
    cause = await say("custom.bell", { data: { name: "Front bell" } });
    await say("custom.light", { causation_id: cause });
    await say("custom.chime", { causation_id: cause });
  });
  after(() => console[Symbol.asyncDispose]());

  test("hold in every look, one by one too", async () => {
    await assertPageHolds(console, "/events", (page) => page.getByRole("table").waitFor());
    await assertPageHolds(console, `/events/${cause}`, (page) => page.locator("svg[role=img]").waitFor());
  });

  test("are filtered by type and device, in the URL", async () => {
    await using visit = await console.open("/events?live=no");
    const { page } = visit;
    await page.getByRole("combobox", { name: "Type" }).fill("custom.bell");
    await page.getByRole("link", { name: "custom.light" }).waitFor({ state: "detached" });
    await page.getByRole("link", { name: "custom.bell" }).waitFor();
    assert.equal(new URL(page.url()).searchParams.get("type"), "custom.bell");
    await page.getByRole("combobox", { name: "Device" }).fill("front");
    await page.getByRole("option", { name: "Front door" }).click();
    await page.getByText("Nothing of that kind happened").waitFor();
    assert.equal(new URL(page.url()).searchParams.get("device"), device.id);
  });

  test("come by themselves", async () => {
    await using visit = await console.open("/events?type=custom.late");
    await visit.page.getByText("Nothing of that kind happened").waitFor();
    await say("custom.late");
    await visit.page.getByRole("link", { name: "custom.late" }).waitFor();
  });

  test("lead from a cause to what followed", async () => {
    await using visit = await console.open(`/events/${cause}`);
    const { page } = visit;
    await page.getByText("3 events belong together.").waitFor();
    await page.getByText("As a list").click();
    await page.getByRole("listitem").getByRole("link", { name: "custom.chime" }).click();
    await page.getByRole("heading", { level: 1, name: "custom.chime" }).waitFor();
    await page.locator("svg text", { hasText: "custom.bell" }).click();
    await page.getByRole("heading", { level: 1, name: "custom.bell" }).waitFor();
  });
});
