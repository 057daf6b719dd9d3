import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { type RequestListener, request } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { startBrowser, type TestBrowser, type Visit } from "../support/browser.ts";
import { makeTestAuthority, SERVER_USE } from "../support/certificates.ts";
import { ADMIN, startHub, type TestHub } from "../support/hub.ts";
import { ProgramServer } from "../support/linking.ts";
import { chromiumMissing, freePort } from "../support/services.ts";

const HUB = "https://hub.example";
const AMAZON = "https://layla.amazon.com";
const RETURN_PATH = "/api/skill/link/M2AAAAAAAAAAAA";

const page = (body: string): string => `<!doctype html>
<html lang="en"><meta name="viewport" content="width=device-width"><title>Amazon</title><link rel="icon" href="data:,">${body}</html>`;

interface Site extends AsyncDisposable {
  readonly port: number;
}

/** A server of HTTPS on 127.0.0.1 that has a certificate for this name. */
async function startSite(name: string, listener: RequestListener): Promise<Site> {
  const authority = await makeTestAuthority(name);
  const { cert, key } = await authority.issue({ name, alternatives: [{ type: "dns", value: name }], uses: [SERVER_USE] });
  const server = createServer({ cert, key }, listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Amazon's site, as far as a person sees of it who links a skill: the app's page that leads to the hub, and the address that one comes back to. */
async function startAmazon() {
  const returned = new EventEmitter<{ query: [URLSearchParams] }>();
  let authorizeUrl = "";
  const site = await startSite(new URL(AMAZON).host, (asked, answer) => {
    const { pathname, searchParams } = new URL(asked.url as string, AMAZON);
    answer.setHeader("content-type", "text/html");
    if (pathname === "/app") answer.end(page(`<a href="${authorizeUrl.replaceAll("&", "&amp;")}">Enable to use</a>`));
    else if (pathname === RETURN_PATH) {
      returned.emit("query", searchParams);
      answer.end(page("<h1>Back at Amazon</h1>"));
    } else answer.writeHead(404).end();
  });
  return { ...site, returned, leadTo: (url: string) => void (authorizeUrl = url) };
}

/** What stands in front of a hub that is reached from elsewhere: it ends TLS, and says that it did. */
function forwardTo(port: number): RequestListener {
  return (incoming, answer) => {
    const { method, url: path, headers, socket } = incoming;
    const told = { ...headers, "x-forwarded-proto": "https", "x-forwarded-for": socket.remoteAddress };
    const onward = request({ host: "127.0.0.1", port, method, path, headers: told }, (got) => {
      answer.writeHead(got.statusCode as number, got.headers);
      got.pipe(answer);
    });
    onward.on("error", () => answer.destroy());
    incoming.pipe(onward);
  };
}

async function startScene() {
  await using stack = new AsyncDisposableStack();
  const amazon = stack.use(await startAmazon());
  const port = await freePort();
  const env = { HEXA_HTTP_PORT: String(port), HEXA_PUBLIC_URL: HUB, TRUST_PROXY: "127.0.0.1", ENFORCE_HTTPS: "true" };
  const hub: TestHub = stack.use(await startHub({ env }));
  const base = `http://127.0.0.1:${port}`;
  hub.api.base = base;
  await hub.api.login();
  const front = stack.use(await startSite(new URL(HUB).host, forwardTo(port)));
  const browser: TestBrowser = stack.use(
    await startBrowser({ hosts: { "layla.amazon.com:443": amazon.port, "hub.example:443": front.port } }),
  );
  const owned = stack.move();
  return {
    amazon,
    hub,
    browser,
    /** A skill, and Amazon's page that leads to the hub for it. */
    async offer(more: { name?: string; is_shared?: boolean } = {}): Promise<ProgramServer> {
      const wanted = { name: "Alexa", ...more, redirect_uris: [AMAZON + RETURN_PATH], scopes: ["devices", "scenes"] };
      const { body } = await hub.api.call<{ client: { client_id: string }; client_secret: string }>(
        "POST",
        "/api/v1/oauth-clients",
        wanted,
      );
      const program = { id: body.client.client_id, secret: body.client_secret, redirectUri: AMAZON + RETURN_PATH };
      const amazons = new ProgramServer(base, program);
      amazon.leadTo(HUB + amazons.authorizePath({ scope: "devices", state: "a state & more" }));
      return amazons;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

describe("linking an account in a real browser, in the window of a small phone", { skip: chromiumMissing(), timeout: 120_000 }, () => {
  let scene: Awaited<ReturnType<typeof startScene>>;
  before(async () => {
    scene = await startScene();
  });
  after(async () => await scene[Symbol.asyncDispose]());

  /** From Amazon's page to the hub's. */
  async function arrive({ page: window }: Visit): Promise<void> {
    await window.goto(`${AMAZON}/app`);
    await window.getByRole("link", { name: "Enable to use" }).click();
    await window.getByRole("heading", { name: "Log in" }).waitFor();
  }

  async function logIn({ page: window }: Visit): Promise<void> {
    await window.getByLabel("E-mail").fill(ADMIN.email);
    await window.getByLabel("Password").fill(ADMIN.password);
    await window.getByRole("button", { name: "Log in" }).click();
    await window.getByRole("button", { name: "Allow" }).waitFor();
  }

  const linksOf = async (program: ProgramServer): Promise<number> => {
    const { body } = await scene.hub.api.call<{ data: { client_id?: string }[] }>("GET", "/api/v1/auth/logins");
    return body.data.filter(({ client_id }) => client_id === program.program.id).length;
  };

  test("with the keyboard alone: a wrong password, the right one, what the program may do, and back at Amazon with a code", async () => {
    const program = await scene.offer();
    await using visit = await scene.browser.visit();
    const { page: window } = visit;
    const { keyboard } = window;
    await arrive(visit);
    await visit.assertFits();
    await visit.tabTo("textbox", "E-mail");
    await keyboard.type(ADMIN.email);
    await visit.tabTo("textbox", "Password");
    await keyboard.type("correct horse");
    await keyboard.press("Enter");
    await window.getByRole("alert").waitFor();
    visit.takeFault(/status of 401/);
    await visit.assertFits();
    assert.match(await window.title(), /not right/);
    assert.equal(await window.getByLabel("E-mail").inputValue(), ADMIN.email);
    assert.equal(await window.getByLabel("Password").inputValue(), "");

    await visit.tabTo("textbox", "Password");
    await keyboard.type(ADMIN.password);
    await visit.tabTo("button", "Log in");
    await keyboard.press("Enter");
    await window.getByRole("heading", { name: "Link with Alexa?" }).waitFor();
    await visit.assertFits();
    const said = await window.getByRole("main").innerText();
    for (const part of [ADMIN.email, "layla.amazon.com", "see your devices and what they measure, and switch them"])
      assert.ok(said.includes(part), said);
    assert.ok(!said.includes("scenes"), "nothing that was not asked for");
    await visit.tabTo("button", "Allow");
    const back = once(scene.amazon.returned, "query");
    await keyboard.press("Enter");
    await window.getByRole("heading", { name: "Back at Amazon" }).waitFor();
    const [query] = (await back) as [URLSearchParams];
    assert.equal(query.get("state"), "a state & more");
    const { status, body } = await program.redeem(query.get("code") as string);
    assert.equal(status, 200, JSON.stringify(body));
    const answer = await fetch(`${scene.hub.api.base}/api/v1/devices`, {
      headers: { authorization: `Bearer ${body["access_token"] as string}` },
    });
    assert.equal(answer.status, 200);
    assert.equal(await linksOf(program), 1);
  });

  test("who refuses is back at Amazon without a code, whether logged in or not, and nobody is linked", async () => {
    const program = await scene.offer();
    for (const isLoggedIn of [false, true]) {
      await using visit = await scene.browser.visit();
      await arrive(visit);
      if (isLoggedIn) await logIn(visit);
      const back = once(scene.amazon.returned, "query");
      await visit.page.getByRole("button", { name: "Cancel" }).click();
      await visit.page.getByRole("heading", { name: "Back at Amazon" }).waitFor();
      const [query] = (await back) as [URLSearchParams];
      assert.deepEqual([query.get("error"), query.get("code")], ["access_denied", null]);
    }
    assert.equal(await linksOf(program), 0);
  });

  test("who presses twice, and who goes back afterwards, is linked once and told that it is over", async () => {
    const program = await scene.offer();
    await using visit = await scene.browser.visit();
    const { page: window } = visit;
    await arrive(visit);
    const login = window.url();
    await logIn(visit);
    await window.getByRole("button", { name: "Allow" }).dblclick();
    await window.getByRole("heading", { name: "Back at Amazon" }).waitFor();
    assert.equal(await linksOf(program), 1);
    await window.goto(login);
    await window.getByRole("heading", { name: "This did not work" }).waitFor();
    visit.takeFault(/status of 404/);
    await visit.assertFits();
  });

  test("long names fit the window, what is in them is text, and who is in several organisations chooses one", async () => {
    const name = `<b>${"Wohnzimmerlampensteuerung".repeat(2)}</b>`;
    const neighbours = "Nachbarschaftsverein".repeat(5);
    assert.equal((await scene.hub.api.call("POST", "/api/v1/organizations", { name: neighbours })).status, 201);
    const program = await scene.offer({ name, is_shared: true });
    await using visit = await scene.browser.visit();
    const { page: window } = visit;
    await arrive(visit);
    await visit.assertFits();
    await logIn(visit);
    await visit.assertFits();
    assert.ok((await window.getByRole("heading").innerText()).includes(name));
    // Not before something is chosen.
    await window.getByRole("button", { name: "Allow" }).click();
    assert.ok(await window.getByRole("button", { name: "Allow" }).isVisible());
    await window.getByRole("radio", { name: neighbours }).check();
    await window.getByRole("button", { name: "Allow" }).click();
    await window.getByRole("heading", { name: "Back at Amazon" }).waitFor();
    assert.equal(await linksOf(program), 1);
  });
});
