import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { type Service, startService } from "../support/services.ts";
import { temporaryFolder } from "../support/wait.ts";

const HERE = import.meta.dirname;
/** Half a gigabyte. */
const INSTALL_LIMIT_MS = 15 * 60_000;

/** Installs ClickHouse's engine beside this file unless it is there; nothing else needs it. Suites that begin together wait for the first of them. */
export async function installEngine(): Promise<void> {
  // What npm writes last. `npm ci` refuses a lock without the engines of other platforms, which not every registry has.
  const install = "test -e node_modules/.package-lock.json || npm install --no-save --no-audit --no-fund";
  await promisify(execFile)("flock", ["package.json", "sh", "-c", install], { cwd: HERE, timeout: INSTALL_LIMIT_MS });
}

/** The engine with its data in `dataDir`, on `port` when it must be a certain one. */
export function startEngine(dataDir: string, port?: number): Promise<Service> {
  return startService({
    // What it leaves beside its data.
    folder: temporaryFolder("hexahub-clickhouse").path,
    command: process.execPath,
    port,
    args: (at) => [path.join(HERE, "engine-child.ts"), String(at), dataDir],
    url: (at) => `http://127.0.0.1:${at}`,
    ready: /listening/,
    stopSignal: "SIGTERM",
  });
}
