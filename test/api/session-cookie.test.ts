import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Answered, assertEnvelope, SETUP_TOKEN, startTestApi, type TestApi } from "./test-api.ts";

const ADA = { email: "ada@example.com", password: "correct horse battery" };
const MINUTE = 60_000;
const CSRF = { "x-hexahub-csrf": "1" };

let hub: TestApi;
let now = Date.now();
before(async () => {
  hub = await startTestApi({ trustProxy: ["127.0.0.1"] });
  Object.assign(hub.context, { clock: () => now });
  await hub.ask("POST", "/api/v1/setup", { body: { token: SETUP_TOKEN, ...ADA } });
});
after(() => hub[Symbol.asyncDispose]());

const login = (body: object = {}, headers: Record<string, string> = {}) =>
  hub.ask("POST", "/api/v1/auth/login", { body: { ...ADA, cookie: true, ...body }, headers });
const setCookie = (answer: Answered) => answer.headers.getSetCookie();
/** As the browser sends it back. */
function cookie(answer: Answered): string {
  const [only] = setCookie(answer);
  return only?.split(";")[0] ?? "";
}
const me = (sent: string, headers: Record<string, string> = {}) =>
  hub.ask("GET", "/api/v1/auth/me", { headers: { cookie: sent, ...headers } });
const change = (sent: string, headers: Record<string, string>) =>
  hub.ask("POST", "/api/v1/access-tokens", { body: { kind: "personal", name: "laptop" }, headers: { cookie: sent, ...headers } });

test("a browser's login is a cookie that no script reads, and nothing in the body", async () => {
  const answer = await login();
  assert.equal(answer.status, 200, answer.text);
  assert.deepEqual(Object.keys(answer.json), ["user"]);
  assert.match(setCookie(answer).join(), /^session_token=[\w.-]+; max-age=3600; path=\/; expires=[^;]+; samesite=lax; httponly$/i);
  assert.equal((await me(cookie(answer))).status, 200);
  const overTls = await login({}, { "x-forwarded-proto": "https" });
  assert.match(setCookie(overTls).join(), /; secure/i);
  assert.deepEqual(setCookie(await hub.ask("POST", "/api/v1/auth/login", { body: ADA })), []);
});

test("a bearer token is asked first, and a wrong one is not made good by the cookie", async () => {
  const sent = cookie(await login());
  const stranger = await hub.member();
  assert.equal((await me(sent, { authorization: `Bearer ${stranger.token}` })).json["id"], stranger.userId);
  assertEnvelope(await me(sent, { authorization: "Bearer wrong" }), 401, "unauthorized");
  assertEnvelope(await me("session_token=wrong"), 401, "unauthorized");
  assertEnvelope(await me("other=1"), 401, "unauthorized");
});

test("a change needs the header that a form of another site cannot send, and must come from the hub's own pages", async () => {
  const sent = cookie(await login());
  const own = hub.api.url;
  const { host } = new URL(own);
  const refused: Record<string, string>[] = [
    {},
    { origin: own, "sec-fetch-site": "same-origin" },
    { ...CSRF, origin: "https://evil.example" },
    { ...CSRF, origin: "null" },
    { ...CSRF, origin: `http://${host}.evil.example` },
    { ...CSRF, origin: own, "sec-fetch-site": "cross-site" },
    { ...CSRF, origin: own, "sec-fetch-site": "same-site" },
  ];
  for (const headers of refused) assertEnvelope(await change(sent, headers), 403, "forbidden");
  for (const headers of [CSRF, { ...CSRF, origin: own }, { ...CSRF, origin: `https://${host}`, "sec-fetch-site": "same-origin" }])
    assert.equal((await change(sent, headers)).status, 201);
  assert.equal((await me(sent, { origin: "https://evil.example", "sec-fetch-site": "cross-site" })).status, 200, "reading changes nothing");
});

for (const [name, body, lives] of [
  ["one hour", {}, 60 * MINUTE],
  ["30 days with remember_me", { remember_me: true }, 30 * 24 * 60 * MINUTE],
] as const)
  test(`a session lasts ${name} without being used, and is renewed while it is`, async () => {
    const began = now;
    let sent = cookie(await login(body));
    for (let round = 0; round < 3; round++) {
      now += lives - MINUTE;
      const answer = await me(sent);
      assert.equal(answer.status, 200);
      const next = cookie(answer);
      assert.notEqual(next, "");
      assert.notEqual(next, sent);
      sent = next;
      assert.deepEqual(setCookie(await me(sent)), [], "not with every request");
    }
    now += lives + MINUTE;
    assertEnvelope(await me(sent), 401, "unauthorized");
    now = began;
  });

test("of many requests at once, one renews the session", async () => {
  const sent = cookie(await login());
  now += 30 * MINUTE;
  const answers = await Promise.all(Array.from({ length: 8 }, () => me(sent)));
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  assert.equal(answers.flatMap(setCookie).length, 1);
});

test("logging out clears the cookie, and whoever kept it is out too", async () => {
  const sent = cookie(await login());
  assertEnvelope(await hub.ask("POST", "/api/v1/auth/logout", { headers: { cookie: sent } }), 403, "forbidden");
  const out = await hub.ask("POST", "/api/v1/auth/logout", { headers: { cookie: sent, ...CSRF } });
  assert.equal(out.status, 204);
  assert.match(setCookie(out).join(), /^session_token=; path=\/; expires=Thu, 01 Jan 1970/);
  assertEnvelope(await me(sent), 401, "unauthorized");
});
