import assert from "node:assert/strict";
import { test } from "node:test";
import { metricOf } from "../broker/limits-scene.ts";
import { connectTo, LASTING } from "../broker/nodes.ts";
import { type RedisCluster, startRedisCluster } from "../support/redis-cluster.ts";
import { askRedis, killService, type Service } from "../support/services.ts";
import { until } from "../support/wait.ts";
import { clusterMissing, eventsOf, relayAt } from "./cluster-hubs.ts";
import { assertIntact, isNormal, passed, startStage, startTraffic, summary } from "./cluster-traffic.ts";

const skip = clusterMissing();
const ON = { command: "set_relay", relay: 0, state: "ON" };

test("two hubs on a Redis Cluster work as on one Redis, and the loss of a master is over when its replica serves", {
  skip,
  timeout: 120_000,
}, async (whole) => {
  await using redis = await startRedisCluster({ replicated: true });
  await using stage = await startStage([redis.url, redis.url]);
  const { a, b, account, left } = stage;
  const device = await a.api.addDevice();
  await using relay = await relayAt(b, device);
  const command = () => a.api.call("POST", `/api/v1/devices/${device.uid}/commands`, ON);

  await whole.test("a client that connects to the other node ends its connection here and works there", async () => {
    const topic = `${account.prefix}/taken`;
    const first = await connectTo(a, account, { clientId: "taken" });
    const reason = new Promise<number | undefined>((resolve) => first.client.once("disconnect", (packet) => resolve(packet.reasonCode)));
    const second = await connectTo(b, account, { clientId: "taken" });
    assert.equal(await reason, 0x8e);
    await second.client.subscribeAsync(topic, { qos: 1 });
    const sender = await connectTo(a, account);
    await sender.client.publishAsync(topic, "to the other node", { qos: 1 });
    await second.has("to the other node");
    await Promise.all([second.client.endAsync(), sender.client.endAsync()]);
  });

  await whole.test("a session moves with its queue, whichever node was published at", async () => {
    const topic = `${account.prefix}/moving`;
    const first = await connectTo(a, account, { clientId: "moving", ...LASTING });
    await first.client.subscribeAsync(topic, { qos: 1 });
    await first.client.endAsync();
    for (const [hub, text] of [
      [a, "1"],
      [b, "2"],
    ] as const) {
      const sender = await connectTo(hub, account);
      await sender.client.publishAsync(topic, text, { qos: 1 });
      await sender.client.endAsync();
    }
    const second = await connectTo(b, account, { clientId: "moving", ...LASTING });
    assert.equal(second.sessionPresent, true);
    await second.has("1", "2");
    await second.client.endAsync();
  });

  await whole.test("what is retained at one node is there at the other, until it is cleared", async () => {
    const topic = `${account.prefix}/retained`;
    const sender = await connectTo(a, account);
    for (const text of ["kept", ""]) {
      await sender.client.publishAsync(topic, text, { qos: 1, retain: true });
      await until(
        async () => {
          const reader = await connectTo(b, account);
          await reader.client.subscribeAsync(topic, { qos: 1 });
          await reader.synced();
          const found = reader.seen.map((one) => one.text).join();
          await reader.client.endAsync();
          return found === text;
        },
        { what: `"${text}" at the other node` },
      );
    }
    await sender.client.endAsync();
  });

  await whole.test("a command from one node's REST reaches a device at the other", async () => {
    await until(async () => (await command()).status === 200, { what: "a route to the device" });
  });

  await whole.test(
    "a master is killed: local messages go on, those that cross wait for its replica, nobody is taken for dead",
    async (t) => {
      await using traffic = await startTraffic(stage, "failover");
      await killService(await masterOfAnInbox(redis));
      const killedAt = performance.now();
      await until(async () => (await Promise.all([a, b].map(isUp))).includes(0), { what: "the outage to be seen" });
      await until(async () => (await Promise.all([a, b].map(isUp))).every((up) => up === 1), {
        what: "both to be members again",
        timeoutMs: 20_000,
      });
      t.diagnostic(`failover: back after ${(performance.now() - killedAt).toFixed(0)} ms; ${summary(traffic)}`);
      await traffic.stop();
      await traffic.arrived();
      await isNormal(stage);
      assertIntact(traffic);
      assert.equal((await command()).status, 200);
      // As long as it may take until somebody is taken for dead.
      await passed(4_000);
      assert.deepEqual(left, []);
      assert.ok(relay.connected);
      const presence = (await eventsOf(a, device)).filter((type) => type.endsWith("line"));
      assert.deepEqual(presence, ["device.online"]);
    },
  );
});

const isUp = (hub: { readonly http: string }): Promise<number> => metricOf(hub, "hexahub_cluster_redis_up");

async function masterOfAnInbox({ masters }: RedisCluster): Promise<Service> {
  for (const master of masters) if ((await askRedis(master, "KEYS hexa:inbox:*")).includes("hexa:inbox:")) return master;
  throw new Error("nobody has an inbox");
}
