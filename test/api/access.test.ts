import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { listAudit } from "../../store/audit.ts";
import { PLATFORM } from "../../core/principal.ts";
import { assertEnvelope, field, OPERATOR, SETUP_TOKEN, startTestApi, type TestApi } from "./test-api.ts";

const ADA = { email: "Ada@Example.com", password: "correct horse battery" };

describe("set-up", () => {
  test("works once: the token's holder becomes the administrator and is logged in", async () => {
    await using hub = await startTestApi();
    const setup = (body: object) => hub.ask("POST", "/api/v1/setup", { body });
    assertEnvelope(await setup({ token: "wrong", ...ADA }), 401, "unauthorized");
    assertEnvelope(await setup({ token: SETUP_TOKEN, email: "ada", password: ADA.password }), 400, "validation_error");
    assertEnvelope(await setup({ token: SETUP_TOKEN, email: ADA.email, password: "ü".repeat(40) }), 400, "validation_error");

    const done = await setup({ token: SETUP_TOKEN, ...ADA, organization: "Villa" });
    assert.equal(done.status, 201, done.text);
    assert.equal((done.json["user"] as { role: string }).role, "admin");
    assert.equal(hub.context.setup.token, undefined);
    const mine = await hub.ask("GET", "/api/v1/organizations", { token: field(done, "access_token") });
    assert.deepEqual(
      (mine.json["data"] as { name: string }[]).map(({ name }) => name),
      ["Villa"],
    );
    assertEnvelope(await setup({ token: SETUP_TOKEN, email: "eve@example.com", password: ADA.password }), 409, "already_set_up");
    assert.deepEqual((await hub.ask("GET", "/api/v1/setup")).json, { needed: false });
    assert.doesNotMatch(done.text, /password/);
  });

  test("of two set-ups at once one wins", async () => {
    await using hub = await startTestApi();
    const both = await Promise.all(
      ["a@example.com", "b@example.com"].map((email) =>
        hub.ask("POST", "/api/v1/setup", { body: { token: SETUP_TOKEN, email, password: ADA.password } }),
      ),
    );
    assert.deepEqual(
      both.map((answer) => answer.status).toSorted((a, b) => a - b),
      [201, 409],
    );
    const users = await hub.ask("GET", "/api/v1/users", { token: OPERATOR });
    assert.equal((users.json["data"] as unknown[]).length, 1);
  });

  test("the operator works on a hub that nobody has set up, and the administrator gets the same organisation", async () => {
    await using hub = await startTestApi();
    const operators = await hub.ask("GET", "/api/v1/auth/me", { token: OPERATOR });
    assert.equal(operators.json["kind"], "operator");
    const done = await hub.ask("POST", "/api/v1/setup", { body: { token: SETUP_TOKEN, ...ADA } });
    assert.equal((done.json["user"] as { organization_id: string }).organization_id, operators.json["organization_id"]);
  });
});

describe("logging in", () => {
  let hub: TestApi;
  before(async () => {
    hub = await startTestApi({ passwordCost: 12 });
    await hub.ask("POST", "/api/v1/setup", { body: { token: SETUP_TOKEN, ...ADA } });
  });
  after(() => hub[Symbol.asyncDispose]());

  test("gives a token that speaks for the user, whatever the case of the e-mail", async () => {
    const answer = await hub.ask("POST", "/api/v1/auth/login", { body: { email: "ADA@example.COM", password: ADA.password } });
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual([answer.json["token_type"], answer.json["expires_in"]], ["Bearer", 3600]);
    const me = await hub.ask("GET", "/api/v1/auth/me", { token: field(answer, "access_token") });
    assert.deepEqual([me.json["kind"], (me.json["user"] as { email: string }).email], ["user", "ada@example.com"]);
  });

  test("answers a wrong password and an unknown e-mail with the same words and the same work", async () => {
    const attempt = async (email: string) => {
      const started = performance.now();
      const answer = await hub.ask("POST", "/api/v1/auth/login", { body: { email, password: "wrong password" } });
      assertEnvelope(answer, 401, "unauthorized");
      return { message: answer.json["message"], ms: performance.now() - started };
    };
    const known = await attempt(ADA.email);
    const unknown = await attempt("nobody@example.com");
    assert.equal(known.message, unknown.message);
    // bcrypt at cost 12 takes a hundred milliseconds and more; a shortcut would take two.
    assert.ok(unknown.ms > 20 && known.ms > 20, `${known.ms} and ${unknown.ms} ms`);
  });

  test("is audited, refused or not, without the password", async () => {
    const { items } = await listAudit(hub.context.store.db, PLATFORM, { limit: 100 });
    const actions = new Set(items.map((entry) => entry.action));
    assert.ok(actions.has("user.login") && actions.has("user.login_refused"), [...actions].join());
    assert.doesNotMatch(JSON.stringify(items), /wrong password|correct horse/);
    assert.doesNotMatch(JSON.stringify(hub.logged), /wrong password|correct horse/);
  });
});

describe("access tokens", () => {
  let hub: TestApi;
  let admin: { token: string; userId: string };
  before(async () => {
    hub = await startTestApi();
    admin = await hub.member("admin");
  });
  after(() => hub[Symbol.asyncDispose]());
  const create = (token: string, body: object) => hub.ask("POST", "/api/v1/access-tokens", { token, body });

  test("a personal token acts as its user until it is revoked", async () => {
    const made = await create(admin.token, { kind: "personal", name: "laptop", expires_in_s: 3600 });
    assert.equal(made.status, 201, made.text);
    const token = field(made, "token");
    assert.equal((await hub.ask("GET", "/api/v1/auth/me", { token })).json["id"], admin.userId);
    assert.equal((await hub.ask("DELETE", `/api/v1/access-tokens/${field(made, "id")}`, { token: admin.token })).status, 204);
    assertEnvelope(await hub.ask("GET", "/api/v1/auth/me", { token }), 401, "unauthorized");
    assertEnvelope(await hub.ask("DELETE", `/api/v1/access-tokens/${field(made, "id")}`, { token: admin.token }), 404, "not_found");
  });

  test("a service account's name is unique, and its token is no administrator", async () => {
    const made = await create(OPERATOR, { kind: "service", name: "home-assistant" });
    assert.equal(made.status, 201, made.text);
    assertEnvelope(await create(OPERATOR, { kind: "service", name: "home-assistant" }), 409, "conflict");
    const token = field(made, "token");
    assert.equal((await hub.ask("GET", "/api/v1/auth/me", { token })).json["kind"], "service");
    assertEnvelope(await hub.ask("GET", "/api/v1/audit", { token }), 403, "forbidden");
    assertEnvelope(await create(token, { kind: "service", name: "another" }), 403, "forbidden");
    assertEnvelope(await create(token, { kind: "personal", name: "mine" }), 403, "forbidden");
  });

  test("a user sees and revokes only what is theirs; the list never shows a secret", async () => {
    const [mine, other] = [await hub.member("user", "operator"), await hub.member()];
    const made = await create(mine.token, { kind: "personal", name: "script" });
    assertEnvelope(await create(mine.token, { kind: "service", name: "script" }), 403, "forbidden");
    const seen = await hub.ask("GET", "/api/v1/access-tokens", { token: mine.token });
    assert.deepEqual(
      (seen.json["data"] as { name: string }[]).map(({ name }) => name),
      ["script"],
    );
    assert.ok(!seen.text.includes(field(made, "token")) && !seen.text.includes("hash"));
    assert.deepEqual((await hub.ask("GET", "/api/v1/access-tokens", { token: other.token })).json["data"], []);
    assertEnvelope(await hub.ask("DELETE", `/api/v1/access-tokens/${field(made, "id")}`, { token: other.token }), 404, "not_found");
  });
});
