import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startHub, spawnHub } from "../support/hub.ts";
import { askRedis } from "../support/services.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { acquaint, clusterMissing, eventsOf, person, relayAt, startGround, startPair } from "./cluster-hubs.ts";

const skip = clusterMissing();
const SHORT = { HEXA_PRESENCE_TTL_S: "4", HEXA_PRESENCE_GRACE_S: "4" };
const ON = { command: "set_relay", relay: 0, state: "ON" };

// The last one waits most of its time.
describe("presence in a cluster", { concurrency: 2 }, () => {
  describe("while all live", { concurrency: 1 }, () => {
    test("presence in Redis has the keys and fields that other programs read", { skip }, async () => {
      await using pair = await startPair();
      const { a, b, ground } = pair;
      const account = await a.api.addDevice({ capabilities: { relays: 2 } });
      const device = await relayAt(b, account, { capabilities: { relays: 2 } });
      const { body } = await a.api.call<{ data: { id: string; kind: string }[] }>("GET", `/api/v1/devices/${account.id}/credentials`);
      const presence = await until(
        async () => {
          const text = await askRedis(ground.redis, `HGETALL presence:device:${account.id}`);
          return text.includes("online") && text;
        },
        { what: "its presence", timeoutMs: 1_500 },
      );
      for (const field of ["device_id", "connection_id", "node_id", "status", "last_seen", "capabilities"])
        assert.ok(presence.includes(`\r\n${field}\r\n`), field);
      assert.ok(body.data.some(({ id }) => presence.includes(`connection_id\r\n$36\r\n${id}`)));
      assert.match(presence, /\{"relays":2\}/);
      assert.match(await askRedis(ground.redis, "SMEMBERS presence:online"), new RegExp(account.id));
      const ttl = Number(/:(\d+)/.exec(await askRedis(ground.redis, `TTL route:device:${account.id}`))?.[1]);
      assert.ok(ttl > 100 && ttl <= 120, `${ttl} s`);
      await device.disconnect();
      await until(async () => (await askRedis(ground.redis, `EXISTS route:device:${account.id}`)).includes(":0"), {
        what: "the end of its route",
      });
      await device[Symbol.asyncDispose]();
    });

    test("a device that moves between nodes was never away", { skip }, async () => {
      await using pair = await startPair();
      const { a, b } = pair;
      const account = await a.api.addDevice();
      await using reader = await person(a);
      const said: string[] = [];
      reader.client.on("message", (_topic, payload, { retain }) => retain || said.push(payload.toString()));
      await reader.client.subscribeAsync(`hexa/${account.uid}/availability`, { qos: 1 });
      await using stack = new AsyncDisposableStack();
      let before: AsyncDisposable | undefined;
      for (const hub of [a, b, a, b]) {
        const device = stack.use(await relayAt(hub, account));
        // It was replaced, and would want its place back.
        await before?.[Symbol.asyncDispose]();
        before = device;
      }
      const path = `/api/v1/devices/${account.uid}/commands`;
      await until(async () => (await a.api.call("POST", path, ON)).status === 200, { what: "the device at its last node" });
      assert.deepEqual(
        (await eventsOf(a, account)).filter((type) => type.endsWith("line")),
        ["device.online"],
      );
      assert.deepEqual(said, ["online"]);
    });
  });

  test("kill -9 of a node: its devices are offline once, unless they come to the other, which goes on", {
    skip,
    timeout: 90_000,
  }, async () => {
    await using ground = await startGround();
    await using folder = temporaryFolder();
    const shared = { databaseUrl: ground.databaseUrl, redisUrl: ground.redisUrl, env: SHORT };
    await using a = await startHub(shared);
    const b = await spawnHub({ ...shared, dataDir: folder.path });
    await using _b = { [Symbol.asyncDispose]: () => b.kill9() };
    await Promise.all([a.api.login(), b.api.login()]);
    await acquaint(a, b);
    const [lost, comesBack, own] = [await a.api.addDevice(), await a.api.addDevice(), await a.api.addDevice()];
    const atB = [await relayAt(b, lost), await relayAt(b, comesBack)];
    await using atA = await relayAt(a, own);
    await until(async () => (await a.api.call("POST", `/api/v1/devices/${lost.uid}/commands`, ON)).status === 200, {
      what: "a route to it",
    });

    const from = performance.now();
    await b.kill9();
    await Promise.all(atB.map((device) => device.kill()));
    await using again = await relayAt(a, comesBack);
    assert.equal((await a.api.call("POST", `/api/v1/devices/${own.uid}/commands`, ON)).status, 200);
    await until(async () => (await a.api.call("POST", `/api/v1/devices/${lost.uid}/commands`, ON)).body["code"] === "device_offline", {
      what: "the dead node's device to be out of reach",
      timeoutMs: 8_000,
    });
    await until(async () => (await eventsOf(a, lost)).includes("device.offline"), { what: "its absence to be told", timeoutMs: 15_000 });
    const afterMs = performance.now() - from;
    // Every look for expired devices that may still come: the lease of the one who looks, and a look.
    const later = performance.now() + 6_000;
    await until(() => performance.now() > later, { what: "later looks" });
    const onAndOff = (types: string[]): string[] => types.filter((type) => type.endsWith("line"));
    assert.deepEqual(onAndOff(await eventsOf(a, lost)), ["device.online", "device.offline"]);
    assert.deepEqual(onAndOff(await eventsOf(a, comesBack)), ["device.online"]);
    assert.deepEqual(onAndOff(await eventsOf(a, own)), ["device.online"]);
    assert.ok(again.connected && atA.connected);
    assert.ok(afterMs < 15_000, `${afterMs} ms`);
  });
});
