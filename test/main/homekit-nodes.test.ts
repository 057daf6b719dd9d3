import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import pg from "pg";
import { type Code, HomeController, idOf, type SeenAccessory } from "../support/home-controller.ts";
import { codesOf, HOMEKIT, pairedAt, stateOf } from "../support/homekit-hub.ts";
import { spawnHub, startHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { acquaint, clusterMissing, endLease, relayAt, startGround } from "./cluster-hubs.ts";

describe("HomeKit and several nodes", { skip: clusterMissing(), timeout: 120_000 }, () => {
  test("a node that dies leaves the bridge to another one, with its pairing and its accessories as they were, and back", async () => {
    await using ground = await startGround();
    await using folders = temporaryFolder();
    const { databaseUrl, redisUrl } = ground;
    const startAt = (name: string) => spawnHub({ databaseUrl, redisUrl, env: HOMEKIT, dataDir: `${folders.path}/${name}` });
    await using a = await startAt("a");
    await a.api.login();
    const lamp = await a.api.addDevice({ name: "Hall" });
    const [code] = (await codesOf(a.api, 1)) as [Code];
    await using b = await startAt("b");
    await b.api.login();
    await acquaint(a, b);

    // Asked at either node it is the same.
    await until(async () => isDeepStrictEqual(await stateOf(b.api), await stateOf(a.api)), { what: "the same state at both" });
    assert.deepEqual(await codesOf(b.api, 1), [code]);
    let home: HomeController;
    let before: SeenAccessory;
    {
      await using held = await holdTable(databaseUrl, "homekit_bridges");
      home = await HomeController.pair(code);
      [before] = (await home.accessoriesOnce(1)) as [SeenAccessory];
      await until(() => held.isWaitedFor(), { what: "the pairing to be saved" });
      assert.equal((await stateOf(b.api)).status, "waiting", "what the next node would not have is not told");
    }
    const on = idOf(before, "Switch", "On");
    await pairedAt(b.api);
    // Whoever is said to be paired stays so from that moment on.
    await a.kill9();
    assert.equal((await stateOf(b.api)).last_error?.code, "unavailable");
    await endLease(ground, "homekit");
    await codesOf(b.api, 1, 40_000);
    await pairedAt(b.api);
    const [moved] = (await codesOf(b.api, 1)) as [Code];
    assert.deepEqual([moved.username, moved.pin, moved.paired], [code.username, code.pin, true]);
    await using device = await relayAt(b, lamp);
    home = await home.again(moved);
    const [after] = await home.accessoriesOnce(1);
    assert.deepEqual([after?.aid, after && idOf(after, "Switch", "On")], [before.aid, on]);
    // Taken as soon as the bridge has heard that the device is there.
    await until(async () => (await home.write({ [on]: true })).length === 0, { what: "a write that is taken" });
    await until(() => device.state.relays[0]?.state === "ON", { what: "the relay" });
    // Somebody else is added there; whoever comes back to the first node's folder has the pairings of now.
    const lampToo = await b.api.addDevice({ name: "Attic" });
    const both = await home.accessoriesOnce(2);

    await using again = await startAt("a");
    await again.api.login();
    await b.kill9();
    await endLease(ground, "homekit");
    const [back] = (await codesOf(again.api, 2, 40_000)) as [Code];
    home = await home.again(back);
    const idsOf = (seen: readonly SeenAccessory[]) => Object.fromEntries(seen.map(({ aid, uid }) => [uid, aid]));
    assert.deepEqual(idsOf(await home.accessoriesOnce(2)), idsOf(both));
    assert.ok(both.some(({ uid }) => uid === lampToo.uid));
    await home[Symbol.asyncDispose]();
  });

  test("told everything again and unlinked at the node that has not got it", async () => {
    await using ground = await startGround();
    const { databaseUrl, redisUrl } = ground;
    const options = { databaseUrl, redisUrl, env: HOMEKIT };
    await using a = await startHub(options);
    await a.api.login();
    await a.api.addDevice({ name: "Hall" });
    const [code] = (await codesOf(a.api, 1)) as [Code];
    await using b = await startHub(options);
    await b.api.login();
    await acquaint(a, b);
    assert.equal((await b.api.call("POST", "/api/v1/bridges/homekit/resend")).status, 202);
    assert.equal((await b.api.call("DELETE", "/api/v1/bridges/homekit")).status, 204);
    const [fresh] = (await codesOf(b.api, 1)) as [Code];
    assert.notEqual(fresh.username, code.username);
    assert.equal(fresh.paired, false);
  });
});

/** Nobody else writes there for as long. */
async function holdTable(url: string, table: string): Promise<AsyncDisposable & { isWaitedFor(): Promise<boolean> }> {
  const db = new pg.Client(url);
  await db.connect();
  await db.query(`BEGIN; LOCK TABLE ${table} IN EXCLUSIVE MODE`);
  const waiting = "SELECT 1 FROM pg_locks WHERE relation = $1::regclass AND NOT granted";
  return {
    isWaitedFor: async () => (await db.query(waiting, [table])).rowCount !== 0,
    [Symbol.asyncDispose]: () => db.end(),
  };
}
