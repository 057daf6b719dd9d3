import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import type { Visit } from "../../support/browser.ts";
import { assertAccessible, startConsole, type TestConsole } from "../../support/console.ts";
import { ADMIN, ApiClient } from "../../support/hub.ts";
import { chromiumMissing } from "../../support/services.ts";
import { until } from "../../support/wait.ts";

interface Person {
  readonly email: string;
  readonly password: string;
}

const RIGHTS_OF_NOBODY = ["Overview", "About"];
const RIGHTS_OF_A_GUEST = ["Overview", "Devices", "Readings", "Tasks", "Events", "MQTT explorer", "Settings", "About"];
const RIGHTS_OF_A_VIEWER = [
  "Overview",
  "Devices",
  "Readings",
  "Automations",
  "Schedules",
  "Scenes",
  "Alerts",
  "Tasks",
  "Templates",
  "Events",
  "MQTT explorer",
  "People",
  "Settings",
  "About",
];

describe("what one may do in the console", { skip: chromiumMissing() }, () => {
  let console: TestConsole;
  let organization: string;
  let relays: string;
  let measuring: string;
  const things: Record<string, string> = {};

  before(async () => {
    console = await startConsole();
    organization = (await call<{ organization_id: string }>("GET", "auth/me")).organization_id;
    const { devices } = await call<{ devices: { uid: string; name: string }[] }>("POST", "demo");
    relays = devices.find(({ name }) => name === "Living room relays")?.uid ?? assert.fail();
    measuring = devices.find(({ uid }) => uid !== relays && uid.startsWith("sensor"))?.uid ?? assert.fail(JSON.stringify(devices));
    await makeThings();
  });
  after(() => console[Symbol.asyncDispose]());

  async function call<T = Record<string, unknown>>(method: string, path: string, body?: object): Promise<T> {
    const answer = await console.hub.api.call<T>(method, `/api/v1/${path}`, body);
    assert.ok(answer.status < 300, `${method} ${path}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  /** One of each that has a page of its own. */
  async function makeThings(): Promise<void> {
    const on = { kind: "command", device: relays, command: { command: "set_relay", relay: 0, state: "ON" } };
    const make = async (kind: string, path: string, body: object) => {
      const made = await call<Record<string, { id: string }>>("POST", path, body);
      things[path] = made[kind]?.id ?? assert.fail(JSON.stringify(made));
    };
    await make("automation", "automations", {
      name: "Evening",
      triggers: [{ kind: "state", device: relays, relay: 1, to: "ON" }],
      actions: [on],
    });
    await make("schedule", "schedules", { name: "Night", recurrence: { kind: "cron", expression: "0 2 * * *" }, actions: [on] });
    await make("template", "templates", { name: "Lamp", actions: [on.command], variables: [] });
    await make("alert", "alerts", { title: "The gate is open", severity: "warning" });
    await make("rule", "alert-rules", {
      name: "Too warm",
      severity: "warning",
      condition: { kind: "threshold", key: "temperature", above: 30 },
    });
    await make("task", "tasks", { device: relays, name: "Water the garden", actions: [on.command] });
    await call("POST", "scenes/capture", { name: "Film evening", devices: [relays] });
  }

  async function join(email: string, role: string | null): Promise<Person> {
    const password = `a password of ${email}`;
    const { token } = await call<{ token: string }>("POST", `organizations/${organization}/invitations`, { email, role });
    await call("POST", "invitations/register", { token, password });
    return { email, password };
  }

  /** Every page of the navigation, and what it has for them; the visit fails by itself for whatever the hub refuses meanwhile. */
  async function walk(page: Page): Promise<string[]> {
    const navigation = page.getByRole("navigation", { name: "Pages" });
    const names = await navigation.getByRole("link").allTextContents();
    for (const name of names) {
      await navigation.getByRole("link", { name, exact: true }).click();
      await settled(page);
    }
    return names;
  }

  test("a viewer sees every page of theirs, and nothing on it that would be refused", async () => {
    const viewer = await join("viewer@example.test", "viewer");
    await using visit = await console.open("/dashboard", { as: viewer });
    const { page } = visit;
    await settled(page);
    assert.deepEqual(await walk(page), RIGHTS_OF_A_VIEWER);
    const offered = await offers(page);
    assert.deepEqual(offered, [], "a viewer is offered to change something");
    for (const path of [
      `/devices/${relays}`,
      `/devices/${measuring}?tab=units`,
      `/devices/${relays}?tab=access`,
      `/devices/${relays}?tab=history`,
      `/devices/${relays}?tab=settings`,
      `/automations/${things["automations"]}`,
      `/automations/${things["automations"]}?tab=versions`,
      `/schedules/${things["schedules"]}`,
      `/templates/${things["templates"]}`,
      `/alerts/${things["alerts"]}`,
      `/alerts/rules/${things["alert-rules"]}`,
      `/tasks/${things["tasks"]}`,
      "/people?view=invitations",
      "/settings?view=values",
      "/settings?view=risk",
      "/account",
    ]) {
      await using one = await console.open(path, { as: viewer, width: 320, height: 640 });
      await settled(one.page);
      if (path !== "/account") assert.deepEqual(await offers(one.page), [], path);
      await one.assertFits();
      await assertAccessible(one.page);
    }
  });

  test("a member without a role has nothing, and is told so", async () => {
    const nobody = await join("nobody@example.test", null);
    await using visit = await console.open("/dashboard", { as: nobody });
    await visit.page.getByText("Nothing here is for you yet").waitFor();
    assert.deepEqual(await walk(visit.page), RIGHTS_OF_NOBODY);
    for (const [path, permission] of [
      ["/devices", "device.read"],
      [`/devices/${relays}`, "device.read"],
      ["/automations/new", "automation.manage"],
      ["/audit", "audit.read"],
      ["/people", "member.read"],
      ["/webhooks", "webhook.manage"],
    ] as const) {
      await using one = await console.open(path, { as: nobody, width: 320, height: 640, scheme: "dark" });
      await one.page.getByRole("heading", { level: 1, name: "This page is not for you" }).waitFor();
      await one.page.getByText(permission).waitFor();
      await assertAccessible(one.page);
    }
  });

  test("a guest of one device switches that one, and sees no other", async () => {
    const guest = await join("guest@example.test", null);
    const { data } = await call<{ data: { user_id: string; email: string }[] }>("GET", `organizations/${organization}/members`);
    const id = data.find(({ email }) => email === guest.email)?.user_id;
    await call("POST", `organizations/${organization}/grants`, { user_id: id, device: relays, role: "operator" });
    await using visit = await console.open("/dashboard", { as: guest });
    const { page } = visit;
    await settled(page);
    assert.deepEqual(await walk(page), RIGHTS_OF_A_GUEST);
    await page.getByRole("navigation").getByRole("link", { name: "Devices" }).click();
    await page.getByRole("link", { name: "Living room relays" }).click();
    const relay = page.getByRole("switch", { name: "Relay 1" });
    await relay.click();
    await page.getByRole("switch", { name: "Relay 1", checked: true }).waitFor();
    await page.getByRole("tab", { name: "Settings" }).click();
    await page.getByRole("note").getByText("device.manage").waitFor();
    assert.equal(await page.getByRole("textbox", { name: "Name", exact: true }).isDisabled(), true);
  });

  test("one acts in another organisation, in every tab, with nothing of the one before", async () => {
    await using visit = await console.open("/devices");
    const { page } = visit;
    await page.getByRole("link", { name: "Living room relays" }).waitFor();
    const other = await page.context().newPage();
    await other.goto(`${console.hub.http}/devices`);
    await other.getByRole("link", { name: "Living room relays" }).waitFor();
    await page.getByRole("button", { name: "Your account" }).click();
    await page.getByRole("menuitem", { name: "New organisation" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name").fill("Villa");
    // It fades.
    await page.getByRole("menu").waitFor({ state: "detached" });
    await assertAccessible(page);
    await dialog.getByRole("button", { name: "Make it" }).click();
    await page.waitForURL("**/dashboard");
    for (const tab of [page, other]) {
      await tab.getByRole("button", { name: "Your account" }).click();
      await tab.locator("[role=menuitem][aria-current=true]", { hasText: "Villa" }).waitFor();
      await tab.keyboard.press("Escape");
    }
    takeAll(visit, /ERR_ABORTED/);
  });

  test("a link to what is in another of one's organisations says so, and leads there", async () => {
    const person = await join("both@example.test", "admin");
    const own = new ApiClient(console.hub.http);
    const { body } = await (await own.login(ADMIN)).call<{ organization: { id: string } }>("POST", "/api/v1/organizations", {
      name: "Barn",
    });
    const invited = await own.call<{ token: string }>("POST", `/api/v1/organizations/${body.organization.id}/invitations`, {
      email: person.email,
      role: "viewer",
    });
    const theirs = await new ApiClient(console.hub.http).login(person);
    assert.equal((await theirs.call("POST", "/api/v1/invitations/accept", { token: invited.body.token })).status, 200);
    await using visit = await console.open("/about", { as: person });
    const { page } = visit;
    await page.getByRole("button", { name: "Your account" }).click();
    await page.getByRole("menuitem", { name: "Barn" }).click();
    await page.waitForURL("**/dashboard");
    await page.goto(`${console.hub.http}/devices/${relays}`);
    await page.getByText("You act in Barn").waitFor();
    await page.getByRole("button", { name: /^Look in / }).click();
    await page.getByRole("heading", { level: 1, name: "Living room relays" }).waitFor();
    takeAll(visit, /ERR_ABORTED|404/);
  });

  test("what is taken from somebody is gone from the page when the hub says so", async () => {
    const { email, password } = await join("former@example.test", "admin");
    await using visit = await console.open("/webhooks", { as: { email, password } });
    const { page } = visit;
    await page.getByRole("navigation").getByRole("link", { name: "Audit" }).waitFor();
    const { data } = await call<{ data: { user_id: string; email: string }[] }>("GET", `organizations/${organization}/members`);
    const id = data.find((one) => one.email === email)?.user_id;
    await call("PATCH", `organizations/${organization}/members/${id}`, { role: "viewer" });
    await page.getByRole("navigation").getByRole("link", { name: "Audit" }).click();
    await page.getByRole("heading", { level: 1, name: "This page is not for you" }).waitFor();
    assert.equal(await page.getByRole("link", { name: "Webhooks" }).count(), 0);
    takeAll(visit, /403/);
  });
});

/** What a test brings about by itself: a page that is left ends what it listens to. */
function takeAll(visit: Visit, pattern: RegExp): void {
  while (visit.faults.some((fault) => pattern.test(fault))) visit.takeFault(pattern);
}

async function settled(page: Page): Promise<void> {
  await page.getByRole("heading", { level: 1 }).waitFor();
  await until(async () => (await page.locator("[aria-busy=true]").count()) === 0, { what: "the page to be there" });
}

const CHANGES =
  /^(?:New|Add|Make|Remove|Save|Run|Activate|Capture|Acknowledge|Resolve|Silence|Import|Invite|Change|Rename|Approve|Restore|Publish|Rotate|Revoke|Issue|Give up|Copy)\b/;

/** Buttons, and links like them, that would change something and can be pressed. */
async function offers(page: Page): Promise<string[]> {
  const main = page.getByRole("main");
  const found: string[] = [];
  for (const role of ["button", "switch"] as const)
    for (const one of await main.getByRole(role).filter({ visible: true }).all())
      if (await one.isEnabled()) found.push((await one.getAttribute("aria-label")) ?? (await one.textContent()) ?? "");
  return found.filter((name) => CHANGES.test(name));
}
