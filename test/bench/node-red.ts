import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "../support/services.ts";
import { temporaryFolder, until } from "../support/wait.ts";

const FOLDER = new URL("node-red/", import.meta.url).pathname;
const PROGRAM = join(FOLDER, "node_modules", "node-red", "red.js");
const INSTALL_MS = 300_000;
const START_MS = 60_000;

export interface NodeRed extends AsyncDisposable {
  readonly pid: number;
}

/** From npm, into a folder of its own, with the first use. Rejects when the registry does not answer. */
export async function installNodeRed(): Promise<void> {
  if (existsSync(PROGRAM)) return;
  const child = spawn("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: FOLDER, stdio: "ignore" });
  const [code] = (await once(child, "exit", { signal: AbortSignal.timeout(INSTALL_MS) })) as [number | null];
  if (code !== 0) throw new Error(`npm ci of Node-RED ended with ${code}`);
}

/** One flow: what comes below `ask` with a time in it is published again below `answer`. Ready when its clients are connected. */
export async function startNodeRed(
  broker: { readonly host: string; readonly port: number },
  { ask, answer }: { ask: string; answer: string },
): Promise<NodeRed> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(temporaryFolder("hexahub-node-red")).path;
  const port = await freePort();
  await writeFile(join(folder, "flows.json"), JSON.stringify(flow(broker, { ask, answer })));
  const settings = `module.exports = { uiHost: "127.0.0.1", uiPort: ${port}, flowFile: "flows.json", httpAdminRoot: false, httpNodeRoot: false, logging: { console: { level: "info" } }, telemetry: { enabled: false } };\n`;
  await writeFile(join(folder, "settings.js"), settings);
  const child = spawn(process.execPath, [PROGRAM, "--userDir", folder, "--settings", join(folder, "settings.js")], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = once(child, "exit");
  stack.defer(async () => {
    child.kill("SIGKILL");
    await exited;
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => (output = (output + chunk.toString()).slice(-20_000)));
  await until(() => /Connected to broker/.test(output), { what: "Node-RED to be connected", timeoutMs: START_MS }).catch(
    (error: unknown) => {
      throw new Error(`Node-RED is not ready: ${output.slice(-2_000)}`, { cause: error });
    },
  );
  const running = stack.move();
  return { pid: child.pid ?? 0, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

function flow(
  { host, port }: { readonly host: string; readonly port: number },
  { ask, answer }: { ask: string; answer: string },
): object[] {
  const at = { x: 0, y: 0, z: "tab" };
  return [
    { id: "tab", type: "tab", label: "bench" },
    {
      id: "broker",
      type: "mqtt-broker",
      broker: host,
      port: String(port),
      clientid: "",
      autoConnect: true,
      usetls: false,
      protocolVersion: "4",
      keepalive: "60",
      cleansession: true,
    },
    { id: "in", type: "mqtt in", ...at, topic: `${ask}/+`, qos: "0", datatype: "json", broker: "broker", wires: [["rule"]] },
    {
      id: "rule",
      type: "switch",
      ...at,
      property: "payload.at",
      propertyType: "msg",
      rules: [{ t: "gt", v: "0", vt: "num" }],
      checkall: "true",
      repair: false,
      outputs: 1,
      wires: [["out"]],
    },
    { id: "out", type: "mqtt out", ...at, topic: `${answer}/a`, qos: "0", retain: "false", broker: "broker", wires: [] },
  ];
}
