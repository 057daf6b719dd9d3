import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import mqtt, { type IClientOptions } from "mqtt";
import { deviceUrn } from "../../core/certificate.ts";
import { makeRequest, makeTestAuthority, pemOf } from "../support/certificates.ts";
import { startHub, type TestHub } from "../support/hub.ts";
import { answer, closed, connack, type Device, issue, open, sessionOf, shown } from "./tls-logins.ts";

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
