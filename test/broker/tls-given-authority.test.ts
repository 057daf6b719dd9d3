import assert from "node:assert/strict";
import { rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import type { IClientOptions } from "mqtt";
import { deviceUrn } from "../../core/certificate.ts";
import { makeRequest, makeTestAuthority, pemOf, SERVER_USE, type TestAuthority, type Wanted } from "../support/certificates.ts";
import { startHub, type TestHub } from "../support/hub.ts";
import { temporaryFolder, type TemporaryFolder, until } from "../support/wait.ts";
import { answer, closed, connack, type Device, open, sessionOf, shown } from "./tls-logins.ts";

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
