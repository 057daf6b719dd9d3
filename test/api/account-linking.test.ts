import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { newId } from "../../core/id.ts";
import { PLATFORM } from "../../core/principal.ts";
import { listAudit } from "../../store/audit.ts";
import { addMember, removeMember } from "../../store/members.ts";
import { purgeOauthRecords } from "../../store/oauth-records.ts";
import { createOrganization } from "../../store/organizations.ts";
import { createUser } from "../../store/users.ts";
import { databases, type TestDatabase } from "../support/databases.ts";
import { Browser, ProgramServer, type Seen } from "../support/linking.ts";
import { assertEnvelope, field, startTestApi, type TestApi } from "./test-api.ts";

const HUB = "https://hub.example";
const REDIRECT = "https://layla.amazon.com/api/skill/link/M2AAAAAAAAAAAA";
const PASSWORD = "correct horse battery";
const DAY_MS = 86_400_000;

for (const { name, skip, open } of databases())
  describe(`${name}: linking an account`, { skip }, () => {
    test("gives a program tokens for what the person allowed, and for no more", async () => {
      await using scene = await startScene(open);
      const { hub, ada, alexa } = scene;
      const { tokens, seen } = await link(scene, ada, { fields: { state: "a state & more" } });
      assert.deepEqual([seen.outside?.searchParams.get("state"), seen.outside?.searchParams.get("iss")], ["a state & more", HUB]);
      assert.deepEqual([tokens["token_type"], tokens["expires_in"], tokens["scope"]], ["Bearer", 3_600, "devices"]);
      const token = tokens["access_token"] as string;
      assert.match(token, /^hxl_/);
      const me = await hub.ask("GET", "/api/v1/auth/me", { token });
      assert.deepEqual([me.json["kind"], me.json["id"], me.json["organization_id"]], ["user", ada.id, scene.home]);
      const devices = await hub.ask("GET", "/api/v1/devices", { token });
      assert.deepEqual(
        (devices.json["data"] as { id: string }[]).map(({ id }) => id),
        [scene.deviceId],
      );
      const command = { command: "set_relay", relay: 0, state: "ON" };
      const commanded = await hub.ask("POST", `/api/v1/devices/${scene.deviceId}/commands`, { token, body: command });
      assertEnvelope(commanded, 409, "device_offline");
      assert.equal(hub.sent.length, 1);
      assertEnvelope(await hub.ask("PATCH", `/api/v1/devices/${scene.deviceId}`, { token, body: { name: "x" } }), 403, "forbidden");
      assertEnvelope(await hub.ask("POST", "/api/v1/access-tokens", { token, body: { kind: "personal", name: "x" } }), 403, "forbidden");
      assertEnvelope(await hub.ask("GET", "/api/v1/oauth-clients", { token }), 403, "forbidden");
      const refreshed = await alexa.refresh(tokens["refresh_token"] as string);
      assert.deepEqual([refreshed.status, refreshed.body["refresh_token"]], [200, tokens["refresh_token"]]);
      for (const one of [token, refreshed.body["access_token"]])
        assert.equal((await hub.ask("GET", "/api/v1/devices", { token: one as string })).status, 200);
    });

    test("tokens and codes stand nowhere in the database", async () => {
      await using scene = await startScene(open);
      const { code, tokens } = await link(scene, scene.ada);
      const rows = JSON.stringify([
        await scene.hub.context.store.db("oauth_records"),
        await scene.hub.context.store.db("oauth_clients"),
        await listAudit(scene.hub.context.store.db, PLATFORM, { limit: 200 }),
      ]);
      for (const secret of [code, tokens["access_token"], tokens["refresh_token"], scene.alexa.program.secret, PASSWORD])
        assert.ok(!rows.includes(secret as string), secret as string);
    });

    test("an access token ends after an hour, a refresh token that is used does not, and one that nobody uses does after a year", async () => {
      await using scene = await startScene(open);
      const { hub, alexa, ada } = scene;
      const { tokens } = await link(scene, ada);
      hub.time.aheadMs = 3_601_000;
      assert.equal((await devicesBy(scene, tokens)).status, 401);
      for (let months = 1; months <= 14; months++) {
        hub.time.aheadMs = months * 30 * DAY_MS;
        assert.equal((await alexa.refresh(tokens["refresh_token"] as string)).status, 200, `month ${months}`);
      }
      hub.time.aheadMs += 366 * DAY_MS;
      await assertRefused(alexa.refresh(tokens["refresh_token"] as string));
      assert.ok((await purgeOauthRecords(hub.context.store.db, Date.now() + hub.time.aheadMs)) > 0);
    });

    test("whatever ends a person's logins ends their links: a new password, leaving the organisation, logging out there", async () => {
      await using scene = await startScene(open);
      const { hub, alexa, bob } = scene;
      const ends: readonly (readonly [string, (session: string) => Promise<unknown>])[] = [
        ["logging out there", async (session) => await endLinks(hub, session)],
        [
          "another password",
          async (session) => {
            const body = { current_password: PASSWORD, password: `${PASSWORD} 2` };
            assert.equal((await hub.ask("POST", "/api/v1/auth/password", { token: session, body })).status, 200);
            const back = { current_password: `${PASSWORD} 2`, password: PASSWORD };
            assert.equal((await hub.ask("POST", "/api/v1/auth/password", { token: session, body: back })).status, 200);
          },
        ],
        ["leaving", async () => await removeMember(hub.context.store.db, scene.home, bob.id, hub.context.clock())],
      ];
      for (const [what, end] of ends) {
        const { tokens } = await link(scene, bob);
        assert.equal((await devicesBy(scene, tokens)).status, 200, what);
        await end(await sessionOf(hub, bob.email));
        assert.equal((await devicesBy(scene, tokens)).status, 401, what);
        await assertRefused(alexa.refresh(tokens["refresh_token"] as string));
      }
    });

    test("a program unlinks by revoking its token, and is unlinked from everybody when it is removed", async () => {
      await using scene = await startScene(open);
      const { hub, alexa, ada, bob } = scene;
      const one = await link(scene, ada);
      const two = await link(scene, bob);
      assert.equal((await alexa.revoke(one.tokens["refresh_token"] as string)).status, 200);
      assert.equal((await devicesBy(scene, one.tokens)).status, 401);
      assert.equal((await devicesBy(scene, two.tokens)).status, 200);
      const path = `/api/v1/oauth-clients/${alexa.program.id}`;
      assertEnvelope(await hub.ask("DELETE", path, { token: await sessionOf(hub, bob.email) }), 403, "forbidden");
      const owner = await sessionOf(hub, ada.email);
      const [client] = (await hub.ask("GET", "/api/v1/oauth-clients", { token: owner })).json["data"] as Record<string, unknown>[];
      assert.deepEqual([client?.["client_id"], client?.["links"]], [alexa.program.id, 1]);
      assert.equal((await hub.ask("DELETE", path, { token: owner })).status, 204);
      assert.equal((await devicesBy(scene, two.tokens)).status, 401);
      assert.equal((await alexa.refresh(two.tokens["refresh_token"] as string)).status, 401);
    });

    test("a program's secret can be another one: the former goes on for a day, or ends with the next, and links stay", async () => {
      await using scene = await startScene(open);
      const { hub, alexa, ada, bob } = scene;
      const { tokens } = await link(scene, ada);
      const refreshToken = tokens["refresh_token"] as string;
      const path = `/api/v1/oauth-clients/${alexa.program.id}/rotate-secret`;
      const owner = await sessionOf(hub, ada.email);
      const rotate = async (): Promise<ProgramServer> => {
        const answer = await hub.ask("POST", path, { token: owner });
        assert.equal(answer.status, 200, answer.text);
        return new ProgramServer(hub.api.url, { ...alexa.program, secret: field(answer, "client_secret") });
      };
      assertEnvelope(await hub.ask("POST", path, { token: await sessionOf(hub, bob.email) }), 403, "forbidden");
      assertEnvelope(await hub.ask("POST", path, { token: scene.foreign.token }), 404, "not_found");
      const second = await rotate();
      for (const one of [alexa, second]) assert.equal((await one.refresh(refreshToken)).status, 200);
      const third = await rotate();
      assert.equal((await alexa.refresh(refreshToken)).status, 401);
      for (const one of [second, third]) assert.equal((await one.refresh(refreshToken)).status, 200);
      hub.time.aheadMs += DAY_MS + 1_000;
      assert.equal((await second.refresh(refreshToken)).status, 401);
      assert.equal((await third.refresh(refreshToken)).status, 200);
      const { db } = hub.context.store;
      const audit = await listAudit(db, PLATFORM, { limit: 200 });
      assert.equal(audit.items.filter(({ action }) => action === "oauth_client.rotate_secret").length, 2);
      const rows = JSON.stringify([await db("oauth_clients"), audit]);
      for (const { program } of [alexa, second, third]) assert.ok(!rows.includes(program.secret));
    });

    test("a code is for one program, one address and one use; used twice it ends the link", async () => {
      await using scene = await startScene(open);
      const { ada, alexa, hub } = scene;
      const other = await makeProgram(scene, ada.email, { name: "Other" });
      const code = await codeOf(await allow(scene, ada));
      await assertRefused(new ProgramServer(hub.api.url, other).redeem(code));
      await assertRefused(alexa.redeem(code, { redirect_uri: "https://pitangui.amazon.com/api/skill/link/M2AAAAAAAAAAAA" }));
      const wrong = new ProgramServer(hub.api.url, { ...alexa.program, secret: other.secret });
      assert.deepEqual([(await wrong.redeem(code)).status, (await wrong.redeem(code)).body["error"]], [401, "invalid_client"]);
      const inBody = await new ProgramServer(hub.api.url, alexa.program, { isInBody: true }).redeem(code);
      assert.equal(inBody.status, 200, JSON.stringify(inBody.body));
      await assertRefused(new ProgramServer(hub.api.url, other).refresh(inBody.body["refresh_token"] as string));
      assert.equal((await devicesBy(scene, inBody.body)).status, 200);
      await assertRefused(alexa.redeem(code));
      assert.equal((await devicesBy(scene, inBody.body)).status, 401);
      await assertRefused(alexa.refresh(inBody.body["refresh_token"] as string));
    });

    test("of those who come with one code at once at most one gets tokens, and they do not work", async () => {
      await using scene = await startScene(open);
      const code = await codeOf(await allow(scene, scene.ada));
      const answers = await Promise.all(Array.from({ length: 5 }, () => scene.alexa.redeem(code)));
      const got = answers.filter(({ status }) => status === 200);
      assert.ok(got.length <= 1, `${got.length}`);
      for (const { body } of got) assert.equal((await devicesBy(scene, body)).status, 401);
      for (const { status, body } of answers) if (status !== 200) assert.equal(body["error"], "invalid_grant");
    });

    test("a refresh token serves two that come at once", async () => {
      await using scene = await startScene(open);
      const { tokens } = await link(scene, scene.ada);
      const answers = await Promise.all(Array.from({ length: 5 }, () => scene.alexa.refresh(tokens["refresh_token"] as string)));
      for (const { status, body } of answers) {
        assert.equal(status, 200);
        assert.equal((await devicesBy(scene, body)).status, 200);
      }
    });

    test("a code that is too old gives nothing", async () => {
      await using scene = await startScene(open);
      const code = await codeOf(await allow(scene, scene.ada));
      scene.hub.time.aheadMs = 301_000;
      await assertRefused(scene.alexa.redeem(code));
    });

    test("whoever begins with PKCE has to end with it, and nobody adds it later", async () => {
      await using scene = await startScene(open);
      const { ada, alexa } = scene;
      const verifier = "v".repeat(64);
      const challenge = createHash("sha256").update(verifier).digest("base64url");
      const fields = { code_challenge: challenge, code_challenge_method: "S256" };
      const code = await codeOf(await allow(scene, ada, { fields }));
      await assertRefused(alexa.redeem(code));
      await assertRefused(alexa.redeem(code, { code_verifier: "w".repeat(64) }));
      assert.equal((await alexa.redeem(code, { code_verifier: verifier })).status, 200);
      const without = await codeOf(await allow(scene, ada));
      await assertRefused(alexa.redeem(without, { code_verifier: verifier }));
      const plain = { code_challenge: verifier, code_challenge_method: "plain" };
      const { outside } = await new Browser(scene.hub.api.url, HUB).open(alexa.authorizePath({ scope: "devices", ...plain }));
      assert.equal(outside?.searchParams.get("error"), "invalid_request");
    });

    test("nobody is sent to an address that the program has not named, nor asked for more than it may", async () => {
      await using scene = await startScene(open);
      const { alexa, hub } = scene;
      const browser = new Browser(hub.api.url, HUB);
      for (const uri of [
        "https://evil.example/",
        `${REDIRECT}/..`,
        `${REDIRECT}?x=1`,
        "https://layla.amazon.com@evil.example/",
        "javascript:alert(1)",
        "//evil.example",
      ]) {
        const seen = await browser.open(alexa.authorizePath({ redirect_uri: uri, scope: "devices" }));
        assert.deepEqual([seen.status, seen.outside], [400, undefined], uri);
        assert.match(seen.html, /<h1>This did not work/);
      }
      const unknown = await browser.open(alexa.authorizePath({ client_id: newId() }));
      assert.deepEqual([unknown.status, unknown.outside], [400, undefined]);
      for (const scope of ["devices.read", "devices openid", "everything"]) {
        const { outside } = await browser.open(alexa.authorizePath({ scope }));
        assert.deepEqual([outside?.origin, outside?.searchParams.get("error")], ["https://layla.amazon.com", "invalid_scope"], scope);
      }
      const nothing = await browser.open(alexa.authorizePath({ scope: "offline_access" }));
      assert.equal(nothing.outside?.searchParams.get("error"), "invalid_scope");
      const token = await browser.open(alexa.authorizePath({ scope: "devices", response_type: "token" }));
      assert.match(token.outside?.href ?? "", /^https:\/\/layla\.amazon\.com\/.*error=unsupported_response_type/);
      const silently = await browser.open(alexa.authorizePath({ scope: "devices", prompt: "none" }));
      assert.equal(silently.outside?.searchParams.get("error"), "login_required");
    });

    test("whatever host a request names, people stay on the hub's own address", async () => {
      await using scene = await startScene(open);
      const headers = { "x-forwarded-host": "evil.example", "x-forwarded-proto": "http", forwarded: "host=evil.example" };
      const answer = await fetch(scene.hub.api.url + scene.alexa.authorizePath({ scope: "devices" }), { redirect: "manual", headers });
      assert.match(answer.headers.get("location") ?? "", /^\/oauth\/link\/[A-Za-z0-9_-]+$/);
      assert.doesNotMatch(JSON.stringify([...answer.headers]), /evil/);
    });

    test("a wrong password is told, counted and kept in the audit, and who says no is sent back with it", async () => {
      await using scene = await startScene(open, { loginFailures: 3 });
      const { hub, alexa, ada } = scene;
      const browser = new Browser(hub.api.url, HUB);
      const page = await browser.open(alexa.authorizePath());
      assert.match(page.html, /<label>E-mail <input name="email" type="email" required/);
      const evil = await browser.send("login", { email: `"><script>@${ada.email}`, password: "no" });
      assert.equal(evil.status, 401);
      assert.doesNotMatch(evil.html, /<script/);
      assert.match(evil.html, /role="alert">the e-mail or the password is wrong/);
      const statuses: number[] = [];
      for (let tries = 0; tries < 4; tries++) statuses.push((await browser.send("login", { email: ada.email, password: "no" })).status);
      assert.deepEqual(statuses, [401, 401, 401, 429]);
      assert.equal((await browser.send("login", { email: ada.email, password: PASSWORD })).status, 429);
      const actions = (await listAudit(hub.context.store.db, PLATFORM, { limit: 200 })).items.map(({ action }) => action);
      assert.ok(actions.includes("user.login_refused") && !actions.includes("user.link"), actions.join());
      const { outside } = await browser.send("cancel");
      assert.deepEqual([outside?.searchParams.get("error"), outside?.searchParams.get("state")], ["access_denied", "s-1"]);
      assert.equal(outside?.searchParams.get("code"), null);
    });

    test("a log-in is one browser's, comes from its own page, and may be framed by nobody", async () => {
      await using scene = await startScene(open);
      const { hub, alexa, ada } = scene;
      const browser = new Browser(hub.api.url, HUB);
      const page = await browser.open(alexa.authorizePath());
      assert.match(page.headers.get("content-security-policy") ?? "", /default-src 'none'.*form-action 'self'.*frame-ancestors 'none'/);
      assert.equal(page.headers.get("cache-control"), "no-store");
      const login = { email: ada.email, password: PASSWORD };
      assert.equal((await browser.send("login", login, { "sec-fetch-site": "cross-site" })).status, 403);
      await browser.open(browser.path);
      const stranger = new Browser(hub.api.url, HUB);
      await stranger.open(alexa.authorizePath());
      assert.equal((await stranger.open(browser.path)).status, 404);
      const early = await browser.send("login", { ...login, step: "allow", organization: scene.home });
      assert.match(early.html, /Link with Alexa/);
      const copy = browser.copy();
      assert.equal((await browser.send("allow")).outside?.origin, "https://layla.amazon.com");
      assert.equal((await copy.send("allow")).status, 404);
    });

    test("whoever is in several organisations says which, and a program of one is for nobody else", async () => {
      await using scene = await startScene(open);
      const { hub, ada } = scene;
      const { db } = hub.context.store;
      const second = await createOrganization(db, { name: "Cabin <1>" });
      await addMember(db, second.id, ada.id, "viewer");
      await hub.context.access.changed([ada.id]);
      const admin = await hub.member("admin");
      const shared = await makeProgram(scene, undefined, { is_shared: true, name: "Shared", token: admin.token });
      const program = new ProgramServer(hub.api.url, shared);
      const browser = new Browser(hub.api.url, HUB);
      await browser.open(program.authorizePath());
      const consent = await browser.send("login", { email: ada.email, password: PASSWORD });
      assert.match(consent.html, /Cabin &lt;1&gt;/);
      assert.match((await browser.send("allow")).html, /choose the organisation/);
      assert.match((await browser.send("allow", { organization: scene.foreign.organizationId })).html, /choose the organisation/);
      const { body } = await program.redeem(await codeOf(await browser.send("allow", { organization: second.id })));
      const token = body["access_token"] as string;
      assert.equal((await hub.ask("GET", "/api/v1/auth/me", { token })).json["organization_id"], second.id);
      assert.deepEqual((await hub.ask("GET", "/api/v1/devices", { token })).json["data"], []);

      const stranger = new Browser(hub.api.url, HUB);
      await stranger.open(scene.alexa.authorizePath());
      const refused = await stranger.send("login", { email: scene.eve.email, password: PASSWORD });
      assert.equal(refused.status, 403);
      assert.match(refused.html, /is not in the organisation/);
    });

    test("a password that changes between the two pages ends the log-in", async () => {
      await using scene = await startScene(open);
      const { hub, alexa, ada } = scene;
      const browser = new Browser(hub.api.url, HUB);
      await browser.open(alexa.authorizePath());
      await browser.send("login", { email: ada.email, password: PASSWORD });
      const body = { current_password: PASSWORD, password: `${PASSWORD} 2` };
      await hub.ask("POST", "/api/v1/auth/password", { token: await sessionOf(hub, ada.email), body });
      assert.equal((await browser.send("allow")).status, 401);
      assert.equal(hub.logged.filter(({ level }) => level === "error").length, 0);
    });

    test("only owners make programs, only administrators of the hub shared ones, with addresses that are safe and a bound", async () => {
      await using scene = await startScene(open);
      const { hub, ada, bob } = scene;
      const body = { name: "Alexa", redirect_uris: [REDIRECT], scopes: ["devices"] };
      const ask = async (email: string, more: object = {}) =>
        hub.ask("POST", "/api/v1/oauth-clients", { token: await sessionOf(hub, email), body: { ...body, ...more } });
      assertEnvelope(await ask(bob.email), 403, "forbidden");
      assertEnvelope(await ask(ada.email, { is_shared: true }), 403, "forbidden");
      for (const uri of [
        "http://layla.amazon.com/x",
        "https://x@evil.example/",
        "https://*.example/",
        "https://a.example/#x",
        "nothing",
        "alexa://x",
        "https://a.example",
      ])
        assertEnvelope(await ask(ada.email, { redirect_uris: [uri] }), 400, "validation_error");
      assertEnvelope(await ask(ada.email, { scopes: ["device.manage"] }), 400, "validation_error");
      const statuses = new Set<number>();
      for (let made = 0; made < 21; made++) statuses.add((await ask(ada.email, { name: `n${made}` })).status);
      assert.deepEqual([...statuses], [201, 429]);
      const foreign = await hub.ask("DELETE", `/api/v1/oauth-clients/${scene.alexa.program.id}`, { token: scene.foreign.token });
      assertEnvelope(foreign, 404, "not_found");
      assert.deepEqual((await hub.ask("GET", "/api/v1/oauth-clients", { token: scene.foreign.token })).json["data"], []);
    });
  });

test("a hub without a public address over HTTPS says so, and loads nothing", async () => {
  for (const publicUrl of [undefined, "http://hub.example"]) {
    await using hub = await startTestApi({ publicUrl });
    for (const [method, path] of [
      ["GET", "/.well-known/oauth-authorization-server"],
      ["POST", "/oauth/token"],
    ] as const)
      assertEnvelope(await hub.ask(method, path), 503, "unavailable");
    const page = await hub.ask("GET", "/oauth/authorize?client_id=x");
    assert.deepEqual([page.status, page.headers.get("content-type")], [503, "text/html; charset=utf-8"]);
    assert.match(page.text, /HEXA_PUBLIC_URL/);
  }
});

test("programs find out where everything is", async () => {
  await using hub = await startTestApi({ publicUrl: `${HUB}/` });
  const { json } = await hub.ask("GET", "/.well-known/oauth-authorization-server");
  assert.deepEqual([json["issuer"], json["token_endpoint"]], [HUB, `${HUB}/oauth/token`]);
  assertEnvelope(await hub.ask("GET", "/oauth/token"), 405, "method_not_allowed");
});

type Scene = Awaited<ReturnType<typeof startScene>>;
interface Person {
  readonly id: string;
  readonly email: string;
}

async function startScene(open: () => Promise<TestDatabase>, settings: Parameters<typeof startTestApi>[0] = {}) {
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await open());
  const hub = stack.use(await startTestApi({ publicUrl: HUB, ...settings }, database.url));
  const { db } = hub.context.store;
  const { id: home } = await createOrganization(db, { name: "Home" });
  const passwordHash = await hub.context.passwords.hash(PASSWORD);
  const person = async (organizationId: string, memberRole: "owner" | "operator"): Promise<Person> =>
    await createUser(db, { email: `${newId()}@example.com`, passwordHash, role: "user", organizationId, memberRole });
  const ada = await person(home, "owner");
  const bob = await person(home, "operator");
  const foreign = await hub.member();
  const eve = await person(foreign.organizationId, "owner");
  const device = { name: "Hall", device_class: "relay_controller" };
  const made = await hub.ask("POST", "/api/v1/devices", { token: await sessionOf(hub, ada.email), body: device });
  const program = await makeProgram({ hub }, ada.email);
  const owned = stack.move();
  return {
    hub,
    home,
    ada,
    bob,
    eve,
    foreign,
    deviceId: (made.json["device"] as { id: string }).id,
    alexa: new ProgramServer(hub.api.url, program),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function makeProgram(
  { hub }: { readonly hub: TestApi },
  email: string | undefined,
  { token, ...more }: { readonly token?: string; readonly name?: string; readonly is_shared?: boolean } = {},
) {
  const body = {
    name: "Alexa",
    redirect_uris: [REDIRECT, "https://pitangui.amazon.com/api/skill/link/M2AAAAAAAAAAAA"],
    scopes: ["devices"],
    ...more,
  };
  const made = await hub.ask("POST", "/api/v1/oauth-clients", { token: token ?? (await sessionOf(hub, email as string)), body });
  assert.equal(made.status, 201, made.text);
  return { id: (made.json["client"] as { client_id: string }).client_id, secret: field(made, "client_secret"), redirectUri: REDIRECT };
}

async function sessionOf(hub: TestApi, email: string): Promise<string> {
  return field(await hub.ask("POST", "/api/v1/auth/login", { body: { email, password: PASSWORD } }), "access_token");
}

/** Through both pages, to where the browser is sent in the end. */
async function allow({ hub, alexa }: Scene, person: Person, { fields = {} }: { fields?: Record<string, string> } = {}): Promise<Seen> {
  const browser = new Browser(hub.api.url, HUB);
  await browser.open(alexa.authorizePath({ scope: "devices", ...fields }));
  const consent = await browser.send("login", { email: person.email, password: PASSWORD });
  assert.match(consent.html, /see your devices and what they measure, and switch them/);
  return await browser.send("allow");
}

async function codeOf({ outside, html }: Seen): Promise<string> {
  assert.equal(outside?.origin, "https://layla.amazon.com", html);
  return outside?.searchParams.get("code") ?? assert.fail(outside?.href);
}

async function link(scene: Scene, person: Person, options: Parameters<typeof allow>[2] = {}) {
  const seen = await allow(scene, person, options);
  const code = await codeOf(seen);
  const { status, body } = await scene.alexa.redeem(code);
  if (status === 500)
    process.stderr.write(
      "DBG " +
        String((scene.hub.logged.find((l) => l.message === "account linking failed")?.data as { err?: Error })?.err?.stack) +
        "\n" +
        JSON.stringify(scene.hub.logged.map((l) => l.message)),
    );
  assert.equal(status, 200, JSON.stringify(body));
  return { seen, code, tokens: body };
}

const devicesBy = ({ hub }: Scene, tokens: Record<string, unknown>) =>
  hub.ask("GET", "/api/v1/devices", { token: tokens["access_token"] as string });

async function endLinks(hub: TestApi, token: string): Promise<void> {
  const logins = (await hub.ask("GET", "/api/v1/auth/logins", { token })).json["data"] as { id: string; client_id: string | null }[];
  const links = logins.filter(({ client_id: id }) => id !== null);
  assert.equal(links.length, 1);
  for (const { id } of links) assert.equal((await hub.ask("DELETE", `/api/v1/auth/logins/${id}`, { token })).status, 204);
}

async function assertRefused(asked: ReturnType<ProgramServer["redeem"]>): Promise<void> {
  const { status, body } = await asked;
  assert.deepEqual([status, body["error"]], [400, "invalid_grant"], JSON.stringify(body));
}
