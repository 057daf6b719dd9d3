import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import mqtt from "mqtt";
import type { Log } from "../../core/bus.ts";
import { makeTestAuthority, SERVER_USE } from "../support/certificates.ts";
import { databases } from "../support/databases.ts";
import { ADMIN, type ApiClient, spawnHub, startHub, type TestHub } from "../support/hub.ts";
import { freePort } from "../support/services.ts";
import { startSmtpServer, tokenIn } from "../support/smtp-server.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { clusterMissing, startPair } from "./cluster-hubs.ts";

const PASSWORD = "battery horse staple";
const mailFrom = (url: string, more: Record<string, string> = {}) => ({ HEXA_SMTP_URL: url, HEXA_MAIL_FROM: "hub@hub.example", ...more });
const forgot = (api: ApiClient, email: string) => api.call("POST", "/api/v1/auth/password/forgot", { email });

/** An MQTT client of the administrator, and whether it is still there. */
async function listener(hub: Pick<TestHub, "mqtt">, password: string) {
  const client = await mqtt.connectAsync(hub.mqtt, { username: ADMIN.email, password, reconnectPeriod: 0 });
  const state = { isOpen: true };
  client.once("close", () => {
    state.isOpen = false;
  });
  return { state, client, [Symbol.asyncDispose]: () => client.endAsync(true) };
}

const DATABASES = databases();

// What takes long is the ten seconds until a mail is tried again.
describe("mail", { concurrency: true }, () => {
  for (const { name, skip, open } of DATABASES) {
    test(`${name}: what was registered when the hub was killed is mailed by the next one, and makes the account`, { skip }, async () => {
      await using database = await open();
      await using folder = temporaryFolder();
      const port = await freePort();
      const env = mailFrom(`smtp://127.0.0.1:${port}`, { HEXA_REGISTRATION: "open", HEXA_LOG_LEVEL: "error" });
      const options = { dataDir: folder.path, databaseUrl: database.url, env };
      {
        await using hub = await spawnHub(options);
        const answer = await hub.api.call("POST", "/api/v1/auth/register", { email: "ada@example.com", password: PASSWORD });
        assert.equal(answer.status, 202);
        // The mail server is not there: what was tried once is tried again 10 s later.
        const hasTried = async () => (await (await fetch(`${hub.http}/metrics`)).text()).includes('kind="registration",outcome="retried"');
        await until(hasTried, { what: "an attempt to send" });
        await hub.kill9();
      }
      await using smtp = await startSmtpServer({ port });
      await using hub = await spawnHub(options);
      const token = tokenIn(await smtp.mailTo("ada@example.com"));
      assert.equal((await hub.api.call("POST", "/api/v1/auth/verify-email", { token, password: PASSWORD })).status, 200);
      await hub.api.login({ email: "ada@example.com", password: PASSWORD });
      assert.equal(smtp.mails.length, 1);
    });
  }

  describe("while the hub lives", { concurrency: 1 }, () => {
    for (const { name, skip, open } of DATABASES) {
      test(`${name}: a reset ends the MQTT sessions of logins and of the old password, and not those of personal tokens`, {
        skip,
      }, async () => {
        await using database = await open();
        await using smtp = await startSmtpServer();
        await using hub = await startHub({ databaseUrl: database.url, env: mailFrom(smtp.url) });
        await hub.api.login();
        const made = await hub.api.call<{ token: string }>("POST", "/api/v1/access-tokens", { kind: "personal", name: "laptop" });
        await using byPassword = await listener(hub, ADMIN.password);
        await using byLogin = await listener(hub, hub.api.token as string);
        await using byToken = await listener(hub, made.body.token);
        assert.equal((await forgot(hub.api, ADMIN.email)).status, 202);
        const token = tokenIn(await smtp.mailTo(ADMIN.email));
        assert.equal((await hub.api.call("POST", "/api/v1/auth/password/reset", { token, password: PASSWORD })).status, 200);
        await until(() => !byPassword.state.isOpen && !byLogin.state.isOpen, { what: "the end of the sessions", timeoutMs: 2_000 });
        await byToken.client.subscribeAsync("hexa/#", { qos: 1 });
        assert.ok(byToken.state.isOpen);
        await assert.rejects(listener(hub, ADMIN.password));
        await using again = await listener(hub, PASSWORD);
        await hub.api.login({ email: ADMIN.email, password: PASSWORD });
        const changed = await hub.api.call("POST", "/api/v1/auth/password", { current_password: PASSWORD, password: ADMIN.password });
        assert.equal(changed.status, 200);
        await until(() => !again.state.isOpen, { what: "the end of the session by the changed password", timeoutMs: 2_000 });
        assert.ok(byToken.state.isOpen);
      });

      test(`${name}: whoever is not let in any more has no MQTT session from then on, by whatever credential`, { skip }, async () => {
        await using database = await open();
        await using hub = await startHub({ databaseUrl: database.url });
        await hub.api.login();
        const { body: me } = await hub.api.call<{ id: string }>("GET", "/api/v1/auth/me");
        const made = await hub.api.call<{ token: string }>("POST", "/api/v1/access-tokens", { kind: "personal", name: "laptop" });
        const invited = await hub.api.call<{ token: string }>(
          "POST",
          `/api/v1/organizations/${(await hub.api.call<{ organization_id: string }>("GET", "/api/v1/auth/me")).body.organization_id}/invitations`,
          { email: "second@example.test", role: "owner" },
        );
        const second = await hub.api.call<{ access_token: string; user: { id: string } }>("POST", "/api/v1/invitations/register", {
          token: invited.body.token,
          password: PASSWORD,
        });
        assert.equal((await hub.api.call("PATCH", `/api/v1/users/${second.body.user.id}`, { role: "admin" })).status, 200);
        await using byPassword = await listener(hub, ADMIN.password);
        await using byLogin = await listener(hub, hub.api.token as string);
        await using byToken = await listener(hub, made.body.token);
        hub.api.token = second.body.access_token;
        assert.equal((await hub.api.call("PATCH", `/api/v1/users/${me.id}`, { is_active: false })).status, 200);
        const all = [byPassword, byLogin, byToken];
        await until(() => all.every(({ state }) => !state.isOpen), { what: "the end of the sessions", timeoutMs: 2_000 });
        for (const password of [ADMIN.password, made.body.token]) await assert.rejects(listener(hub, password));
      });
    }

    test("of two nodes one sends, at once, each mail once; what ends at one has ended at the other", {
      skip: clusterMissing(),
    }, async () => {
      await using smtp = await startSmtpServer();
      await using pair = await startPair({ env: mailFrom(smtp.url) });
      const { a, b } = pair;
      await using atB = await listener(b, ADMIN.password);
      const from = performance.now();
      for (const { api } of [a, b, a, b]) assert.equal((await forgot(api, ADMIN.email)).status, 202);
      await smtp.mailTo(ADMIN.email, 4);
      assert.ok(performance.now() - from < 10_000, "sooner than it is looked for anyway");
      const tokens = smtp.mails.map(tokenIn);
      assert.equal(new Set(tokens).size, 4);
      const statuses = [];
      for (const token of tokens)
        statuses.push((await a.api.call("POST", "/api/v1/auth/password/reset", { token, password: PASSWORD })).status);
      assert.deepEqual(
        statuses.toSorted((one, other) => one - other),
        [200, 401, 401, 401],
      );
      await until(() => !atB.state.isOpen, { what: "the end of the session at the other node", timeoutMs: 2_000 });
      assert.equal((await b.api.call("GET", "/api/v1/auth/me")).status, 401);
      await smtp.mailTo(ADMIN.email, 5);
      assert.equal(smtp.mails.length, 5);
    });

    test("without a mail server the links stand in the log while developing, and in no other log", async () => {
      const logged: { level: string; data: object; message: string }[] = [];
      const note = (level: string) => (data: object, message: string) => void logged.push({ level, data, message });
      const log: Log = { debug: note("debug"), info: note("info"), warn: note("warn"), error: note("error") };
      {
        await using hub = await startHub({ log, env: { NODE_ENV: "development" } });
        assert.equal((await forgot(hub.api, ADMIN.email)).status, 202);
        const line = await until(() => logged.find(({ data }) => "link" in data), { what: "the link" });
        assert.equal(line.level, "warn");
        const { link } = line.data as { link: string };
        const [page, token = ""] = link.split("#token=");
        assert.equal(page, `${hub.http}/auth/reset-password`);
        assert.equal((await hub.api.call("POST", "/api/v1/auth/password/reset", { token, password: PASSWORD })).status, 200);
      }
      logged.length = 0;
      await using hub = await startHub({ log });
      assert.equal((await forgot(hub.api, ADMIN.email)).status, 503);
      assert.ok(logged.length > 0 && !JSON.stringify(logged).includes("hxv_"));
    });

    test("smtps goes to a server whose authority is known, and nowhere else", async () => {
      const authority = await makeTestAuthority("mail");
      const pair = await authority.issue({ name: "127.0.0.1", alternatives: [{ type: "ip", value: "127.0.0.1" }], uses: [SERVER_USE] });
      await using smtp = await startSmtpServer({ tls: pair });
      await using folder = temporaryFolder();
      const caFile = join(folder.path, "authority.pem");
      await writeFile(caFile, authority.cert);
      const env = mailFrom(smtp.url, { HEXA_LOG_LEVEL: "error" });
      {
        await using hub = await spawnHub({ dataDir: join(folder.path, "data"), env });
        assert.equal((await forgot(hub.api, ADMIN.email)).status, 202);
        await until(() => smtp.connections > 0, { what: "a connection" });
      }
      assert.deepEqual(smtp.mails, []);
      await using hub = await spawnHub({ dataDir: join(folder.path, "data"), env: { ...env, NODE_EXTRA_CA_CERTS: caFile } });
      assert.equal((await forgot(hub.api, ADMIN.email)).status, 202);
      assert.equal((await smtp.mailTo(ADMIN.email)).isEncrypted, true);
    });
  });
});
