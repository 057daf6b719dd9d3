import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { listAudit } from "../../store/audit.ts";
import { PLATFORM } from "../../core/principal.ts";
import { isStillRight } from "../../store/user-changes.ts";
import { findUserWithPassword, passwordCredentialId } from "../../store/users.ts";
import { databases } from "../support/databases.ts";
import { type SmtpServer, startSmtpServer, tokenIn } from "../support/smtp-server.ts";
import { until } from "../support/wait.ts";
import { type Answered, assertEnvelope, field, SETUP_TOKEN, startTestApi, type TestApi } from "./test-api.ts";

const ADA = { email: "ada@example.com", password: "correct horse battery" };
const NEXT = "battery horse staple";

interface Place {
  readonly hub: TestApi;
  readonly smtp: SmtpServer;
  readonly post: (path: string, body: object, token?: string) => Promise<Answered>;
  /** The token of the `count`-th mail that resets. */
  readonly forget: (count?: number) => Promise<string>;
  readonly login: (password?: string, more?: object) => Promise<Answered>;
}

for (const { name, skip, open } of databases()) {
  describe(`passwords on ${name}`, { skip }, () => {
    async function inPlace(work: (place: Place) => Promise<void>): Promise<void> {
      await using database = await open();
      await using smtp = await startSmtpServer();
      await using hub = await startTestApi({ loginFailures: 3, smtp: { url: smtp.url, from: "hub@hub.example" } }, database.url);
      assert.equal((await hub.ask("POST", "/api/v1/setup", { body: { token: SETUP_TOKEN, ...ADA } })).status, 201);
      const post: Place["post"] = (path, body, token) => hub.ask("POST", `/api/v1/auth/${path}`, { body, token });
      await work({
        hub,
        smtp,
        post,
        async forget(count = 1) {
          assert.equal((await post("password/forgot", { email: ADA.email })).status, 202);
          return tokenIn(await smtp.mailTo(ADA.email, count));
        },
        login: (password = ADA.password, more = {}) => post("login", { email: ADA.email, password, ...more }),
      });
    }

    test("a reset takes the token of the newest mail, once, within an hour", async () => {
      await inPlace(async ({ hub, smtp, post, forget, login }) => {
        const reset = (token: string, password = NEXT) => post("password/reset", { token, password });
        const [first, second] = [await forget(1), await forget(2)];
        assert.ok((await smtp.mailTo(ADA.email)).text.includes(`${hub.api.url}/auth/reset-password#token=${first}\n`));
        assertEnvelope(await reset(first), 401, "unauthorized");
        assertEnvelope(await post("verify-email", { token: second }), 401, "unauthorized");
        assertEnvelope(await reset(second, "short"), 400, "validation_error");
        const answers = await Promise.all(Array.from({ length: 10 }, () => reset(second)));
        assert.deepEqual(
          answers.map(({ status }) => status).toSorted((a, b) => a - b),
          [200, ...Array<number>(9).fill(401)],
        );
        assert.equal((await login(NEXT)).status, 200);
        assertEnvelope(await login(), 401, "unauthorized");
        assert.match((await smtp.mailTo(ADA.email, 3)).text, /no personal access tokens/);

        const third = await forget(4);
        hub.time.aheadMs = 3_600_001;
        assertEnvelope(await reset(third), 401, "unauthorized");
      });
    });

    test("a reset ends every login, and says how many personal tokens go on", async () => {
      await inPlace(async ({ hub, smtp, post, forget, login }) => {
        const [bearer, other, browser] = [await login(), await login(), await login(ADA.password, { cookie: true })];
        const cookie = /session_token=[^;]+/.exec(browser.headers.get("set-cookie") ?? "")?.[0] as string;
        const access = field(bearer, "access_token");
        const personal = await hub.ask("POST", "/api/v1/access-tokens", { token: access, body: { kind: "personal", name: "laptop" } });
        const me = (asked: object) => hub.ask("GET", "/api/v1/auth/me", asked);
        assert.equal((await me({ headers: { cookie } })).status, 200);
        const before = await findUserWithPassword(hub.context.store.db, ADA.email);
        assert.ok(before);

        const answer = await post("password/reset", { token: await forget(), password: NEXT });
        assert.deepEqual([answer.status, answer.json], [200, { logins_ended: 4, access_tokens: 1 }], answer.text);
        assert.match(answer.headers.get("set-cookie") ?? "", /session_token=;/);
        assertEnvelope(await me({ token: access }), 401, "unauthorized");
        assertEnvelope(await me({ headers: { cookie } }), 401, "unauthorized");
        assertEnvelope(await post("refresh", { refresh_token: field(other, "refresh_token") }), 401, "unauthorized");
        assert.equal((await me({ token: field(personal, "token") })).status, 200);
        assert.ok(hub.disconnected.includes(passwordCredentialId(before)), "MQTT sessions by the old password");
        assert.equal(hub.disconnected.length, 5);
        assert.match((await smtp.mailTo(ADA.email, 2)).text, /One personal access token of yours still works/);
        // Whoever logs in with the old password right now does not slip through.
        const { db } = hub.context.store;
        assert.equal(await isStillRight(db, before.id, before.passwordHash), false);
        const { items } = await listAudit(db, PLATFORM, { limit: 50 });
        assert.ok(items.some(({ action, resourceId }) => action === "user.password_reset" && resourceId === before.id));
        assert.doesNotMatch(JSON.stringify(items), /hxv_|battery/);
      });
    });

    test("log-ins with the old password while it is reset are refused or ended", async () => {
      await inPlace(async ({ hub, post, forget, login }) => {
        hub.time.aheadMs = 0;
        const token = await forget();
        const [reset, ...logins] = await Promise.all([
          post("password/reset", { token, password: NEXT }),
          ...Array.from({ length: 3 }, () => login()),
        ]);
        assert.equal(reset?.status, 200, reset?.text);
        for (const answer of logins) {
          assert.ok(answer.status === 200 || answer.status === 401, answer.text);
          if (answer.status !== 200) continue;
          assertEnvelope(await hub.ask("GET", "/api/v1/auth/me", { token: field(answer, "access_token") }), 401, "unauthorized");
        }
      });
    });

    test("who asks for an address that nobody has is answered the same and does the same, and nobody gets a mail", async () => {
      await inPlace(async ({ hub, smtp, post, forget }) => {
        const { db } = hub.context.store;
        const counts = async () => ({
          tokens: (await db("email_tokens")).length,
          mails: (await db("mails")).length,
          audit: (await db("audit_outbox").where({ action: "user.reset_requested" })).length,
        });
        const done = async (email: string) => {
          const before = await counts();
          const answer = await post("password/forgot", { email });
          const after = await counts();
          return [answer.status, answer.text, after.tokens - before.tokens, after.mails - before.mails, after.audit - before.audit];
        };
        const unknown = await done("nobody@example.com");
        assert.deepEqual(unknown, await done(ADA.email));
        assert.deepEqual(unknown.slice(2), [1, 1, 1]);
        await forget(2);
        assert.ok(!smtp.mails.some(({ to }) => to.includes("nobody@example.com")));
      });
    });

    test("a change keeps the login that made it and ends the others; a wrong password counts as a failed login", async () => {
      await inPlace(async ({ hub, smtp, post, login }) => {
        const [here, there] = [field(await login(), "access_token"), field(await login(), "access_token")];
        const change = (current: string, password = NEXT) => post("password", { current_password: current, password }, here);
        const me = async (token: string) => (await hub.ask("GET", "/api/v1/auth/me", { token })).status;
        assertEnvelope(await change("wrong password"), 403, "forbidden");
        assertEnvelope(await change(ADA.password, "short"), 400, "validation_error");
        const done = await change(ADA.password);
        assert.deepEqual([done.status, done.json], [200, { logins_ended: 2, access_tokens: 0 }], done.text);
        assert.deepEqual([await me(here), await me(there)], [200, 401]);
        await smtp.mailTo(ADA.email);
        assert.equal((await login(NEXT)).status, 200);
        for (let count = 0; count < 3; count++) assertEnvelope(await change("wrong password"), 403, "forbidden");
        assertEnvelope(await change(NEXT), 429, "rate_limited");
        assertEnvelope(await login(NEXT), 429, "rate_limited");
      });
    });

    test("of two changes at once one holds, and the other is told", async () => {
      await inPlace(async ({ post, login }) => {
        const [one, other] = [field(await login(), "access_token"), field(await login(), "access_token")];
        const change = (token: string, password: string) => post("password", { current_password: ADA.password, password }, token);
        const answers = await Promise.all([change(one, "first horse battery"), change(other, "second horse battery")]);
        const won = answers.findIndex(({ status }) => status === 200);
        assert.deepEqual(answers.filter(({ status }) => status === 200).length, 1, answers.map(({ text }) => text).join());
        assert.ok([401, 403, 409].includes(answers[1 - won]?.status ?? 0), answers[1 - won]?.text);
        assert.equal((await login(won === 0 ? "first horse battery" : "second horse battery")).status, 200);
      });
    });

    test("a new password stops what was begun with the old one: a change of the address, and another reset", async () => {
      await inPlace(async ({ smtp, post, forget, login }) => {
        const thief = field(await login(), "access_token");
        assert.equal((await post("email", { email: "thief@example.com", password: ADA.password }, thief)).status, 202);
        const change = tokenIn(await smtp.mailTo("thief@example.com"));
        assert.equal((await post("password/reset", { token: await forget(), password: NEXT })).status, 200);
        assertEnvelope(await post("verify-email", { token: change }), 401, "unauthorized");
        assert.equal((await login(NEXT)).status, 200);
      });
    });

    test("whoever is not active gets no mail and no new password", async () => {
      await inPlace(async ({ hub, smtp, post, forget }) => {
        const { db } = hub.context.store;
        const token = await forget();
        await db("users").update({ is_active: false });
        assertEnvelope(await post("password/reset", { token, password: NEXT }), 401, "unauthorized");
        assert.equal((await post("password/forgot", { email: ADA.email })).status, 202);
        const ended = () => db("mails").where({ outcome: "unneeded" });
        await until(async () => (await ended()).length === 1, { what: "the mail that is not needed" });
        assert.equal(smtp.mails.length, 1);
      });
    });
  });
}
