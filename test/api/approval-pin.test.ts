import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { noteRefusal } from "../../api/refusals.ts";
import { PLATFORM } from "../../core/principal.ts";
import { checkPin } from "../../store/approval-pins.ts";
import { listAudit } from "../../store/audit.ts";
import { setPassword } from "../../store/user-changes.ts";
import { getUser, userPrincipal } from "../../store/users.ts";
import { databases } from "../support/databases.ts";
import { until } from "../support/wait.ts";
import { type Answered, assertEnvelope, startTestApi, type TestApi } from "./test-api.ts";

const PATH = "/api/v1/account/approval-pin";
const PASSWORD = "correct horse battery";

interface Place {
  readonly hub: TestApi;
  readonly person: Awaited<ReturnType<TestApi["member"]>>;
  readonly put: (body: object) => Promise<Answered>;
  readonly remove: (body: object) => Promise<Answered>;
  readonly check: (pin: string) => Promise<void>;
}

for (const { name, skip, open } of databases())
  describe(`the PIN of whoever approves, on ${name}`, { skip }, () => {
    async function inPlace(work: (place: Place) => Promise<void>): Promise<void> {
      await using database = await open();
      await using hub = await startTestApi({ loginFailures: 3 }, database.url);
      const { store, passwords } = hub.context;
      const person = await hub.member();
      assert.ok(await setPassword(store.db, person.userId, await passwords.hash(PASSWORD)));
      const { token, userId } = person;
      await work({
        hub,
        person,
        put: (body) => hub.ask("PUT", PATH, { token, body }),
        remove: (body) => hub.ask("DELETE", PATH, { token, body }),
        check: (pin) => checkPin({ ...hub.context, db: store.db }, userId, pin),
      });
    }

    test("takes the password to be set, changed and taken away", async () => {
      await inPlace(async ({ hub, put, remove, check }) => {
        assert.equal((await put({ password: PASSWORD, pin: "471108150815" })).status, 204);
        await check("471108150815");
        assertEnvelope(await put({ password: "wrong", pin: "0000" }), 403, "forbidden");
        assertEnvelope(await remove({ password: "wrong" }), 403, "forbidden");
        await check("471108150815");
        assert.equal((await put({ password: PASSWORD, pin: "123456789012" })).status, 204);
        await assert.rejects(check("471108150815"), { code: "pin_wrong" });
        await check("123456789012");
        assert.equal((await remove({ password: PASSWORD })).status, 204);
        assert.equal((await remove({ password: PASSWORD })).status, 204);
        await assert.rejects(check("123456789012"), { code: "pin_wrong" });
        const { items } = await listAudit(hub.context.store.db, PLATFORM, { limit: 50 });
        const noted = items.map(({ action }) => action).filter((action) => action.startsWith("user.approval_pin"));
        assert.deepEqual(noted, ["user.approval_pin_removed", "user.approval_pin_set", "user.approval_pin_set"]);
        assert.doesNotMatch(JSON.stringify(items), /471108150815|123456789012/);
      });
    });

    test("is 4 to 12 digits, and a person's own by the whole account", async () => {
      await inPlace(async ({ hub, person, put }) => {
        for (const pin of ["123", "1234567890123", "12a4", "１２３４", "", 1234])
          assertEnvelope(await put({ password: PASSWORD, pin }), 400, "validation_error");
        const made = async (body: object): Promise<string> =>
          (await hub.ask("POST", "/api/v1/access-tokens", { token: person.token, body })).json["token"] as string;
        const limited = await made({ kind: "personal", name: "limited", permissions: ["device.read"] });
        const service = await made({ kind: "service", name: "a-machine" });
        for (const token of [limited, service])
          assertEnvelope(await hub.ask("PUT", PATH, { token, body: { password: PASSWORD, pin: "4711" } }), 403, "forbidden");
      });
    });

    test("a wrong one stands in the audit, whatever was to be approved", async () => {
      await inPlace(async ({ hub, person, put, check }) => {
        assert.equal((await put({ password: PASSWORD, pin: "4711" })).status, 204);
        const error: unknown = await check("0000").catch((reason: unknown) => reason);
        const principal = userPrincipal(await getUser(hub.context.store.db, PLATFORM, person.userId), "a login");
        const route = { method: "POST", path: "/api/v1/approvals/:id/approve", access: "approval.decide" } as const;
        noteRefusal(hub.context, { route, principal, headers: {}, hasCookie: false, source: "192.0.2.1", requestId: "r" }, error);
        const noted = async () => (await listAudit(hub.context.store.db, PLATFORM, { limit: 50, action: "user.pin_refused" })).items;
        await until(async () => (await noted()).length === 1, { what: "the refusal in the audit" });
        assert.deepEqual((await noted())[0]?.actor, { kind: "user", id: person.userId });
      });
    });

    test("a password that is tried too often is not looked at", async () => {
      await inPlace(async ({ put }) => {
        for (let count = 0; count < 3; count++) assertEnvelope(await put({ password: "wrong", pin: "4711" }), 403, "forbidden");
        assertEnvelope(await put({ password: PASSWORD, pin: "4711" }), 429, "rate_limited");
      });
    });
  });
