import { temporaryFolder } from "../support/wait.ts";
import { startGenerator } from "./child.ts";
import type { Account } from "./connection.ts";
import { startHubProcess } from "./hub-process.ts";
import { median, type Row } from "./report.ts";
import type { Plan } from "./stage.ts";

const MEGABYTE = 1e6;

/** The devices are enrolled in an earlier run of the hub: what counts is a hub that serves them, not one that just made 1,000. */
export async function measureMemory(): Promise<Row[]> {
  await using folder = temporaryFolder("hexahub-bench");
  const devices = await enrolled(folder.path, 1_000);
  const clients = devices.map((device) => ({ ...device, filter: `hexa/${device.clientId}/down/#` }));
  await using hub = await startHubProcess(folder.path);
  const rows: Row[] = [{ name: "memory, no device connected", unit: "MB", hub: hub.rssBytes() / MEGABYTE }];
  for (const count of [500, 1_000]) {
    await using _generator = await startGenerator<object>({
      kind: "idle",
      ...hub.targets.tcp,
      clients: clients.slice(0, count),
      clean: false,
    });
    rows.push({ name: `memory, ${count} devices connected`, unit: "MB", hub: hub.rssBytes() / MEGABYTE });
  }
  return rows;
}

async function enrolled(dataDir: string, count: number): Promise<Account[]> {
  await using hub = await startHubProcess(dataDir);
  return await hub.addDevices("sensor_hub", count);
}

export async function measureStart({ runs }: Plan): Promise<Row[]> {
  const seen: number[] = [];
  for (let run = 0; run < runs; run++) {
    await using hub = await startHubProcess();
    seen.push(hub.startMs);
  }
  return [{ name: "first start in an empty folder, until ready", unit: "ms", hub: median(seen) }];
}
