import { X509Certificate } from "node:crypto";
import { constants } from "node:fs";
import { access, readFile, stat, statfs } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join, resolve } from "node:path";
import { connect } from "node:tls";
import type { Config } from "../../core/config.ts";
import { SetupError } from "../../core/errors.ts";
import { mqttPlaces } from "../../core/reach.ts";
import type { CliActions } from "./actions.ts";

/** One finding of the doctor. `skipped` is what cannot be said now; that and a warning are no failure. */
export interface Check {
  readonly name: string;
  readonly result: "ok" | "warning" | "failed" | "skipped";
  readonly detail: string;
  readonly mend?: string;
}

const MIN_NODE = 24;
const MIN_FREE_MB = 200;
const MIN_CERTIFICATE_DAYS = 14;
const MAX_CLOCK_SKEW_MS = 5000;
/** A clock before this release or far behind it makes certificates and tokens invalid. */
const EARLIEST = Date.UTC(2026, 0, 1);
const LATEST = Date.UTC(2100, 0, 1);

export function checkNode(version: string): Check {
  if (Number.parseInt(version, 10) >= MIN_NODE) return { name: "node", result: "ok", detail: `version ${version}` };
  return {
    name: "node",
    result: "failed",
    detail: `version ${version} is older than ${MIN_NODE}`,
    mend: "start with `npm start` or `npx hexahub`, which use the Node of the hub's own packages",
  };
}

export async function checkDataFolder(dataDir: string): Promise<Check> {
  const name = "data folder";
  const path = resolve(dataDir);
  const existing = await nearestExisting(path);
  try {
    await access(existing, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch {
    return {
      name,
      result: "failed",
      detail: `${existing} is not writable`,
      mend: "give its ownership to the hub's user, or set HEXA_DATA_DIR",
    };
  }
  const { bavail, bsize } = await statfs(existing);
  const freeMb = Math.floor((bavail * bsize) / 1_000_000);
  if (freeMb < MIN_FREE_MB)
    return {
      name,
      result: "failed",
      detail: `${path} has ${freeMb} MB left`,
      mend: `free at least ${MIN_FREE_MB} MB: the hub refuses messages when it cannot write them`,
    };
  return { name, result: "ok", detail: `${path} is ${existing === path ? "writable" : "made at the first start"}, ${freeMb} MB free` };
}

async function nearestExisting(path: string): Promise<string> {
  const isThere = await stat(path).then(
    () => true,
    () => false,
  );
  return isThere || dirname(path) === path ? path : nearestExisting(dirname(path));
}

/** Whoever can read operator.json acts as the platform's operator. */
export async function checkOperatorFile(dataDir: string): Promise<Check> {
  const name = "operator file";
  const path = join(dataDir, "operator.json");
  const found = await stat(path).catch(() => undefined);
  if (!found) return { name, result: "skipped", detail: "there is none: a running hub writes it" };
  if ((found.mode & 0o077) !== 0)
    return {
      name,
      result: "failed",
      detail: `${path} can be read by others`,
      mend: `chmod 600 ${path}, and restart the hub for a new token`,
    };
  return { name, result: "ok", detail: "only its owner can read it" };
}

export async function checkPorts(config: Config, hubRuns: boolean): Promise<Check[]> {
  const { mqttPort, mqttsPort, plainHost, host: secureHost } = mqttPlaces(config);
  const listeners = [
    { variable: "HEXA_HTTP_PORT", host: config.host, port: config.httpPort },
    ...(plainHost === undefined ? [] : [{ variable: "HEXA_MQTT_PORT", host: plainHost, port: mqttPort }]),
    ...(secureHost === undefined ? [] : [{ variable: "HEXA_MQTTS_PORT", host: secureHost, port: mqttsPort }]),
  ];
  return Promise.all(listeners.map((listener) => checkPort(listener, hubRuns)));
}

async function checkPort(listener: { variable: string; host: string; port: number }, hubRuns: boolean): Promise<Check> {
  const { variable, host, port } = listener;
  const name = `port ${port}`;
  if (port === 0) return { name, result: "skipped", detail: `${variable} takes any free one` };
  const code = await tryListen(host, port);
  if (code === undefined) return { name, result: "ok", detail: "free" };
  if (code === "EADDRINUSE" && hubRuns) return { name, result: "ok", detail: "held by the running hub" };
  if (code === "EADDRINUSE") return { name, result: "failed", detail: "in use by another program", mend: `end it, or set ${variable}` };
  return {
    name,
    result: "failed",
    detail: `cannot be listened on at ${host} (${code})`,
    mend: code === "EACCES" ? `ports below 1024 need a privilege: set ${variable}` : "set HEXA_HOST to an address of this machine",
  };
}

function tryListen(host: string, port: number): Promise<string | undefined> {
  const { promise, resolve: settle } = Promise.withResolvers<string | undefined>();
  const server = createServer();
  server.once("error", (error: NodeJS.ErrnoException) => settle(error.code ?? error.message));
  server.listen({ host, port, exclusive: true }, () => server.close(() => settle(undefined)));
  return promise;
}

export async function checkCertificate(config: Config, hubRuns: boolean): Promise<Check> {
  const name = "certificate";
  const { tlsCertFile } = config;
  const { host } = mqttPlaces(config);
  if (host === undefined) return { name, result: "skipped", detail: "MQTT over TLS is off (HEXA_MQTT_TLS)" };
  let ends: number | undefined;
  if (hubRuns && config.mqttsPort !== 0) ends = await servedUntil(host, config.mqttsPort);
  else if (tlsCertFile !== undefined) {
    try {
      ends = new X509Certificate(await readFile(tlsCertFile)).validToDate.getTime();
    } catch (error) {
      return {
        name,
        result: "failed",
        detail: `${tlsCertFile} is no readable certificate: ${error instanceof Error ? error.message : String(error)}`,
        mend: "set HEXA_TLS_CERT_FILE to a PEM file",
      };
    }
  } else
    return { name, result: "skipped", detail: "the hub makes and renews its own; the running hub is asked when HEXA_MQTTS_PORT is fixed" };
  if (ends === undefined)
    return { name, result: "failed", detail: `MQTT over TLS does not answer on port ${config.mqttsPort}`, mend: "the hub's log says why" };
  const days = Math.floor((ends - Date.now()) / 86_400_000);
  const until = new Date(ends).toISOString().slice(0, 10);
  if (days >= MIN_CERTIFICATE_DAYS) return { name, result: "ok", detail: `valid until ${until}` };
  const mend = tlsCertFile === undefined ? "restart the hub, which renews its certificate" : `put a new one into ${tlsCertFile}`;
  return { name, result: "failed", detail: days < 0 ? `ended on ${until}` : `ends on ${until}, in ${days} days`, mend };
}

/** When the served certificate ends; undefined when there is no handshake within five seconds. */
function servedUntil(host: string, port: number): Promise<number | undefined> {
  const { promise, resolve: settle } = Promise.withResolvers<number | undefined>();
  const reachable = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  // Only the date is wanted: whom the certificate names is the devices' question.
  const socket = connect({ host: reachable, port, rejectUnauthorized: false, timeout: 5000 }, () => {
    settle(Date.parse(socket.getPeerCertificate().valid_to));
    socket.destroy();
  });
  socket.once("timeout", () => socket.destroy());
  socket.once("error", () => settle(undefined));
  socket.once("close", () => settle(undefined));
  return promise;
}

export async function checkDatabase(config: Config, hub: { hubIsHealthy: boolean; status: CliActions["dbStatus"] }): Promise<Check> {
  const name = "database";
  const kind = config.databaseUrl === undefined ? "SQLite" : "PostgreSQL";
  if (hub.hubIsHealthy) return { name, result: "ok", detail: `${kind} answers, says the hub` };
  if (config.databaseUrl === undefined && (await stat(config.dataDir).catch(() => undefined)) === undefined)
    return { name, result: "skipped", detail: "SQLite, made at the first start" };
  try {
    const { pending } = await hub.status(config);
    return {
      name,
      result: "ok",
      detail:
        pending.length === 0 ? `${kind} answers, schema up to date` : `${kind} answers, ${pending.length} migrations run at the next start`,
    };
  } catch (error) {
    if (error instanceof SetupError) return { name, result: "failed", detail: error.message, mend: error.mend };
    // One check that breaks must not hide what the others found.
    const detail = error instanceof Error ? error.message : String(error);
    return { name, result: "failed", detail: `${kind} failed: ${detail}`, mend: "`npx hexahub db status` shows where" };
  }
}

/** `hubNow` is the hub's clock to the second, when one answers. */
export function checkClock(now: number, hubNow: number | undefined): Check {
  const name = "clock";
  const mend = "set the time, or switch on time synchronisation";
  if (now < EARLIEST || now > LATEST) return { name, result: "failed", detail: `says ${new Date(now).toISOString()}`, mend };
  if (hubNow !== undefined && Math.abs(now - hubNow) > MAX_CLOCK_SKEW_MS)
    return { name, result: "failed", detail: `differs from the hub's by ${Math.round(Math.abs(now - hubNow) / 1000)} s`, mend };
  return { name, result: "ok", detail: new Date(now).toISOString() };
}
