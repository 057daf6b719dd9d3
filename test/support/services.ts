import { execFile, spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { randomBytes, randomInt } from "node:crypto";
import { once } from "node:events";
import { accessSync, chownSync, constants, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { until } from "./wait.ts";

/** A real server on 127.0.0.1 with a folder of its own; it ends with the block that holds it, and with the test process in any case. */
export interface Service extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
}

/** Why PostgreSQL cannot be started here, for `{ skip: postgresMissing() }`; undefined when it can. */
export function postgresMissing(): string | undefined {
  return postgresFolder() ? undefined : "PostgreSQL is not installed (Debian: postgresql)";
}

export function redisMissing(): string | undefined {
  return redisBinary() ? undefined : "Redis is not installed (Debian: redis-server)";
}

/** Covers the broker and the command line clients. */
export function mosquittoMissing(): string | undefined {
  const all = ["mosquitto", "mosquitto_pub", "mosquitto_sub"].every((name) => findProgram(name));
  return all ? undefined : "mosquitto is not installed (Debian: mosquitto and mosquitto-clients)";
}

export function chromiumMissing(): string | undefined {
  return findProgram("chromium") ? undefined : "Chromium is not installed (Debian: chromium)";
}

export function pahoMissing(): string | undefined {
  return pythonWithPaho() ? undefined : "paho-mqtt for Python is not installed (Debian: python3-paho-mqtt)";
}

/** Path of a python3 that can import paho.mqtt, the system's own first. */
export function pythonWithPaho(): string | undefined {
  const candidates = [process.env.HEXA_TEST_PYTHON, "/usr/bin/python3", findProgram("python3")];
  return candidates.find((python) => {
    if (!python || !isExecutable(python)) return false;
    return spawnSync(python, ["-c", "import paho.mqtt.client"], { stdio: "ignore", timeout: 20_000 }).status === 0;
  });
}

/** Full path of a program: PATH, then the folders where servers live that are not on a user's PATH. */
export function findProgram(name: string): string | undefined {
  const folders = [
    ...(process.env.PATH ?? "").split(path.delimiter),
    "/usr/sbin",
    "/usr/local/sbin",
    "/opt/homebrew/bin",
    "/opt/homebrew/sbin",
  ];
  return folders
    .filter((folder) => folder !== "")
    .map((folder) => path.join(folder, name))
    .find(isExecutable);
}

/** As on a server of its own, where an answer says that it is on disk. */
export const DURABLE_POSTGRES = ["fsync=on", "synchronous_commit=on", "full_page_writes=on"];

/** A fresh cluster without fsync (a killed process loses nothing, a power cut would). `settings` are `name=value`. */
export async function startPostgres(settings: readonly string[] = []): Promise<Service> {
  const bin = postgresFolder();
  if (!bin) throw new Error(postgresMissing());
  const account = unprivilegedAccount();
  const folder = serviceFolder("pg", account);
  const data = path.join(folder, "data");
  try {
    await promisify(execFile)(
      path.join(bin, "initdb"),
      ["-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"],
      {
        ...account,
        cwd: folder,
        timeout: 60_000,
      },
    );
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  const fast = [
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=200",
    "unix_socket_directories=",
    "log_destination=stderr",
  ];
  const options = [...fast, ...settings].flatMap((setting) => ["-c", setting]);
  return startService({
    folder,
    account,
    command: path.join(bin, "postgres"),
    args: (port) => ["-D", data, "-p", String(port), "-h", "127.0.0.1", "-F", ...options],
    url: (port) => `postgres://postgres@127.0.0.1:${port}/postgres`,
    ready: /database system is ready to accept connections/,
    // Immediate: nothing in it outlives the test.
    stopSignal: "SIGQUIT",
  });
}

/** In the environment of a test file: with what the names of its databases begin, so that they can be removed when it has ended. */
export const DATABASE_PREFIX = "TEST_DATABASE_PREFIX";

/** Removes all databases of that prefix. */
export async function dropDatabases(server: { readonly url: string }, prefix: string): Promise<void> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    const { rows } = await client.query<{ datname: string }>("select datname from pg_database where starts_with(datname, $1)", [prefix]);
    for (const { datname } of rows) await client.query(`drop database if exists ${datname} with (force)`);
  } finally {
    await client.end();
  }
}

/** Makes a database on the server, empty or with what `model` has in it, and returns its URL. Nobody may be connected to the model. */
export async function freshDatabase(server: { readonly url: string }, model = "template1"): Promise<string> {
  const name = `${process.env[DATABASE_PREFIX] ?? "hexahub_"}${randomBytes(8).toString("hex")}`;
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    await client.query(`create database ${name} template ${model}`);
  } finally {
    await client.end();
  }
  const url = new URL(server.url);
  url.pathname = `/${name}`;
  return url.href;
}

/** Redis or Valkey, in memory only unless `args` (as on its command line) say otherwise; on `port` when it must be a certain one. */
export async function startRedis(args: readonly string[] = [], port?: number): Promise<Service> {
  const command = redisBinary();
  if (!command) throw new Error(redisMissing());
  const folder = serviceFolder("redis");
  return startService({
    folder,
    command,
    port,
    args: (at) => ["--port", String(at), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder, ...args],
    url: (at) => `redis://127.0.0.1:${at}`,
    ready: /ready to accept connections/i,
    stopSignal: "SIGKILL",
  });
}

/** One command as a line, and the answer as it comes over the wire. */
export async function askRedis({ port }: { readonly port: number }, line: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.end(`${line}\r\nQUIT\r\n`);
  return (await socket.toArray()).join("");
}

/** Kills the service with SIGKILL and resolves when it is gone; its block may end afterwards as usual. */
export async function killService({ pid }: Service): Promise<void> {
  process.kill(pid, "SIGKILL");
  await until(() => !isRunning(pid), { what: "the service to be gone" });
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Mosquitto with one listener; open to everybody unless `configLines` say otherwise. They apply to that listener. */
export async function startMosquitto(configLines: readonly string[] = [], fixedPort?: number): Promise<Service> {
  const command = findProgram("mosquitto");
  if (!command) throw new Error(mosquittoMissing());
  const folder = serviceFolder("mosquitto");
  const configFile = path.join(folder, "mosquitto.conf");
  const defaults = ["allow_anonymous true", "persistence false", ...(process.getuid?.() === 0 ? ["user root"] : [])];
  const given = new Set(configLines.map((line) => line.split(" ", 1)[0]));
  const rest = [...defaults.filter((line) => !given.has(line.split(" ", 1)[0])), "log_dest stderr", ...configLines];
  return startService({
    folder,
    command,
    port: fixedPort,
    args: (port) => {
      writeFileSync(configFile, [`listener ${port} 127.0.0.1`, ...rest, ""].join("\n"));
      return ["-c", configFile];
    },
    url: (port) => `mqtt://127.0.0.1:${port}`,
    ready: /mosquitto version \S+ running/,
    stopSignal: "SIGKILL",
  });
}

/** Below those that the kernel gives to connections and to whoever asks for any port: a server that comes back finds it free again. */
const OWN_PORTS = { from: 10_000, to: 32_000 } as const;

/** A port that was free a moment ago. Prefer port 0 where the server can say what it got. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(OWN_PORTS.from, OWN_PORTS.to);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!isFree) continue;
    server.close();
    await once(server, "close");
    return port;
  }
}

interface Account {
  uid: number;
  gid: number;
}

export interface ServicePlan {
  folder: string;
  account?: Account | undefined;
  command: string;
  /** Any free one unless given. */
  port?: number | undefined;
  args: (port: number) => string[];
  url: (port: number) => string;
  /** The line of its log that says that it accepts connections. */
  ready: RegExp;
  stopSignal: NodeJS.Signals;
}

const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 10_000;

/** Starts a program and resolves when its log says that it is ready. */
export async function startService(plan: ServicePlan): Promise<Service> {
  const remove = () => rmSync(plan.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  for (let attempt = 1; ; attempt++) {
    const port = plan.port ?? (await freePort());
    const child = spawnTethered(plan, plan.args(port));
    const killAtExit = () => child.kill("SIGKILL");
    process.once("exit", killAtExit);
    try {
      await untilReady(child, plan.ready);
    } catch (error) {
      process.off("exit", killAtExit);
      child.kill("SIGKILL");
      // Somebody may have taken the port between finding and using it.
      if (attempt < 4 && String(error).match(/address already in use/i)) continue;
      remove();
      throw error;
    }
    return {
      url: plan.url(port),
      port,
      pid: child.pid ?? 0,
      [Symbol.asyncDispose]: async () => {
        process.off("exit", killAtExit);
        await stop(child, plan.stopSignal);
        remove();
      },
    };
  }
}

/** Where setpriv is (Linux), the kernel ends the service when the test process dies, even by SIGKILL. */
function spawnTethered(plan: ServicePlan, args: string[]): ChildProcess {
  const setpriv = process.platform === "linux" ? findProgram("setpriv") : undefined;
  const signal = plan.stopSignal.replace("SIG", "");
  const [command, ...rest] = setpriv ? [setpriv, "--pdeathsig", signal, plan.command, ...args] : [plan.command, ...args];
  return spawn(command, rest, {
    ...plan.account,
    cwd: plan.folder,
    env: { ...process.env, LC_ALL: "C" },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

async function untilReady(child: ChildProcess, ready: RegExp): Promise<void> {
  let log = "";
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const fail = (why: string) => reject(new Error(`${child.spawnfile} ${why}\n${log}`));
  const timer = setTimeout(() => fail(`was not ready after ${START_TIMEOUT_MS} ms`), START_TIMEOUT_MS);
  child.once("error", (error) => fail(error.message));
  child.once("close", (code, signal) => fail(`ended with ${code ?? signal}`));
  for (const stream of [child.stdout, child.stderr]) {
    // Read for as long as the service lives: a full pipe would stop it.
    stream?.on("data", (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-8192);
      if (ready.test(log)) resolve();
    });
  }
  try {
    await promise;
  } finally {
    clearTimeout(timer);
  }
  // From here on a forgotten service does not keep the test process alive.
  child.unref();
  for (const stream of [child.stdout, child.stderr]) (stream as { unref?: () => void } | null)?.unref?.();
}

async function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.ref();
  const ended = once(child, "exit");
  child.kill(signal);
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
  await ended;
  clearTimeout(timer);
}

function postgresFolder(): string | undefined {
  return [...debianPostgresFolders(), ...[findProgram("initdb")].flatMap((file) => (file ? [path.dirname(file)] : []))].find(
    (folder) => isExecutable(path.join(folder, "initdb")) && isExecutable(path.join(folder, "postgres")),
  );
}

function debianPostgresFolders(): string[] {
  try {
    const versions = readdirSync("/usr/lib/postgresql").toSorted((a, b) => Number(b) - Number(a));
    return versions.map((version) => `/usr/lib/postgresql/${version}/bin`);
  } catch {
    return [];
  }
}

function redisBinary(): string | undefined {
  return findProgram("valkey-server") ?? findProgram("redis-server");
}

/** initdb and postgres refuse root; as a normal user nothing needs to change. */
function unprivilegedAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const number = (flag: string, user: string) => {
    const answer = spawnSync("id", [flag, user], { encoding: "utf8" });
    return answer.status === 0 ? Number(answer.stdout) : undefined;
  };
  for (const user of ["postgres", "nobody"]) {
    const uid = number("-u", user);
    const gid = number("-g", user);
    if (uid !== undefined && gid !== undefined) return { uid, gid };
  }
  throw new Error("PostgreSQL does not run as root, and there is no user postgres or nobody");
}

/** A folder for the service, below one that any account can walk into when it runs under another. */
function serviceFolder(name: string, account?: Account): string {
  const parent = account ? ([tmpdir(), "/tmp", "/var/tmp"].find(isOpenToWalk) ?? tmpdir()) : tmpdir();
  const folder = mkdtempSync(path.join(parent, `hexahub-${name}-`));
  if (account) chownSync(folder, account.uid, account.gid);
  return folder;
}

function isOpenToWalk(folder: string): boolean {
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    if ((statSync(at, { throwIfNoEntry: false })?.mode ?? 0) % 2 === 0) return false;
    if (at === path.dirname(at)) return true;
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
