import assert from "node:assert/strict";
import { test } from "node:test";
import { openStore } from "../../store/open.ts";
import { homeOrganization } from "../../store/organizations.ts";
import { openPasswords } from "../../store/passwords.ts";
import { createUser } from "../../store/users.ts";
import { direct, grantOf } from "../support/alexa-directives.ts";
import { startAlexaGateway } from "../support/alexa-gateway.ts";
import { databases, type TestDatabase } from "../support/databases.ts";
import { ApiClient, startHub, type TestHub } from "../support/hub.ts";
import { Browser, ProgramServer } from "../support/linking.ts";
import { freePort } from "../support/services.ts";
import { temporaryFolder, until } from "../support/wait.ts";

const PASSWORD = "correct horse battery";
const REDIRECT = "https://pitangui.amazon.com/api/skill/link/M2AAAAAAAAAAAA";
const NAMES = ["stays", "logs out", "is disabled", "leaves", "revokes", "is unlinked", "is out of reach"] as const;
type Name = (typeof NAMES)[number];

interface Person {
  readonly id: string;
  readonly email: string;
  readonly password: string;
}

/** Members of the hub's organisation. */
async function addPeople(dataDir: string, databaseUrl: string | undefined) {
  {
    await using _first = await startHub({ dataDir, databaseUrl });
  }
  await using store = await openStore({ dataDir, databaseUrl });
  const { db } = store;
  await using passwords = await openPasswords(db, 10);
  const passwordHash = await passwords.hash(PASSWORD);
  const { id: organizationId } = await homeOrganization(db);
  const people = new Map<Name, Person>();
  for (const [index, name] of NAMES.entries()) {
    const email = `person${index}@example.test`;
    const { id } = await createUser(db, { email, passwordHash, role: "user", memberRole: "viewer", organizationId });
    people.set(name, { id, email, password: PASSWORD });
  }
  return { organizationId, people };
}

/** Each of the people sees one device, which is nobody else's, and has linked Alexa. */
async function startScene(database: TestDatabase, stack: AsyncDisposableStack) {
  const dataDir = stack.use(temporaryFolder()).path;
  const { organizationId, people } = await addPeople(dataDir, database.url);
  const gateway = stack.use(await startAlexaGateway());
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const env = { ...gateway.env, HEXA_HTTP_PORT: String(port), HEXA_PUBLIC_URL: origin };
  const hub = stack.use(await startHub({ dataDir, databaseUrl: database.url, env }));
  const { api } = hub;
  await api.login();
  const members = `/api/v1/organizations/${organizationId}/members`;
  const uids = new Map<Name, string>();
  const sessions = new Map<Name, ApiClient>();
  for (const [name, person] of people) {
    assert.equal((await api.call("PATCH", `${members}/${person.id}`, { role: null })).status, 200);
    const { uid } = await api.addDevice({ name, capabilities: { relays: 1 } });
    const grant = { user_id: person.id, device: uid, role: "operator" };
    assert.equal((await api.call("POST", `/api/v1/organizations/${organizationId}/grants`, grant)).status, 200);
    uids.set(name, uid);
    sessions.set(name, await new ApiClient(api.base).login(person));
  }
  const uidOf = (name: Name): string => uids.get(name) as string;
  const endpointOf = (name: Name): string => `${uidOf(name)}:relay:0`;
  return {
    hub,
    gateway,
    members,
    origin,
    uidOf,
    endpointOf,
    personOf: (name: Name): Person => people.get(name) as Person,
    sessionOf: (name: Name): ApiClient => sessions.get(name) as ApiClient,
    link: async (name: Name, token: string): Promise<void> => {
      const answer = await direct(api, grantOf(gateway.newCode(), token));
      assert.equal(answer.event.header.name, "AcceptGrant.Response", JSON.stringify(answer));
      await until(() => gateway.endpoints.has(endpointOf(name)), { what: `what belongs to who ${name}` });
    },
    people: async () =>
      (await api.call<{ bridge: { counts: { people: number } } }>("GET", "/api/v1/bridges/alexa")).body.bridge.counts.people,
  };
}

async function newToken(session: ApiClient): Promise<{ readonly id: string; readonly token: string }> {
  const { status, body } = await session.call<{ id: string; token: string }>("POST", "/api/v1/access-tokens", {
    kind: "personal",
    name: "Alexa",
  });
  assert.equal(status, 201, JSON.stringify(body));
  return body;
}

/** As a browser and Amazon's servers do it. */
async function linkAccount({ api }: TestHub, origin: string, { email, password }: Person) {
  const wanted = { name: "Alexa", redirect_uris: [REDIRECT], scopes: ["devices"] };
  const made = await api.call<{ client: { client_id: string }; client_secret: string }>("POST", "/api/v1/oauth-clients", wanted);
  const clientId = made.body.client.client_id;
  const program = new ProgramServer(origin, { id: clientId, secret: made.body.client_secret, redirectUri: REDIRECT });
  const browser = new Browser(origin, origin);
  await browser.open(program.authorizePath());
  await browser.send("login", { email, password });
  const { outside } = await browser.send("allow");
  const { body } = await program.redeem(outside?.searchParams.get("code") ?? assert.fail());
  return { clientId, token: body["access_token"] as string };
}

for (const { name: engine, skip, open } of databases())
  test(`${engine}: Alexa is told nothing more by whoever is not let in any more, and goes on by the others`, { skip }, async () => {
    await using stack = new AsyncDisposableStack();
    const scene = await startScene(stack.use(await open()), stack);
    const { hub, gateway, link, sessionOf, personOf, endpointOf, uidOf } = scene;
    const { api } = hub;
    for (const name of ["stays", "is disabled", "leaves"] as const) await link(name, (await newToken(sessionOf(name))).token);
    await link("logs out", sessionOf("logs out").token as string);
    const revoked = await newToken(sessionOf("revokes"));
    await link("revokes", revoked.token);
    const lost = await newToken(sessionOf("is out of reach"));
    await link("is out of reach", lost.token);
    const { clientId, token } = await linkAccount(hub, scene.origin, personOf("is unlinked"));
    await link("is unlinked", token);
    assert.equal(await scene.people(), NAMES.length);

    const ends: readonly (readonly [Name, () => ReturnType<ApiClient["call"]>])[] = [
      ["logs out", () => sessionOf("logs out").call("POST", "/api/v1/auth/logout")],
      ["is disabled", () => api.call("PATCH", `/api/v1/users/${personOf("is disabled").id}`, { is_active: false })],
      ["leaves", () => api.call("DELETE", `${scene.members}/${personOf("leaves").id}`)],
      ["revokes", () => sessionOf("revokes").call("DELETE", `/api/v1/access-tokens/${revoked.id}`)],
      ["is unlinked", () => api.call("DELETE", `/api/v1/oauth-clients/${clientId}`)],
    ];
    for (const [name, end] of ends) {
      const { status, body } = await end();
      assert.ok(status < 300, `${name}: ${status} ${JSON.stringify(body)}`);
    }
    for (const [name] of ends)
      await until(() => !gateway.endpoints.has(endpointOf(name)), { what: `what belongs to who ${name} to go`, timeoutMs: 5_000 });
    // Where Amazon does not listen nothing is told either.
    gateway.fault = { status: 503, code: "SERVICE_UNAVAILABLE_EXCEPTION" };
    assert.equal((await sessionOf("is out of reach").call("DELETE", `/api/v1/access-tokens/${lost.id}`)).status, 204);
    await until(async () => (await scene.people()) === 1, { what: "one person to be left", timeoutMs: 10_000 });
    gateway.fault = undefined;
    await link("is out of reach", (await newToken(sessionOf("is out of reach"))).token);
    assert.equal(await scene.people(), 2);

    const before = gateway.events.length;
    for (const name of [...ends.map(([one]) => one), "stays"] as const)
      assert.equal((await api.call("PATCH", `/api/v1/devices/${uidOf(name)}`, { name: `Again ${name}` })).status, 200);
    await until(() => gateway.endpoints.get(endpointOf("stays"))?.friendlyName === "Again stays", { what: "the others to go on" });
    const told = JSON.stringify(gateway.events.slice(before));
    for (const [name] of ends) assert.ok(!told.includes(uidOf(name)), `${name}: ${told}`);
    const { body } = await api.call<{ data: { details: Record<string, unknown> }[] }>(
      "GET",
      "/api/v1/audit?action=bridge.unlink&limit=100",
    );
    assert.deepEqual(
      new Set(body.data.map(({ details }) => `${String(details["user_id"])} ${String(details["reason"])}`)),
      new Set([...ends.map(([name]) => name), "is out of reach" as const].map((name) => `${personOf(name).id} credential_ended`)),
    );
    assert.deepEqual(gateway.complaints, []);
  });
