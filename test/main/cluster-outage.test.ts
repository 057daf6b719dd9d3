import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startHub } from "../support/hub.ts";
import { askRedis, startRedis } from "../support/services.ts";
import { until } from "../support/wait.ts";
import { acquaint, clusterMissing, eventsOf, relayAt, startGround, startPair } from "./cluster-hubs.ts";

const skip = clusterMissing();
const SHORT = { HEXA_PRESENCE_TTL_S: "4", HEXA_PRESENCE_GRACE_S: "2" };
const ON = { command: "set_relay", relay: 0, state: "ON" };

// Each has a Redis of its own, and waits.
describe("a cluster whose Redis loses everything", { concurrency: true }, () => {
  test("Redis that loses everything: routes and presence are there again, and nobody was away", { skip, timeout: 90_000 }, async () => {
    await using pair = await startPair({ env: SHORT });
    const { a, b, ground } = pair;
    const account = await a.api.addDevice();
    await using device = await relayAt(b, account);
    const path = `/api/v1/devices/${account.uid}/commands`;
    await until(async () => (await a.api.call("POST", path, ON)).status === 200, { what: "a route to the device" });
    await askRedis(ground.redis, "FLUSHALL");
    await until(async () => (await askRedis(ground.redis, `EXISTS route:device:${account.id}`)).includes(":1"), {
      what: "the route to be back",
    });
    await until(async () => (await a.api.call("POST", path, ON)).status === 200, { what: "the nodes to know each other again" });
    const graceIsOver = performance.now() + 6_000;
    await until(() => performance.now() > graceIsOver, { what: "the end of every grace" });
    assert.ok(device.connected);
    assert.deepEqual(
      (await eventsOf(a, account)).filter((type) => type.endsWith("line")),
      ["device.online"],
    );
  });

  test("a revocation while Redis is dead, by a node that then stops, ends the session at the other when Redis is back", {
    skip,
    timeout: 90_000,
  }, async () => {
    await using ground = await startGround();
    const shared = { databaseUrl: ground.databaseUrl, redisUrl: ground.redisUrl };
    const a = await startHub(shared);
    await using b = await startHub(shared);
    await Promise.all([a.api.login(), b.api.login()]);
    await acquaint(a, b);
    const [revoked, good] = [await a.api.addDevice(), await a.api.addDevice()];
    await using device = await relayAt(b, revoked);
    await using bystander = await relayAt(b, good);
    await ground.redis[Symbol.asyncDispose]();
    assert.equal((await a.api.call("POST", `/api/v1/devices/${revoked.id}/revoke`, {})).status, 200);
    const own = await b.api.call("POST", `/api/v1/devices/${good.uid}/commands`, ON);
    assert.equal(own.status, 200, "a node goes on alone");
    await a[Symbol.asyncDispose]();
    assert.ok(device.connected);
    await using _redis = await startRedis([], ground.redis.port);
    await until(() => !device.connected, { what: "the end of the revoked session", timeoutMs: 20_000 });
    await assert.rejects(relayAt(b, revoked));
    assert.ok(bystander.connected);
  });
});
