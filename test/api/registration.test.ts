import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PLATFORM } from "../../core/principal.ts";
import { listAudit } from "../../store/audit.ts";
import { rolesOf } from "../../store/members.ts";
import { databases } from "../support/databases.ts";
import { type SmtpServer, startSmtpServer, tokenIn } from "../support/smtp-server.ts";
import { type Answered, assertEnvelope, field, startTestApi, type TestApi } from "./test-api.ts";

const FROM = "Hexahub <hub@hub.example>";
const PASSWORD = "correct horse battery";

interface Place {
  readonly hub: TestApi;
  readonly smtp: SmtpServer;
  readonly post: (path: string, body: object, token?: string) => Promise<Answered>;
  /** The token that came for the registration. */
  readonly register: (email: string, more?: object) => Promise<string>;
  /** With the password of a registration, which other tokens do without. */
  readonly verify: (token: string, password?: string) => Promise<Answered>;
  readonly login: (email: string, password?: string) => Promise<Answered>;
}

for (const { name, skip, open } of databases()) {
  describe(`registration on ${name}`, { skip }, () => {
    async function inPlace(work: (place: Place) => Promise<void>): Promise<void> {
      await using database = await open();
      await using smtp = await startSmtpServer();
      await using hub = await startTestApi({ registration: "open", smtp: { url: smtp.url, from: FROM } }, database.url);
      const post: Place["post"] = (path, body, token) => hub.ask("POST", `/api/v1/auth/${path}`, { body, token });
      await work({
        hub,
        smtp,
        post,
        async register(email, more = {}) {
          const before = smtp.mails.filter(({ to }) => to.includes(email)).length;
          const answer = await post("register", { email, password: PASSWORD, ...more });
          assert.deepEqual([answer.status, answer.json], [202, { status: "verification_sent" }], answer.text);
          return tokenIn(await smtp.mailTo(email, before + 1));
        },
        verify: (token, password = PASSWORD) => post("verify-email", { token, password }),
        login: (email, password = PASSWORD) => post("login", { email, password }),
      });
    }

    test("an account is made when its address is confirmed, once, with an organisation of its own", async () => {
      await inPlace(async ({ hub, smtp, register, verify, login }) => {
        const token = await register("ada@example.com", { name: "Ada", organization_name: "Villa Ada" });
        const mail = await smtp.mailTo("ada@example.com");
        assert.deepEqual([mail.from, mail.to], ["hub@hub.example", ["ada@example.com"]]);
        assert.equal(mail.headers.get("from"), FROM);
        assert.equal(mail.headers.get("auto-submitted"), "auto-generated");
        assert.match(mail.headers.get("message-id") ?? "", /^<[0-9a-f-]{36}@hub\.example>$/);
        assert.ok(mail.text.includes(`${hub.api.url}/auth/verify-email#token=${token}\n`), mail.text);
        assertEnvelope(await login("ada@example.com"), 401, "unauthorized");
        assert.ok(
          !JSON.stringify([await hub.context.store.db("email_tokens"), await hub.context.store.db("mails")]).includes(token.slice(4)),
        );

        const made = await verify(token);
        assert.equal(made.status, 200, made.text);
        const user = made.json["user"] as Record<string, unknown>;
        assert.deepEqual([user["email"], user["name"], user["role"], user["is_email_verified"]], ["ada@example.com", "Ada", "user", true]);
        assertEnvelope(await verify(token), 401, "unauthorized");
        const session = await login("ADA@example.com");
        assert.equal(session.status, 200, session.text);
        assert.deepEqual([...(await rolesOf(hub.context.store.db, user["id"] as string)).values()], ["owner"]);
        const { json } = await hub.ask("GET", "/api/v1/organizations", { token: field(session, "access_token") });
        assert.deepEqual(
          (json["data"] as { name: string }[]).map((one) => one.name),
          ["Villa Ada"],
        );
        const { items } = await listAudit(hub.context.store.db, PLATFORM, { limit: 50 });
        assert.ok(items.some(({ action, resourceId }) => action === "user.register" && resourceId === user["id"]));
        assert.ok(!JSON.stringify([items, hub.logged]).includes(token.slice(4)));
      });
    });

    test("who asks for an address that has an account is answered the same, does the same, and its owner is told", async () => {
      await inPlace(async ({ hub, smtp, post, register, verify, login }) => {
        await verify(await register("ada@example.com"));
        const { db } = hub.context.store;
        const counts = async () => ({
          tokens: (await db("email_tokens")).length,
          mails: (await db("mails")).length,
          audit: (await db("audit_outbox").where({ action: "user.registration_requested" })).length,
        });
        const done = async (email: string) => {
          const before = await counts();
          const answer = await post("register", { email, password: "battery horse staple" });
          const after = await counts();
          return [answer.status, answer.text, after.tokens - before.tokens, after.mails - before.mails, after.audit - before.audit];
        };
        const taken = await done("Ada@example.com");
        assert.deepEqual(taken, await done("nobody@example.com"));
        assert.deepEqual(taken.slice(2), [1, 1, 1]);
        const mail = await smtp.mailTo("ada@example.com", 2);
        assert.match(mail.headers.get("subject") ?? "", /have an account already/);
        assert.doesNotMatch(mail.text, /hxv_|#token/);
        assert.equal((await login("ada@example.com")).status, 200);
        assertEnvelope(await login("ada@example.com", "battery horse staple"), 401, "unauthorized");
      });
    });

    test("fifty verifications of one token at once make one person, and so do those of two tokens of one address", async () => {
      await inPlace(async ({ hub, register, verify }) => {
        const { db } = hub.context.store;
        const token = await register("ada@example.com");
        const answers = await Promise.all(Array.from({ length: 50 }, () => verify(token)));
        const statuses = answers.map(({ status }) => status);
        // Few are let near the password at all, and a queue that is too long says so.
        const refused = statuses.filter((one) => one === 401 || one === 429).length;
        assert.deepEqual([statuses.filter((one) => one === 200).length, refused], [1, 49], statuses.join(" "));
        assert.equal((await db("users")).length, 1);
        assert.equal((await db("organizations")).length, 1);

        const tokens = [await register("grace@example.com"), await register("grace@example.com")];
        const both = await Promise.all(tokens.map((one) => verify(one)));
        const [won, lost] = both.toSorted((a, b) => a.status - b.status);
        assert.equal(won?.status, 200);
        assert.ok(lost?.status === 401 || lost?.status === 409, lost?.text);
        assert.equal((await db("users")).length, 2);
        assert.equal((await db("organizations")).length, 2);
        assert.deepEqual(await db("email_tokens"), []);
      });
    });

    test("nobody takes somebody else's registration away: each mail makes the account that was asked for with it", async () => {
      await inPlace(async ({ post, register, verify, login }) => {
        const mine = await register("ada@example.com");
        await register("ada@example.com", { password: "chosen by another" });
        assert.equal((await verify(mine)).status, 200);
        assert.equal((await login("ada@example.com")).status, 200);
        assertEnvelope(await login("ada@example.com", "chosen by another"), 401, "unauthorized");
        assertEnvelope(await post("verify-email", { token: `hxv_${"A".repeat(43)}` }), 401, "unauthorized");
        assertEnvelope(await post("verify-email", { token: "hxi_wrong" }), 401, "unauthorized");
      });
    });

    test("who reads the mail gets no account with the password of a stranger, who cannot have one either", async () => {
      await inPlace(async ({ hub, post, register, login }) => {
        const { db } = hub.context.store;
        const token = await register("victim@example.com", { password: "chosen by another" });
        const missing = await post("verify-email", { token });
        assertEnvelope(missing, 400, "validation_error");
        assert.deepEqual(missing.json["details"], [{ path: "/password", message: "is missing" }]);
        assertEnvelope(await post("verify-email", { token, password: PASSWORD }), 403, "forbidden");
        assert.deepEqual([await db("users"), await db("organizations")], [[], []]);
        for (const password of [PASSWORD, "chosen by another"])
          assertEnvelope(await login("victim@example.com", password), 401, "unauthorized");
        // Neither has used it up.
        const made = await post("verify-email", { token, password: "chosen by another" });
        assert.equal(made.status, 200, made.text);
        const { items } = await listAudit(db, PLATFORM, { limit: 50 });
        assert.equal(items.filter(({ action }) => action === "user.registration_refused").length, 1);
        assert.ok(!JSON.stringify([items, hub.logged]).includes("chosen by another"));
      });
    });

    test("after five wrong passwords the token of a registration is worth nothing, also of many at once", async () => {
      await inPlace(async ({ register, verify }) => {
        const patient = await register("ada@example.com");
        for (let count = 0; count < 4; count++) assertEnvelope(await verify(patient, `wrong password ${count}`), 403, "forbidden");
        assert.equal((await verify(patient)).status, 200);
        const token = await register("grace@example.com");
        const answers = await Promise.all(Array.from({ length: 20 }, (_, count) => verify(token, `wrong password ${count}`)));
        const looked = answers.filter(({ status }) => status === 403);
        assert.equal(looked.length, 5, answers.map(({ status }) => status).join(" "));
        assertEnvelope(await verify(token), 401, "unauthorized");
      });
    });

    test("a token is worth nothing after a day", async () => {
      await inPlace(async ({ hub, register, verify }) => {
        const [early, late] = [await register("ada@example.com"), await register("grace@example.com")];
        hub.time.aheadMs = 86_400_000 - 60_000;
        assert.equal((await verify(early)).status, 200);
        hub.time.aheadMs = 86_400_000 + 1_000;
        assertEnvelope(await verify(late), 401, "unauthorized");
      });
    });

    test("what strangers write stands in no mail, and an address is one address whatever is in it", async () => {
      await inPlace(async ({ hub, smtp, post }) => {
        const evil = "Bcc: all@example.org";
        const asked = await post("register", {
          email: "ada@example.com",
          password: PASSWORD,
          name: evil,
          organization_name: "http://evil.example",
        });
        assert.equal(asked.status, 202, asked.text);
        const { raw } = await smtp.mailTo("ada@example.com");
        assert.doesNotMatch(raw, /evil|all@example/);
        for (const email of ["a\r\nRCPT TO:<b@example.com>@example.com", "a b@example.com", "a@example.com\nBcc:b@example.com"])
          assertEnvelope(await post("register", { email, password: PASSWORD }), 400, "validation_error");
        for (const email of ["a,b@example.com", "a<b>@example.com", '"a@b,c"@example.com', "ada@exämple.example"]) {
          const answer = await post("register", { email, password: PASSWORD });
          assert.ok(answer.status === 202 || answer.status === 400, answer.text);
        }
        const end = await post("register", { email: "end@example.com", password: PASSWORD });
        assert.equal(end.status, 202);
        await smtp.mailTo("end@example.com");
        for (const { to } of smtp.mails) assert.equal(to.length, 1);
        assert.ok(!smtp.mails.some(({ to }) => to.includes("b@example.com") || to.includes("b")));
        assert.ok(hub.logged.every(({ level }) => level !== "error"));
      });
    });

    test("an address is changed when the new one is confirmed; the old one is told, and a taken one is not to be had", async () => {
      await inPlace(async ({ hub, smtp, post, register, verify, login }) => {
        await verify(await register("ada@example.com"));
        await verify(await register("grace@example.com"));
        const token = field(await login("ada@example.com"), "access_token");
        const change = (email: string, password = PASSWORD) => post("email", { email, password }, token);
        assertEnvelope(await change("ada@new.example", "wrong password"), 403, "forbidden");
        assertEnvelope(await change("ADA@example.com"), 409, "conflict");
        const [free, taken] = [await change("Ada@new.example"), await change("grace@example.com")];
        assert.deepEqual([free.status, free.text], [taken.status, taken.text]);
        assert.equal(free.status, 202);
        assert.doesNotMatch((await smtp.mailTo("grace@example.com", 2)).text, /hxv_/);

        // The second one took its place.
        assertEnvelope(await verify(tokenIn(await smtp.mailTo("ada@new.example"))), 401, "unauthorized");
        assert.equal((await change("ada@new.example")).status, 202);
        assert.equal((await login("ada@example.com")).status, 200, "it does not hold yet");
        const done = await verify(tokenIn(await smtp.mailTo("ada@new.example", 2)));
        assert.equal(done.status, 200, done.text);
        assert.match((await smtp.mailTo("ada@example.com", 2)).text, /ada@new\.example/);
        assertEnvelope(await login("ada@example.com"), 401, "unauthorized");
        assert.equal((await login("ada@new.example")).status, 200);
        assert.equal((await hub.ask("GET", "/api/v1/auth/me", { token })).status, 200, "the login goes on");
      });
    });

    test("an address that was taken while its mail was under way is a conflict, and both persons stay as they are", async () => {
      await inPlace(async ({ smtp, post, register, verify, login }) => {
        await verify(await register("ada@example.com"));
        const access = field(await login("ada@example.com"), "access_token");
        assert.equal((await post("email", { email: "new@example.com", password: PASSWORD }, access)).status, 202);
        const change = tokenIn(await smtp.mailTo("new@example.com"));
        const registration = await register("new@example.com");
        const [one, other] = await Promise.all([verify(change), verify(registration)]);
        assert.deepEqual([one.status, other.status].filter((status) => status === 200).length, 1);
        assert.ok([one, other].some(({ status }) => status === 401 || status === 409));
        assert.equal((await login("new@example.com")).status, 200);
      });
    });

    test("somebody whose address is not verified has the mail sent again; the newest token counts", async () => {
      await inPlace(async ({ hub, smtp, post, verify }) => {
        const { token, userId } = await hub.member();
        const user = async () =>
          (await hub.ask("GET", "/api/v1/auth/me", { token })).json["user"] as { email: string; is_email_verified: boolean };
        const { email, is_email_verified: before } = await user();
        assert.equal(before, false);
        const tokens = [];
        for (const count of [1, 2]) {
          assert.equal((await post("verification", {}, token)).status, 202);
          tokens.push(tokenIn(await smtp.mailTo(email, count)));
        }
        assertEnvelope(await verify(tokens[0] as string), 401, "unauthorized");
        assert.equal(((await verify(tokens[1] as string)).json["user"] as { id: string }).id, userId);
        assert.equal((await user()).is_email_verified, true);
        assertEnvelope(await post("verification", {}, token), 409, "conflict");
      });
    });
  });
}

test("a hub to which people come by invitation says so, and one without a mail server too", async () => {
  await using invited = await startTestApi();
  const body = { email: "ada@example.com", password: PASSWORD };
  const refused = await invited.ask("POST", "/api/v1/auth/register", { body });
  assertEnvelope(refused, 403, "forbidden");
  assert.match(field(refused, "message"), /invitation/);
  await using mute = await startTestApi({ registration: "open" });
  assertEnvelope(await mute.ask("POST", "/api/v1/auth/register", { body }), 503, "unavailable");
  assertEnvelope(await mute.ask("POST", "/api/v1/auth/password/forgot", { body: { email: body.email } }), 503, "unavailable");
  const { token } = await mute.member();
  assertEnvelope(await mute.ask("POST", "/api/v1/auth/verification", { token }), 503, "unavailable");
});

test("an address gets so many mails of a kind an hour, and one caller causes so many", async () => {
  await using smtp = await startSmtpServer();
  const mail = { smtp: { url: smtp.url, from: FROM }, registration: "open" as const };
  await using hub = await startTestApi({ ...mail, mailAddressRate: 2, mailCallerRate: 5, trustProxy: ["127.0.0.1"] });
  const forgot = (email: string, address: string) =>
    hub.ask("POST", "/api/v1/auth/password/forgot", { body: { email }, headers: { "x-forwarded-for": address } });
  const mails = async () => (await hub.context.store.db("mails")).length;
  const answers = [];
  for (let count = 0; count < 5; count++) answers.push(await forgot("ada@example.com", "203.0.113.7"));
  assert.deepEqual([...new Set(answers.map(({ status, text }) => `${status} ${text}`))], ['202 {"status":"reset_sent"}']);
  assert.equal(await mails(), 2);
  assertEnvelope(await forgot("grace@example.com", "203.0.113.7"), 429, "rate_limited");
  assert.equal((await forgot("ADA@example.com", "203.0.113.8")).status, 202);
  assert.equal(await mails(), 2);
  // What others do with registrations keeps nobody's reset from them.
  const body = { email: "ada@example.com", password: PASSWORD };
  const register = await hub.ask("POST", "/api/v1/auth/register", { body, headers: { "x-forwarded-for": "203.0.113.9" } });
  assert.equal(register.status, 202);
  assert.equal(await mails(), 3);
});
