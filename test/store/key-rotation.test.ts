import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import jwt from "jsonwebtoken";
import { PLATFORM } from "../../core/principal.ts";
import { HubError } from "../../core/errors.ts";
import { type KeyPurpose, keyStateAt } from "../../core/signing-key.ts";
import { authenticateBearer, createAccessToken } from "../../store/access-tokens.ts";
import { listAudit } from "../../store/audit.ts";
import { authenticateDevice, issueDeviceJwt, issueDeviceToken, revokeCredentials } from "../../store/credentials.ts";
import { createInvitation, findInvitation } from "../../store/invitations.ts";
import { createKeyRotation, type KeyRotation } from "../../store/key-rotation.ts";
import { issueUserJwt, openLogin, refreshLogin } from "../../store/logins.ts";
import type { Db } from "../../store/open.ts";
import { loadSigningKeys } from "../../store/secrets.ts";
import { inTransaction } from "../../store/transaction.ts";
import { until } from "../support/wait.ts";
import { forEachEngine } from "./engines.ts";
import { device, tenant } from "./fixtures.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const PURPOSES: readonly KeyPurpose[] = ["user_jwt", "device_jwt", "token_hmac"];

/** Hubs on one database, whose time is the test's: each has the keys that it has read. */
async function scene(db: Db, rotateAfterMs = 0) {
  const masterKey = randomBytes(32);
  const time = { now: Date.now() };
  const clock = (): number => time.now;
  const hub = async (jwtSecret?: string) => {
    const keys = await loadSigningKeys(db, masterKey, { clock, jwtSecret });
    return { keys, rotation: createKeyRotation({ db, masterKey, keys, clock, rotateAfterMs }) };
  };
  const a = await hub();
  const rotate = async (purpose: KeyPurpose, rotation: KeyRotation = a.rotation) => {
    const next = await inTransaction(db, (trx) => rotation.rotate(trx, purpose));
    await rotation.changed();
    return next;
  };
  const states = async (purpose: KeyPurpose) =>
    (await a.rotation.list(db)).filter((key) => key.purpose === purpose).map((key) => keyStateAt(key, time.now));
  return { masterKey, time, clock, hub, a, rotate, states };
}

const isConflict = (error: unknown): boolean => error instanceof HubError && error.code === "conflict";

forEachEngine(({ test }) => {
  test("a next key verifies at once and signs a minute later, without anything being done", async (db) => {
    const { time, a, rotate, states, hub } = await scene(db);
    for (const purpose of PURPOSES) {
      const old = a.keys.active(purpose);
      const next = await rotate(purpose);
      assert.equal(next.activatesAt, time.now + MINUTE);
      assert.deepEqual(await states(purpose), ["active", "next"]);
      assert.equal(a.keys.active(purpose).kid, old.kid);
      assert.equal(a.keys.find(purpose, next.kid)?.kid, next.kid);
      // Whoever was killed here knows the same after the next start.
      const restarted = await hub();
      assert.equal(restarted.keys.active(purpose).kid, old.kid);
      time.now += MINUTE;
      assert.deepEqual(await states(purpose), ["retired", "active"]);
      for (const { keys } of [a, restarted, await hub()]) {
        assert.equal(keys.active(purpose).kid, next.kid);
        assert.deepEqual(keys.find(purpose, old.kid)?.secret, old.secret);
        assert.deepEqual(
          keys.all(purpose).map(({ kid }) => kid),
          [next.kid, old.kid],
        );
      }
    }
  });

  test("of rotations at once one is made, and none while the next key waits", async (db) => {
    const { time, a, rotate, states, hub } = await scene(db);
    const b = await hub();
    const made = await Promise.allSettled([1, 2, 3, 4].map((n) => rotate("user_jwt", n % 2 === 0 ? a.rotation : b.rotation)));
    assert.deepEqual(made.map(({ status }) => status).toSorted(), ["fulfilled", "rejected", "rejected", "rejected"]);
    for (const one of made) if (one.status === "rejected") assert.ok(isConflict(one.reason), String(one.reason));
    assert.deepEqual(await states("user_jwt"), ["active", "next"]);
    await assert.rejects(rotate("user_jwt"), isConflict);
    time.now += MINUTE;
    await rotate("user_jwt");
    assert.deepEqual(await states("user_jwt"), ["retired", "active", "next"]);
    assert.deepEqual(await states("device_jwt"), ["active"]);
  });

  test("an end: so many keys are not made that every token is hashed a hundred times", async (db) => {
    const { time, rotate, states } = await scene(db);
    for (let count = 1; count < 20; count++) {
      await rotate("token_hmac");
      time.now += MINUTE;
    }
    await assert.rejects(rotate("token_hmac"), isConflict);
    const after = await states("token_hmac");
    assert.deepEqual([after.length, after.at(-1)], [20, "active"], "and the refused one has changed nothing");
  });

  test("a configured secret does not rotate, but what hashes tokens does", async (db) => {
    const { hub, rotate } = await scene(db);
    const { rotation } = await hub("a secret of at least thirty-two characters");
    for (const purpose of ["user_jwt", "device_jwt"] as const) await assert.rejects(rotate(purpose, rotation), isConflict);
    await rotate("token_hmac", rotation);
  });

  test("every kind of token that was made before goes on, and those made after it", async (db) => {
    const { time, a, rotate } = await scene(db);
    const one = await tenant(db, "one");
    const { id: deviceId, uid } = await device(db, one);
    const { keys } = a;
    const make = async (name: string) => {
      const login = await openLogin(db, keys, { userId: one.user.id, ttlMs: DAY }, time.now);
      const invited = { organizationId: one.organization.id, email: `${name}@example.org`, role: null, invitedBy: null, ttlMs: DAY };
      return {
        login,
        access: issueUserJwt(keys, { loginId: login.id, userId: one.user.id }, HOUR, time.now),
        token: (await createAccessToken(db, keys, { kind: "service", name, organizationId: one.organization.id })).token,
        deviceToken: (await issueDeviceToken(db, keys, deviceId)).token,
        deviceJwt: (await issueDeviceJwt(db, keys, deviceId, DAY)).jwt,
        invitation: (await createInvitation(db, keys, invited, time.now)).token,
      };
    };
    type Made = Awaited<ReturnType<typeof make>>;
    const check = async (made: Made): Promise<Made> => {
      assert.ok(await authenticateBearer(db, keys, made.access, time.now), "access token");
      assert.ok(await authenticateBearer(db, keys, made.token, time.now), "service token");
      assert.ok(await authenticateDevice(db, keys, uid, made.deviceToken, time.now), "device token");
      assert.ok(await authenticateDevice(db, keys, uid, made.deviceJwt, time.now), "device JWT");
      assert.ok(await findInvitation(db, keys, made.invitation, time.now), "invitation");
      const refreshed = await refreshLogin(db, keys, made.login.refreshToken, time.now);
      assert.equal(refreshed.kind, "refreshed");
      const again = await refreshLogin(db, keys, made.login.refreshToken, time.now);
      assert.deepEqual(again, refreshed, "the same successor for whoever lost the answer");
      return { ...made, login: { ...made.login, ...(refreshed as typeof made.login) } };
    };
    let made = [await make("m0")];
    for (let round = 1; round <= 3; round++) {
      for (const purpose of PURPOSES) await rotate(purpose);
      made = await Promise.all(made.map(check));
      made.push(await make(`next-${round}`));
      time.now += MINUTE;
      made = await Promise.all(made.map(check));
      made.push(await make(`after-${round}`));
    }
    assert.equal(new Set(made.map(({ access }) => jwt.decode(access, { complete: true })?.header.kid)).size, 4);
  });

  test("a node that has not heard of a key reads it when it sees its name, once a second however many names are made up", async (db) => {
    const { time, a, rotate, hub } = await scene(db);
    const one = await tenant(db, "one");
    const b = await hub();
    await rotate("user_jwt");
    await rotate("token_hmac");
    time.now += MINUTE;
    const login = await openLogin(db, a.keys, { userId: one.user.id, ttlMs: DAY }, time.now);
    const access = issueUserJwt(a.keys, { loginId: login.id, userId: one.user.id }, HOUR, time.now);
    const { token } = await createAccessToken(db, a.keys, { kind: "service", name: "s", organizationId: one.organization.id });
    const asked = async (): Promise<boolean[]> =>
      (await Promise.all([access, token, access].map((text) => authenticateBearer(db, b.keys, text, time.now)))).map(Boolean);
    // It has read them a moment ago.
    await until(async () => (await asked()).every(Boolean), { what: "the node to read the keys again" });
    assert.deepEqual(await asked(), [true, true, true]);

    let reads = 0;
    const count = ({ sql }: { sql: string }): void => {
      if (sql.startsWith("select kid, purpose, secret_sealed")) reads++;
    };
    const secret = randomBytes(32);
    const forged = () => jwt.sign({ sub: one.user.id, sid: login.id }, secret, { keyid: randomUUID(), expiresIn: 60 });
    const from = performance.now();
    db.on("query", count);
    await until(
      async () => {
        const found = await Promise.all(Array.from({ length: 20 }, () => authenticateBearer(db, b.keys, forged(), time.now)));
        assert.ok(found.every((principal) => principal === undefined));
        return reads >= 2;
      },
      { what: "two reads" },
    );
    db.removeListener("query", count);
    assert.ok(reads <= Math.ceil((performance.now() - from) / 1_000) + 1, `${reads} reads`);
  });

  test("people's key follows by itself when it is old, once, and the audit says so", async (db) => {
    const { time, a, states, hub } = await scene(db, 90 * DAY);
    const b = await hub();
    await a.rotation.maintain();
    assert.deepEqual(await states("user_jwt"), ["active"]);
    time.now += 90 * DAY;
    await a.rotation.maintain();
    await b.rotation.maintain();
    assert.deepEqual(await states("user_jwt"), ["active", "next"]);
    assert.deepEqual(await states("device_jwt"), ["active"]);
    const { items } = await listAudit(db, PLATFORM, { limit: 10 });
    assert.deepEqual(
      items.map(({ action, actor, details }) => [action, actor.kind, details]),
      [["signing_key.rotate", "system", { purpose: "user_jwt" }]],
    );
    time.now += 90 * DAY + MINUTE;
    await b.rotation.maintain();
    // Nothing of the first one can be valid any more.
    assert.deepEqual(await states("user_jwt"), ["active", "next"]);
    await a.keys.reload();
    assert.equal(a.keys.all("user_jwt").length, 2);
  });

  test("a key goes when the last that it signed has ended, and then it opens nothing", async (db) => {
    const { time, a, rotate, states } = await scene(db);
    const one = await tenant(db, "one");
    const { id: deviceId, uid } = await device(db, one);
    const [short, long] = [await issueDeviceJwt(db, a.keys, deviceId, DAY), await issueDeviceJwt(db, a.keys, deviceId, 3_650 * DAY)];
    const login = await openLogin(db, a.keys, { userId: one.user.id, ttlMs: 60 * DAY }, time.now);
    const cookie = issueUserJwt(a.keys, { loginId: login.id, userId: one.user.id }, 30 * DAY, time.now + MINUTE - SECOND);
    const { token } = await issueDeviceToken(db, a.keys, deviceId);
    for (const purpose of PURPOSES) await rotate(purpose);
    const at = async (ms: number): Promise<unknown[]> => {
      time.now += ms;
      await a.rotation.maintain();
      return [
        (await states("user_jwt")).length,
        (await states("device_jwt")).length,
        Boolean(await authenticateBearer(db, a.keys, cookie, time.now)),
        Boolean(await authenticateDevice(db, a.keys, uid, long.jwt, time.now)),
        Boolean(await authenticateDevice(db, a.keys, uid, token, time.now)),
      ];
    };
    assert.deepEqual(await at(MINUTE), [2, 2, true, true, true]);
    assert.deepEqual(await at(30 * DAY - 2 * SECOND), [2, 2, true, true, true]);
    assert.deepEqual(await at(2 * HOUR), [1, 2, false, true, true]);
    assert.equal(await authenticateDevice(db, a.keys, uid, short.jwt, time.now), undefined, "it has expired");
    await revokeCredentials(db, deviceId, { only: long.credentialId }, time.now);
    assert.deepEqual(await at(SECOND), [1, 1, false, false, true]);
    assert.deepEqual(await at(3_650 * DAY), [1, 1, false, false, true], "a token without an end stays");
    assert.deepEqual(await states("token_hmac"), ["retired", "active"]);
    const { items } = await listAudit(db, PLATFORM, { limit: 10 });
    assert.deepEqual(
      items.map(({ action, details }) => [action, details["purpose"]]),
      [
        ["signing_key.remove", "device_jwt"],
        ["signing_key.remove", "user_jwt"],
      ],
    );
  });
});
