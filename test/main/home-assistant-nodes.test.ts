import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type ApiClient, spawnHub, startHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { acquaint, clusterMissing, endLease, relayAt, startGround, startPair } from "./cluster-hubs.ts";
import { deviceOf, entitiesOf, entityOf, join, makeAccount, must } from "./home-assistant-scene.ts";

const RELAY = { relays: 1 };
/** SPEC's own limit after a birth. */
const BACK_MS = 5_000;

interface BridgeJson {
  readonly status: string;
  readonly counts: { readonly devices: number; readonly messages: number };
}

const bridgeAt = async (api: ApiClient): Promise<BridgeJson> =>
  (await api.call<{ bridge: BridgeJson }>("GET", "/api/v1/bridges/home_assistant")).body.bridge;

describe("Home Assistant and two nodes", { skip: clusterMissing(), timeout: 120_000 }, () => {
  test("at one node it has what is at both, commands it once, and sees what is changed at the other", async () => {
    await using pair = await startPair();
    const { a, b } = pair;
    const add = (name: string) => a.api.addDevice({ name, capabilities: RELAY });
    const [far, near, gone] = [await add("Far"), await add("Near"), await add("Gone")];
    await using device = await relayAt(a, far, { capabilities: RELAY });
    await using beside = await relayAt(b, near, { capabilities: RELAY });
    await using home = await join(b.mqtt, await makeAccount(a.api));
    const entity = await entityOf(home, far.uid, "switch");
    const other = await entityOf(home, near.uid, "switch");
    await entityOf(home, gone.uid, "switch");
    for (const { entityId } of [entity, other]) {
      await home.shows(entityId, "off");
      await home.turn(entityId, "on");
      await home.shows(entityId, "on");
    }
    await device.setRelayLocally(0, "OFF");
    await home.shows(entity.entityId, "off");
    await home.turn(entity.entityId, "on");
    await home.shows(entity.entityId, "on");
    assert.deepEqual([device.executed.length, beside.executed.length], [2, 1]);
    const { body } = await b.api.call<{ data: { status: string; source: string }[] }>("GET", `/api/v1/devices/${far.uid}/commands`);
    assert.deepEqual(
      body.data.map(({ status, source }) => [status, source]),
      [
        ["ok", "home-assistant"],
        ["ok", "home-assistant"],
      ],
    );

    const before = home.registry();
    await must(a.api, "PATCH", `/api/v1/devices/${far.id}`, { name: "Farther" });
    await until(() => deviceOf(home, far.uid)?.["name"] === "Farther", { what: "the new name" });
    for (const [exposed, count] of [
      [false, 0],
      [true, 1],
    ] as const) {
      await must(a.api, "PATCH", `/api/v1/devices/${near.id}/exposure`, { home_assistant: exposed });
      await until(() => entitiesOf(home, near.uid).filter(({ platform }) => platform === "switch").length === count, {
        what: `${exposed}`,
      });
    }
    await must(a.api, "DELETE", `/api/v1/devices/${gone.id}`);
    await until(() => entitiesOf(home, gone.uid).length === 0, { what: "what was removed to go" });
    await home.restart();
    await home.shows(entity.entityId, "on", BACK_MS);
    const kept = Object.entries(before).filter(([key]) => !key.includes(gone.uid));
    assert.deepEqual(home.registry(), Object.fromEntries(kept));
    assert.deepEqual([home.faults, home.ghosts(), await home.orphans([far, near].map(({ uid }) => `hexa_${uid}`))], [[], [], []]);

    await until(async () => (await bridgeAt(a.api)).status === "connected", { what: "its birth" });
    assert.deepEqual(await bridgeAt(a.api), await bridgeAt(b.api));
    for (const api of [a.api, b.api]) {
      const seen = home.heard.length;
      await must(api, "POST", "/api/v1/bridges/home_assistant/resend");
      await until(() => home.heard.length >= seen + 2, { what: "everything again" });
    }
    await must(b.api, "DELETE", "/api/v1/bridges/home_assistant");
    await until(() => !home.connected, { what: "it to be disconnected" });
    for (const api of [a.api, b.api]) assert.equal((await bridgeAt(api)).status, "off");
  });

  test("the node that tells dies: what happens until another one does so is told then, and nothing is left over", async () => {
    await using ground = await startGround();
    await using folder = temporaryFolder();
    const shared = { databaseUrl: ground.databaseUrl, redisUrl: ground.redisUrl };
    await using dying = await spawnHub({ ...shared, dataDir: folder.path });
    const { api } = dying;
    await api.login();
    const account = await makeAccount(api);
    const add = (name: string) => api.addDevice({ name, capabilities: RELAY });
    const [far, near, gone, dyingToo, late] = [
      await add("Far"),
      await add("Near"),
      await add("Gone"),
      await add("Dying"),
      await add("Late"),
    ];
    await using hub = await startHub(shared);
    await hub.api.login();
    await acquaint(hub, dying);
    await using home = await join(hub.mqtt, account);
    await using beside = await relayAt(hub, near, { capabilities: RELAY });
    {
      await using _device = await relayAt(dying, far, { capabilities: RELAY });
      for (const { uid } of [far, near]) await home.shows((await entityOf(home, uid, "switch")).entityId, "off");
      for (const { uid } of [gone, dyingToo, late]) await entityOf(home, uid, "switch");
      await until(async () => (await bridgeAt(hub.api)).status === "connected", { what: "its birth" });
      // What went while it was away it can only hear of at its birth, which nobody hears of who tells it.
      await home.stop();
      await must(api, "DELETE", `/api/v1/devices/${gone.id}`);
      await until(async () => (await bridgeAt(hub.api)).counts.devices === 4, { what: "it to be taken back" });
      const removed = api.call("DELETE", `/api/v1/devices/${dyingToo.id}`).catch(() => undefined);
      await dying.kill9();
      await removed;
    }
    const shown = home.registry();
    await home.start();
    const { entityId } = await entityOf(home, near.uid, "switch");
    await home.shows(entityId, "off", BACK_MS);
    await home.turn(entityId, "on");
    await home.shows(entityId, "on");
    await must(hub.api, "DELETE", `/api/v1/devices/${late.id}`);
    await hub.api.call("DELETE", `/api/v1/devices/${dyingToo.id}`);
    const added = await hub.api.addDevice({ name: "Added", capabilities: RELAY });
    await must(hub.api, "PATCH", `/api/v1/devices/${near.id}`, { name: "Nearer" });

    await endLease(ground, "home-assistant");
    await until(() => entitiesOf(home, added.uid).length > 0 && deviceOf(home, near.uid)?.["name"] === "Nearer", {
      what: "another node to tell",
      timeoutMs: 20_000,
    });
    await using device = await relayAt(hub, far, { capabilities: RELAY });
    const there = await entityOf(home, far.uid, "switch");
    await home.shows(there.entityId, "off");
    await home.turn(there.entityId, "on");
    await home.shows(there.entityId, "on");
    assert.deepEqual([device.executed.length, beside.executed.length], [1, 1]);
    await until(() => home.ghosts().length === 0, { what: "Home Assistant to let go of what went while it was away" });
    const living = [far, near, added].map(({ uid }) => uid);
    assert.deepEqual(await home.orphans(living.map((uid) => `hexa_${uid}`)), []);
    for (const [key, id] of Object.entries(home.registry())) {
      assert.ok(
        living.some((uid) => key.includes(uid)),
        `${key} is left over`,
      );
      if (!key.includes(added.uid)) assert.equal(id, shown[key]);
    }
    assert.deepEqual(home.faults, []);
    assert.equal((await bridgeAt(hub.api)).status, "connected");
    await home.stop();
    await until(async () => (await bridgeAt(hub.api)).status === "waiting", { what: "its good-bye" });
  });

  test("asked for while no node tells, everything is told again by the next", async () => {
    await using ground = await startGround();
    await using folder = temporaryFolder();
    const shared = { databaseUrl: ground.databaseUrl, redisUrl: ground.redisUrl };
    await using dying = await spawnHub({ ...shared, dataDir: folder.path });
    await dying.api.login();
    const account = await makeAccount(dying.api);
    const lamp = await dying.api.addDevice({ name: "Lamp", capabilities: RELAY });
    await using hub = await startHub(shared);
    await hub.api.login();
    await acquaint(hub, dying);
    await using home = await join(hub.mqtt, account);
    await entityOf(home, lamp.uid, "switch");
    await dying.kill9();
    const seen = home.heard.length;
    await must(hub.api, "POST", "/api/v1/bridges/home_assistant/resend");
    await endLease(ground, "home-assistant");
    await until(() => home.heard.length > seen, { what: "everything again", timeoutMs: 20_000 });
    assert.deepEqual(home.faults, []);
  });
});
