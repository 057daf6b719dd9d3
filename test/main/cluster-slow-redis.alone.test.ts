import assert from "node:assert/strict";
import { test } from "node:test";
import { metricOf } from "../broker/limits-scene.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";
import type { TestHub } from "../support/hub.ts";
import { startRedis } from "../support/services.ts";
import { until } from "../support/wait.ts";
import { clusterMissing, eventsOf, relayAt } from "./cluster-hubs.ts";
import {
  assertIntact,
  isNormal,
  passed,
  quantile,
  type Stage,
  startStage,
  startTraffic,
  summary,
  type Traffic,
} from "./cluster-traffic.ts";

const skip = clusterMissing();
const ON = { command: "set_relay", relay: 0, state: "ON" };
const NORMAL_WITHIN_MS = 10_000;

test("two hubs behind a bad line to Redis serve their own clients as ever, and lose and double nothing of each other's", {
  skip,
  timeout: 120_000,
}, async (whole) => {
  await using scene = await startScene();
  const { a, b, lines, left } = scene;
  const device = await a.api.addDevice();
  await using relay = await relayAt(b, device);
  const command = () => a.api.call("POST", `/api/v1/devices/${device.uid}/commands`, ON);
  await until(async () => (await command()).status === 200, { what: "a route to the device" });

  await whole.test("200 ms each way: what crosses is acknowledged after a round trip, and a command to the other node works", async (t) => {
    await using traffic = await startTraffic(scene, "slow");
    for (const line of lines) line.slow({ delayMs: 200 });
    await passed(1_000);
    const from = performance.now();
    await until(async () => (await command()).status === 200, { what: "a command to the other node" });
    const commandMs = performance.now() - from;
    await passed(1_500);
    t.diagnostic(`slow: ${summary(traffic)}; a command ${commandMs.toFixed(0)} ms`);
    for (const hub of [a, b]) assert.ok((await metricOf(hub, "hexahub_cluster_redis_round_trip_seconds")) > 0.35);
    assert.ok(
      traffic.crossing.every(({ acknowledgementMs }) => quantile(acknowledgementMs, 0.99) > 350),
      "acknowledged late",
    );
    await mend(scene, traffic);
  });

  await whole.test("every second piece stands still for 1.5 s", async (t) => {
    await using traffic = await startTraffic(scene, "stalls");
    for (const line of lines) line.slow({ stallMs: 1_500 });
    await passed(3_500);
    t.diagnostic(`stalls: ${summary(traffic)}`);
    await mend(scene, traffic);
  });

  await whole.test("every connection breaks in the middle of an answer, and some are reset", async (t) => {
    await using traffic = await startTraffic(scene, "torn");
    for (const line of lines) line.tear(2_000);
    await passed(1_500);
    for (const line of lines) line.cut();
    await passed(1_500);
    t.diagnostic(`torn: ${summary(traffic)}`);
    await mend(scene, traffic);
  });

  await whole.test("half open: Redis is gone from the connections without a word, and new ones get no answer", async (t) => {
    await using traffic = await startTraffic(scene, "half-open");
    for (const line of lines) {
      line.halfOpen("server");
      line.freeze();
    }
    await until(async () => (await isUp(a)) === 0 && (await isUp(b)) === 0, { what: "the outage to be seen" });
    await passed(2_500);
    for (const hub of [a, b]) assert.ok((await waitingAt(hub)) > 50, "what is for the other node waits");
    t.diagnostic(`half-open: ${summary(traffic)}`);
    await mend(scene, traffic);
  });

  assert.deepEqual(left, [], "nobody was taken for dead");
  assert.ok(relay.connected);
  assert.deepEqual(
    (await eventsOf(a, device)).filter((type) => type.endsWith("line")),
    ["device.online"],
  );
});

interface Scene extends Stage {
  readonly lines: readonly [Line, Line];
}
type Line = Awaited<ReturnType<typeof startFaultProxy>>;

/** Two hubs, each with a line of its own to one Redis. */
async function startScene(): Promise<Scene> {
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await startRedis());
  const lines = [stack.use(await startFaultProxy(redis)), stack.use(await startFaultProxy(redis))] as const;
  const [first, second] = lines.map(({ port }) => `redis://127.0.0.1:${port}`) as [string, string];
  const stage = stack.use(await startStage([first, second]));
  const running = stack.move();
  return { ...stage, lines, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/** Ends every fault, and then holds the hubs to what they promise. */
async function mend(scene: Scene, traffic: Traffic): Promise<void> {
  const { a, b, lines } = scene;
  for (const line of lines) {
    line.slow({});
    line.mend();
    line.thaw();
  }
  const mendedAt = performance.now();
  await until(async () => (await isUp(a)) === 1 && (await isUp(b)) === 1, { what: "both to be members", timeoutMs: NORMAL_WITHIN_MS });
  await traffic.stop();
  await traffic.arrived();
  await isNormal(scene);
  assert.ok(performance.now() - mendedAt < NORMAL_WITHIN_MS, `normal after ${performance.now() - mendedAt} ms`);
  assertIntact(traffic);
}

/** The messages that wait at this node for the other. */
async function waitingAt({ http }: TestHub): Promise<number> {
  const text = await (await fetch(new URL("/metrics", http))).text();
  return Number(/^hexahub_cluster_waiting\{node="[0-9a-f-]{36}"\} (\d+)$/m.exec(text)?.[1]);
}

const isUp = (hub: TestHub): Promise<number> => metricOf(hub, "hexahub_cluster_redis_up");
