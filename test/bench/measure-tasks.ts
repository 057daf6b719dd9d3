import mqtt from "mqtt";
import { freshDatabase, postgresMissing, redisMissing, startPostgres, startRedis } from "../support/services.ts";
import { startGenerator } from "./child.ts";
import { createHistogram } from "./histogram.ts";
import { type DeviceAccount, type HubProcess, startHubProcess } from "./hub-process.ts";
import { passed } from "./pace.ts";
import { median, type Row } from "./report.ts";
import type { Span } from "./scenarios.ts";
import type { Plan } from "./stage.ts";

const DEVICES = 50;
const CALLERS = 8;
/** One for each device: more would wait behind one another, and their times tell nothing of the hub. */
const UNDER_WAY = DEVICES;
const FIRST_MS = 2_000;
const END_TIMEOUT_MS = 30_000;

interface TaskTimes {
  readonly perS: number;
  /** From the answer to whoever asked to the event that it is completed. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Tasks that devices get as signed envelopes: on one node, and with the devices on the other of two. */
export async function measureTasks(plan: Plan): Promise<Row[]> {
  const rows = await measureOneNode(plan);
  const missing = postgresMissing() ?? redisMissing();
  if (missing === undefined) return [...rows, ...(await measureTwoNodes(plan))];
  process.stderr.write(`${missing}: one node alone\n`);
  return rows;
}

async function measureOneNode(plan: Plan): Promise<Row[]> {
  await using hub = await startHubProcess();
  return await measured("one node, SQLite", plan, { asked: hub, connected: hub });
}

async function measureTwoNodes(plan: Plan): Promise<Row[]> {
  await using postgres = await startPostgres();
  await using redis = await startRedis();
  const settings = { DATABASE_URL: await freshDatabase(postgres), REDIS_URL: redis.url, HEXA_MASTER_KEY: "5a".repeat(32) };
  await using here = await startHubProcess(undefined, settings);
  await using there = await startHubProcess(undefined, settings);
  return [
    ...(await measured("two nodes, PostgreSQL, devices where they are asked for", plan, { asked: here, connected: here })),
    ...(await measured("two nodes, PostgreSQL, devices on the other", plan, { asked: here, connected: there })),
  ];
}

interface Nodes {
  readonly asked: HubProcess;
  readonly connected: HubProcess;
}

async function measured(name: string, { runs, span }: Plan, { asked, connected }: Nodes): Promise<Row[]> {
  const devices = await asked.addDevices("relay_controller", DEVICES);
  await using _generator = await startGenerator<object>({ kind: "devices", ...connected.targets.tcp, devices, knowsTasks: true });
  // Each of them has done one before: what a hub does once for a device is not what is measured.
  await giveTasks(asked, devices, { warmUpMs: 0, measureMs: FIRST_MS });
  const seen: TaskTimes[] = [];
  for (let run = 0; run < runs; run++) seen.push(await giveTasks(asked, devices, span));
  const of = (pick: (one: TaskTimes) => number) => median(seen.map(pick));
  return [
    { name: `tasks of ${DEVICES} devices, ${CALLERS} callers, ${name}`, unit: "tasks/s", hub: of(({ perS }) => perS) },
    { name: "  from the answer to task.completed, p50", unit: "ms", hub: of(({ p50Ms }) => p50Ms) },
    { name: "  p99", unit: "ms", hub: of(({ p99Ms }) => p99Ms) },
  ];
}

/** The callers go on as long as the span, each with the next device; what is under way then comes to its end. */
async function giveTasks(hub: HubProcess, devices: readonly DeviceAccount[], { warmUpMs, measureMs }: Span): Promise<TaskTimes> {
  await using ends = await openEnds(hub);
  const histogram = createHistogram();
  let isMeasuring = false;
  const over = new AbortController();
  let given = 0;
  let completed = 0;
  const give = async (): Promise<void> => {
    while (!over.signal.aborted) {
      await ends.room();
      const index = given++;
      const { clientId: device } = devices[index % devices.length] as DeviceAccount;
      const state = Math.floor(index / devices.length) % 2 === 0 ? "ON" : "OFF";
      const end = ends.expect();
      const { task } = await hub.post("/api/v1/tasks", { device, name: "bench", actions: [{ command: "set_relay", relay: 0, state }] });
      const { id, status } = task as { id: string; status: string };
      if (status !== "queued") throw new Error(`a task is ${status}`);
      const answeredAt = performance.now();
      end(id, (completedAt) => {
        if (!isMeasuring) return;
        completed++;
        histogram.add(Math.max(0, completedAt - answeredAt));
      });
    }
  };
  const giving = Promise.all(Array.from({ length: CALLERS }, give));
  // Whoever fails ends the turn.
  await Promise.race([giving, passed(warmUpMs)]);
  isMeasuring = true;
  const from = performance.now();
  await Promise.race([giving, passed(measureMs)]);
  isMeasuring = false;
  const perS = (completed * 1_000) / (performance.now() - from);
  over.abort();
  await giving;
  await ends.none();
  const { p50Ms, p99Ms } = histogram.summary();
  return { perS, p50Ms, p99Ms };
}

type OnEnd = (completedAt: number) => void;

/** The tasks under way, by what the hub says of their ends. */
async function openEnds(hub: HubProcess) {
  const { data } = (await hub.get("/api/v1/organizations")) as { data: { id: string }[] };
  const { host, port } = hub.targets.tcp;
  const client = await mqtt.connectAsync({ host, port, clientId: "bench-tasks", ...(await login(hub)), protocolVersion: 4 });
  const waiting = new Map<string, OnEnd>();
  /** Of tasks whose answer has not come yet. */
  const early = new Map<string, number>();
  let underWay = 0;
  let changed = Promise.withResolvers<void>();
  let failure: Error | undefined;
  const ended = (): void => {
    underWay--;
    changed.resolve();
    changed = Promise.withResolvers();
  };
  client.on("message", (topic, payload) => {
    const at = performance.now();
    const { task_id: id, error } = (JSON.parse(payload.toString()) as { data: { task_id: string; error?: string } }).data;
    if (!topic.endsWith("/task.completed")) failure = new Error(`${topic}: ${error ?? ""}`);
    const onEnd = waiting.get(id);
    if (!onEnd) return void early.set(id, at);
    waiting.delete(id);
    onEnd(at);
    ended();
  });
  await client.subscribeAsync([`hexa-app/${data[0]?.id}/events/task.completed`, `hexa-app/${data[0]?.id}/events/task.failed`], { qos: 1 });
  const untilAtMost = async (most: number): Promise<void> => {
    const deadline = performance.now() + END_TIMEOUT_MS;
    for (;;) {
      if (failure) throw failure;
      if (underWay <= most) return;
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) throw new Error(`${underWay} tasks have not ended in ${END_TIMEOUT_MS} ms`);
      await Promise.race([changed.promise, passed(leftMs)]);
    }
  };
  return {
    /** Resolves when there may be one more. */
    room: () => untilAtMost(UNDER_WAY - 1),
    none: () => untilAtMost(0),
    /** One more is asked for; what is given says which it has become. */
    expect: () => {
      underWay++;
      return (id: string, onEnd: OnEnd): void => {
        const at = early.get(id);
        if (at === undefined) return void waiting.set(id, onEnd);
        early.delete(id);
        onEnd(at);
        ended();
      };
    },
    [Symbol.asyncDispose]: () => client.endAsync(true),
  };
}

const logins = new WeakMap<HubProcess, Promise<{ readonly username: string; readonly password: string }>>();

function login(hub: HubProcess): Promise<{ readonly username: string; readonly password: string }> {
  const known = logins.get(hub) ?? hub.addService("bench-tasks");
  logins.set(hub, known);
  return known;
}
