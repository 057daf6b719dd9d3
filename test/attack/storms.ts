import assert from "node:assert/strict";
import { limitScene } from "../broker/limits-scene.ts";
import { type HubProcess, spawnHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { connectsOf, halfOpen, memoryOf, MIB, observe, type Observed, startFleet } from "./fleet.ts";

const PATIENCE_MS = 60_000;
const PATIENT = { HEXA_MQTT_CONNECT_TIMEOUT_S: "300" };
/** The hub's own 300 a second would take 32 s for 10,000. Over TLS nothing holds the storm back but the handshakes' own pace. */
const PACE = { HEXA_MQTT_CONNECT_RATE: "1000", HEXA_MQTT_CONNECT_BURST: "500" };

/** A hub as a process of its own, and a service account of it. */
async function account(dataDir: string): Promise<{ username: string; password: string }> {
  await using scene = await limitScene({}, { dataDir });
  return scene.service();
}

const portOf = (hub: HubProcess, isTls: boolean): number => Number(new URL(isTls ? hub.mqtts : hub.mqtt).port);

/** Connects `count` clients, kills the hub, and lets all of them come back at once to the next one. */
export async function comeBack({ count, isTls }: { count: number; isTls: boolean }): Promise<Observed & { tookMs: number }> {
  await using folder = temporaryFolder();
  const connects = connectsOf(await account(folder.path), count);
  const order = { connects, isTls, isVisit: false, rounds: 1, atOnce: isTls ? 200 : 1_000 };
  const env = isTls ? {} : PACE;
  const half = Math.ceil(count / 2);
  const fleets = (hub: HubProcess) => {
    const stack = new AsyncDisposableStack();
    const parts = [connects.slice(0, half), connects.slice(half)].map((part) =>
      stack.use(startFleet({ ...order, port: portOf(hub, isTls), connects: part })),
    );
    return {
      connected: () => parts.reduce((sum, { report }) => sum + report.connected, 0),
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    };
  };
  {
    await using hub = await spawnHub({ dataDir: folder.path, env });
    await using fleet = fleets(hub);
    await until(() => fleet.connected() === count, { what: `${count} clients`, timeoutMs: PATIENCE_MS });
    await hub.kill9();
  }
  await using hub = await spawnHub({ dataDir: folder.path, env });
  await using fleet = fleets(hub);
  const seen = await observe(hub, () => fleet.connected() === count, PATIENCE_MS);
  assert.equal(fleet.connected(), count);
  return seen;
}

/** Bytes that 1,000 connections that say nothing, or half a CONNECT, and 20 packets of 256 MB that are only announced cost. */
export async function halfOpenCost(): Promise<{ growthBytes: number; refused: number }> {
  await using folder = temporaryFolder();
  const login = await account(folder.path);
  await using hub = await spawnHub({ dataDir: folder.path, env: PATIENT });
  const pid = hub.child.pid as number;
  // One of each, so that what comes with the first is not counted.
  using _first = await halfOpen(hub, Buffer.from([0x10]));
  const before = memoryOf(pid);
  using sockets = new DisposableStack();
  const started = Buffer.from(connectsOf(login, 1)[0] as string, "base64").subarray(0, 40);
  for (let index = 0; index < 1_000; index++) sockets.use(await halfOpen(hub, index % 2 === 0 ? Buffer.alloc(0) : started));
  const oversized: Awaited<ReturnType<typeof halfOpen>>[] = [];
  const announced = Buffer.concat([Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]), Buffer.alloc(65_536, "x")]);
  for (let index = 0; index < 20; index++) oversized.push(sockets.use(await halfOpen(hub, announced)));
  await until(() => oversized.every(({ isClosed }) => isClosed), { what: "the refusal of all large packets" });
  await fetch(new URL("/health", hub.http));
  return { growthBytes: memoryOf(pid) - before, refused: oversized.length };
}

/** Or what is seen is how long ago the collector came by: it lets 20 MiB of garbage grow old between two visits. */
const COLLECTED = { NODE_OPTIONS: "--expose-gc --import=data:text/javascript,setInterval(gc,500).unref()" };

/** Lets 200 clients at a time come, ping and go, and returns the memory after each tenth of them, in MiB. */
export async function visits(total: number, limitMs: number): Promise<{ memoriesMib: number[]; visits: number; tookMs: number }> {
  await using folder = temporaryFolder();
  const connects = connectsOf(await account(folder.path), 1_000);
  await using hub = await spawnHub({ dataDir: folder.path, env: COLLECTED });
  await using fleet = startFleet({
    port: portOf(hub, false),
    isTls: false,
    connects,
    atOnce: 200,
    isVisit: true,
    rounds: Math.ceil(total / 1_000),
  });
  const memoriesMib: number[] = [];
  const startedAt = performance.now();
  for (let tenth = 1; tenth <= 10; tenth++) {
    await until(() => fleet.report.visits >= (total * tenth) / 10, { what: `${tenth * 10} % of the visits`, timeoutMs: limitMs });
    memoriesMib.push(Math.round((memoryOf(hub.child.pid as number) / MIB) * 10) / 10);
  }
  return { memoriesMib, visits: fleet.report.visits, tookMs: performance.now() - startedAt };
}
