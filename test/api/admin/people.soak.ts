import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertPageHolds, clickForGood, startConsole, type TestConsole } from "../../support/console.ts";
import { ADMIN } from "../../support/hub.ts";
import { chromiumMissing } from "../../support/services.ts";

describe("people in the console", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  let organization: string;
  before(async () => {
    console = await startConsole();
    const { body } = await console.hub.api.call<{ organization_id: string }>("GET", "/api/v1/auth/me");
    organization = body.organization_id;
  });
  after(() => console[Symbol.asyncDispose]());

  test("pages hold in every look", async () => {
    await assertPageHolds(console, "/people", (page) => page.getByRole("table").waitFor());
    await assertPageHolds(console, "/people?view=accounts", (page) => page.getByRole("table").waitFor());
  });

  test("somebody is invited, joins by the link, gets another role and is taken out", async () => {
    const email = "grace@example.test";
    await using visit = await console.open("/people?view=invitations");
    const { page } = visit;
    await page.getByRole("button", { name: "Invite" }).click();
    await page.getByLabel("E-mail").fill(email);
    await page.getByRole("combobox", { name: "Role" }).selectOption("operator");
    await page.getByRole("button", { name: "Save" }).click();
    const token = /#token=(\S+)/.exec((await page.getByText("/auth/invitation#token=").textContent()) ?? "")?.[1];
    await page.getByRole("dialog").getByRole("button", { name: "Close" }).last().click();
    await page.getByRole("button", { name: `Withdraw: ${email}` }).waitFor();

    const joined = await console.hub.api.call("POST", "/api/v1/invitations/register", { token, password: "a password of Grace" });
    assert.equal(joined.status, 201);
    await page.getByRole("tab", { name: "Members" }).click();
    await page.getByRole("button", { name: `Change role: ${email}` }).click();
    await page.getByRole("combobox", { name: "Role" }).selectOption("guest");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("cell", { name: "Guest", exact: true }).waitFor();

    await page.getByRole("button", { name: `Take out: ${email}` }).click();
    const takeOut = page.getByRole("dialog").getByRole("button", { name: "Take out" });
    assert.equal(await takeOut.isDisabled(), true);
    await page.getByRole("textbox").fill(email);
    await takeOut.click();
    await page.getByText(email).first().waitFor({ state: "detached" });
    const { body } = await console.hub.api.call<{ data: { email: string }[] }>("GET", `/api/v1/organizations/${organization}/members`);
    assert.deepEqual(
      body.data.map((member) => member.email),
      [ADMIN.email],
    );
  });

  test("a member is given one device, and it is taken back", async () => {
    await console.hub.api.addDevice({ name: "Front door" });
    await using visit = await console.open("/people?view=grants");
    const { page } = visit;
    await page.getByRole("button", { name: "Give a role" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("combobox", { name: "Member" }).click();
    await page.getByRole("option", { name: ADMIN.email }).click();
    await dialog.getByRole("combobox", { name: "Device" }).click();
    await page.getByRole("option", { name: "Front door" }).click();
    await dialog.getByRole("button", { name: "Save" }).click();
    await page.getByRole("link", { name: "Front door" }).waitFor();
    await clickForGood(page.getByRole("button", { name: `Take back: ${ADMIN.email}` }));
    await page.getByText("Nothing was given").waitFor();
  });
});
