import assert from "node:assert/strict";
import { test } from "node:test";
import type { RedisServer } from "../../core/redis-server.ts";
import { checkRedis } from "../../api/cli/check-redis.ts";
import type { Check } from "../../api/cli/checks.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { startRedisCluster } from "../support/redis-cluster.ts";
import { askRedis, freePort, redisMissing, startRedis } from "../support/services.ts";
import { temporaryFolder } from "../support/wait.ts";
import { hexahub } from "./command-line.ts";

const skip = redisMissing() ?? false;

/** What the doctor prints, and how it ends. */
async function doctor(redisUrl: string | undefined, ...options: readonly string[]): Promise<{ stdout: string; code: number }> {
  await using folder = temporaryFolder();
  const env = { HEXA_HTTP_PORT: "0", HEXA_MQTT_PORT: "0", HEXA_MQTTS_PORT: "0", HEXA_DATA_DIR: folder.path };
  const surroundings = {
    env:
      redisUrl === undefined
        ? env
        : { ...env, REDIS_URL: redisUrl, DATABASE_URL: "postgres://127.0.0.1/x", HEXA_MASTER_KEY: "ab".repeat(32) },
  };
  // Awaited here: the folder goes with this block.
  return await hexahub(["doctor", ...options], surroundings);
}

/** The finding about Redis. */
async function examine(redisUrl?: string): Promise<{ finding: Check | undefined; code: number }> {
  const { code, stdout } = await doctor(redisUrl, "--json");
  const { checks } = JSON.parse(stdout) as { checks: Check[] };
  return { finding: checks.find(({ name }) => name === "redis"), code };
}

test("a hub that is alone has no line about Redis", async () => {
  assert.equal((await examine()).finding, undefined);
});

test("a Redis that suits the nodes passes with its version", { skip }, async () => {
  await using redis = await startRedis();
  const { finding, code } = await examine(redis.url);
  assert.equal(finding?.result, "ok");
  assert.match(finding?.detail ?? "", /^version \d+\.\d+\.\d+, one server$/);
  assert.equal(code, 0);
});

test("a Redis Cluster is recognised; a seed that is away is a warning, and one without its master a failure", { skip }, async () => {
  await using redis = await startRedisCluster();
  const { finding } = await examine(redis.url);
  assert.match(finding?.detail ?? "", /a Redis Cluster$/);
  const away = await freePort();
  const { finding: warned, code } = await examine(`${redis.url},redis://127.0.0.1:${away}`);
  assert.deepEqual([warned?.result, code], ["warning", 0]);
  assert.match(warned?.detail ?? "", new RegExp(`no answer from 127.0.0.1:${away}`));
  const [first] = redis.masters;
  if (first) await askRedis(first, "CLUSTER DELSLOTSRANGE 0 100");
  const { finding: broken } = await examine(first?.url);
  assert.equal(broken?.result, "failed");
  assert.match(broken?.detail ?? "", /does not serve all keys/);
});

test("keys that Redis may evict are a warning with its cure, and no failure", { skip }, async () => {
  await using redis = await startRedis(["--maxmemory-policy", "allkeys-lru"]);
  const { finding, code } = await examine(redis.url);
  assert.deepEqual([finding?.result, finding?.mend, code], ["warning", "set maxmemory-policy to noeviction", 0]);
  assert.match((await doctor(redis.url)).stdout, /^! redis: .*allkeys-lru/m);
});

test("two servers that are no cluster, a replica, and a wrong password are failures", { skip }, async () => {
  await using one = await startRedis();
  await using other = await startRedis();
  assert.match((await examine(`${one.url},${other.url}`)).finding?.detail ?? "", /not those of one Redis Cluster/);
  await using replica = await startRedis(["--replicaof", `127.0.0.1 ${one.port}`]);
  assert.match((await examine(replica.url)).finding?.detail ?? "", /takes no writes/);
  await using locked = await startRedis(["--requirepass", "secret"]);
  const url = `redis://:wrong@127.0.0.1:${locked.port}`;
  const { finding, code } = await examine(url);
  assert.deepEqual([finding?.result, code], ["failed", 1]);
  assert.match(finding?.detail ?? "", /WRONGPASS/);
  assert.doesNotMatch((await doctor(url)).stdout, /wrong@/);
});

test("a Redis that is away, or accepts and says nothing, is a failure within seconds", { skip }, async () => {
  await using redis = await startRedis();
  await using proxy = await startFaultProxy(redis);
  proxy.freeze();
  const [silent, away] = await Promise.all([examine(`redis://127.0.0.1:${proxy.port}`), examine(`redis://127.0.0.1:${await freePort()}`)]);
  for (const { finding } of [silent, away]) {
    assert.equal(finding?.result, "failed");
    assert.match(finding?.mend ?? "", /start it, or correct REDIS_URL/);
  }
  proxy.thaw();
});

test("a version without the commands that the nodes use is too old", () => {
  const server = (version: string): RedisServer => ({
    address: "db:6379",
    version,
    isCluster: false,
    isWhole: true,
    isReplica: false,
    evictionPolicy: "noeviction",
  });
  const results = ["5.0.14", "6.0.16", "6.2.0", "7.0.15", "10.1.0"].map((version) => checkRedis([server(version)]).result);
  assert.deepEqual(results, ["failed", "failed", "ok", "ok", "ok"]);
});
