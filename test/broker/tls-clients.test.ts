import assert from "node:assert/strict";
import { readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import { deviceUrn } from "../../core/certificate.ts";
import { makeRequest, makeTestAuthority, pemOf, SERVER_USE, type TestAuthority, type Wanted } from "../support/certificates.ts";
import { startHub, type TestHub } from "../support/hub.ts";
import { temporaryFolder, type TemporaryFolder, until } from "../support/wait.ts";

type Device = Awaited<ReturnType<TestHub["api"]["addDevice"]>>;

/** CONNACK's code; 0 when the client was let in, "closed" when the connection ended without an answer. */
async function answer(hub: TestHub, clientId: string, options: IClientOptions): Promise<number | "closed"> {
  try {
    const client = await open(hub, clientId, options);
    await client.endAsync(true);
    return 0;
  } catch (error) {
    return (error as { code?: unknown }).code === undefined || typeof (error as { code?: unknown }).code === "string"
      ? "closed"
      : ((error as { code: number }).code ?? -1);
  }
}

async function open(hub: TestHub, clientId: string, options: IClientOptions): Promise<MqttClient> {
  const client = await mqtt.connectAsync(
    hub.mqtts,
    { clientId, reconnectPeriod: 0, connectTimeout: 5_000, ca: await readFile(hub.ca), protocolVersion: 5, ...options },
    false,
  );
  // What ends a session comes as an event, and without a listener as a fault of the test.
  client.on("error", () => undefined);
  return client;
}

/** Listens from now on; resolves when the session has ended. */
function closed(client: MqttClient): Promise<unknown> {
  let isClosed = false;
  client.once("close", () => {
    isClosed = true;
  });
  return until(() => isClosed, { what: "the session to end" });
}

const shown = ({ cert, key }: { cert: string; key: string }): IClientOptions => ({ cert, key });

async function issue(hub: TestHub, device: Device): Promise<{ cert: string; key: string; id: string }> {
  const { csr, key } = await makeRequest();
  const { status, body } = await hub.api.call<{ certificate: string; credential_id: string }>(
    "POST",
    `/api/v1/devices/${device.uid}/certificates`,
    { csr },
  );
  assert.equal(status, 201);
  return { cert: body.certificate, key, id: body.credential_id };
}

describe("certificates of the hub's own authority", () => {
  let hub: TestHub;
  let one: Device;
  let other: Device;
  let own: { cert: string; key: string; id: string };
  before(async () => {
    hub = await startHub({ env: { HEXA_TLS_POLL_MS: "50" } });
    await hub.api.login();
    one = await hub.api.addDevice();
    other = await hub.api.addDevice();
    own = await issue(hub, one);
  });
  after(() => hub[Symbol.asyncDispose]());

  for (const protocolVersion of [4, 5] as const) {
    const [refused, wrong] = protocolVersion === 5 ? [0x87, 0x86] : [5, 4];
    const as = (clientId: string, options: IClientOptions) => answer(hub, clientId, { protocolVersion, ...options });

    test(`MQTT ${protocolVersion}: a device logs in with its certificate alone, and with its uid as user name`, async () => {
      assert.equal(await as(one.uid, shown(own)), 0);
      assert.equal(await as(one.uid, { ...shown(own), username: one.uid }), 0);
    });

    test(`MQTT ${protocolVersion}: the certificate of one device is not the login of another`, async () => {
      assert.equal(await as(one.uid, { ...shown(own), username: other.uid }), wrong);
      assert.equal(await as(other.uid, { ...shown(own), username: other.uid }), wrong);
      assert.notEqual(await as(other.uid, shown(own)), 0);
    });

    test(`MQTT ${protocolVersion}: beside a certificate, a password has to be of the same device`, async () => {
      assert.equal(await as(one.uid, { ...shown(own), username: one.uid, password: one.token }), 0);
      assert.equal(await as(one.uid, { ...shown(own), username: one.uid, password: other.token }), wrong);
      assert.equal(await as(other.uid, { ...shown(own), username: other.uid, password: other.token }), wrong);
      assert.equal(await as("a-person", { ...shown(own), username: "admin@example.test", password: "correct horse battery" }), wrong);
    });

    test(`MQTT ${protocolVersion}: without a certificate everything is as before`, async () => {
      assert.equal(await as(one.uid, { username: one.uid, password: one.token }), 0);
      assert.equal(await as(one.uid, {}), refused);
    });
  }

  test("the certificate names the device, is for clients, and is as long as asked for", async () => {
    const { csr } = await makeRequest("somebody else");
    const { body } = await hub.api.call<Record<string, string>>("POST", `/api/v1/devices/${one.id}/certificates`, { csr, days: 7 });
    const { X509Certificate } = await import("node:crypto");
    const certificate = new X509Certificate(body["certificate"] as string);
    assert.equal(certificate.subject, `CN=${one.uid}`);
    assert.equal(certificate.subjectAltName, `URI:${deviceUrn(one.uid)}`);
    assert.deepEqual(certificate.keyUsage, ["1.3.6.1.5.5.7.3.2"]);
    assert.equal(certificate.ca, false);
    assert.ok(certificate.verify(new X509Certificate(body["ca"] as string).publicKey));
    assert.equal(body["fingerprint_sha256"], certificate.fingerprint256.replaceAll(":", "").toLowerCase());
    assert.ok(Math.abs(Date.parse(body["expires_at"] as string) - Date.now() - 7 * 86_400_000) < 60_000);
  });

  test("every sound kind of key gets a certificate that logs in", async () => {
    for (const kind of ["P-384", "Ed25519", "RSA-2048"] as const) {
      const { csr, key } = await makeRequest("x", kind);
      const { status, body } = await hub.api.call<{ certificate: string }>("POST", `/api/v1/devices/${one.uid}/certificates`, { csr });
      assert.equal(status, 201, kind);
      assert.equal(await answer(hub, one.uid, { cert: body.certificate, key }), 0, kind);
    }
  });

  test("a request that is weak, damaged or signed by another key is refused, and a validity above 825 days", async () => {
    const ask = async (body: object): Promise<number> =>
      (await hub.api.call("POST", `/api/v1/devices/${one.uid}/certificates`, body)).status;
    const { csr } = await makeRequest();
    const der = Buffer.from(csr.replace(/-----[^-]+-----/g, ""), "base64");
    // The last bytes are of the signature, those around the name are signed.
    const forged = Buffer.from(der.toString("latin1").replace("a device", "b device"), "latin1");
    for (const body of [
      { csr: (await makeRequest("x", "RSA-1024")).csr },
      { csr: "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n" },
      { csr: pemOf("CERTIFICATE REQUEST", forged) },
      { csr: own.cert },
      { csr: "" },
      { csr, days: 826 },
      { csr, days: 0 },
    ])
      assert.equal(await ask(body), 400, JSON.stringify(body).slice(0, 80));
    assert.equal(await ask({ csr, days: 825 }), 201);
  });

  test("a revoked certificate ends the live session and is refused from then on, also beside a good password", async () => {
    const mine = await issue(hub, one);
    const alone = await open(hub, one.uid, shown(mine));
    const gone = closed(alone);
    const told: unknown[] = [];
    alone.on("disconnect", (packet) => told.push(packet.reasonCode));
    const { status } = await hub.api.call("POST", `/api/v1/devices/${one.uid}/revoke`, { credential_id: mine.id });
    assert.equal(status, 200);
    await gone;
    assert.deepEqual(told, [0x87]);
    assert.equal(await answer(hub, one.uid, shown(mine)), 0x87);
    assert.equal(await answer(hub, one.uid, { ...shown(mine), username: one.uid, password: one.token }), 0x86);
    assert.equal(await answer(hub, one.uid, shown(own)), 0);
  });

  test("a session with certificate and password ends when the certificate alone is revoked", async () => {
    const mine = await issue(hub, one);
    const both = await open(hub, one.uid, { ...shown(mine), username: one.uid, password: one.token });
    const gone = closed(both);
    await hub.api.call("POST", `/api/v1/devices/${one.uid}/revoke`, { credential_id: mine.id });
    await gone;
    assert.equal(await answer(hub, one.uid, { username: one.uid, password: one.token }), 0);
  });

  test("a certificate is listed among the device's credentials with its end", async () => {
    const { body } = await hub.api.call<{ data: { id: string; kind: string; expires_at: string }[] }>(
      "GET",
      `/api/v1/devices/${one.uid}/credentials`,
    );
    const listed = body.data.find(({ id }) => id === own.id);
    assert.equal(listed?.kind, "certificate");
    assert.ok(Date.parse(listed?.expires_at ?? "") > Date.now() + 390 * 86_400_000);
  });

  test("the hub's own server certificate is no login, and neither is one of a foreign authority or signed by itself", async () => {
    const dir = path.join(hub.dataDir, "tls");
    const [cert, key] = await Promise.all([
      readFile(path.join(dir, "server.pem"), "utf8"),
      readFile(path.join(dir, "server-key.pem"), "utf8"),
    ]);
    const foreign = await makeTestAuthority("Foreign CA");
    for (const pair of [{ cert, key }, await foreign.issue({ name: one.uid }), await makeTestAuthority(one.uid)]) {
      assert.equal(await answer(hub, one.uid, shown(pair)), "closed");
      assert.equal(await answer(hub, one.uid, { ...shown(pair), username: one.uid, password: one.token }), "closed");
    }
  });

  test("a certificate of the hub's authority that the hub does not know is refused", async () => {
    const mine = await issue(hub, other);
    const extra = await hub.api.addDevice();
    const forgotten = await issue(hub, extra);
    assert.equal(await answer(hub, extra.uid, shown(forgotten)), 0);
    assert.equal((await hub.api.call("DELETE", `/api/v1/devices/${extra.uid}`)).status, 204);
    assert.equal(await answer(hub, extra.uid, shown(forgotten)), 0x87);
    assert.equal(await answer(hub, other.uid, shown(mine)), 0);
  });
});

describe("certificates of a given authority", () => {
  let folder: TemporaryFolder;
  let ca: TestAuthority;
  let hub: TestHub;
  let device: Device;
  let crlFile: string;
  const show = async (wanted: Wanted): Promise<IClientOptions> => shown(await ca.issue(wanted));
  before(async () => {
    folder = temporaryFolder();
    ca = await makeTestAuthority("Fleet CA");
    const caFile = path.join(folder.path, "ca.pem");
    crlFile = path.join(folder.path, "fleet.crl");
    await writeFile(caFile, ca.cert);
    await writeFile(crlFile, await ca.revoke([]));
    hub = await startHub({ env: { HEXA_MQTT_CLIENT_CA_FILE: caFile, HEXA_MQTT_CRL_FILE: crlFile, HEXA_TLS_POLL_MS: "50" } });
    await hub.api.login();
    device = await hub.api.addDevice();
  });
  after(async () => {
    await hub[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });
  /** As the file systems of secret managers do: the new list is there at once. */
  const putList = async (list: Buffer | string): Promise<void> => {
    await writeFile(`${crlFile}.new`, list);
    await rename(`${crlFile}.new`, crlFile);
  };

  test("the device is named by URI, by host name or by common name", async () => {
    const { uid } = device;
    assert.equal(await answer(hub, uid, await show({ name: "fleet member", alternatives: [{ type: "url", value: deviceUrn(uid) }] })), 0);
    assert.equal(await answer(hub, uid, await show({ name: "fleet member", alternatives: [{ type: "dns", value: uid }] })), 0);
    assert.equal(await answer(hub, uid, await show({ name: uid })), 0);
    assert.equal(await answer(hub, uid, await show({ name: uid, uses: [] })), 0);
  });

  test("a certificate that names another device, two of them, none or a device that is not there is no login", async () => {
    const { uid } = device;
    const other = await hub.api.addDevice();
    for (const wanted of [
      { name: other.uid },
      { name: uid, alternatives: [{ type: "url" as const, value: deviceUrn(other.uid) }] },
      { name: uid, alternatives: [uid, other.uid].map((one) => ({ type: "url" as const, value: deviceUrn(one) })) },
      { name: "Fleet member" },
      { name: "relay-nobody00001" },
      { name: `${uid}\n`, alternatives: [{ type: "email" as const, value: `x", URI:${deviceUrn(uid)}` }] },
    ])
      assert.notEqual(await answer(hub, uid, await show(wanted)), 0, JSON.stringify(wanted));
  });

  test("expired, not yet valid and made for servers: the connection ends before MQTT begins", async () => {
    for (const wanted of [
      { name: device.uid, fromDays: -10, toDays: -1 },
      { name: device.uid, fromDays: 1, toDays: 10 },
      { name: device.uid, uses: [SERVER_USE] },
    ])
      assert.equal(await answer(hub, device.uid, await show(wanted)), "closed", JSON.stringify(wanted));
  });

  test("a person or a service may come with a good certificate that is no device's", async () => {
    const service = await show({ name: "Home automation" });
    assert.equal(await answer(hub, "a-person", { ...service, username: "admin@example.test", password: "correct horse battery" }), 0);
    assert.equal(await answer(hub, "a-person", service), 0x87);
  });

  test("the first login makes it a credential that can be revoked like the others", async () => {
    const mine = await hub.api.addDevice();
    const pair = await show({ name: mine.uid });
    assert.equal(await answer(hub, mine.uid, pair), 0);
    assert.equal(await answer(hub, mine.uid, pair), 0);
    const { body } = await hub.api.call<{ data: { id: string; kind: string }[] }>("GET", `/api/v1/devices/${mine.uid}/credentials`);
    const rows = body.data.filter(({ kind }) => kind === "certificate");
    assert.equal(rows.length, 1);
    const client = await open(hub, mine.uid, pair);
    const gone = closed(client);
    await hub.api.call("POST", `/api/v1/devices/${mine.uid}/revoke`, { credential_id: rows[0]?.id });
    await gone;
    assert.equal(await answer(hub, mine.uid, pair), 0x87);
  });

  test("the hub signs none itself", async () => {
    const { status, body } = await hub.api.call<{ error: { code: string } }>("POST", `/api/v1/devices/${device.uid}/certificates`, {
      csr: (await makeRequest()).csr,
    });
    assert.equal(status, 409, JSON.stringify(body));
  });

  test("a list takes a certificate back: the live session ends within a second, others stay, and a resumption does not help", async () => {
    const other = await hub.api.addDevice();
    const bad = await ca.issue({ name: device.uid, serial: "00f0a1" });
    const good = await ca.issue({ name: other.uid });
    const session = await sessionOf(hub, bad);
    assert.deepEqual(await connack(hub, device.uid, { ...bad, session }), { isResumed: true, code: 0 });
    const [ending, staying] = [await open(hub, device.uid, shown(bad)), await open(hub, other.uid, shown(good))];
    const told: unknown[] = [];
    ending.on("disconnect", (packet) => told.push(packet.reasonCode));
    const gone = closed(ending);
    await putList(await ca.revoke([bad.serial]));
    const at = performance.now();
    await gone;
    assert.ok(performance.now() - at < 1_000, `${performance.now() - at} ms`);
    assert.deepEqual(told, [0x87]);
    assert.equal(staying.connected, true);
    await staying.endAsync();
    assert.equal(await answer(hub, device.uid, shown(bad)), "closed");
    assert.equal((await connack(hub, device.uid, { ...bad, session })).code, "closed");
    assert.equal(await answer(hub, other.uid, shown(good)), 0);
    await putList(pemOf("X509 CRL", await ca.revoke([])));
    await until(async () => (await answer(hub, device.uid, shown(bad))) === 0, { what: "the certificate to be good again" });
  });

  test("a list of another authority, or half of one, is not taken: the old one stays", async () => {
    const bad = await ca.issue({ name: device.uid });
    await putList(await ca.revoke([bad.serial]));
    await until(async () => (await answer(hub, device.uid, shown(bad))) === "closed", { what: "the revocation" });
    const foreign = await makeTestAuthority("Fleet CA");
    const client = await open(hub, device.uid, { username: device.uid, password: device.token });
    for (const list of [await foreign.revoke([]), (await ca.revoke([])).subarray(0, 60), "no list"]) {
      await putList(list);
      // A connection that is made after a few looks at the files.
      for (let look = 0; look < 5; look++) assert.equal(await answer(hub, device.uid, shown(bad)), "closed");
    }
    assert.equal(client.connected, true);
    await client.endAsync();
    await putList(await ca.revoke([]));
    await until(async () => (await answer(hub, device.uid, shown(bad))) === 0, { what: "the good list" });
  });
});

describe("intermediate authorities", () => {
  let root: TestAuthority;
  let below: TestAuthority;
  before(async () => {
    root = await makeTestAuthority("Fleet CA");
    below = await root.intermediate("Fleet CA, workshop 2");
  });
  const start = async (folder: TemporaryFolder, files: { ca: string; crl?: Buffer | string }): Promise<TestHub> => {
    const env = { HEXA_MQTT_CLIENT_CA_FILE: path.join(folder.path, "ca.pem"), HEXA_TLS_POLL_MS: "50" };
    const crlFile = path.join(folder.path, "fleet.crl");
    await writeFile(env.HEXA_MQTT_CLIENT_CA_FILE, files.ca);
    if (files.crl !== undefined) await writeFile(crlFile, files.crl);
    const hub = await startHub({ env: { ...env, ...(files.crl === undefined ? {} : { HEXA_MQTT_CRL_FILE: crlFile }) } });
    await hub.api.login();
    return hub;
  };

  test("one that the client sends along is enough, at a resumption too, as long as its root stays", async () => {
    await using folder = temporaryFolder();
    await using hub = await start(folder, { ca: root.cert });
    const { uid } = await hub.api.addDevice();
    const { cert, key } = await below.issue({ name: uid });
    const pair = { cert: cert + below.cert, key };
    assert.notEqual(await answer(hub, uid, shown({ cert, key })), 0);
    const session = await sessionOf(hub, pair);
    assert.deepEqual(await connack(hub, uid, { ...pair, session }), { isResumed: true, code: 0 });
    const client = await open(hub, uid, shown(pair));
    const gone = closed(client);
    await writeFile(path.join(folder.path, "ca.pem"), (await makeTestAuthority("Fleet CA")).cert);
    await gone;
    assert.equal(await answer(hub, uid, shown(pair)), "closed");
    assert.deepEqual(await connack(hub, uid, { ...pair, session }), { isResumed: false, code: "closed" });
  });

  test("with revocation lists it has to be known, and is itself taken back by its root's list", async () => {
    await using folder = temporaryFolder();
    const lists = async (serials: string[]): Promise<string> =>
      pemOf("X509 CRL", await root.revoke(serials)) + pemOf("X509 CRL", await below.revoke([]));
    await using hub = await start(folder, { ca: root.cert + below.cert, crl: await lists([]) });
    const { uid } = await hub.api.addDevice();
    const { cert, key } = await below.issue({ name: uid });
    assert.equal(await answer(hub, uid, shown({ cert, key })), 0);
    const unknown = await root.intermediate("Fleet CA, workshop 3");
    const third = await unknown.issue({ name: uid });
    assert.equal(await answer(hub, uid, shown({ cert: third.cert + unknown.cert, key: third.key })), "closed");
    const client = await open(hub, uid, shown({ cert: cert + below.cert, key }));
    const gone = closed(client);
    await writeFile(path.join(folder.path, "fleet.crl"), await lists([below.serial]));
    await gone;
    assert.equal(await answer(hub, uid, shown({ cert: cert + below.cert, key })), "closed");
  });
});

describe("required and off", () => {
  test("required: nobody speaks MQTT over TLS without a certificate, and nobody gets a ticket for it; plain MQTT is not asked", async () => {
    await using hub = await startHub({ env: { HEXA_MQTT_CLIENT_CERTS: "required" } });
    await hub.api.login();
    const device = await hub.api.addDevice();
    const password = { username: device.uid, password: device.token };
    assert.equal(await answer(hub, device.uid, password), "closed");
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      assert.equal((await connack(hub, device.uid, { maxVersion })).code, "closed");
      assert.equal(await sessionOf(hub, { maxVersion }), undefined);
    }
    assert.equal(await answer(hub, device.uid, shown(await issue(hub, device))), 0);
    const plain = await mqtt.connectAsync(hub.mqtt, { clientId: device.uid, ...password, reconnectPeriod: 0 });
    await plain.endAsync();
    const metrics = await (await fetch(`${hub.http}/metrics`, { headers: { authorization: `Bearer ${hub.api.token}` } })).text();
    assert.match(metrics, /hexahub_tls_clients_refused_total\{reason="missing"\} [2-9]/);
  });

  test("off: nobody is asked, and the hub issues none", async () => {
    await using hub = await startHub({ env: { HEXA_MQTT_CLIENT_CERTS: "off" } });
    await hub.api.login();
    const device = await hub.api.addDevice();
    const pair = await (await makeTestAuthority("Foreign CA")).issue({ name: device.uid });
    assert.equal(await answer(hub, device.uid, { ...shown(pair), username: device.uid, password: device.token }), 0);
    assert.equal(await answer(hub, device.uid, shown(pair)), 0x87);
    const { status } = await hub.api.call("POST", `/api/v1/devices/${device.uid}/certificates`, { csr: (await makeRequest()).csr });
    assert.equal(status, 409);
  });
});

async function tls(
  hub: TestHub,
  { session, ...options }: Omit<ConnectionOptions, "session"> & { readonly session?: Buffer | undefined },
): Promise<TLSSocket> {
  const { hostname: host, port } = new URL(hub.mqtts);
  const socket = connectTls({ host, port: Number(port), ca: await readFile(hub.ca), ...options, ...(session && { session }) });
  socket.on("error", () => undefined);
  return socket;
}

/** The ticket of a connection, for the next one; undefined when it ends without. */
async function sessionOf(hub: TestHub, options: ConnectionOptions): Promise<Buffer | undefined> {
  const socket = await tls(hub, options);
  const session = await new Promise<Buffer | undefined>((resolve) => {
    socket.once("session", resolve).once("close", () => resolve(undefined));
  });
  socket.destroy();
  return session;
}

/** A bare MQTT 5 CONNECT over TLS: whether the session was resumed, and CONNACK's code. */
async function connack(
  hub: TestHub,
  clientId: string,
  options: Omit<ConnectionOptions, "session"> & { readonly session?: Buffer | undefined },
): Promise<{ isResumed: boolean; code: number | "closed" }> {
  const socket = await tls(hub, options);
  let isResumed = false;
  socket.once("secureConnect", () => {
    isResumed = socket.isSessionReused();
  });
  const id = Buffer.from(clientId);
  const head = Buffer.from([0, 4, ...Buffer.from("MQTT"), 5, 2, 0, 60, 0, 0, id.length]);
  socket.write(Buffer.concat([Buffer.from([0x10, head.length + id.length]), head, id]));
  const code = await Promise.race([
    new Promise<number>((resolve) => socket.once("data", (bytes: Buffer) => resolve(bytes[3] as number))),
    new Promise<"closed">((resolve) => socket.once("close", () => resolve("closed"))),
  ]);
  socket.destroy();
  return { isResumed, code };
}
