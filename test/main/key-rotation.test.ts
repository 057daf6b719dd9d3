import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { test } from "node:test";
import jwt from "jsonwebtoken";
import mqtt from "mqtt";
import { keyStateAt } from "../../core/signing-key.ts";
import { authenticateBearer } from "../../store/access-tokens.ts";
import { createKeyRotation } from "../../store/key-rotation.ts";
import { openStore } from "../../store/open.ts";
import { loadMasterKey, loadSigningKeys } from "../../store/secrets.ts";
import { ADMIN, ApiClient, spawnHub, startHub, type TestHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { clusterMissing, startPair } from "./cluster-hubs.ts";
import { startKeyLoad } from "./key-load.ts";

const PURPOSES = ["user_jwt", "device_jwt", "token_hmac"] as const;
const ROUNDS = 4;

interface KeyView {
  readonly kid: string;
  readonly purpose: string;
  readonly state: string;
}

async function keysOf({ api }: Pick<TestHub, "api">, state: string): Promise<KeyView[]> {
  const { body } = await api.call<{ data: KeyView[] }>("GET", "/api/v1/signing-keys");
  return body.data.filter((key) => key.state === state);
}

/** Every purpose goes on to another key, at one hub after the other; resolves when the new ones sign. */
async function rotateAll(hubs: readonly TestHub[], round: number): Promise<void> {
  const made = await Promise.all(
    PURPOSES.map(async (purpose, index) => {
      const { api } = hubs[(round + index) % hubs.length] as TestHub;
      const { status, body } = await api.call<{ signing_key: KeyView }>("POST", "/api/v1/signing-keys/rotate", { purpose });
      assert.equal(status, 202, JSON.stringify(body));
      return body.signing_key.kid;
    }),
  );
  for (const hub of hubs)
    await until(async () => (await keysOf(hub, "active")).every(({ kid }) => made.includes(kid)), { what: "the new keys to sign" });
}

async function rotateUnderLoad(hubs: readonly TestHub[]): Promise<string> {
  await using load = await startKeyLoad(hubs);
  await load.more(1);
  for (let round = 0; round < ROUNDS; round++) {
    await rotateAll(hubs, round);
    await load.more(1);
  }
  assert.deepEqual(load.failures, []);
  for (const hub of hubs) assert.equal((await keysOf(hub, "retired")).length, ROUNDS * PURPOSES.length);
  const counts = [...load.counts].map(([name, count]) => `${count} × ${name}`);
  return counts.join(", ");
}

test("keys rotate under load, and not one request fails", { timeout: 120_000 }, async (context) => {
  await using hub = await startHub({ pace: { keyRotation: { waitMs: 300 } } });
  await hub.api.login();
  context.diagnostic(await rotateUnderLoad([hub]));
});

test("keys rotate under load on two hubs, and not one request fails", { skip: clusterMissing(), timeout: 180_000 }, async (context) => {
  await using pair = await startPair({ pace: { keyRotation: { waitMs: 1_000, rereadMs: 500 } } });
  context.diagnostic(await rotateUnderLoad([pair.a, pair.b]));
});

test("a hub that hears of nothing reads new keys in time", { skip: clusterMissing(), timeout: 120_000 }, async () => {
  await using pair = await startPair({ pace: { keyRotation: { waitMs: 2_000, rereadMs: 300 } } });
  const { a, b, ground } = pair;
  process.kill(ground.redis.pid, "SIGSTOP");
  try {
    await rotateAll([a], 0);
    const { body: made } = await a.api.call<{ token: string }>("POST", "/api/v1/access-tokens", { kind: "service", name: "new" });
    const { body: login } = await a.api.call<{ access_token: string }>("POST", "/api/v1/auth/login", ADMIN);
    for (const token of [made.token, login.access_token])
      assert.equal((await Object.assign(new ApiClient(b.http), { token }).call("GET", "/api/v1/auth/me")).status, 200);
  } finally {
    process.kill(ground.redis.pid, "SIGCONT");
  }
});

test("a token whose key is gone opens nothing, over HTTP and MQTT, though its time is not over", async () => {
  await using folder = temporaryFolder();
  const dataDir = join(folder.path, "data");
  let old: string;
  let uid: string;
  let deviceJwt: string;
  {
    await using hub = await startHub({ dataDir, pace: { keyRotation: { waitMs: 50 } } });
    old = (await hub.api.login()).token as string;
    const { body } = await hub.api.call<{ device_uid: string; device_jwt: string }>("POST", "/api/v1/devices", {
      name: "Relay",
      device_class: "relay_controller",
    });
    [uid, deviceJwt] = [body.device_uid, body.device_jwt];
    await rotateAll([hub], 0);
  }
  {
    await using store = await openStore({ dataDir });
    const masterKey = await loadMasterKey(dataDir);
    const keys = await loadSigningKeys(store.db, masterKey);
    const pace = { keptMs: { user_jwt: 0, device_jwt: 0, token_hmac: undefined } };
    const rotation = createKeyRotation({ db: store.db, masterKey, keys, clock: Date.now, rotateAfterMs: 0, pace });
    assert.ok(await authenticateBearer(store.db, keys, old, Date.now()));
    await rotation.maintain();
    assert.equal(await authenticateBearer(store.db, keys, old, Date.now()), undefined);
  }
  await using hub = await startHub({ dataDir });
  assert.equal((await Object.assign(new ApiClient(hub.http), { token: old }).call("GET", "/api/v1/auth/me")).status, 401);
  const byJwt = (username: string, password: string, clientId = username) =>
    mqtt.connectAsync(hub.mqtt, { username, password, clientId, protocolVersion: 5, reconnectPeriod: 0 });
  await assert.rejects(byJwt(ADMIN.email, old, "admin"));
  // A device has a JWT of its key that has not ended: that key stays.
  await (await byJwt(uid, deviceJwt)).endAsync();
});

test("a hub that is killed between two steps of a rotation goes on with it", { timeout: 60_000 }, async () => {
  await using folder = temporaryFolder();
  const dataDir = folder.path;
  const next: string[] = [];
  let token: string;
  {
    await using hub = await spawnHub({ dataDir });
    token = (await hub.api.login()).token as string;
    for (const purpose of PURPOSES) {
      const { body } = await hub.api.call<{ signing_key: KeyView }>("POST", "/api/v1/signing-keys/rotate", { purpose });
      next.push(body.signing_key.kid);
    }
    await hub.kill9();
  }
  {
    await using hub = await startHub({ dataDir });
    const { status } = await Object.assign(hub.api, { token }).call("GET", "/api/v1/auth/me");
    assert.equal(status, 200);
    assert.deepEqual((await keysOf(hub, "next")).map(({ kid }) => kid).toSorted(), next.toSorted());
    const { body } = await hub.api.call("POST", "/api/v1/signing-keys/rotate", { purpose: "user_jwt" });
    assert.equal(body["code"], "conflict");
    const { token: fresh } = await new ApiClient(hub.http).login();
    const kidOf = (text: string | undefined) => jwt.decode(text ?? "", { complete: true })?.header.kid;
    assert.equal(kidOf(fresh), kidOf(token), "it signs with the old one until the minute is over");
  }
  await using store = await openStore({ dataDir });
  const later = (): number => Date.now() + 61_000;
  const keys = await loadSigningKeys(store.db, await loadMasterKey(dataDir), { clock: later });
  assert.deepEqual(PURPOSES.map((purpose) => keys.active(purpose).kid).toSorted(), next.toSorted());
  assert.ok(await authenticateBearer(store.db, keys, token, later()));
  const rotation = createKeyRotation({ db: store.db, masterKey: randomBytes(32), keys, clock: later, rotateAfterMs: 0 });
  const states = (await rotation.list(store.db)).map((key) => keyStateAt(key, later()));
  assert.deepEqual(states.toSorted(), ["active", "active", "active", "retired", "retired", "retired"]);
});
