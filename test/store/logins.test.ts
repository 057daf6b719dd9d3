import assert from "node:assert/strict";
import { newId } from "../../core/id.ts";
import { authenticateBearer } from "../../store/access-tokens.ts";
import { revokedAmong } from "../../store/credentials.ts";
import {
  endLogin,
  endSurplusLogins,
  issueUserJwt,
  listLogins,
  type LoginTokens,
  MAX_LOGINS,
  openLogin,
  purgeLogins,
  refreshLogin,
  type Refreshed,
  renewLogin,
} from "../../store/logins.ts";
import type { Db } from "../../store/open.ts";
import { forEachEngine } from "./engines.ts";
import { signingKeys, type Tenant, tenant } from "./fixtures.ts";

const HOUR = 3_600_000;
const NOW = Date.UTC(2026, 10, 21, 12);

async function scene(db: Db) {
  const keys = await signingKeys(db);
  const one = await tenant(db, "one");
  const open = (who: Tenant = one) => openLogin(db, keys, { userId: who.user.id, ttlMs: HOUR, address: "10.0.0.1" }, NOW);
  const refresh = (token: string, now = NOW) => refreshLogin(db, keys, token, now);
  const enter = (login: LoginTokens, now = NOW) =>
    authenticateBearer(db, keys, issueUserJwt(keys, { loginId: login.id, userId: one.user.id }, HOUR, NOW), now);
  return { keys, one, open, refresh, enter };
}

function tokenOf(refreshed: Refreshed): string {
  assert.equal(refreshed.kind, "refreshed");
  return (refreshed as LoginTokens).refreshToken;
}

forEachEngine(({ test }) => {
  test("each refresh gives the next token of the same login, which then lives on", async (db) => {
    const { open, refresh, one } = await scene(db);
    const login = await open();
    const tokens = [login.refreshToken];
    for (let round = 1; round <= 3; round++) {
      const next = await refresh(tokens.at(-1) ?? "", NOW + round * 50 * 60_000);
      tokens.push(tokenOf(next));
      assert.deepEqual([next.kind === "refreshed" && next.id, next.kind === "refreshed" && next.user.id], [login.id, one.user.id]);
    }
    assert.equal(new Set(tokens).size, 4);
    const kept = JSON.stringify([await db("refresh_tokens"), await db("logins")]);
    for (const token of tokens) assert.ok(!kept.includes(token.slice(4)), "a token is kept in clear");
    assert.equal((await refresh(tokens.at(-1) ?? "", NOW + 4 * HOUR)).kind, "refused", "it was not used for an hour");
  });

  test("whoever lost the answer gets the same successor within 10 s", async (db) => {
    const { open, refresh } = await scene(db);
    const { refreshToken } = await open();
    const first = tokenOf(await refresh(refreshToken));
    assert.equal(tokenOf(await refresh(refreshToken, NOW + 10_000)), first);
    assert.equal(tokenOf(await refresh(refreshToken, NOW - 2_000)), first, "another node's clock is late");
    assert.notEqual(tokenOf(await refresh(first, NOW + 20_000)), first);
  });

  for (const [when, later, isSuccessorUsed] of [
    ["later than that", 10_001, false],
    ["after its successor was used", 5_000, true],
  ] as const)
    test(`a token that comes again ${when} ends the login, for the thief and for its owner`, async (db) => {
      const { open, refresh, enter } = await scene(db);
      const [login, other] = [await open(), await open()];
      let last = tokenOf(await refresh(login.refreshToken));
      if (isSuccessorUsed) last = tokenOf(await refresh(last, NOW + 1_000));
      assert.ok(await enter(login, NOW + later));
      const reused = await refresh(login.refreshToken, NOW + later);
      assert.deepEqual([reused.kind, reused.kind === "reused" && reused.id], ["reused", login.id]);
      assert.equal((await refresh(last, NOW + later)).kind, "refused");
      assert.equal((await refresh(login.refreshToken, NOW + later)).kind, "refused", "once is enough");
      assert.equal(await enter(login, NOW + later), undefined, "the access token ends with it");
      assert.ok(await enter(other, NOW + later), "another login of the same person goes on");
      assert.deepEqual(await revokedAmong(db, [login.id, other.id, newId()]), [login.id]);
    });

  test("of twenty refreshes at once with one token all get the same successor, and it is made once", async (db) => {
    const { open, refresh } = await scene(db);
    const { refreshToken } = await open();
    const all = await Promise.all(Array.from({ length: 20 }, () => refresh(refreshToken)));
    assert.equal(new Set(all.map(tokenOf)).size, 1);
    assert.equal((await db("refresh_tokens")).length, 2);
    assert.equal((await refresh(tokenOf(all[0] as Refreshed))).kind, "refreshed");
  });

  test("nothing is refreshed by what was never given out, nor for a login that ended or a user who is not active", async (db) => {
    const { keys, open, refresh, enter } = await scene(db);
    const [ended, alive] = [await open(), await open()];
    for (const token of ["", "hxr_", `hxr_${"A".repeat(43)}`, `${alive.refreshToken}x`, `hxp_${alive.refreshToken.slice(4)}`])
      assert.equal((await refresh(token)).kind, "refused", token);
    assert.equal(await endLogin(db, ended.id, NOW), true);
    assert.equal(await endLogin(db, ended.id, NOW), false);
    assert.equal((await refresh(ended.refreshToken)).kind, "refused");
    assert.equal(await enter(ended), undefined);
    const stranger = await tenant(db, "stranger");
    const forged = issueUserJwt(keys, { loginId: alive.id, userId: stranger.user.id }, HOUR, NOW);
    assert.equal(await authenticateBearer(db, keys, forged, NOW), undefined, "a login speaks for its own user");
    await db("users").update({ is_active: false });
    assert.equal((await refresh(alive.refreshToken)).kind, "refused");
    assert.equal(await enter(alive), undefined);
  });

  test("a person has so many logins at a time: those that were not used for longest end, and nobody else's", async (db) => {
    const [one, two] = [await tenant(db, "one"), await tenant(db, "two")];
    const keys = await signingKeys(db);
    const open = async (who: Tenant, at: number) => (await openLogin(db, keys, { userId: who.user.id, ttlMs: 9 * HOUR }, at)).id;
    const hers = await open(two, NOW);
    const ids: string[] = [];
    for (let count = 0; count < MAX_LOGINS + 2; count++) ids.push(await open(one, NOW + count));
    // The first one is in use.
    await renewLogin(db, { id: ids[0] as string, ttlMs: 9 * HOUR, lastUsedAt: new Date(NOW).toISOString() }, NOW + HOUR);
    assert.deepEqual(new Set(await endSurplusLogins(db, one.user.id, NOW + HOUR)), new Set([ids[1], ids[2]]));
    assert.deepEqual(await endSurplusLogins(db, one.user.id, NOW + HOUR), []);
    assert.equal((await listLogins(db, one.user.id, NOW + HOUR)).length, MAX_LOGINS);
    assert.deepEqual(
      (await listLogins(db, two.user.id, NOW + HOUR)).map(({ id }) => id),
      [hers],
    );
  });

  test("a person's logins are listed while they go on, and kept for a month after", async (db) => {
    const { one, open, refresh } = await scene(db);
    const [first, second] = [await open(), await open()];
    await open(await tenant(db, "two"));
    await endLogin(db, first.id, NOW);
    await refresh(second.refreshToken, NOW + 60_000);
    assert.deepEqual(await listLogins(db, one.user.id, NOW), [
      {
        id: second.id,
        userId: one.user.id,
        address: "10.0.0.1",
        organizationId: null,
        clientId: null,
        scopes: null,
        userAgent: null,
        ttlMs: HOUR,
        createdAt: new Date(NOW).toISOString(),
        lastUsedAt: new Date(NOW + 60_000).toISOString(),
        expiresAt: new Date(NOW + 60_000 + HOUR).toISOString(),
      },
    ]);
    assert.deepEqual(await listLogins(db, one.user.id, NOW + 2 * HOUR), []);
    assert.equal(await purgeLogins(db, NOW + 29 * 24 * HOUR), 0);
    assert.equal(await purgeLogins(db, NOW + 31 * 24 * HOUR), 3);
    assert.deepEqual(await db("refresh_tokens"), []);
  });
});
