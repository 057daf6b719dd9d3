import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HubError } from "../../core/errors.ts";
import { newId } from "../../core/id.ts";
import { databases } from "../support/databases.ts";
import { apiOfSuite, assertEnvelope, field, OPERATOR, PROVISION_KEY } from "./test-api.ts";

const RELAY = { name: "Hall", device_class: "relay_controller" };

for (const engine of databases())
  describe(`an idempotency key on ${engine.name}`, { skip: engine.skip }, () => {
    const hub = apiOfSuite(engine);

    const register = (key: string, body: object = RELAY) =>
      hub().ask("POST", "/api/v1/provision/register", { body, headers: { "x-provision-key": PROVISION_KEY, "idempotency-key": key } });
    const countDevices = async () =>
      ((await hub().ask("GET", "/api/v1/devices?limit=200", { token: OPERATOR })).json["data"] as unknown[]).length;

    test("gives a repetition the first answer, credentials included, and says so", async () => {
      const key = newId();
      const first = await register(key);
      const second = await register(key);
      assert.deepEqual([first.status, second.status], [201, 201], first.text);
      assert.equal(second.text, first.text);
      assert.deepEqual([first.headers.get("idempotency-replayed"), second.headers.get("idempotency-replayed")], [null, "true"]);
    });

    test("refuses another request under the same name", async () => {
      const key = newId();
      await register(key);
      assertEnvelope(await register(key, { ...RELAY, name: "Other" }), 409, "idempotency_conflict");
    });

    test("makes one device of 50 requests at once", async () => {
      const count = await countDevices();
      const key = newId();
      const answers = await Promise.all(Array.from({ length: 50 }, () => register(key)));
      const made = answers.filter((answer) => answer.status === 201);
      assert.ok(made.length >= 1);
      assert.equal(new Set(made.map((answer) => answer.text)).size, 1);
      for (const answer of answers.filter((one) => one.status !== 201)) assertEnvelope(answer, 409, "idempotency_in_progress");
      assert.equal(await countDevices(), count + 1);
      assert.equal((await register(key)).text, made[0]?.text);
    });

    test("belongs to whoever sent it, and to one path", async () => {
      const key = newId();
      const [one, other] = [await hub().member(), await hub().member()];
      const add = (token: string) => hub().ask("POST", "/api/v1/devices", { token, body: RELAY, headers: { "idempotency-key": key } });
      const [first, second] = [await add(one.token), await add(other.token)];
      assert.deepEqual([first.status, second.status], [201, 201]);
      assert.notEqual(first.json["device_uid"], second.json["device_uid"]);
      const token = await hub().ask("POST", "/api/v1/access-tokens", {
        token: one.token,
        body: { kind: "personal", name: "x" },
        headers: { "idempotency-key": key },
      });
      assert.equal(token.status, 201, token.text);
    });

    test("keeps an answer of the 4xx kind, and none of the 5xx kind or of those that say to come later", async () => {
      const device = field(await hub().ask("POST", "/api/v1/devices", { token: OPERATOR, body: RELAY }), "device_uid");
      const command = (key: string) =>
        hub().ask("POST", `/api/v1/devices/${device}/commands`, {
          token: OPERATOR,
          body: { command: "set_relay", relay: 0, state: "ON" },
          headers: { "idempotency-key": key },
        });
      const offline = newId();
      hub().commandAnswer.next = () => Promise.reject(new HubError("device_offline", "the device is not connected"));
      const first = await command(offline);
      assertEnvelope(first, 409, "device_offline");
      const again = await command(offline);
      assert.deepEqual([again.text, again.headers.get("idempotency-replayed")], [first.text, "true"]);

      const soon = newId();
      hub().commandAnswer.next = () => Promise.reject(new HubError("rate_limited", "ask again later"));
      assertEnvelope(await command(soon), 429, "rate_limited");
      hub().commandAnswer.next = () => Promise.reject(new HubError("device_offline", "the device is not connected"));
      assertEnvelope(await command(soon), 409, "device_offline");

      const late = newId();
      hub().sent.length = 0;
      hub().commandAnswer.next = () => Promise.reject(new HubError("command_timeout", "the device did not answer"));
      assertEnvelope(await command(late), 504, "command_timeout");
      hub().commandAnswer.next = async (request) => ({
        commandId: request.commandId ?? "",
        taskId: null,
        status: "ok",
        latencyMs: 3,
        state: "ON",
      });
      const done = await command(late);
      assert.equal(done.status, 200, done.text);
      // The second try names the same command, so that the command path does it once.
      assert.equal(hub().sent.length, 2);
      assert.equal(hub().sent[0]?.commandId, hub().sent[1]?.commandId);
      assert.match(hub().sent[0]?.commandId ?? "", /^[A-Za-z0-9._:-]{1,64}$/);
    });

    test("is free again after a failure of which the database could not be told", async () => {
      const { db } = hub().context.store;
      const device = field(await hub().ask("POST", "/api/v1/devices", { token: OPERATOR, body: RELAY }), "device_uid");
      const headers = { "idempotency-key": newId() };
      const command = () =>
        hub().ask("POST", `/api/v1/devices/${device}/commands`, {
          token: OPERATOR,
          body: { command: "set_relay", relay: 0, state: "ON" },
          headers,
        });
      hub().commandAnswer.next = async () => {
        await db.schema.renameTable("idempotency_keys", "out_of_reach");
        throw new HubError("command_timeout", "the device did not answer");
      };
      const failed = await command();
      await db.schema.renameTable("out_of_reach", "idempotency_keys");
      assertEnvelope(failed, 504, "command_timeout");
      assert.ok(hub().logged.some(({ level, message }) => level === "error" && message.includes("idempotency key")));
      hub().commandAnswer.next = async ({ commandId = "" }) => ({ commandId, taskId: null, status: "ok", latencyMs: 3, state: "ON" });
      const done = await command();
      assert.deepEqual([done.status, done.headers.get("idempotency-replayed")], [200, null], done.text);
    });

    test("answers a repeated removal as the first", async () => {
      const device = field(await hub().ask("POST", "/api/v1/devices", { token: OPERATOR, body: RELAY }), "device_uid");
      const remove = () =>
        hub().ask("DELETE", `/api/v1/devices/${device}`, { token: OPERATOR, headers: { "idempotency-key": "remove-it" } });
      assert.deepEqual([(await remove()).status, (await remove()).status], [204, 204]);
      assertEnvelope(await hub().ask("DELETE", `/api/v1/devices/${device}`, { token: OPERATOR }), 404, "not_found");
    });

    test("that is no token is refused", async () => {
      assertEnvelope(await register("with space"), 400, "validation_error");
      assertEnvelope(await register("x".repeat(256)), 400, "validation_error");
    });

    test("leaves neither a credential nor a password readable in the database", async () => {
      const first = await register(newId());
      const rows = JSON.stringify(await hub().context.store.db("idempotency_keys").select("*"));
      assert.ok(rows.length > 100);
      assert.ok(!rows.includes(field(first, "device_token")) && !rows.includes(field(first, "claim_code")));
    });
  });
