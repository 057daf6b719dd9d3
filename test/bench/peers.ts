import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram, freePort, mosquittoMissing, startMosquitto } from "../support/services.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import type { CertificateFiles } from "./hub-process.ts";
import type { Target, Transport } from "./wire.ts";

/** A broker to compare with, open to everybody. */
export interface Peer extends AsyncDisposable {
  readonly targets: Readonly<Partial<Record<Transport, Target>>>;
  /** undefined when somebody else started it. */
  readonly pid: number | undefined;
}

/**
 * What else than Debian's defaults mosquitto gets. The window to a subscriber is the hub's; the queue behind it is longer than
 * anything under way, so that it drops nothing. Nothing is logged for a connection or a message.
 */
const MOSQUITTO_SETTINGS = [
  "log_type error",
  // For the line that says that it runs.
  "log_type information",
  "connection_messages false",
  "max_inflight_messages 1000",
  "max_queued_messages 100000",
  "max_queued_bytes 0",
  "set_tcp_nodelay true",
];

/** TCP, WebSocket, and TLS with the hub's own certificate, so that both do the same work. */
export async function startMosquittoPeer({ certFile, keyFile }: CertificateFiles, ca: string | undefined): Promise<Peer> {
  const [websocketPort, tlsPort] = [await freePort(), await freePort()];
  const service = await startMosquitto([
    ...MOSQUITTO_SETTINGS,
    `listener ${websocketPort} 127.0.0.1`,
    "protocol websockets",
    `listener ${tlsPort} 127.0.0.1`,
    `certfile ${certFile}`,
    `keyfile ${keyFile}`,
  ]);
  const host = "127.0.0.1";
  return {
    targets: {
      tcp: { host, port: service.port, transport: "tcp" },
      tls: { host, port: tlsPort, transport: "tls", ca },
      websocket: { host, port: websocketPort, transport: "websocket" },
    },
    pid: service.pid,
    [Symbol.asyncDispose]: () => service[Symbol.asyncDispose](),
  };
}

/** The broker of `--broker`, which runs already: plain MQTT only. */
export function givenPeer(url: string): Peer {
  const { hostname, port } = new URL(url);
  const tcp = { host: hostname, port: Number(port || 1883), transport: "tcp" } as const;
  return { targets: { tcp }, pid: undefined, [Symbol.asyncDispose]: async () => undefined };
}

/** As its own command line says it, for the head of the report. */
export function mosquittoVersion(): string {
  const missing = mosquittoMissing();
  if (missing !== undefined) return missing;
  return /mosquitto version (\S+)/.exec(spawnSync(findProgram("mosquitto") ?? "", ["-h"], { encoding: "utf8" }).stdout)?.[1] ?? "unknown";
}

export function natsMissing(): string | undefined {
  return findProgram("nats-server") ? undefined : "NATS is not installed (Debian: nats-server)";
}

export function natsVersion(): string {
  const program = findProgram("nats-server");
  return program
    ? spawnSync(program, ["--version"], { encoding: "utf8" })
        .stdout.trim()
        .replace(/^nats-server: v/, "")
    : "";
}

const NATS_READY = /Server is ready/;
const NATS_STOP_TIMEOUT_MS = 5_000;

/** nats-server with MQTT on top of JetStream in files. It acknowledges QoS 1 without an fsync for each. */
export async function startNats(): Promise<Peer> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(temporaryFolder("hexahub-nats")).path;
  const [port, mqttPort] = [await freePort(), await freePort()];
  const [configFile, logFile] = [join(folder, "nats.conf"), join(folder, "nats.log")];
  const lines = [
    "server_name: bench",
    `listen: "127.0.0.1:${port}"`,
    `log_file: "${logFile}"`,
    `jetstream { store_dir: "${join(folder, "store")}" }`,
    `mqtt { listen: "127.0.0.1:${mqttPort}", max_ack_pending: 1000 }`,
  ];
  writeFileSync(configFile, `${lines.join("\n")}\n`);
  const child = spawn(findProgram("nats-server") ?? "nats-server", ["-c", configFile], { stdio: "ignore" });
  const exited = once(child, "exit");
  stack.defer(async () => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), NATS_STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(timer);
  });
  await until(() => NATS_READY.test(readFileSync(logFile, "utf8")), { what: "nats-server to be ready" });
  const running = stack.move();
  return {
    targets: { tcp: { host: "127.0.0.1", port: mqttPort, transport: "tcp" } },
    pid: child.pid,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
