import { parseArgs } from "node:util";
import { mosquittoMissing, startMosquitto } from "../support/services.ts";
import { temporaryFolder } from "../support/wait.ts";
import { generate, startGenerator } from "./child.ts";
import type { Account, Target } from "./connection.ts";
import type { DurableResult } from "./durable.ts";
import { createHistogram } from "./histogram.ts";
import { type HubProcess, startHubProcess } from "./hub-process.ts";
import { median, type Row, table } from "./report.ts";
import { anonymousCast, type Cast, fanIn, fanOut, type Span } from "./scenarios.ts";
import type { StreamResult } from "./stream.ts";

const USAGE = `Usage: node test/bench/run.ts [options] [scenario …]

Measures a hub of its own process against mosquitto, both in the same run and taking turns; the median counts.
Scenarios: fan-in, fan-out, durable, commands, memory, start (all)

  --runs N      turns of each broker (3)
  --seconds S   measured in each turn (3)
  --broker URL  another anonymous MQTT broker instead of mosquitto
  --json        one line of JSON instead of the table
`;

interface Plan {
  readonly runs: number;
  readonly span: Span;
  readonly broker: string | undefined;
}
const SCENARIOS = {
  "fan-in": measureFanIn,
  "fan-out": measureFanOut,
  durable: measureDurable,
  commands: measureCommands,
  memory: measureMemory,
  start: measureStart,
} as const;
const COMMANDS = 200;
const HOUR_MS = 3_600_000;

await main();

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      runs: { type: "string", default: "3" },
      seconds: { type: "string", default: "3" },
      broker: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const names = positionals.length > 0 ? positionals : Object.keys(SCENARIOS);
  if (values.help || names.some((name) => !Object.hasOwn(SCENARIOS, name))) {
    process.stderr.write(USAGE);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  const plan: Plan = {
    runs: Number(values.runs),
    span: { warmUpMs: 1_000, measureMs: Number(values.seconds) * 1_000 },
    broker: values.broker,
  };
  const rows: Row[] = [];
  for (const name of names) {
    process.stderr.write(`${name} …\n`);
    rows.push(...(await SCENARIOS[name as keyof typeof SCENARIOS](plan)));
  }
  process.stdout.write(values.json ? `${JSON.stringify(rows)}\n` : `${table(rows, plan.broker ?? "mosquitto")}\n`);
}

async function measureFanIn(plan: Plan): Promise<Row[]> {
  return compare(plan, { name: "fan-in 50 → 1, QoS 0", spec: fanIn, devices: 50 });
}

async function measureFanOut(plan: Plan): Promise<Row[]> {
  return compare(plan, { name: "fan-out 1 → 200, QoS 0", spec: fanOut, devices: 1 });
}

/** Hub, other, hub, other …: what the machine does beside it meets both. The sink's line is the generator's ceiling. */
async function compare(
  { runs, span, broker }: Plan,
  { name, spec, devices }: { name: string; spec: typeof fanIn; devices: number },
): Promise<Row[]> {
  await using sink = await startGenerator<Target>({ kind: "sink" });
  const ceiling = await generate<StreamResult>(spec(sink.answer, span));
  await using other = await startOther(broker);
  await using hub = await startHubProcess();
  const cast: Cast = { devices: await hub.addDevices("sensor_hub", devices), reader: await hub.addService("bench-reader") };
  const seen = { hub: [] as StreamResult[], other: [] as StreamResult[] };
  for (let run = 0; run < runs; run++) {
    seen.hub.push(await generate<StreamResult>(spec(hub.mqtt, span, cast)));
    if (other) seen.other.push(await generate<StreamResult>(spec(other.target, span, anonymousCast(devices))));
  }
  const of = (pick: (result: StreamResult) => number) => ({ hub: median(seen.hub.map(pick)), other: median(seen.other.map(pick)) });
  return [
    { name, unit: "messages/s", ...of((result) => result.deliveredPerS) },
    { name: "  lost", unit: "messages", ...of((result) => result.lost) },
    { name: "  generator's processor share", unit: "of a core", ...of((result) => result.cpuShare) },
    { name: "  generator against a sink", unit: "messages/s", hub: ceiling.deliveredPerS },
  ];
}

async function measureDurable({ runs, span }: Plan): Promise<Row[]> {
  await using hub = await startHubProcess();
  const devices = await hub.addDevices("sensor_hub", 50);
  const publishers = devices.map((device) => ({ ...device, topic: `hexa/${device.clientId}/up/telemetry` }));
  const results: DurableResult[] = [];
  let lost = 0;
  for (let run = 0; run < runs; run++) {
    const firstTs = Math.floor(Date.now() / HOUR_MS - 2 - run) * HOUR_MS;
    const result = await generate<DurableResult>({ kind: "durable", ...hub.mqtt, ...span, publishers, inFlight: 20, firstTs });
    results.push(result);
    for (const [index, { clientId }] of devices.entries()) {
      const acked = result.acked[index] ?? 0;
      lost += acked - (await countReadings(hub, clientId, { from: firstTs, to: firstTs + acked }));
    }
  }
  const of = (pick: (result: DurableResult) => number) => median(results.map(pick));
  return [
    { name: "durable telemetry, 50 devices × 20, QoS 1", unit: "PUBACK/s", hub: of((result) => result.ackedPerS) },
    { name: "  p50", unit: "ms", hub: of((result) => result.latency.p50Ms) },
    { name: "  p99", unit: "ms", hub: of((result) => result.latency.p99Ms) },
    { name: "  acknowledged and not stored", unit: "messages", hub: lost },
  ];
}

/** What the store has of this time, `to` excluded. */
async function countReadings(hub: HubProcess, uid: string, { from, to }: { from: number; to: number }): Promise<number> {
  const query = new URLSearchParams({
    device: uid,
    key: "temperature",
    from: new Date(from).toISOString(),
    to: new Date(to).toISOString(),
    bucket: "1h",
    agg: "count",
  });
  const { data } = (await hub.get(`/api/v1/readings?${query.toString()}`)) as { data: { value: number }[] };
  return data.reduce((sum, { value }) => sum + value, 0);
}

interface CommandTimes {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly perS: number;
}

async function measureCommands({ runs }: Plan): Promise<Row[]> {
  await using hub = await startHubProcess();
  const devices = await hub.addDevices("relay_controller", 10);
  await using _generator = await startGenerator<object>({ kind: "devices", ...hub.mqtt, devices });
  const single: CommandTimes[] = [];
  const together: CommandTimes[] = [];
  for (let run = 0; run < runs; run++) {
    single.push(await sendCommands(hub, devices.slice(0, 1), COMMANDS));
    together.push(await sendCommands(hub, devices, COMMANDS / 10));
  }
  const of = (results: CommandTimes[], pick: (result: CommandTimes) => number) => median(results.map(pick));
  return [
    { name: "command REST → device → answer, one at a time, p50", unit: "ms", hub: of(single, (result) => result.p50Ms) },
    { name: "  p99", unit: "ms", hub: of(single, (result) => result.p99Ms) },
    { name: "commands to 10 devices at once, p50", unit: "ms", hub: of(together, (result) => result.p50Ms) },
    { name: "  p99", unit: "ms", hub: of(together, (result) => result.p99Ms) },
    { name: "  rate", unit: "commands/s", hub: of(together, (result) => result.perS) },
  ];
}

/** `count` commands to each device, one after the other for each, all devices at once. */
async function sendCommands(hub: HubProcess, devices: readonly Account[], count: number): Promise<CommandTimes> {
  const histogram = createHistogram();
  const startedAt = performance.now();
  const drive = async ({ clientId }: Account): Promise<void> => {
    for (let sent = 0; sent < count; sent++) {
      const at = performance.now();
      const { status } = await hub.post(`/api/v1/devices/${clientId}/commands`, {
        command: "set_relay",
        relay: sent % 4,
        state: sent % 8 < 4 ? "ON" : "OFF",
      });
      if (status !== "ok") throw new Error(`a command ended with ${String(status)}`);
      histogram.add(performance.now() - at);
    }
  };
  await Promise.all(devices.map(drive));
  const { p50Ms, p99Ms } = histogram.summary();
  return { p50Ms, p99Ms, perS: (count * devices.length * 1_000) / (performance.now() - startedAt) };
}

/** The devices are enrolled in an earlier run of the hub: what counts is a hub that serves them, not one that just made 1,000. */
async function measureMemory(): Promise<Row[]> {
  await using folder = temporaryFolder("hexahub-bench");
  const devices = await enrolled(folder.path, 1_000);
  await using hub = await startHubProcess(folder.path);
  const rows: Row[] = [{ name: "memory, no device connected", unit: "MB", hub: hub.rssMb() }];
  for (const count of [500, 1_000]) {
    await using _generator = await startGenerator<object>({ kind: "idle", ...hub.mqtt, devices: devices.slice(0, count) });
    rows.push({ name: `memory, ${count} devices connected`, unit: "MB", hub: hub.rssMb() });
  }
  return rows;
}

async function enrolled(dataDir: string, count: number): Promise<Account[]> {
  await using hub = await startHubProcess(dataDir);
  return await hub.addDevices("sensor_hub", count);
}

async function measureStart({ runs }: Plan): Promise<Row[]> {
  const seen: number[] = [];
  for (let run = 0; run < runs; run++) {
    await using hub = await startHubProcess();
    seen.push(hub.startMs);
  }
  return [{ name: "first start in an empty folder, until ready", unit: "ms", hub: median(seen) }];
}

/** undefined when nothing is there to compare with; the hub is measured all the same. */
async function startOther(broker: string | undefined): Promise<({ readonly target: Target } & AsyncDisposable) | undefined> {
  if (broker !== undefined) {
    const { hostname, port } = new URL(broker);
    return { target: { host: hostname, port: Number(port || 1883) }, [Symbol.asyncDispose]: async () => undefined };
  }
  const missing = mosquittoMissing();
  if (missing !== undefined) {
    process.stderr.write(`${missing}: no comparison\n`);
    return undefined;
  }
  const service = await startMosquitto();
  return { target: { host: "127.0.0.1", port: service.port }, [Symbol.asyncDispose]: () => service[Symbol.asyncDispose]() };
}
