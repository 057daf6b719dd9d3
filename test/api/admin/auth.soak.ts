import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertPageHolds, startConsole, type TestConsole } from "../../support/console.ts";
import { chromiumMissing } from "../../support/services.ts";
import { type SmtpServer, startSmtpServer } from "../../support/smtp-server.ts";

describe("getting an account in the console", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  let mail: SmtpServer;
  before(async () => {
    mail = await startSmtpServer();
    console = await startConsole({ env: { HEXA_REGISTRATION: "open", HEXA_SMTP_URL: mail.url, HEXA_MAIL_FROM: "hub@example.test" } });
  });
  after(async () => {
    await console[Symbol.asyncDispose]();
    await mail[Symbol.asyncDispose]();
  });

  for (const name of ["login", "register", "forgot", "reset-password", "verify-email", "invitation"])
    test(`/auth/${name} holds in every look`, () =>
      assertPageHolds(console, `/auth/${name}`, (page) => page.locator("button[type=submit]").waitFor()));

  test("somebody registers, confirms by the mail's link, forgets the password and chooses another one", async () => {
    const email = "ada@example.test";
    await using visit = await console.browser.visit();
    const { page } = visit;
    await page.goto(`${console.hub.http}/auth/register`);
    await page.getByRole("textbox", { name: "E-mail" }).fill(email);
    await page.getByLabel("Password").first().fill("a first password");
    await page.getByRole("button", { name: "Ask for an account" }).click();
    await page
      .getByRole("status")
      .getByText(email)
      .or(page.getByText(`on its way to ${email}`))
      .first()
      .waitFor();

    await page.goto(linkIn((await mail.mailTo(email)).text, console.hub.http));
    await page.getByLabel("Password, for a new account").fill("a first password");
    await page.getByRole("button", { name: "Confirm" }).click();
    await page.getByText(`${email} is confirmed.`).waitFor();
    assert.equal(new URL(page.url()).hash, "");

    await page.goto(`${console.hub.http}/auth/forgot`);
    await page.getByRole("textbox", { name: "E-mail" }).fill(email);
    await page.getByRole("button", { name: "Send the mail" }).click();
    await page.getByText("a mail is on its way").waitFor();
    await page.goto(linkIn((await mail.mailTo(email, 2)).text, console.hub.http));
    await page.getByLabel("Password").first().fill("a second password");
    await page.getByRole("button", { name: "Set the password" }).click();
    await page.getByText("holds from now on").waitFor();
    await console.hub.api.login({ email, password: "a second password" });
    await console.hub.api.login();
  });

  test("an invitation makes an account that is logged in at once", async () => {
    await using visit = await console.browser.visit();
    const { page } = visit;
    await page.goto(`${console.hub.http}/auth/invitation#token=${await invite(console, "grace@example.test")}`);
    await page.getByLabel("Password").first().fill("a password of Grace");
    await page.getByRole("button", { name: "Make an account and join" }).click();
    await page.waitForURL("**/dashboard");
    visit.takeFault(/401/);
  });

  test("whoever has an account logs in and joins by it", async () => {
    const email = "lin@example.test";
    const { body } = await console.hub.api.call<{ organization: { id: string } }>("POST", "/api/v1/organizations", { name: "Elsewhere" });
    await console.hub.api.call("POST", "/api/v1/invitations/register", {
      token: await invite(console, email),
      password: "a password of Lin",
    });
    await using visit = await console.browser.visit();
    const { page } = visit;
    await page.goto(`${console.hub.http}/auth/invitation#token=${await invite(console, email, body.organization.id)}`);
    await page.getByRole("button", { name: "I have an account already" }).click();
    await page.getByRole("textbox", { name: "E-mail" }).fill(email);
    await page.getByLabel("Password").first().fill("a password of Lin");
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByRole("button", { name: "Join" }).click();
    await page.waitForURL("**/dashboard");
    visit.takeFault(/401/);
  });
});

async function invite({ hub: { api } }: TestConsole, email: string, organization?: string): Promise<string> {
  const me = await api.call<{ organization_id: string }>("GET", "/api/v1/auth/me");
  const path = `/api/v1/organizations/${organization ?? me.body.organization_id}/invitations`;
  const { body } = await api.call<{ token: string }>("POST", path, { email, role: "viewer" });
  return body.token;
}

/** Of the mail, on the hub that the test reaches. */
function linkIn(text: string, http: string): string {
  const { pathname, hash } = new URL(/\S+\/auth\/\S+#token=\S+/.exec(text)?.[0] ?? assert.fail("no link in the mail"));
  return http + pathname + hash;
}
