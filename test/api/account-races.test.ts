import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { databases } from "../support/databases.ts";
import { startSmtpServer, tokenIn } from "../support/smtp-server.ts";
import { field, SETUP_TOKEN, startTestApi } from "./test-api.ts";

const ROUNDS = 6;
const PASSWORD = "correct horse battery";
const ADMIN = { email: "admin@example.com", password: PASSWORD };

for (const { name, skip, open } of databases()) {
  describe(`accounts on ${name}`, { skip }, () => {
    test("whatever is done to one person at the same time, each is done or refused, and none fails", async () => {
      await using database = await open();
      await using smtp = await startSmtpServer();
      await using hub = await startTestApi({ registration: "open", smtp: { url: smtp.url, from: "hub@hub.example" } }, database.url);
      const post = (path: string, body: object, token?: string) => hub.ask("POST", `/api/v1/auth/${path}`, { body, token });
      const set = await hub.ask("POST", "/api/v1/setup", { body: { token: SETUP_TOKEN, ...ADMIN } });
      const admin = field(set, "access_token");
      const statuses = new Map<string, number>();
      for (let round = 0; round < ROUNDS; round++) {
        const [email, next] = [`p${round}@example.com`, `n${round}@example.com`];
        assert.equal((await post("register", { email, password: PASSWORD })).status, 202);
        const made = await post("verify-email", { token: tokenIn(await smtp.mailTo(email)), password: PASSWORD });
        const { id } = made.json["user"] as { id: string };
        const access = field(await post("login", { email, password: PASSWORD }), "access_token");
        assert.equal((await post("email", { email: next, password: PASSWORD }, access)).status, 202);
        assert.equal((await post("password/forgot", { email })).status, 202);
        assert.equal((await post("register", { email: next, password: PASSWORD })).status, 202);
        const [change, registration] = [tokenIn(await smtp.mailTo(next, 1)), tokenIn(await smtp.mailTo(next, 2))];
        const reset = tokenIn(await smtp.mailTo(email, 2));
        const answers = await Promise.all([
          post("verify-email", { token: change }),
          post("verify-email", { token: registration, password: PASSWORD }),
          post("password/reset", { token: reset, password: "battery horse staple" }),
          post("password", { current_password: PASSWORD, password: "staple horse battery" }, access),
          post("login", { email, password: PASSWORD }),
          post("password/forgot", { email }),
          post("register", { email, password: PASSWORD }),
          hub.ask("PATCH", `/api/v1/users/${id}`, { token: admin, body: { is_active: round % 2 === 0 } }),
          ...(round % 3 === 0 ? [hub.ask("DELETE", "/api/v1/auth/me", { token: access, body: { password: PASSWORD } })] : []),
        ]);
        for (const { status, text } of answers) {
          assert.ok(status < 500, text);
          statuses.set(String(status), (statuses.get(String(status)) ?? 0) + 1);
        }
        const { db } = hub.context.store;
        assert.ok((await db("users").where({ email: next })).length <= 1);
      }
      assert.ok(statuses.has("200") && statuses.has("401"), JSON.stringify([...statuses]));
    });
  });
}
