import { cpus, loadavg, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { measureApi } from "./measure-api.ts";
import { measureAudit } from "./measure-audit.ts";
import { measureCommands } from "./measure-commands.ts";
import { measureConsole } from "./measure-console.ts";
import { measureDisk } from "./measure-disk.ts";
import { measureDurable } from "./measure-durable.ts";
import { measureMemory, measureStart } from "./measure-footprint.ts";
import { measureHomes } from "./measure-homes.ts";
import { measureIdle } from "./measure-idle.ts";
import { measureMessages } from "./measure-messages.ts";
import { measureNodes } from "./measure-nodes.ts";
import { measureReadings } from "./measure-readings.ts";
import { measureRetention } from "./measure-retention.ts";
import { measureRules } from "./measure-rules.ts";
import { measureTasks } from "./measure-tasks.ts";
import { measureTimers } from "./measure-timers.ts";
import { measurePostgresTransfer, measureTransfer } from "./measure-transfer.ts";
import { measureLatency, measureMqtt5, measurePattern, measureTransport } from "./measure-traffic.ts";
import { mosquittoVersion, natsVersion } from "./peers.ts";
import { isMet, type Row, table } from "./report.ts";
import type { Plan } from "./stage.ts";

const SCENARIOS: Readonly<Record<string, (plan: Plan) => Promise<Row[]>>> = {
  "fan-in": measurePattern("fan-in"),
  "fan-out": measurePattern("fan-out"),
  pairs: measurePattern("pairs"),
  mqtt5: measureMqtt5,
  tls: measureTransport("tls"),
  websocket: measureTransport("websocket"),
  latency: measureLatency,
  nodes: measureNodes,
  idle: measureIdle,
  durable: measureDurable,
  messages: measureMessages,
  commands: measureCommands,
  homes: measureHomes,
  tasks: measureTasks,
  api: measureApi,
  rules: measureRules,
  timers: measureTimers,
  readings: measureReadings,
  disk: measureDisk,
  retention: measureRetention,
  audit: measureAudit,
  console: measureConsole,
  transfer: measureTransfer,
  "transfer-postgres": measurePostgresTransfer,
  memory: measureMemory,
  start: measureStart,
};

const USAGE = `Usage: node test/bench/run.ts [options] [scenario …]

Measures a hub of its own process against mosquitto, both in the same run and taking turns; the median counts.
Scenarios: ${Object.keys(SCENARIOS).join(", ")} (all)

  --runs N      turns of each broker (3)
  --seconds S   measured in each turn (1.5)
  --broker URL  another anonymous MQTT broker instead of mosquitto, over TCP only
  --json        one line of JSON instead of the table

sink: what the generator reaches against a process that only hands bytes on, its ceiling. generator: its share of a core
while it measures the hub and the other.
`;
const WARM_UP_MS = 500;

await main();

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      runs: { type: "string", default: "3" },
      seconds: { type: "string", default: "1.5" },
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
    span: { warmUpMs: WARM_UP_MS, measureMs: Number(values.seconds) * 1_000 },
    broker: values.broker,
  };
  const startedAt = performance.now();
  const machine = {
    at: new Date().toISOString(),
    cpus: `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}`,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    loadBefore: loadavg().map((load) => load.toFixed(2)),
    node: process.versions.node,
    other: plan.broker ?? `mosquitto ${mosquittoVersion()}`,
    nats: natsVersion(),
    ...plan.span,
    runs: plan.runs,
  };
  const rows: Row[] = [];
  for (const name of names) {
    process.stderr.write(`${name} …\n`);
    try {
      rows.push(...((await SCENARIOS[name]?.(plan)) ?? []));
    } catch (error) {
      // The others are worth their time all the same.
      process.stderr.write(`${name} failed: ${error instanceof Error ? error.message : String(error)}\n`);
      process.exitCode = 1;
    }
  }
  const tookS = Math.round((performance.now() - startedAt) / 1_000);
  if (values.json) process.stdout.write(`${JSON.stringify({ machine, tookS, rows: rows.map((row) => ({ ...row, met: isMet(row) })) })}\n`);
  else {
    const facts = Object.entries(machine).map(([name, value]) => `${name} ${Array.isArray(value) ? value.join(" ") : value}`);
    process.stdout.write(`${facts.join(", ")}\n\n${table(rows, plan.broker ?? "mosquitto")}\n\ntook ${tookS} s\n`);
  }
}
