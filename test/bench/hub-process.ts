import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "../support/wait.ts";
import type { Account } from "./connection.ts";
import { rssBytes } from "./rss.ts";
import type { Target, Transport } from "./wire.ts";

/** A hub of its own process and data folder, as a user would start it. */
export interface HubProcess extends AsyncDisposable {
  readonly http: string;
  readonly targets: Readonly<Record<Transport, Target>>;
  /** Of its TLS listener, for others to use the same. */
  readonly certificate: CertificateFiles;
  readonly pid: number;
  /** From spawn to the line that says ready. */
  readonly startMs: number;
  rssBytes(): number;
  /** Enrolled in the administrator's organisation. */
  addDevices(deviceClass: "sensor_hub" | "relay_controller", count: number): Promise<DeviceAccount[]>;
  addService(name: string): Promise<{ readonly username: string; readonly password: string }>;
  /** As the administrator; rejects with the error's answer. */
  post(path: string, body: object): Promise<Record<string, unknown>>;
  get(path: string): Promise<Record<string, unknown>>;
}

export interface DeviceAccount extends Account {
  readonly taskKey: { readonly id: string; readonly key: string };
}

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

const ROOT = new URL("../../", import.meta.url);
const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 20_000;
/** Of limits that a benchmark is meant to run into, and of one address for all clients. The guards themselves stay. */
const UNLIMITED = {
  HEXA_MQTT_PUBLISH_RATE: "0",
  HEXA_MQTT_CONNECT_RATE: "0",
  HEXA_MQTT_ADDRESS_RATE: "0",
  HEXA_MQTT_LOGIN_FAILURES: "0",
  HEXA_MQTT_FLAPPING_COUNT: "0",
  HEXA_API_RATE: "0",
  HEXA_LOGIN_FAILURES: "0",
  HEXA_MQTT_CONNECTIONS: "100000",
};
export const ADMIN = { email: "bench@example.org", password: "bench-password-1" };

export async function startHubProcess(dataDir?: string, settings: Readonly<Record<string, string>> = {}): Promise<HubProcess> {
  await using stack = new AsyncDisposableStack();
  const env = {
    ...process.env,
    PATH: `${dirname(process.execPath)}:${process.env["PATH"]}`,
    HEXA_DATA_DIR: dataDir ?? stack.use(temporaryFolder("hexahub-bench")).path,
    HEXA_HTTP_PORT: "0",
    HEXA_MQTT_PORT: "0",
    HEXA_MQTTS_PORT: "0",
    HEXA_LOG_LEVEL: "warn",
    ...UNLIMITED,
    DEVICE_PROVISION_KEY: "bench-provision-key",
    HEXA_ADMIN_EMAIL: ADMIN.email,
    HEXA_ADMIN_PASSWORD: ADMIN.password,
    ...settings,
  };
  const startedAt = performance.now();
  const child = spawn(fileURLToPath(new URL("hexahub.js", ROOT)), ["serve", "--json"], {
    cwd: ROOT,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = once(child, "exit");
  stack.defer(async () => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(timer);
  });
  let complaint = "";
  child.stderr.on("data", (chunk: Buffer) => {
    complaint = (complaint + chunk.toString()).slice(-4_000);
  });
  const ready = await readyLine(child.stdout, exited, () => complaint);
  const startMs = performance.now() - startedAt;
  const http = String(ready.http);
  const pid = child.pid ?? 0;
  const ask = async (path: string, init: RequestInit, token?: string): Promise<Record<string, unknown>> => {
    const headers = { "content-type": "application/json", ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) };
    const response = await fetch(new URL(path, http), { ...init, headers, signal: AbortSignal.timeout(30_000) });
    const answer = (await response.json()) as Record<string, unknown>;
    if (!response.ok) throw new Error(`${path}: ${response.status} ${JSON.stringify(answer)}`);
    return answer;
  };
  const post = (path: string, body: object, token?: string): Promise<Record<string, unknown>> =>
    ask(path, { method: "POST", body: JSON.stringify(body) }, token);
  // Only when somebody asks for it: what is measured of a hub at rest shall not hold a login.
  let login: Promise<string> | undefined;
  const token = (): Promise<string> => (login ??= post("/api/v1/auth/login", ADMIN).then(({ access_token }) => String(access_token)));
  const target = (transport: Transport, url: unknown): Target => {
    const { hostname, port } = new URL(String(url));
    return { host: hostname, port: Number(port), transport };
  };
  const tls = join(String(ready.data_dir), "tls");
  const ca = await readFile(String(ready.ca), "utf8");
  const running = stack.move();
  return {
    http,
    targets: { tcp: target("tcp", ready.mqtt), tls: { ...target("tls", ready.mqtts), ca }, websocket: target("websocket", ready.ws) },
    certificate: { certFile: join(tls, "server.pem"), keyFile: join(tls, "server-key.pem") },
    pid,
    startMs,
    rssBytes: () => rssBytes(pid),
    async addDevices(deviceClass, count) {
      const devices: DeviceAccount[] = [];
      const admin = await token();
      while (devices.length < count) {
        const wanted = Array.from({ length: Math.min(20, count - devices.length) }, (_, index) => ({
          name: `bench ${devices.length + index}`,
          device_class: deviceClass,
        }));
        const made = await Promise.all(wanted.map((body) => post("/api/v1/devices", body, admin)));
        devices.push(
          ...made.map(({ device_uid, device_token, task_key_id, task_key }) => ({
            clientId: String(device_uid),
            username: String(device_uid),
            password: String(device_token),
            taskKey: { id: String(task_key_id), key: String(task_key) },
          })),
        );
      }
      return devices;
    },
    async addService(name) {
      const made = await post("/api/v1/access-tokens", { kind: "service", name }, await token());
      return { username: name, password: String(made.token) };
    },
    post: async (path, body) => post(path, body, await token()),
    get: async (path) => ask(path, {}, await token()),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

async function readyLine(
  stdout: NodeJS.ReadableStream,
  exited: Promise<unknown>,
  complaint: () => string,
): Promise<Record<string, unknown>> {
  const { promise, resolve, reject } = Promise.withResolvers<Record<string, unknown>>();
  const timer = setTimeout(() => reject(new Error(`the hub was not ready in ${READY_TIMEOUT_MS} ms: ${complaint()}`)), READY_TIMEOUT_MS);
  // Read for as long as the hub lives: a full pipe would stop it.
  createInterface(stdout).on("line", (line) => {
    const said = JSON.parse(line) as Record<string, unknown>;
    if (said.event === "ready") resolve(said);
  });
  exited.then(() => reject(new Error(`the hub ended: ${complaint()}`)), reject);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}
