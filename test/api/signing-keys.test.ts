import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PLATFORM } from "../../core/principal.ts";
import { listAudit } from "../../store/audit.ts";
import { databases } from "../support/databases.ts";
import { startHub } from "../support/hub.ts";
import { assertEnvelope, OPERATOR, startTestApi } from "./test-api.ts";

interface KeyView {
  readonly kid: string;
  readonly purpose: string;
  readonly state: string;
  readonly activates_at: string;
  readonly retired_at: string | null;
}

for (const { name, skip, open } of databases()) {
  describe(`${name}: signing keys`, { skip }, () => {
    test("are shown without their secrets and go on to the next one, for administrators of the hub alone", async () => {
      await using database = await open();
      await using hub = await startTestApi({}, database.url);
      const keys = async (): Promise<KeyView[]> => {
        const { json } = await hub.ask("GET", "/api/v1/signing-keys", { token: OPERATOR });
        return json["data"] as KeyView[];
      };
      const rotate = (purpose: string, token = OPERATOR, headers: Record<string, string> = {}) =>
        hub.ask("POST", "/api/v1/signing-keys/rotate", { token, body: { purpose }, headers });
      const stateOf = (list: KeyView[]) => list.filter(({ purpose }) => purpose === "user_jwt").map(({ state }) => state);

      assert.deepEqual((await keys()).map(({ purpose, state }) => `${purpose} ${state}`).toSorted(), [
        "device_jwt active",
        "token_hmac active",
        "user_jwt active",
      ]);
      const admin = await hub.member("admin");
      const from = Date.now();
      const headers = { "idempotency-key": "once" };
      const made = await rotate("user_jwt", admin.token, headers);
      assert.equal(made.status, 202, made.text);
      const next = made.json["signing_key"] as KeyView;
      assert.equal(next.state, "next");
      assert.ok(Date.parse(next.activates_at) - from >= 60_000 && Date.parse(next.activates_at) - from < 90_000);
      assert.deepEqual((await rotate("user_jwt", admin.token, headers)).json, made.json, "a repetition makes no other");
      const again = await rotate("user_jwt");
      assertEnvelope(again, 409, "conflict");
      assert.deepEqual(again.json["details"], { kid: next.kid, activates_at: next.activates_at });

      const list = await keys();
      assert.deepEqual(stateOf(list), ["active", "next"]);
      assert.equal(list.find(({ purpose }) => purpose === "user_jwt")?.retired_at, next.activates_at);
      const text = JSON.stringify([list, made.text]);
      for (const { kid } of list) {
        const secret = hub.context.keys.find("user_jwt", kid)?.secret;
        for (const encoding of ["hex", "base64", "base64url"] as const) assert.ok(!secret || !text.includes(secret.toString(encoding)));
      }
      const { items } = await listAudit(hub.context.store.db, PLATFORM, { limit: 10, action: "signing_key.rotate" });
      assert.deepEqual(
        items.map(({ actor, resourceId, details }) => [actor.id, resourceId, details]),
        [[admin.userId, next.kid, { purpose: "user_jwt", activates_at: next.activates_at }]],
      );
      assert.equal(hub.context.keys.find("user_jwt", next.kid)?.kid, next.kid, "this node knows it at once");

      const { token: owner } = await hub.member();
      assertEnvelope(await rotate("device_jwt", owner), 403, "forbidden");
      assertEnvelope(await hub.ask("GET", "/api/v1/signing-keys", { token: owner }), 403, "forbidden");
      assertEnvelope(await rotate("master_key"), 400, "validation_error");
      assert.deepEqual(stateOf(await keys()), ["active", "next"]);
    });
  });
}

test("a secret of the settings cannot rotate, and says so", async () => {
  await using hub = await startHub({ env: { JWT_SECRET: "s".repeat(40) } });
  await hub.api.login();
  for (const purpose of ["user_jwt", "device_jwt"]) {
    const { status, body } = await hub.api.call("POST", "/api/v1/signing-keys/rotate", { purpose });
    assert.deepEqual([status, body["code"]], [409, "conflict"]);
    assert.match(String(body["message"]), /JWT_SECRET/);
  }
  assert.equal((await hub.api.call("POST", "/api/v1/signing-keys/rotate", { purpose: "token_hmac" })).status, 202);
});
