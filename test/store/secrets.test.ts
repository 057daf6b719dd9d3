import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test as plainTest } from "node:test";
import { SetupError } from "../../core/errors.ts";
import { loadMasterKey, loadSigningKeys, open, seal } from "../../store/secrets.ts";
import { temporaryFolder } from "../support/wait.ts";
import { forEachEngine } from "./engines.ts";

plainTest("a master key is made once, for its owner alone", async () => {
  await using folder = temporaryFolder();
  const keys = await Promise.all(Array.from({ length: 8 }, () => loadMasterKey(folder.path)));
  assert.equal(new Set(keys.map((key) => key.toString("hex"))).size, 1);
  assert.equal(keys[0]?.length, 32);
  assert.deepEqual(readdirSync(folder.path), ["master.key"]);
  const path = join(folder.path, "master.key");
  assert.equal(statSync(path).mode & 0o777, 0o600);
  chmodSync(path, 0o644);
  assert.deepEqual(await loadMasterKey(folder.path), keys[0]);
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

plainTest("a configured master key is taken as base64 or hex, and nothing is written", async () => {
  await using folder = temporaryFolder();
  const key = randomBytes(32);
  for (const encoding of ["base64", "base64url", "hex"] as const)
    assert.deepEqual(await loadMasterKey(folder.path, key.toString(encoding)), key);
  await assert.rejects(loadMasterKey(folder.path, randomBytes(16).toString("hex")), SetupError);
  assert.deepEqual(readdirSync(folder.path), []);
  writeFileSync(join(folder.path, "master.key"), "short\n");
  await assert.rejects(loadMasterKey(folder.path), SetupError);
});

plainTest("what is sealed opens with its key only, and only unchanged", () => {
  const key = randomBytes(32);
  const secret = Buffer.from("wifi password");
  const sealed = seal(key, secret);
  assert.deepEqual(open(key, sealed), secret);
  assert.deepEqual(open(key, seal(key, Buffer.alloc(0))), Buffer.alloc(0));
  assert.notEqual(seal(key, secret), sealed);
  assert.throws(() => open(randomBytes(32), sealed), /sealed with the master key/);
  const parts = sealed.split(".");
  for (const index of [2, 3, 4]) {
    const bytes = Buffer.from(parts[index] ?? "", "base64url");
    bytes[0] = (bytes[0] ?? 0) ^ 1;
    assert.throws(() => open(key, parts.with(index, bytes.toString("base64url")).join(".")));
  }
  assert.throws(() => open(key, parts.with(3, (parts[3] ?? "").slice(0, 6)).join(".")));
  assert.throws(() => open(key, "v2.x.y.z.w"), /unknown form/);
});

forEachEngine(({ test }) => {
  test("signing keys are made once, also by two processes at once, and are stored sealed", async (db) => {
    const masterKey = randomBytes(32);
    const loaded = await Promise.all(Array.from({ length: 4 }, () => loadSigningKeys(db, masterKey)));
    for (const purpose of ["user_jwt", "device_jwt", "token_hmac"] as const) {
      const active = loaded.map((keys) => keys.active(purpose));
      assert.equal(new Set(active.map((key) => `${key.kid} ${key.secret.toString("hex")}`)).size, 1, purpose);
      assert.deepEqual(loaded[0]?.find(purpose, active[0]?.kid ?? ""), active[0]);
      assert.ok(!JSON.stringify(await db("signing_keys")).includes(active[0]?.secret.toString("base64url") ?? ""));
    }
    assert.equal(loaded[0]?.find("user_jwt", loaded[0].active("device_jwt").kid), undefined);
    await assert.rejects(loadSigningKeys(db, randomBytes(32)), SetupError);
  });

  test("a fixed JWT secret signs, and what was signed before still verifies", async (db) => {
    const masterKey = randomBytes(32);
    const before = await loadSigningKeys(db, masterKey);
    const jwtSecret = "a secret of at least thirty-two characters";
    const keys = await loadSigningKeys(db, masterKey, { jwtSecret });
    assert.equal(keys.active("user_jwt").secret.toString(), jwtSecret);
    assert.notDeepEqual(keys.active("device_jwt").secret, keys.active("user_jwt").secret);
    assert.deepEqual(keys.active("token_hmac"), before.active("token_hmac"));
    assert.deepEqual(keys.find("user_jwt", before.active("user_jwt").kid), before.active("user_jwt"));
    await assert.rejects(loadSigningKeys(db, masterKey, { jwtSecret: "short" }), SetupError);
  });

  test("a retired key verifies and does not sign", async (db) => {
    const masterKey = randomBytes(32);
    const old = (await loadSigningKeys(db, masterKey)).active("device_jwt");
    await db("signing_keys").where({ kid: old.kid }).update({ retired_at: new Date().toISOString() });
    const keys = await loadSigningKeys(db, masterKey);
    assert.notEqual(keys.active("device_jwt").kid, old.kid);
    assert.deepEqual(keys.find("device_jwt", old.kid), old);
    assert.deepEqual(
      keys.all("device_jwt").map((key) => key.kid),
      [keys.active("device_jwt").kid, old.kid],
    );
  });
});

plainTest("the key file holds base64 of 32 bytes", async () => {
  await using folder = temporaryFolder();
  const key = await loadMasterKey(folder.path);
  assert.equal(readFileSync(join(folder.path, "master.key"), "utf8"), `${key.toString("base64")}\n`);
});
