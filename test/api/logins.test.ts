import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { newId } from "../../core/id.ts";
import { PLATFORM } from "../../core/principal.ts";
import { listAudit } from "../../store/audit.ts";
import { MAX_LOGINS, openLogin } from "../../store/logins.ts";
import { type Answered, assertEnvelope, field, SETUP_TOKEN, startTestApi, type TestApi } from "./test-api.ts";

const ADA = { email: "ada@example.com", password: "correct horse battery" };

let hub: TestApi;
before(async () => {
  hub = await startTestApi();
  const done = await hub.ask("POST", "/api/v1/setup", { body: { token: SETUP_TOKEN, ...ADA } });
  assert.ok(field(done, "refresh_token"));
});
after(() => hub[Symbol.asyncDispose]());

const login = () => hub.ask("POST", "/api/v1/auth/login", { body: ADA, headers: { "user-agent": "curl/8" } });
const refresh = (token: string) => hub.ask("POST", "/api/v1/auth/refresh", { body: { refresh_token: token } });
const me = (token: string) => hub.ask("GET", "/api/v1/auth/me", { token });
const list = async (token: string) => (await hub.ask("GET", "/api/v1/auth/logins", { token })).json["data"] as Record<string, unknown>[];
const loginOf = async (answer: Answered) => (await list(field(answer, "access_token"))).find((one) => one["is_current"])?.["id"] as string;
const audited = async (action: string) =>
  (await listAudit(hub.context.store.db, PLATFORM, { limit: 200 })).items.filter((entry) => entry.action === action);

test("a login goes on with its refresh token, asked twice at once or not", async () => {
  const first = await login();
  assert.deepEqual([first.status, first.json["refresh_expires_in"]], [200, 30 * 86_400]);
  const answers = await Promise.all(Array.from({ length: 10 }, () => refresh(field(first, "refresh_token"))));
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
  assert.equal(new Set(answers.map((answer) => field(answer, "refresh_token"))).size, 1);
  const next = answers[0] as Answered;
  assert.equal((next.json["user"] as { email: string }).email, ADA.email);
  assert.equal((await me(field(next, "access_token"))).status, 200);
  assert.equal(await loginOf(next), await loginOf(first));
});

test("a refresh token that was used before its successor was ends the login and whatever is connected with it", async () => {
  const first = await login();
  const id = await loginOf(first);
  const second = await refresh(field(first, "refresh_token"));
  const third = await refresh(field(second, "refresh_token"));
  assertEnvelope(await refresh(field(first, "refresh_token")), 401, "unauthorized");
  assertEnvelope(await refresh(field(third, "refresh_token")), 401, "unauthorized");
  assertEnvelope(await me(field(third, "access_token")), 401, "unauthorized");
  assert.ok(hub.disconnected.includes(id));
  const [entry] = (await audited("user.refresh_token_reused")).filter((one) => one.resourceId === id);
  assert.ok(entry);
  assert.doesNotMatch(JSON.stringify(entry), /hxr_/);
});

test("logging out ends this login at once and no other", async () => {
  const [one, other] = [await login(), await login()];
  const id = await loginOf(one);
  assert.equal((await hub.ask("POST", "/api/v1/auth/logout", { token: field(one, "access_token") })).status, 204);
  assertEnvelope(await me(field(one, "access_token")), 401, "unauthorized");
  assertEnvelope(await refresh(field(one, "refresh_token")), 401, "unauthorized");
  assert.ok(hub.disconnected.includes(id));
  assert.equal((await me(field(other, "access_token"))).status, 200);
  const logins = await list(field(other, "access_token"));
  assert.ok(logins.every((each) => each["id"] !== id));
  const current = logins.find((each) => each["is_current"]);
  assert.deepEqual([current?.["address"], current?.["user_agent"]], ["127.0.0.1", "curl/8"]);
  assert.ok((await audited("user.logout")).some((entry) => entry.resourceId === id));
});

test("a person ends their own logins from anywhere; somebody else's are not there", async () => {
  const [here, there] = [await login(), await login()];
  const id = await loginOf(there);
  const end = (token: string, which: string) => hub.ask("DELETE", `/api/v1/auth/logins/${which}`, { token });
  const stranger = await hub.member();
  assertEnvelope(await end(stranger.token, id), 404, "not_found");
  assertEnvelope(await end(field(here, "access_token"), newId()), 404, "not_found");
  assert.equal((await me(field(there, "access_token"))).status, 200);
  assert.equal((await end(field(here, "access_token"), id)).status, 204);
  assertEnvelope(await me(field(there, "access_token")), 401, "unauthorized");
  assertEnvelope(await end(field(here, "access_token"), id), 404, "not_found");
});

test("a personal token has no login to end", async () => {
  const admin = await hub.member("admin");
  const made = await hub.ask("POST", "/api/v1/access-tokens", { token: admin.token, body: { kind: "personal", name: "laptop" } });
  assertEnvelope(await hub.ask("POST", "/api/v1/auth/logout", { token: field(made, "token") }), 404, "not_found");
  assert.equal((await me(field(made, "token"))).status, 200);
});

test("a refresh token is refused as soon as it is anything but one", async () => {
  for (const token of ["x", "hxr_", `hxr_${"A".repeat(43)}`, field(await login(), "access_token").slice(0, 256)])
    assertEnvelope(await refresh(token), 401, "unauthorized");
  assertEnvelope(await refresh(""), 400, "validation_error");
  assertEnvelope(await refresh("x".repeat(257)), 400, "validation_error");
  assertEnvelope(await me(field(await login(), "refresh_token")), 401, "unauthorized");
});

test("one login too many ends the one that was not used for longest, and what is connected by it", async () => {
  const { db } = hub.context.store;
  const first = await login();
  const userId = (first.json["user"] as { id: string }).id;
  const ids: string[] = [];
  for (let count = 0; count < MAX_LOGINS; count++) {
    const at = Date.now() - 3_600_000 + count;
    ids.push((await openLogin(db, hub.context.keys, { userId, ttlMs: 30 * 86_400_000 }, at)).id);
  }
  const last = await login();
  assert.equal(last.status, 200);
  assert.ok(hub.disconnected.includes(ids[0] as string));
  assert.ok(!hub.disconnected.includes(ids.at(-1) as string));
  assert.equal((await list(field(last, "access_token"))).length, MAX_LOGINS);
});
