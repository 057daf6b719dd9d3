import assert from "node:assert/strict";
import { test as plainTest } from "node:test";
import { newId } from "../../core/id.ts";
import { PLATFORM } from "../../core/principal.ts";
import {
  authenticateBearer,
  authenticateService,
  createAccessToken,
  listAccessTokens,
  revokeAccessToken,
} from "../../store/access-tokens.ts";
import { isForeignKeyViolation } from "../../store/database-errors.ts";
import { addMember } from "../../store/members.ts";
import { issueDeviceJwt } from "../../store/credentials.ts";
import { issueUserJwt, openLogin } from "../../store/logins.ts";
import { createOrganization, findOrganization, firstOrganization } from "../../store/organizations.ts";
import { createPasswords, openPasswords } from "../../store/passwords.ts";
import { countUsers, createUser, findUser, findUserWithPassword, getUser, listUsers } from "../../store/users.ts";
import { forEachEngine } from "./engines.ts";
import { device, signingKeys, tenant } from "./fixtures.ts";

const HOUR = 3_600_000;

forEachEngine(({ test }) => {
  test("organisations are found by id, and the oldest is the first", async (db) => {
    assert.equal(await firstOrganization(db), undefined);
    const one = await createOrganization(db, { name: "One" });
    await createOrganization(db, { name: "Two" });
    assert.deepEqual(await firstOrganization(db), one);
    assert.deepEqual(await findOrganization(db, one.id), one);
    assert.equal(await findOrganization(db, newId()), undefined);
  });

  test("an e-mail address belongs to one user, whatever its case", async (db) => {
    const { id: organizationId } = await createOrganization(db, { name: "One" });
    const user = await createUser(db, { email: "Ada@Example.org", passwordHash: "h", role: "admin", memberRole: "owner", organizationId });
    assert.equal(user.email, "ada@example.org");
    await assert.rejects(createUser(db, { email: "ADA@example.ORG ", passwordHash: "h", role: "user", memberRole: null, organizationId }), {
      code: "conflict",
    });
    assert.equal(await countUsers(db), 1);
    assert.deepEqual(await findUser(db, user.id), user);
    assert.deepEqual(await findUserWithPassword(db, "aDa@example.org"), { ...user, passwordHash: "h" });
    assert.equal(await findUserWithPassword(db, "bob@example.org"), undefined);
  });

  test("who refers to somebody that is not there is told apart from other failures", async (db) => {
    const { id } = await createOrganization(db, { name: "One" });
    await assert.rejects(addMember(db, id, newId(), "viewer"), isForeignKeyViolation);
    await assert.rejects(db("no_such_table"), (error) => !isForeignKeyViolation(error));
  });

  test("users of another organisation are not listed", async (db) => {
    const [a, b] = [await tenant(db, "a"), await tenant(db, "b")];
    assert.deepEqual(await listUsers(db, a.scope, { limit: 9 }), { items: [a.user], next: null });
    assert.deepEqual(await listUsers(db, PLATFORM, { limit: 9 }), { items: [a.user, b.user], next: null });
    assert.deepEqual(await getUser(db, a.scope, a.user.id), a.user);
    await assert.rejects(getUser(db, a.scope, b.user.id), { code: "not_found" });
  });

  test("a user's JWT works until its end and while the user is active", async (db) => {
    const { user } = await tenant(db, "a");
    const keys = await signingKeys(db);
    const now = Date.now();
    const login = await openLogin(db, keys, { userId: user.id, ttlMs: 2 * HOUR }, now);
    const token = issueUserJwt(keys, { loginId: login.id, userId: user.id }, HOUR, now);
    const principal = await authenticateBearer(db, keys, token, now);
    assert.deepEqual(principal, {
      kind: "user",
      id: user.id,
      email: user.email,
      role: "user",
      organizationId: user.organizationId,
      credentialId: principal?.credentialId,
    });
    assert.equal(await authenticateBearer(db, keys, token, now + HOUR + 1_000), undefined);
    assert.equal(await authenticateBearer(db, keys, `${token}x`, now), undefined);
    await db("users").update({ is_active: false });
    assert.equal(await authenticateBearer(db, keys, token, now), undefined);
  });

  test("a device's JWT is no user's", async (db) => {
    const a = await tenant(db, "a");
    const keys = await signingKeys(db);
    const { jwt } = await issueDeviceJwt(db, keys, (await device(db, a)).id, HOUR);
    assert.equal(await authenticateBearer(db, keys, jwt, Date.now()), undefined);
  });

  test("personal and service tokens act for whom they were made, until they end or are revoked", async (db) => {
    const a = await tenant(db, "a");
    const keys = await signingKeys(db);
    const now = Date.now();
    const personal = await createAccessToken(db, keys, {
      kind: "personal",
      name: "laptop",
      userId: a.user.id,
      organizationId: a.organization.id,
      expiresAt: new Date(now + HOUR).toISOString(),
    });
    const service = await createAccessToken(db, keys, { kind: "service", name: "home-assistant", organizationId: a.organization.id });
    assert.match(personal.token, /^hxp_/);
    assert.match(service.token, /^hxs_/);
    assert.deepEqual(await authenticateBearer(db, keys, personal.token, now), {
      kind: "user",
      id: a.user.id,
      email: a.user.email,
      role: "user",
      organizationId: a.organization.id,
      credentialId: personal.id,
    });
    assert.equal(await authenticateBearer(db, keys, personal.token, now + HOUR), undefined);
    const principal = {
      kind: "service",
      id: service.id,
      name: "home-assistant",
      organizationId: a.organization.id,
      credentialId: service.id,
    };
    assert.deepEqual(await authenticateBearer(db, keys, service.token, now), principal);
    assert.deepEqual(await authenticateService(db, keys, "home-assistant", service.token, now), principal);
    assert.equal(await authenticateService(db, keys, "somebody-else", service.token, now), undefined);
    assert.equal(await authenticateService(db, keys, "laptop", personal.token, now), undefined);
    assert.equal(await revokeAccessToken(db, a.scope, service.id, now), true);
    assert.equal(await revokeAccessToken(db, a.scope, service.id, now), false);
    assert.equal(await authenticateService(db, keys, "home-assistant", service.token, now), undefined);
    const listed = await listAccessTokens(db, a.scope, { limit: 10 });
    assert.deepEqual(
      listed.items.map((one) => [one.name, one.userId, one.revokedAt === null, one.lastUsedAt]),
      [
        ["laptop", a.user.id, true, new Date(now).toISOString()],
        ["home-assistant", null, false, new Date(now).toISOString()],
      ],
    );
    assert.ok(!JSON.stringify(await db("access_tokens")).includes(personal.token));
  });

  test("a service's name is its own until it is revoked, and another organisation cannot touch it", async (db) => {
    const [a, b] = [await tenant(db, "a"), await tenant(db, "b")];
    const keys = await signingKeys(db);
    const wanted = { kind: "service", name: "ha", organizationId: a.organization.id } as const;
    const made = await Promise.allSettled([
      createAccessToken(db, keys, wanted),
      createAccessToken(db, keys, { ...wanted, organizationId: b.organization.id }),
    ]);
    assert.deepEqual(made.map((one) => one.status).toSorted(), ["fulfilled", "rejected"]);
    const [row] = (await listAccessTokens(db, PLATFORM, { limit: 10 })).items;
    assert.ok(row);
    const [owner, stranger] = row.organizationId === a.organization.id ? [a, b] : [b, a];
    assert.deepEqual((await listAccessTokens(db, stranger.scope, { limit: 10 })).items, []);
    assert.equal(await revokeAccessToken(db, stranger.scope, row.id, Date.now()), false);
    assert.equal(await revokeAccessToken(db, owner.scope, row.id, Date.now()), true);
    assert.match((await createAccessToken(db, keys, wanted)).token, /^hxs_/);
  });

  test("every check takes the time of the dearest password that there is", async (db) => {
    const { id: organizationId } = await createOrganization(db, { name: "One" });
    for (const cost of [10, 12]) {
      await using made = await openPasswords(db, cost);
      const passwordHash = await made.hash("correct horse");
      await createUser(db, { email: `${cost}@example.org`, passwordHash, role: "user", memberRole: "owner", organizationId });
    }
    await createUser(db, { email: "none@example.org", passwordHash: "none", role: "user", memberRole: "owner", organizationId });
    await using passwords = await openPasswords(db, 10);
    const cheap = await findUserWithPassword(db, "10@example.org");
    const dear = await findUserWithPassword(db, "12@example.org");
    assert.ok(cheap !== undefined && dear !== undefined);
    assert.ok(cheap.passwordHash.startsWith("$2b$10$") && dear.passwordHash.startsWith("$2b$12$"));
    assert.match(await passwords.hash("correct horse"), /^\$2b\$10\$/);
    const check = (user: typeof cheap) => timeOf(async () => assert.ok(await passwords.verify("correct horse", user.passwordHash)));
    const dearMs = Math.min(await check(dear), await check(dear));
    // A cost of 10 alone is a quarter of it.
    for (const ms of [await check(cheap), await timeOf(() => passwords.spendTime())]) assert.ok(ms > dearMs * 0.4, `${dearMs}, ${ms} ms`);
  });
});

plainTest("a password is verified against its own hash only", async () => {
  await using passwords = createPasswords(10);
  const hash = await passwords.hash("correct horse");
  assert.match(hash, /^\$2[aby]\$10\$/);
  assert.deepEqual(
    await Promise.all([passwords.verify("correct horse", hash), passwords.verify("correct house", hash), passwords.verify("", hash)]),
    [true, false, false],
  );
});

plainTest("passwords that are too short or that bcrypt would cut are refused", async () => {
  await using passwords = createPasswords(10);
  await assert.rejects(passwords.hash("1234567"), { code: "validation_error" });
  await assert.rejects(passwords.hash("ü".repeat(37)), { code: "validation_error" });
  const longest = "x".repeat(72);
  const hash = await passwords.hash(longest);
  assert.deepEqual(await Promise.all([passwords.verify(longest, hash), passwords.verify(`${longest}y`, hash)]), [true, false]);
});

plainTest("the main loop goes on while a password is checked, which takes as long for nobody's", async () => {
  await using passwords = createPasswords(12);
  const hash = await passwords.hash("correct horse");
  let turns = 0;
  const turn = setInterval(() => turns++, 5);
  const known = await timeOf(() => passwords.verify("wrong horse", hash));
  const turnsMeanwhile = turns;
  const unknown = await timeOf(() => passwords.spendTime());
  clearInterval(turn);
  assert.ok(turnsMeanwhile > known / 5 / 4, `${turnsMeanwhile} turns in ${known} ms`);
  assert.ok(unknown > known / 3 && unknown < known * 3, `${known} ms for a user, ${unknown} ms for nobody`);
});

plainTest("an end while a password is checked is an error to who waits, and nothing is checked after it", async () => {
  const passwords = createPasswords(10);
  const waiting = assert.rejects(passwords.hash("correct horse"), { code: "unavailable" });
  await passwords[Symbol.asyncDispose]();
  await waiting;
  await assert.rejects(passwords.spendTime(), { code: "unavailable" });
});

const timeOf = async (work: () => Promise<unknown>): Promise<number> => {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
};
