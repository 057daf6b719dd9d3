import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import type { AddressInfo, Socket } from "node:net";
import path from "node:path";
import { test } from "node:test";
import { connect as connectTls, type ConnectionOptions, createServer, type TLSSocket } from "node:tls";
import { openTls, type TlsOptions } from "../../broker/tls.ts";
import type { Log } from "../../core/bus.ts";
import { makeTestAuthority, SERVER_USE } from "../support/certificates.ts";
import { temporaryFolder, type TemporaryFolder, until } from "../support/wait.ts";

const DAY_MS = 86_400_000;
const limit = () => ({ signal: AbortSignal.timeout(10_000) });
const closed = (socket: Socket): Promise<unknown> => once(socket, "close", limit());

/** A TLS server as the hub opens it, with a clock that can be moved. */
async function startTls(folder: TemporaryFolder, options: Partial<TlsOptions> & { readonly now: () => number }) {
  const stack = new AsyncDisposableStack();
  const certificates = { dir: path.join(folder.path, "tls"), hostnames: [], now: options.now };
  const tls = stack.use(await openTls({ clientCertificates: "off", pollMs: 10, clock: options.now, ...options, certificates }));
  const server = createServer(tls.serverOptions, (socket) => {
    if (tls.admits(socket)) socket.on("error", () => undefined).pipe(socket);
  });
  tls.keep(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  stack.defer(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const open = async (more: ConnectionOptions = {}): Promise<TLSSocket> => {
    const socket = connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false, ...more });
    stack.defer(() => void socket.destroy());
    await once(socket, "secureConnect");
    return socket;
  };
  return { tls, open, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

test("the hub renews its own certificate while it runs: new connections get it, an open one goes on, and nobody is alarmed", async () => {
  await using folder = temporaryFolder();
  let now = Date.now();
  const warned: unknown[] = [];
  const log: Log = { debug() {}, info() {}, warn: (data) => void warned.push(data), error: (data) => void warned.push(data) };
  await using server = await startTls(folder, { now: () => now, log });
  const first = await server.open();
  const { serialNumber } = first.getPeerCertificate();
  now += (823 - 29.5) * DAY_MS;
  await until(async () => (await server.open()).getPeerCertificate().serialNumber !== serialNumber, { what: "the new certificate" });
  first.write("still here");
  assert.equal(String((await once(first, "data", limit()))[0]), "still here");
  const [own] = server.tls.expiries();
  assert.ok((own?.notAfter.getTime() ?? 0) > now + 800 * DAY_MS);
  assert.deepEqual(warned, []);
});

test("a connection ends when its client certificate does, and its session is told first", async () => {
  await using folder = temporaryFolder();
  let now = Date.now();
  const ca = await makeTestAuthority("Fleet CA");
  const clientCaFile = path.join(folder.path, "ca.pem");
  await writeFile(clientCaFile, ca.cert);
  const told: string[] = [];
  const onRevoked = async (fingerprints: ReadonlySet<string>): Promise<void> => void told.push(...fingerprints);
  await using server = await startTls(folder, { now: () => now, clientCertificates: "required", clientCaFile, onRevoked });
  const short = await ca.issue({ name: "relay-short00001", toDays: 2 });
  const ending = await server.open(short);
  const staying = await server.open(await ca.issue({ name: "relay-long000001", toDays: 300 }));
  const ended = closed(ending.resume());
  staying.write("a");
  await once(staying, "data", limit());
  now += 3 * DAY_MS;
  await ended;
  staying.write("b");
  assert.equal(String((await once(staying, "data", limit()))[0]), "b");
  assert.deepEqual(told, [new X509Certificate(short.cert).fingerprint256.replaceAll(":", "").toLowerCase()]);
});

test("a good-bye that never ends does not keep a revoked connection open", async () => {
  await using folder = temporaryFolder();
  let now = Date.now();
  const ca = await makeTestAuthority("Fleet CA");
  const clientCaFile = path.join(folder.path, "ca.pem");
  await writeFile(clientCaFile, ca.cert);
  const onRevoked = (): Promise<void> => new Promise(() => undefined);
  await using server = await startTls(folder, { now: () => now, clientCertificates: "required", clientCaFile, onRevoked });
  const ending = await server.open(await ca.issue({ name: "relay-short00001", toDays: 2 }));
  ending.write("a");
  await once(ending, "data", limit());
  const ended = closed(ending);
  now += 3 * DAY_MS;
  const at = performance.now();
  await ended;
  assert.ok(performance.now() - at < 1_000, `${performance.now() - at} ms`);
});

test("an overdue revocation list stays in force and is told once", async () => {
  await using folder = temporaryFolder();
  let now = Date.now();
  const ca = await makeTestAuthority("Fleet CA");
  const [clientCaFile, crlFile] = [path.join(folder.path, "ca.pem"), path.join(folder.path, "fleet.crl")];
  const bad = await ca.issue({ name: "relay-bad0000001" });
  await writeFile(clientCaFile, ca.cert);
  await writeFile(crlFile, await ca.revoke([bad.serial], { nextUpdateDays: 1 }));
  const warned: string[] = [];
  const log: Log = { debug() {}, info() {}, warn: (_data, message) => void warned.push(message), error() {} };
  let looks = 0;
  const clock = (): number => {
    looks++;
    return now;
  };
  await using server = await startTls(folder, { now: clock, clientCertificates: "optional", clientCaFile, crlFile, log });
  now += 2 * DAY_MS;
  await until(() => warned.length > 0, { what: "the warning" });
  const earlier = looks;
  await until(() => looks > earlier + 20, { what: "more looks" });
  assert.deepEqual(warned.filter((message) => message.includes("overdue")).length, 1);
  const refused = await server.open(bad);
  await closed(refused.resume());
});

test("a client certificate is asked for and checked under every host name", async () => {
  await using folder = temporaryFolder();
  const ca = await makeTestAuthority("Fleet CA");
  const [clientCaFile, sniDir] = [path.join(folder.path, "ca.pem"), path.join(folder.path, "sni")];
  await writeFile(clientCaFile, ca.cert);
  await mkdir(sniDir);
  const host = await ca.issue({ name: "x", uses: [SERVER_USE], alternatives: [{ type: "dns", value: "hub.example.org" }] });
  await writeFile(path.join(sniDir, "hub.example.org.crt"), host.cert);
  await writeFile(path.join(sniDir, "hub.example.org.key"), host.key);
  await using server = await startTls(folder, { now: Date.now, clientCertificates: "required", clientCaFile, sniDir });
  const servername = "hub.example.org";
  const good = await server.open({ servername, ...(await ca.issue({ name: "relay-good000001" })) });
  assert.equal(good.getPeerCertificate().serialNumber.toLowerCase(), host.serial);
  good.write("a");
  assert.equal(String((await once(good, "data", limit()))[0]), "a");
  const foreign = await makeTestAuthority("Fleet CA");
  for (const pair of [{}, await foreign.issue({ name: "relay-good000001" })]) {
    const refused = await server.open({ servername, ...pair });
    await closed(refused.on("error", () => undefined).resume());
  }
});

test("the keys of tickets change every day", async () => {
  await using folder = temporaryFolder();
  let now = Date.now();
  await using server = await startTls(folder, { now: () => now });
  const [ticket] = (await once(await server.open(), "session")) as [Buffer];
  const isReused = async (): Promise<boolean> => (await server.open({ session: ticket })).isSessionReused();
  assert.equal(await isReused(), true);
  now += 1.1 * DAY_MS;
  await until(async () => !(await isReused()), { what: "the old ticket to be of no use" });
});
