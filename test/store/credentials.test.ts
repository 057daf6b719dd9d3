import assert from "node:assert/strict";
import jwt from "jsonwebtoken";
import { newId } from "../../core/id.ts";
import { authenticateDevice, issueDeviceJwt, issueDeviceToken, listCredentials, revokeCredentials } from "../../store/credentials.ts";
import type { Db } from "../../store/open.ts";
import { forEachEngine } from "./engines.ts";
import { device, signingKeys, tenant } from "./fixtures.ts";

const HOUR = 3_600_000;

async function enrolled(db: Db) {
  const a = await tenant(db, "a");
  const keys = await signingKeys(db);
  const [mine, other] = [await device(db, a), await device(db, a)];
  const { jwt: token, credentialId } = await issueDeviceJwt(db, keys, mine.id, HOUR);
  return { keys, mine, other, token, credentialId };
}

forEachEngine(({ test }) => {
  test("a device proves itself with its token and with its JWT", async (db) => {
    const { keys, mine, token, credentialId } = await enrolled(db);
    const opaque = await issueDeviceToken(db, keys, mine.id);
    assert.match(opaque.token, /^hxd_[\w-]{43}$/);
    assert.deepEqual(await authenticateDevice(db, keys, mine.uid, opaque.token, Date.now()), {
      kind: "device",
      id: mine.id,
      uid: mine.uid,
      credentialId: opaque.credentialId,
    });
    assert.deepEqual(await authenticateDevice(db, keys, mine.uid, token, Date.now()), {
      kind: "device",
      id: mine.id,
      uid: mine.uid,
      credentialId,
    });
    const decoded = jwt.decode(token, { complete: true });
    assert.equal(decoded?.header.alg, "HS256");
    assert.equal(decoded?.header.kid, keys.active("device_jwt").kid);
    assert.deepEqual(Object.keys(decoded?.payload ?? {}).toSorted(), ["device_id", "exp", "iat", "jti"]);
    const stored = JSON.stringify(await db("device_credentials"));
    assert.ok(!stored.includes(opaque.token) && !stored.includes(token));
  });

  test("a credential of another device is worth nothing", async (db) => {
    const { keys, mine, other, token } = await enrolled(db);
    const opaque = await issueDeviceToken(db, keys, mine.id);
    assert.equal(await authenticateDevice(db, keys, other.uid, opaque.token, Date.now()), undefined);
    assert.equal(await authenticateDevice(db, keys, other.uid, token, Date.now()), undefined);
  });

  test("forged JWTs are refused", async (db) => {
    const { keys, mine, other, credentialId } = await enrolled(db);
    const { kid, secret } = keys.active("device_jwt");
    const exp = Math.floor(Date.now() / 1000) + 3600;
    const claims = { device_id: mine.id, jti: credentialId, exp };
    const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString("base64url");
    const sign = (payload: object, options: jwt.SignOptions = {}, key: Buffer = secret) =>
      jwt.sign(payload, key, { algorithm: "HS256", keyid: kid, ...options });
    const { credentialId: foreign } = await issueDeviceJwt(db, keys, other.id, HOUR);
    const { credentialId: opaque } = await issueDeviceToken(db, keys, mine.id);
    const forged = {
      "alg none": `${encode({ alg: "none", typ: "JWT", kid })}.${encode(claims)}.`,
      "another algorithm": sign(claims, { algorithm: "HS512" }),
      "another secret": sign(claims, {}, Buffer.alloc(32, 7)),
      "an unknown kid": sign(claims, { keyid: newId() }),
      "the kid of another purpose": sign(claims, { keyid: keys.active("user_jwt").kid }),
      "a user's key": sign(claims, { keyid: keys.active("user_jwt").kid }, keys.active("user_jwt").secret),
      "no kid": jwt.sign(claims, secret, { algorithm: "HS256" }),
      "no exp": sign({ device_id: mine.id, jti: credentialId }),
      "no jti": sign({ device_id: mine.id, exp }),
      "an unknown jti": sign({ ...claims, jti: newId() }),
      "another device's jti": sign({ ...claims, jti: foreign }),
      "an opaque token's id as jti": sign({ ...claims, jti: opaque }),
      "another device_id": sign({ ...claims, device_id: other.id }),
      "no device_id": sign({ jti: credentialId, exp }),
      "a changed payload": sign(claims).replace(/\.[^.]+\./, `.${encode({ ...claims, exp: exp + 1 })}.`),
      nothing: "",
      rubbish: "hxd_",
    };
    for (const [what, token] of Object.entries(forged))
      assert.equal(await authenticateDevice(db, keys, mine.uid, token, Date.now()), undefined, what);
    assert.ok(await authenticateDevice(db, keys, mine.uid, sign(claims), Date.now()));
  });

  test("a JWT ends at its time", async (db) => {
    const { keys, mine, token } = await enrolled(db);
    assert.ok(await authenticateDevice(db, keys, mine.uid, token, Date.now() + HOUR - 5_000));
    assert.equal(await authenticateDevice(db, keys, mine.uid, token, Date.now() + HOUR + 5_000), undefined);
  });

  test("a revoked credential stops to work, the others go on", async (db) => {
    const { keys, mine, other, token, credentialId } = await enrolled(db);
    const [first, second] = [await issueDeviceToken(db, keys, mine.id), await issueDeviceToken(db, keys, mine.id)];
    const foreign = await issueDeviceToken(db, keys, other.id);
    assert.deepEqual(await revokeCredentials(db, mine.id, { only: foreign.credentialId }, Date.now()), []);
    assert.deepEqual(await revokeCredentials(db, mine.id, { only: credentialId }, Date.now()), [credentialId]);
    assert.equal(await authenticateDevice(db, keys, mine.uid, token, Date.now()), undefined);
    assert.deepEqual(await revokeCredentials(db, mine.id, { except: second.credentialId }, Date.now()), [first.credentialId]);
    assert.equal(await authenticateDevice(db, keys, mine.uid, first.token, Date.now()), undefined);
    assert.ok(await authenticateDevice(db, keys, mine.uid, second.token, Date.now()));
    assert.ok(await authenticateDevice(db, keys, other.uid, foreign.token, Date.now()));
    const listed = await listCredentials(db, mine.id);
    assert.deepEqual(
      listed.map((one) => [one.id, one.kind, one.revokedAt === null]),
      [
        [credentialId, "jwt", false],
        [first.credentialId, "token", false],
        [second.credentialId, "token", true],
      ],
    );
    assert.deepEqual(Object.keys(listed[0] ?? {}).toSorted(), ["createdAt", "expiresAt", "id", "kind", "lastUsedAt", "revokedAt"]);
  });
});
