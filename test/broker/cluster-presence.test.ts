import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createLeases } from "../../broker/cluster-leases.ts";
import { createMemoryBoard, type PresenceBoard, type PresenceBoardOptions } from "../../broker/cluster-presence.ts";
import { RedisBoard } from "../../broker/cluster-presence-redis.ts";
import { openRedis, type RedisLink } from "../../broker/cluster-redis.ts";
import { askRedis, killService, redisMissing, type Service, startRedis } from "../support/services.ts";
import { until } from "../support/wait.ts";
import { SILENT } from "./cluster-nodes.ts";

interface Boards extends AsyncDisposable {
  readonly board: PresenceBoard;
}
type Start = (options?: Partial<PresenceBoardOptions>) => Promise<Boards>;

const inMemory: Start = async (options = {}) => {
  const board = createMemoryBoard({ self: () => "node-1", clock: Date.now, ...options });
  return { board, [Symbol.asyncDispose]: () => board[Symbol.asyncDispose]() };
};

/** Each with a connection of its own, as on a node of its own. */
const onRedis =
  (redisUrl: () => string): Start =>
  async (options = {}) => {
    const link = await connected(redisUrl());
    const board = new RedisBoard({
      self: () => "node-1",
      clock: Date.now,
      link,
      leases: createLeases(link, SILENT),
      log: SILENT,
      ...options,
    });
    return {
      board,
      async [Symbol.asyncDispose]() {
        await board[Symbol.asyncDispose]();
        await link[Symbol.asyncDispose]();
      },
    };
  };

async function connected(url: string): Promise<RedisLink> {
  const link = openRedis({ url, log: SILENT, purpose: "test" });
  await until(() => link.isUp, { what: "the connection to Redis" });
  return link;
}

let redis: Service | undefined;
const running = (): Service => {
  if (!redis) throw new Error("Redis is not running");
  return redis;
};
before(async () => {
  if (!redisMissing()) redis = await startRedis();
});
after(async () => {
  await redis?.[Symbol.asyncDispose]();
});

/** What holds for one node, with Redis or without. */
function boardContract(start: Start, name: string): void {
  test("a device's route is the node it is connected to, until its connection ends", async () => {
    await using one = await start();
    const device = `${name}-routed`;
    assert.equal(await one.board.routeOf(device), undefined);
    one.board.online(device, "jti-1", { relays: 2 });
    await one.board.flushed();
    assert.equal(await one.board.routeOf(device), "node-1");
    one.board.offline(device, "another connection");
    await one.board.flushed();
    assert.equal(await one.board.routeOf(device), "node-1");
    one.board.offline(device, "jti-1");
    await one.board.flushed();
    assert.equal(await one.board.routeOf(device), undefined);
  });

  test("a device that reconnects between two batches is online", async () => {
    await using one = await start();
    const device = `${name}-back`;
    one.board.online(device, "jti-1", {});
    await one.board.flushed();
    one.board.offline(device, "jti-1");
    one.board.online(device, "jti-1", {});
    await one.board.flushed();
    assert.equal(await one.board.routeOf(device), "node-1");
  });

  test("a device that falls silent expires once, one that speaks does not", async () => {
    await using one = await start({ ttlMs: 400, sweepMs: 50 });
    const expired: string[] = [];
    one.board.onExpired(async (device) => void expired.push(device));
    one.board.online(`${name}-silent`, "jti-1", {});
    one.board.online(`${name}-talking`, "jti-2", {});
    await until(
      async () => {
        one.board.seen(`${name}-talking`);
        await one.board.flushed();
        return expired.length > 0;
      },
      { what: "the silent one to expire" },
    );
    const end = performance.now() + 600;
    await until(
      async () => {
        one.board.seen(`${name}-talking`);
        await one.board.flushed();
        return performance.now() > end;
      },
      { what: "more sweeps" },
    );
    assert.deepEqual(expired, [`${name}-silent`]);
    one.board.offline(`${name}-talking`, "jti-2");
    await one.board.flushed();
  });

  test("an expiry that could not be told is told again", async () => {
    await using one = await start({ ttlMs: 100, sweepMs: 30 });
    let tries = 0;
    one.board.onExpired(async () => {
      tries += 1;
      if (tries < 3) throw new Error("the database is away");
    });
    one.board.online(`${name}-retold`, "jti-1", {});
    await one.board.flushed();
    await until(() => tries === 3, { what: "the third try" });
    const end = performance.now() + 300;
    await until(() => performance.now() > end, { what: "more sweeps" });
    assert.equal(tries, 3);
  });

  test("a revoked credential ends its connection within a second, once, and is refused afterwards", async () => {
    await using one = await start();
    const told: string[] = [];
    one.board.onRevoked((device, connectionId) => void told.push(`${device} ${connectionId}`));
    one.board.online(`${name}-thief`, `${name}-jti-stolen`, {});
    one.board.online(`${name}-owner`, `${name}-jti-good`, {});
    const revokedAt = performance.now();
    await one.board.revoke(`${name}-jti-stolen`);
    await until(() => told.length > 0, { what: "the connection to be named" });
    assert.ok(performance.now() - revokedAt < 1_000);
    assert.equal(await one.board.isRevoked(`${name}-jti-stolen`), true);
    assert.equal(await one.board.isRevoked(`${name}-jti-good`), false);
    await one.board.revoke(`${name}-jti-stolen`);
    assert.deepEqual(told, [`${name}-thief ${name}-jti-stolen`]);
    one.board.offline(`${name}-thief`, `${name}-jti-stolen`);
    one.board.online(`${name}-thief`, `${name}-jti-stolen`, {});
    await until(() => told.length === 2, { what: "a connection that comes in with it nevertheless" });
  });
}

describe("in memory", () => boardContract(inMemory, "memory"));
describe("on Redis", { skip: redisMissing() ?? false }, () => {
  const start = onRedis(() => running().url);
  boardContract(start, "redis");

  test("keys, fields and lifetimes are the ones that other programs read", async () => {
    await using one = await start();
    await using link = await connected(running().url);
    const connectedAt = Date.now();
    one.board.online("d-1", "jti-1", { relays: 2 });
    await one.board.flushed();
    const hash = async (key: string) => {
      const flat = (await link.command(key, "HGETALL", key)) as Buffer[];
      return Object.fromEntries(flat.flatMap((_, index) => (index % 2 ? [] : [[String(flat[index]), String(flat[index + 1])]]))) as Record<
        string,
        string
      >;
    };
    const { last_seen: lastSeen = "", ...presence } = await hash("presence:device:d-1");
    assert.deepEqual(presence, {
      device_id: "d-1",
      connection_id: "jti-1",
      node_id: "node-1",
      status: "online",
      capabilities: '{"relays":2}',
    });
    assert.equal(new Date(lastSeen).toISOString(), lastSeen);
    assert.ok(Date.parse(lastSeen) >= connectedAt && Date.parse(lastSeen) <= Date.now());
    const { updated_at: updatedAt, ...route } = await hash("route:device:d-1");
    assert.deepEqual([route, updatedAt], [{ connection_id: "jti-1", node_id: "node-1" }, lastSeen]);
    for (const key of ["presence:device:d-1", "route:device:d-1"]) {
      const ttlMs = Number(await link.command(key, "PTTL", key));
      assert.ok(ttlMs > 118_000 && ttlMs <= 120_000, `${key} lives ${ttlMs} ms`);
    }
    assert.equal(await link.command("presence:online", "SISMEMBER", "presence:online", "d-1"), 1);
    one.board.offline("d-1", "jti-1");
    await one.board.flushed();
    assert.equal((await hash("presence:device:d-1"))["status"], "offline");
    assert.deepEqual(await hash("route:device:d-1"), {});
    assert.equal(await link.command("presence:online", "SISMEMBER", "presence:online", "d-1"), 0);
  });

  test("the node that a device left cannot take it offline on the node it went to, nor take its route back", async () => {
    await using a = await start({ self: () => "node-a", ttlMs: 8 });
    await using b = await start({ self: () => "node-b" });
    a.board.online("d-2", "jti-1", {});
    await a.board.flushed();
    b.board.online("d-2", "jti-1", {});
    await b.board.flushed();
    a.board.seen("d-2");
    await a.board.flushed();
    a.board.offline("d-2", "jti-1");
    await a.board.flushed();
    assert.equal(await a.board.routeOf("d-2"), "node-b");
    assert.match(await askRedis(running(), "HGET presence:device:d-2 status"), /online/);
    assert.match(await askRedis(running(), "SISMEMBER presence:online d-2"), /:1/);
  });

  test("of three nodes one tells that a device of a dead node has expired, and each device once", async () => {
    const dead = await start({ self: () => "node-dead", ttlMs: 300 });
    const devices = Array.from({ length: 300 }, (_, number) => `d-lost-${number}`);
    for (const device of devices) dead.board.online(device, "jti", {});
    // As a killed node: what it noted stays.
    await dead[Symbol.asyncDispose]();
    const told: string[] = [];
    const stacks = [];
    for (const name of ["a", "b", "c"]) {
      const one = await start({ self: () => name, ttlMs: 300, sweepMs: 40 });
      one.board.onExpired(async (device) => void told.push(device));
      stacks.push(one);
    }
    await until(() => told.length >= devices.length, { what: "all devices to be told" });
    const end = performance.now() + 300;
    await until(() => performance.now() > end, { what: "more sweeps" });
    assert.deepEqual(told.filter((device) => device.startsWith("d-lost-")).toSorted(), devices.toSorted());
    for (const one of stacks) await one[Symbol.asyncDispose]();
  });

  test("a credential that another program revokes is seen within a second, however many are revoked already", async () => {
    await using one = await start();
    await using link = await connected(running().url);
    const told: string[] = [];
    one.board.onRevoked((_device, connectionId) => void told.push(connectionId));
    one.board.online("d-3", "jti-few", {});
    one.board.online("d-4", "jti-many", {});
    const revokedAt = performance.now();
    await link.command("revoked_device_jti", "SADD", "revoked_device_jti", "jti-few");
    await until(() => told.includes("jti-few"), { what: "the first" });
    await link.command(
      "revoked_device_jti",
      "SADD",
      "revoked_device_jti",
      ...Array.from({ length: 5_000 }, (_, number) => `old-${number}`),
    );
    await link.command("revoked_device_jti", "SADD", "revoked_device_jti", "jti-many");
    await until(() => told.includes("jti-many"), { what: "the second" });
    assert.ok(performance.now() - revokedAt < 2_000);
    assert.deepEqual(told, ["jti-few", "jti-many"]);
  });

  test("10,000 devices that talk all the time cost Redis less than a tenth of a core", async () => {
    const own = await startRedis();
    // Five times as hurried as it is by default.
    await using one = await onRedis(() => own.url)({ ttlMs: 24_000, sweepMs: 2_000 });
    for (let number = 0; number < 10_000; number += 1) one.board.online(`d-${number}`, `jti-${number}`, {});
    const connectedAt = performance.now();
    await one.board.flushed();
    const connectMs = performance.now() - connectedAt;
    const cpuS = async () =>
      [...(await askRedis(own, "INFO cpu")).matchAll(/used_cpu_(?:sys|user):([\d.]+)/g)].reduce((sum, [, s]) => sum + Number(s), 0);
    const usedS = await cpuS();
    const startedAt = performance.now();
    await until(
      () => {
        for (let number = 0; number < 10_000; number += 1) one.board.seen(`d-${number}`);
        return performance.now() - startedAt > 6_000;
      },
      { what: "six seconds" },
    );
    const share = ((await cpuS()) - usedS) / ((performance.now() - startedAt) / 1_000) / 5;
    console.log(`10,000 devices noted in ${connectMs.toFixed(0)} ms; ${(share * 100).toFixed(1)} % of a core for Redis`);
    assert.ok(share < 0.1, `${share} of a core`);
    await own[Symbol.asyncDispose]();
  });

  test("without Redis nothing fails, and what happened meanwhile is noted when it is back", async () => {
    const own = await startRedis();
    await using one = await onRedis(() => own.url)();
    one.board.online("d-5", "jti-5", {});
    await one.board.flushed();
    await killService(own);
    one.board.offline("d-5", "jti-5");
    one.board.online("d-6", "jti-6", {});
    await one.board.flushed();
    assert.equal(await one.board.routeOf("d-6"), undefined);
    await assert.rejects(one.board.revoke("jti-6"));
    await using again = await startRedis([], own.port);
    await until(async () => /jti-6/.test(await askRedis(again, "HGETALL route:device:d-6")), { what: "the new device" });
    assert.match(await askRedis(again, "SMEMBERS presence:online"), /^\*1\r\n\$3\r\nd-6/);
    await own[Symbol.asyncDispose]();
  });
});
