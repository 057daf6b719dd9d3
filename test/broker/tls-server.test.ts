import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { connect as connectTcp, type Socket } from "node:net";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import mqtt from "mqtt";
import type { Log } from "../../core/bus.ts";
import { makeTestAuthority, type Pair, SERVER_USE, type TestAuthority } from "../support/certificates.ts";
import { startHub, type TestHub } from "../support/hub.ts";
import { findProgram } from "../support/services.ts";
import { temporaryFolder, type TemporaryFolder, until } from "../support/wait.ts";

const opensslMissing = findProgram("openssl") ? undefined : "openssl is not installed";

type Options = Omit<ConnectionOptions, "session"> & { readonly session?: Buffer | undefined };

const limit = () => ({ signal: AbortSignal.timeout(10_000) });
const closed = (socket: Socket): Promise<unknown> => once(socket, "close", limit());

async function start(hub: TestHub, { session, ...options }: Options): Promise<TLSSocket> {
  const { hostname: host, port } = new URL(hub.mqtts);
  return connectTls({ host, port: Number(port), ca: await readFile(hub.ca), ...options, ...(session && { session }) });
}

/** After the handshake; rejects when there is none. */
async function handshake(hub: TestHub, options: Options = {}): Promise<TLSSocket> {
  const socket = await start(hub, options);
  await once(socket, "secureConnect");
  return socket;
}

/** The ticket: TLS 1.2 sends it within the handshake, 1.3 after it. */
async function sessionOf(hub: TestHub, options: Options = {}): Promise<Buffer> {
  const socket = await start(hub, options);
  const [session] = (await once(socket, "session")) as [Buffer];
  socket.destroy();
  return session;
}

async function isResumed(hub: TestHub, options: Options): Promise<boolean> {
  const socket = await handshake(hub, options);
  const reused = socket.isSessionReused();
  socket.destroy();
  return reused;
}

/** The serial number of what a client of that name is shown. */
async function servedTo(hub: TestHub, servername: string): Promise<string> {
  const socket = await handshake(hub, { ...(servername === "" ? {} : { servername }), rejectUnauthorized: false });
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber.toLowerCase();
}

/** What `openssl s_client` of the system prints; its end is that of its input. */
async function sClient(hub: TestHub, args: readonly string[], input = ""): Promise<string> {
  const client = spawn("openssl", ["s_client", "-connect", new URL(hub.mqtts).host, ...args], { stdio: "pipe" });
  let said = "";
  for (const stream of [client.stdout, client.stderr]) stream.on("data", (bytes: Buffer) => (said += bytes.toString()));
  if (input === "") client.stdin.end();
  else {
    await until(() => said.includes("Verify return code") || client.exitCode !== null, { what: "the handshake of openssl" });
    client.stdin.write(input);
  }
  await once(client, "close");
  return said;
}

describe("what TLS is spoken", () => {
  let hub: TestHub;
  before(async () => {
    hub = await startHub();
  });
  after(() => hub[Symbol.asyncDispose]());

  test("1.3 by default, 1.2 for who has no more, nothing below", { skip: opensslMissing }, async () => {
    assert.match(await sClient(hub, []), /TLSv1\.3, Cipher is TLS_/);
    assert.match(await sClient(hub, ["-tls1_2"]), /TLSv1\.2, Cipher is ECDHE-ECDSA-/);
    for (const version of ["-tls1_1", "-tls1"]) {
      const said = await sClient(hub, [version, "-cipher", "ALL:@SECLEVEL=0"]);
      assert.match(said, /Cipher is \(NONE\)/);
      assert.match(said, /alert protocol version/, version);
    }
  });

  test("ciphers without forward secrecy or authenticated encryption are refused", { skip: opensslMissing }, async () => {
    for (const cipher of ["ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA", "AES128-GCM-SHA256", "AES128-SHA"])
      assert.match(await sClient(hub, ["-tls1_2", "-cipher", `${cipher}:@SECLEVEL=0`]), /Cipher is \(NONE\)/, cipher);
    for (const cipher of ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"])
      assert.match(await sClient(hub, ["-tls1_2", "-cipher", cipher]), new RegExp(`Cipher is ${cipher}`));
  });

  test("the client's order of ciphers counts", async () => {
    for (const [first, second] of [
      ["TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_256_GCM_SHA384"],
      ["TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"],
    ] as const) {
      const socket = await handshake(hub, { ciphers: `${first}:${second}` });
      assert.equal(socket.getCipher().name, first);
      socket.destroy();
    }
  });

  test("a renegotiation is refused", { skip: opensslMissing }, async () => {
    const said = await sClient(hub, ["-tls1_2"], "R\n");
    assert.match(said, /RENEGOTIATING/);
    assert.match(said, /no renegotiation/);
  });

  for (const version of ["TLSv1.2", "TLSv1.3"] as const)
    test(`${version}: a ticket saves the second handshake`, async () => {
      const session = await sessionOf(hub, { maxVersion: version });
      assert.equal(await isResumed(hub, { session, maxVersion: version }), true);
      assert.equal(await isResumed(hub, { maxVersion: version }), false);
    });

  test("a client that never finishes its handshake is closed in time, and others are served meanwhile", async () => {
    await using impatient = await startHub({ env: { HEXA_MQTT_CONNECT_TIMEOUT_S: "1" } });
    const socket = connectTcp(Number(new URL(impatient.mqtts).port), "127.0.0.1");
    const gone = closed(socket);
    socket.on("error", () => undefined).resume();
    socket.write(Buffer.from([0x16, 3, 1, 2, 0, 1]));
    const at = performance.now();
    (await handshake(impatient)).destroy();
    await gone;
    assert.ok(performance.now() - at < 5_000, `${performance.now() - at} ms`);
  });
});

describe("names and files", () => {
  let folder: TemporaryFolder;
  let ca: TestAuthority;
  let hub: TestHub;
  const logged: { level: string; message: string; data: object }[] = [];
  const note = (level: string) => (data: object, message: string) => void logged.push({ level, message, data });
  const log: Log = { debug() {}, info: note("info"), warn: note("warn"), error: note("error") };
  const errors = (): number => logged.filter(({ level }) => level === "error").length;
  const certificates = new Map<string, Pair>();
  const at = (name: string): string => path.join(folder.path, "sni", name);
  const put = async (file: string, host: string, pair: { cert: string; key: string }): Promise<void> => {
    await writeFile(at(`${file}.key`), pair.key);
    await writeFile(at(`${file}.crt`), pair.cert);
    certificates.set(host, pair as Pair);
  };
  const issueFor = (host: string, days = 90): Promise<Pair> =>
    ca.issue({ name: host, uses: [SERVER_USE], toDays: days, alternatives: [{ type: "dns", value: host }] });
  const serial = (host: string): string | undefined => certificates.get(host)?.serial;

  before(async () => {
    folder = temporaryFolder();
    ca = await makeTestAuthority("Web CA");
    await mkdir(path.join(folder.path, "sni"));
    const given = await issueFor("localhost");
    certificates.set("", given);
    await writeFile(path.join(folder.path, "server.crt"), given.cert);
    await writeFile(path.join(folder.path, "server.key"), given.key);
    await put("hub.example.org", "hub.example.org", await issueFor("hub.example.org"));
    await put("_.example.org", "*.example.org", await issueFor("*.example.org"));
    hub = await startHub({
      log,
      env: {
        HEXA_TLS_CERT_FILE: path.join(folder.path, "server.crt"),
        HEXA_TLS_KEY_FILE: path.join(folder.path, "server.key"),
        HEXA_TLS_SNI_DIR: path.join(folder.path, "sni"),
        HEXA_TLS_POLL_MS: "50",
      },
    });
    await hub.api.login();
  });
  after(async () => {
    await hub[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  for (const [name, served] of [
    ["hub.example.org", "hub.example.org"],
    ["HUB.example.ORG", "hub.example.org"],
    ["other.example.org", "*.example.org"],
    ["a.b.example.org", ""],
    ["example.org", ""],
    ["localhost", ""],
    ["", ""],
  ] as const)
    test(`${name || "no name"} is shown the certificate of ${served || "the hub"}`, async () => {
      assert.equal(await servedTo(hub, name), serial(served));
    });

  test("a ticket is good for its name", async () => {
    const options = { servername: "hub.example.org", rejectUnauthorized: false };
    const session = await sessionOf(hub, options);
    assert.equal(await isResumed(hub, { ...options, session }), true);
  });

  test("new files are served to new connections; open ones go on, and tickets stay good", async () => {
    const device = await hub.api.addDevice();
    const connected = await mqtt.connectAsync(hub.mqtts, {
      clientId: device.uid,
      username: device.uid,
      password: device.token,
      reconnectPeriod: 0,
      rejectUnauthorized: false,
    });
    const lost = new Promise<"lost">((resolve) => connected.once("close", () => resolve("lost")));
    const session = await sessionOf(hub, { rejectUnauthorized: false });
    const fresh = await issueFor("localhost");
    await writeFile(path.join(folder.path, "server.crt"), fresh.cert);
    await writeFile(path.join(folder.path, "server.key"), fresh.key);
    await put("hub.example.org", "hub.example.org", await issueFor("hub.example.org"));
    await put("new.example.net", "new.example.net", await issueFor("new.example.net"));
    certificates.set("", fresh);
    await until(async () => (await servedTo(hub, "")) === fresh.serial, { what: "the new certificate" });
    for (const host of ["hub.example.org", "new.example.net"])
      await until(async () => (await servedTo(hub, host)) === serial(host), { what: `the new certificate of ${host}` });
    assert.equal(await isResumed(hub, { session, rejectUnauthorized: false }), true);
    await connected.publishAsync(`hexa/${device.uid}/up/heartbeat`, "{}", { qos: 1 });
    assert.equal(await Promise.race([lost, Promise.resolve("open")]), "open");
    await connected.endAsync();
  });

  test("half a pair, a pair that does not match, is expired or is for another name: the old one stays, told once", async () => {
    const good = serial("hub.example.org") as string;
    const [key, old] = [await readFile(at("hub.example.org.key")), await readFile(at("hub.example.org.crt"))];
    const breakings: [string, () => Promise<void>][] = [
      ["cannot be read", () => rm(at("hub.example.org.key"))],
      ["does not belong", () => writeFile(at("hub.example.org.key"), certificates.get("new.example.net")?.key ?? "")],
      ["not valid PEM", () => writeFile(at("hub.example.org.crt"), old.subarray(0, 200))],
      [
        "expired on",
        async () => {
          const late = await ca.issue({ name: "hub.example.org", fromDays: -3, toDays: -1, uses: [SERVER_USE] });
          await put("hub.example.org", "late", late);
        },
      ],
      ["is not for hub.example.org", async () => put("hub.example.org", "wrong", await issueFor("elsewhere.example.net"))],
    ];
    for (const [what, breakIt] of breakings) {
      const from = logged.length;
      await breakIt();
      const told = (): typeof logged =>
        logged.slice(from).filter(({ level, data }) => level === "error" && JSON.stringify(Object.values(data).map(String)).includes(what));
      await until(() => told().length > 0, { what: `the complaint that it ${what}` });
      for (let look = 0; look < 4; look++) assert.equal(await servedTo(hub, "hub.example.org"), good, what);
      assert.equal(told().length, 1, what);
    }
    await writeFile(at("hub.example.org.key"), key);
    await writeFile(at("hub.example.org.crt"), old);
  });

  test("a pair that is taken away is served no more", async () => {
    await put("gone.example.net", "gone.example.net", await issueFor("gone.example.net"));
    await until(async () => (await servedTo(hub, "gone.example.net")) === serial("gone.example.net"), { what: "the pair" });
    await rm(at("gone.example.net.crt"));
    await rm(at("gone.example.net.key"));
    await until(async () => (await servedTo(hub, "gone.example.net")) === serial(""), { what: "the hub's own instead" });
  });

  test("a given certificate that is replaced by half: the old one stays, told once", async () => {
    const file = path.join(folder.path, "server.crt");
    const good = await readFile(file);
    const earlier = errors();
    await writeFile(`${file}.new`, (await issueFor("localhost")).cert);
    await rename(`${file}.new`, file);
    await until(() => errors() > earlier, { what: "the complaint" });
    for (let look = 0; look < 4; look++) assert.equal(await servedTo(hub, ""), serial(""));
    assert.equal(errors(), earlier + 1);
    await writeFile(file, good);
  });

  test("every certificate's end is a metric, and one that ends soon is told", async () => {
    await put("soon.example.net", "soon.example.net", await issueFor("soon.example.net", 20));
    await put("now.example.net", "now.example.net", await issueFor("now.example.net", 3));
    await until(() => logged.some(({ level, data }) => level === "error" && "name" in data && data.name === "sni:now.example.net"), {
      what: "the alarm",
    });
    const soon = logged.filter(({ data }) => "name" in data && data.name === "sni:soon.example.net");
    assert.deepEqual(
      soon.map(({ level, message }) => [level, message]),
      [["warn", "a TLS certificate expires soon"]],
    );
    const text = await (await fetch(`${hub.http}/metrics`, { headers: { authorization: `Bearer ${hub.api.token}` } })).text();
    const seconds = (name: string): number =>
      Number(new RegExp(`hexahub_tls_certificate_expires_seconds\\{name="${name.replaceAll(/[.*]/g, "\\$&")}"\\} (.*)`).exec(text)?.[1]);
    for (const [name, days] of [
      ["server", 90],
      ["client-ca", 3_652],
      ["sni:*.example.org", 90],
      ["sni:now.example.net", 3],
    ] as const)
      assert.ok(Math.abs(seconds(name) - days * 86_400) < 600, `${name} ${seconds(name)}`);
  });
});
