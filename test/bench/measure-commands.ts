import { startGenerator } from "./child.ts";
import type { Account } from "./connection.ts";
import { createHistogram } from "./histogram.ts";
import { type HubProcess, startHubProcess } from "./hub-process.ts";
import { drive, startBareKoa, type Times } from "./measure-api.ts";
import { median, type Row } from "./report.ts";
import type { Plan } from "./stage.ts";

const COMMANDS = 200;

interface CommandTimes {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly perS: number;
}

export async function measureCommands({ runs, span }: Plan): Promise<Row[]> {
  await using hub = await startHubProcess();
  const devices = await hub.addDevices("relay_controller", 10);
  await using _generator = await startGenerator<object>({ kind: "devices", ...hub.targets.tcp, devices });
  await using koa = await startBareKoa();
  const bare: Times[] = [];
  const single: CommandTimes[] = [];
  const together: CommandTimes[] = [];
  for (let run = 0; run < runs; run++) {
    single.push(await sendCommands(hub, devices.slice(0, 1), COMMANDS));
    together.push(await sendCommands(hub, devices, COMMANDS / 10));
    bare.push(await drive(koa.url, { method: "GET", path: "/", headers: {} }, span.measureMs));
  }
  const of = (results: CommandTimes[], pick: (result: CommandTimes) => number) => median(results.map(pick));
  return [
    { name: "command REST → device → answer, one at a time, p50", unit: "ms", hub: of(single, (result) => result.p50Ms) },
    { name: "  p99", unit: "ms", hub: of(single, (result) => result.p99Ms) },
    { name: "commands to 10 devices at once (other: bare Koa), p50", unit: "ms", hub: of(together, (result) => result.p50Ms) },
    { name: "  p99", unit: "ms", hub: of(together, (result) => result.p99Ms), other: median(bare.map(({ p99Ms }) => p99Ms)) },
    { name: "  rate", unit: "requests/s", hub: of(together, (result) => result.perS), other: median(bare.map(({ perS }) => perS)) },
  ];
}

/** `count` commands to each device, one after the other for each, all devices at once. */
async function sendCommands(hub: HubProcess, devices: readonly Account[], count: number): Promise<CommandTimes> {
  const histogram = createHistogram();
  const startedAt = performance.now();
  const driveDevice = async ({ clientId }: Account): Promise<void> => {
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
  await Promise.all(devices.map(driveDevice));
  const { p50Ms, p99Ms } = histogram.summary();
  return { p50Ms, p99Ms, perS: (count * devices.length * 1_000) / (performance.now() - startedAt) };
}
