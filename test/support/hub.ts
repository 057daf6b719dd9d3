import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import { readConfig } from "../../core/config.ts";
import type { Log } from "../../core/bus.ts";
import { type Hub, type Pace, startHub as startHubIn } from "../../main.ts";
import { layTables } from "./tables.ts";
import { temporaryFolder } from "./wait.ts";

export const ADMIN = { email: "admin@example.test", password: "correct horse battery" };
export const PROVISION_KEY = "a-provision-key-for-tests";

const MASTER_KEY = "ab".repeat(32);

/** What a hub under test is started with; `env` adds to it. */
export interface HubOptions {
  readonly dataDir?: string;
  readonly databaseUrl?: string | undefined;
  readonly redisUrl?: string | undefined;
  readonly env?: Readonly<Record<string, string>>;
  readonly log?: Log;
  /** Of a hub inside the test's process. */
  readonly pace?: Pace;
}

/** A test is one address that does many things at once; those about the rates set their own. */
const WITHOUT_RATES = {
  HEXA_MQTT_PUBLISH_RATE: "0",
  HEXA_MQTT_CONNECT_RATE: "0",
  HEXA_MQTT_ADDRESS_RATE: "0",
  HEXA_MQTT_LOGIN_FAILURES: "0",
  HEXA_MQTT_FLAPPING_COUNT: "0",
  HEXA_API_RATE: "0",
  HEXA_LOGIN_FAILURES: "0",
  HEXA_MAIL_ADDRESS_RATE: "0",
  HEXA_MAIL_CALLER_RATE: "0",
  HEXA_HOOK_RATE: "0",
};

export interface TestHub extends AsyncDisposable {
  readonly http: string;
  readonly mqtt: string;
  readonly mqtts: string;
  readonly ws: string;
  readonly ca: string;
  readonly dataDir: string;
  readonly api: ApiClient;
}

const silent: Log = {
  debug() {},
  info() {},
  warn() {},
  error(data, message) {
    process.stderr.write(
      `hub error: ${message} ${JSON.stringify(data, (_key, value: unknown) => (value instanceof Error ? (value.stack ?? value.message) : value))}\n`,
    );
  },
};

function environment({ databaseUrl, redisUrl, env }: HubOptions, dataDir: string): Record<string, string> {
  return {
    HEXA_DATA_DIR: dataDir,
    HEXA_HTTP_PORT: "0",
    HEXA_MQTT_PORT: "0",
    HEXA_MQTTS_PORT: "0",
    HEXA_ADMIN_EMAIL: ADMIN.email,
    HEXA_ADMIN_PASSWORD: ADMIN.password,
    // The least: what most tests wait for is something else.
    HEXA_PASSWORD_COST: "10",
    DEVICE_PROVISION_KEY: PROVISION_KEY,
    ...WITHOUT_RATES,
    ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl }),
    // The nodes of a cluster read the same secrets.
    ...(redisUrl === undefined ? {} : { REDIS_URL: redisUrl, HEXA_MASTER_KEY: MASTER_KEY }),
    ...env,
  };
}

/** A whole hub inside the test's process, on free ports and a fresh folder. */
export async function startHub(options: HubOptions = {}): Promise<TestHub> {
  await using stack = new AsyncDisposableStack();
  const dataDir = options.dataDir ?? stack.use(temporaryFolder()).path;
  if (options.dataDir === undefined && options.databaseUrl === undefined) await layTables(dataDir);
  const hub: Hub = stack.use(
    await startHubIn(
      readConfig(environment(options, dataDir), () => ""),
      options.log ?? silent,
      options.pace,
    ),
  );
  const running = stack.move();
  // What is off, a test that turns it off knows.
  const { mqtt, mqtts, ws } = hub as Pick<TestHub, "mqtt" | "mqtts" | "ws">;
  return { ...hub, mqtt, mqtts, ws, dataDir, api: new ApiClient(hub.http), [Symbol.asyncDispose]: () => running.disposeAsync() };
}

export interface HubProcess extends TestHub {
  readonly child: ChildProcess;
  /** Ends it without a chance to clean up. Resolves when it is gone. */
  kill9(): Promise<void>;
}

/** A hub as its own process, as `npm start` runs it, for what must survive its death. */
export async function spawnHub(options: HubOptions & { readonly dataDir: string }): Promise<HubProcess> {
  const { PATH = "", HOME = "" } = process.env;
  const child = spawn("./hexahub.js", ["serve", "--json"], {
    cwd: new URL("../..", import.meta.url),
    env: { PATH: `${dirname(process.execPath)}:${PATH}`, HOME, HEXA_LOG_LEVEL: "warn", ...environment(options, options.dataDir) },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const gone = once(child, "exit");
  const ready = await firstReady(child, gone);
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await gone;
  };
  return {
    ...ready,
    dataDir: options.dataDir,
    child,
    api: new ApiClient(ready.http),
    kill9: () => stop("SIGKILL"),
    [Symbol.asyncDispose]: () => stop("SIGTERM"),
  };
}

type Ready = Pick<TestHub, "http" | "mqtt" | "mqtts" | "ws" | "ca">;

async function firstReady(child: ChildProcess, gone: Promise<unknown>): Promise<Ready> {
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const ready = new Promise<Ready>((resolve) => {
    lines.on("line", (line) => {
      const message = JSON.parse(line) as Ready & { event: string };
      if (message.event === "ready") resolve(message);
    });
  });
  const ended = gone.then(() => {
    throw new Error(`the hub ended before it was ready: ${child.exitCode ?? child.signalCode}`);
  });
  return Promise.race([ready, ended]);
}

export interface Answer<T = Record<string, unknown>> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
}

/** The REST API as a client sees it; keeps the access token of the last login. */
export class ApiClient {
  /** May change: a hub that starts again has another port. */
  base: string;
  token: string | undefined;

  constructor(base: string) {
    this.base = base;
  }

  async call<T = Record<string, unknown>>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer<T>> {
    const response = await fetch(new URL(path, this.base), {
      method,
      headers: {
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(this.token === undefined ? {} : { authorization: `Bearer ${this.token}` }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    // A stream has no end: that it was opened is the answer.
    const isStream = response.headers.get("content-type")?.startsWith("text/event-stream") === true;
    const text = isStream ? ((await response.body?.cancel().then(() => "")) ?? "") : await response.text();
    const isFile = /csv|ndjson|parquet|text\/plain/.test(response.headers.get("content-type") ?? "");
    return { status: response.status, headers: response.headers, body: (isFile ? text : text === "" ? {} : JSON.parse(text)) as T };
  }

  async login({ email, password } = ADMIN): Promise<this> {
    const { status, body } = await this.call<{ access_token: string }>("POST", "/api/v1/auth/login", { email, password });
    if (status !== 200) throw new Error(`login answered ${status}: ${JSON.stringify(body)}`);
    this.token = body.access_token;
    return this;
  }

  /** Enrols a device into the caller's organisation. */
  async addDevice(
    device: { name?: string; device_class?: string; capabilities?: object } = {},
  ): Promise<{ uid: string; id: string; token: string; taskKey: { id: string; key: string } }> {
    const { status, body } = await this.call<
      Record<"device_uid" | "device_token" | "task_key" | "task_key_id", string> & { device: { id: string } }
    >("POST", "/api/v1/devices", { name: "Test device", device_class: "relay_controller", ...device });
    if (status !== 201) throw new Error(`enrolment answered ${status}: ${JSON.stringify(body)}`);
    const taskKey = { id: body.task_key_id, key: body.task_key };
    return { uid: body.device_uid, id: body.device.id, token: body.device_token, taskKey };
  }
}
