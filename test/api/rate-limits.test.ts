import assert from "node:assert/strict";
import { test } from "node:test";
import { addressKey } from "../../api/rate-limits.ts";
import { assertEnvelope, field, PROVISION_KEY, SETUP_TOKEN, startTestApi } from "./test-api.ts";

const ADA = { email: "ada@example.com", password: "correct horse battery" };
/** Of somebody behind a proxy. */
const from = (address: string) => ({ headers: { "x-forwarded-for": address } });
const behindProxy = { trustProxy: ["127.0.0.1"] };

test("an account has so many requests a minute, is told how many are left, and others have theirs", async () => {
  await using hub = await startTestApi({ apiRate: 5 });
  const [one, other] = [await hub.member(), await hub.member()];
  const ask = (token: string) => hub.ask("GET", "/api/v1/devices", { token });
  const answers = [];
  for (let count = 0; count < 7; count++) answers.push(await ask(one.token));
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 200, 200, 200, 429, 429],
  );
  assert.deepEqual(
    answers.map(({ headers }) => /^"api";r=(\d+);t=\d+$/.exec(headers.get("ratelimit") ?? "")?.[1]),
    ["4", "3", "2", "1", "0", "0", "0"],
  );
  const last = answers.at(-1);
  assert.ok(last);
  assertEnvelope(last, 429, "rate_limited");
  assert.equal(last.headers.get("ratelimit-policy"), '"api";q=5;w=60');
  const wait = Number(last.headers.get("retry-after"));
  assert.ok(wait > 50 && wait <= 60, `${wait}`);
  assert.equal((await ask(other.token)).status, 200);
});

test("many at once are counted like one after the other", async () => {
  await using hub = await startTestApi({ apiRate: 20 });
  const { token } = await hub.member();
  const all = await Promise.all(Array.from({ length: 50 }, () => hub.ask("GET", "/api/v1/devices", { token })));
  assert.equal(all.filter(({ status }) => status === 200).length, 20);
  assert.equal(all.filter(({ status }) => status === 429).length, 30);
});

test("who shows no account, or a wrong one, is counted by address, an IPv6 host by its /64", async () => {
  await using hub = await startTestApi({ apiRate: 4, ...behindProxy });
  const guess = (address: string) => hub.ask("GET", "/api/v1/devices", { token: "hxp_wrong", ...from(address) });
  for (let count = 0; count < 4; count++) assert.equal((await guess("203.0.113.7")).status, 401);
  assertEnvelope(await guess("203.0.113.7"), 429, "rate_limited");
  const register = await hub.ask("POST", "/api/v1/provision/register", {
    body: { name: "x", device_class: "ir_hub" },
    headers: { "x-provision-key": PROVISION_KEY, "x-forwarded-for": "203.0.113.7" },
  });
  assertEnvelope(register, 429, "rate_limited");
  assert.equal((await guess("203.0.113.8")).status, 401);
  for (let count = 0; count < 4; count++) assert.equal((await guess(`2001:db8::${count}`)).status, 401);
  assertEnvelope(await guess("2001:db8:0:0:ffff::9"), 429, "rate_limited");
  assert.equal((await guess("2001:db8:0:1::9")).status, 401);
});

test("addresses are told apart by what one host has", () => {
  assert.equal(addressKey("2001:db8:0:0:1:2:3:4"), addressKey("2001:db8::ffff"));
  assert.equal(addressKey("2001:0db8::1"), addressKey("2001:db8::2"));
  assert.notEqual(addressKey("2001:db8:1::1"), addressKey("2001:db8::1"));
  assert.equal(addressKey("::1"), "0:0:0:0::/64");
  assert.equal(addressKey("203.0.113.7"), "203.0.113.7");
  assert.equal(addressKey("::ffff:203.0.113.7"), "::ffff:203.0.113.7");
});

test("passwords can be tried so often and no more from one address, and nobody else is locked out by it", async () => {
  await using hub = await startTestApi({ loginFailures: 3, ...behindProxy });
  await hub.ask("POST", "/api/v1/setup", { body: { token: SETUP_TOKEN, ...ADA } });
  const login = (password: string, address: string, email = ADA.email) =>
    hub.ask("POST", "/api/v1/auth/login", { body: { email, password }, ...from(address) });
  const [thief, home] = ["203.0.113.7", "198.51.100.1"];
  // All at once, so that none waits for the outcome of the one before.
  const guesses = await Promise.all(Array.from({ length: 8 }, () => login("wrong", thief)));
  assert.deepEqual(
    guesses.map(({ status }) => status).toSorted((a, b) => a - b),
    [401, 401, 401, 429, 429, 429, 429, 429],
  );
  assertEnvelope(await login(ADA.password, thief), 429, "rate_limited");
  assertEnvelope(await login("wrong", thief, " ADA@example.com".trim()), 429, "rate_limited");
  assert.equal((await login(ADA.password, home)).status, 200);

  // What is not there is throttled like what is.
  for (let count = 0; count < 3; count++) assert.equal((await login("wrong", thief, "nobody@example.com")).status, 401);
  assertEnvelope(await login("wrong", thief, "nobody@example.com"), 429, "rate_limited");

  // A right one forgives those before it.
  for (let round = 0; round < 3; round++) {
    assert.equal((await login("wrong", home)).status, 401);
    assert.equal((await login("wrong", home)).status, 401);
    assert.ok(field(await login(ADA.password, home), "access_token"));
  }
});

test("one address cannot try one password on many accounts without end", async () => {
  await using hub = await startTestApi({ loginFailures: 1, ...behindProxy });
  const statuses = [];
  for (let count = 0; count < 12; count++) {
    const answer = await hub.ask("POST", "/api/v1/auth/login", {
      body: { email: `somebody-${count}@example.com`, password: "winter2026" },
      ...from("203.0.113.9"),
    });
    statuses.push(answer.status);
  }
  assert.deepEqual(statuses, [...Array<number>(10).fill(401), 429, 429]);
});
