import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { copyFile, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { hostname } from "node:os";
import path from "node:path";
import { describe, test } from "node:test";
import { connect, createServer } from "node:tls";
import { type Certificates, ensureCertificates, watchCertificates } from "../../broker/certificates.ts";
import { SetupError } from "../../core/errors.ts";
import { findProgram } from "../support/services.ts";
import { temporaryFolder, until } from "../support/wait.ts";

const DAY_MS = 86_400_000;
const opensslMissing = findProgram("openssl") ? undefined : "openssl is not installed";

/** The name the server was authorised under; rejects like any client that checks. */
async function tlsHandshake(certificates: Certificates, host: string, servername?: string): Promise<string> {
  const server = createServer({ cert: certificates.cert, key: certificates.key }, (socket) => socket.end()).listen(0, host);
  await once(server, "listening");
  try {
    const ca = await readFile(certificates.caFile);
    const socket = connect({ host, port: (server.address() as AddressInfo).port, ca, ...(servername === undefined ? {} : { servername }) });
    await once(socket, "secureConnect");
    assert.equal(socket.authorized, true);
    const { subject } = socket.getPeerCertificate();
    socket.destroy();
    return String(subject.CN);
  } finally {
    server.close();
  }
}

describe("the hub's own authority", () => {
  test("makes a certificate that OpenSSL accepts as a strict chain for every name", { skip: opensslMissing }, async () => {
    await using folder = temporaryFolder();
    await ensureCertificates({ dir: folder.path, hostnames: ["hub.example.org", "192.168.1.10"] });
    for (const check of [
      ["-verify_hostname", "hub.example.org"],
      ["-verify_hostname", "localhost"],
      ["-verify_ip", "192.168.1.10"],
      ["-verify_ip", "::1"],
    ]) {
      const said = execFileSync(
        "openssl",
        ["verify", "-x509_strict", "-purpose", "sslserver", ...check, "-CAfile", "ca.pem", "server.pem"],
        { cwd: folder.path },
      ).toString();
      assert.match(said, /server\.pem: OK/);
    }
    assert.throws(() =>
      execFileSync("openssl", ["verify", "-verify_hostname", "other.example.org", "-CAfile", "ca.pem", "server.pem"], {
        cwd: folder.path,
        stdio: "pipe",
      }),
    );
  });

  test("is trusted by a TLS client under localhost and under the address", async () => {
    await using folder = temporaryFolder();
    const certificates = await ensureCertificates({ dir: folder.path, hostnames: [] });
    assert.equal(typeof (await tlsHandshake(certificates, "127.0.0.1")), "string");
    assert.equal(typeof (await tlsHandshake(certificates, "127.0.0.1", "localhost")), "string");
    await assert.rejects(tlsHandshake(certificates, "127.0.0.1", "elsewhere.example.org"), { code: "ERR_TLS_CERT_ALTNAME_INVALID" });
  });

  test("writes keys that only the owner can read, and leaves no drafts", async () => {
    await using folder = temporaryFolder();
    const dir = path.join(folder.path, "tls");
    const { caFile } = await ensureCertificates({ dir, hostnames: [] });
    assert.equal(caFile, path.join(dir, "ca.pem"));
    assert.deepEqual((await readdir(dir)).toSorted(), ["ca-key.pem", "ca.pem", "server-key.pem", "server.pem"]);
    for (const file of ["ca-key.pem", "server-key.pem"]) assert.equal((await stat(path.join(dir, file))).mode & 0o777, 0o600);
  });

  test("limits the authority to ten years and to signing servers, and the certificate to 825 days", async () => {
    await using folder = temporaryFolder();
    const certificates = await ensureCertificates({ dir: folder.path, hostnames: [] });
    const ca = new X509Certificate(await readFile(certificates.caFile));
    const cert = new X509Certificate(certificates.cert);
    assert.equal(ca.ca, true);
    assert.equal(cert.ca, false);
    const days = (one: X509Certificate): number => (one.validToDate.getTime() - one.validFromDate.getTime()) / DAY_MS;
    assert.ok(days(ca) > 3640 && days(ca) < 3660, String(days(ca)));
    assert.ok(days(cert) > 800 && days(cert) <= 825, String(days(cert)));
    assert.deepEqual(certificates.notAfter, cert.validToDate);
    assert.ok(cert.subjectAltName?.includes(`DNS:${hostname().toLowerCase()}`));
  });

  test("serves the same certificate at the next start", async () => {
    await using folder = temporaryFolder();
    const options = { dir: folder.path, hostnames: ["hub.example.org"] };
    const first = await ensureCertificates(options);
    const second = await ensureCertificates(options);
    assert.equal(second.cert, first.cert);
    assert.equal(second.key, first.key);
  });

  const renewals: [string, { hostnames?: string[]; daysLater?: number }, boolean][] = [
    ["31 days before the end it stays", { daysLater: 823 - 31 }, false],
    ["29 days before the end it is renewed", { daysLater: 823 - 29 }, true],
    ["another name makes a new one", { hostnames: ["a.example.org", "b.example.org"] }, true],
    ["one name fewer makes a new one", { hostnames: [] }, true],
    ["the same name in capitals and twice is no change", { hostnames: ["A.example.org", "a.example.org"] }, false],
  ];
  for (const [claim, { hostnames = ["a.example.org"], daysLater = 0 }, renewed] of renewals) {
    test(`${claim}, under the same authority`, async () => {
      await using folder = temporaryFolder();
      const first = await ensureCertificates({ dir: folder.path, hostnames: ["a.example.org"] });
      const ca = await readFile(first.caFile, "utf8");
      const second = await ensureCertificates({ dir: folder.path, hostnames, now: () => Date.now() + daysLater * DAY_MS });
      assert.equal(second.cert !== first.cert, renewed);
      assert.equal(await readFile(second.caFile, "utf8"), ca);
      assert.ok(new X509Certificate(second.cert).verify(new X509Certificate(ca).publicKey));
    });
  }

  test("makes a pair anew that a crash left half written", async () => {
    await using folder = temporaryFolder();
    await using other = temporaryFolder();
    const options = { dir: folder.path, hostnames: [] };
    await ensureCertificates(options);
    await ensureCertificates({ dir: other.path, hostnames: [] });
    await copyFile(path.join(other.path, "server-key.pem"), path.join(folder.path, "server-key.pem"));
    const mended = await ensureCertificates(options);
    assert.ok(await tlsHandshake(mended, "127.0.0.1"));
  });

  test("says how to mend an authority whose key is gone, once it has to sign", async () => {
    await using folder = temporaryFolder();
    await ensureCertificates({ dir: folder.path, hostnames: [] });
    await rm(path.join(folder.path, "ca-key.pem"));
    await ensureCertificates({ dir: folder.path, hostnames: [] });
    await assert.rejects(
      ensureCertificates({ dir: folder.path, hostnames: ["new.example.org"] }),
      (error) => error instanceof SetupError && /key is missing/.test(error.message) && /delete ca\.pem/.test(error.mend),
    );
  });

  test("refuses a name that is none", async () => {
    await using folder = temporaryFolder();
    await assert.rejects(ensureCertificates({ dir: folder.path, hostnames: ["http://hub.example.org"] }), SetupError);
  });
});

describe("given files", () => {
  async function given(folder: string, now = Date.now()): Promise<{ dir: string; hostnames: string[]; certFile: string; keyFile: string }> {
    await ensureCertificates({ dir: folder, hostnames: ["given.example.org"], now: () => now });
    return {
      dir: path.join(folder, "unused"),
      hostnames: [],
      certFile: path.join(folder, "server.pem"),
      keyFile: path.join(folder, "server-key.pem"),
    };
  }

  test("are used as they are, and nothing is made beside them", async () => {
    await using folder = temporaryFolder();
    const options = await given(folder.path);
    const certificates = await ensureCertificates(options);
    assert.equal(certificates.cert, await readFile(options.certFile, "utf8"));
    assert.equal(certificates.caFile, options.certFile);
    await assert.rejects(stat(options.dir), { code: "ENOENT" });
  });

  test("are a reason not to start when unreadable, half given, mismatched, not PEM or expired", async () => {
    await using folder = temporaryFolder();
    await using other = temporaryFolder();
    const options = await given(folder.path);
    const { keyFile } = await given(other.path);
    const noPem = path.join(other.path, "text.pem");
    await writeFile(noPem, "no certificate");
    const cases: [Parameters<typeof ensureCertificates>[0], RegExp][] = [
      [{ ...options, certFile: path.join(folder.path, "absent.pem") }, /cannot be read/],
      [{ ...options, keyFile: undefined }, /given together/],
      [{ ...options, keyFile }, /does not belong/],
      [{ ...options, certFile: noPem }, /not valid PEM/],
      [{ ...options, keyFile: noPem }, /not a valid, unencrypted PEM key/],
      [{ ...options, now: () => Date.now() + 826 * DAY_MS }, /expired on/],
    ];
    for (const [broken, what] of cases)
      await assert.rejects(
        ensureCertificates(broken),
        (error) => error instanceof SetupError && what.test(error.message) && error.mend !== "",
        String(what),
      );
  });
});

describe("the watch", () => {
  test("hands out a given certificate that was replaced, and waits while only half of it is there", async () => {
    await using folder = temporaryFolder();
    await using next = temporaryFolder();
    for (const one of [folder, next]) await ensureCertificates({ dir: one.path, hostnames: [] });
    const files = { certFile: path.join(folder.path, "server.pem"), keyFile: path.join(folder.path, "server-key.pem") };
    const changes: Certificates[] = [];
    const errors: unknown[] = [];
    await using _watch = watchCertificates(
      { dir: folder.path, hostnames: [], ...files, pollMs: 10, onError: (error) => errors.push(error) },
      (fresh) => changes.push(fresh),
    );
    await copyFile(path.join(next.path, "server.pem"), files.certFile);
    await until(() => errors.some((error) => error instanceof SetupError && /does not belong/.test(error.message)), {
      what: "the complaint about the mismatch",
    });
    assert.equal(changes.length, 0);
    await copyFile(path.join(next.path, "server-key.pem"), files.keyFile);
    await until(() => changes.length > 0, { what: "the new certificate" });
    assert.equal(changes[0]?.cert, await readFile(path.join(next.path, "server.pem"), "utf8"));
    assert.equal(new Set(errors.map(String)).size, errors.length);
  });

  test("does not tell of a file that was only touched", async () => {
    await using folder = temporaryFolder();
    const options = { dir: folder.path, hostnames: [] };
    await ensureCertificates(options);
    const changes: Certificates[] = [];
    let looked = 0;
    const now = (): number => {
      looked++;
      return Date.now();
    };
    await using _watch = watchCertificates({ ...options, now, pollMs: 5 }, (fresh) => changes.push(fresh));
    await until(() => looked > 5, { what: "the first looks" });
    await utimes(path.join(folder.path, "server.pem"), new Date(), new Date(Date.now() + 5_000));
    const before = looked;
    await until(() => looked > before + 5, { what: "more looks" });
    assert.deepEqual(changes, []);
  });

  test("renews the hub's own certificate when its time comes, without a restart", async () => {
    await using folder = temporaryFolder();
    let now = Date.now();
    const options = { dir: folder.path, hostnames: [], now: () => now };
    const first = await ensureCertificates(options);
    const changes: Certificates[] = [];
    let looked = 0;
    const counted = (): number => {
      looked++;
      return now;
    };
    await using _watch = watchCertificates({ ...options, now: counted, pollMs: 5 }, (fresh) => changes.push(fresh));
    await until(() => looked > 5, { what: "the first looks" });
    now += 800 * DAY_MS;
    await until(() => changes.length > 0, { what: "the renewed certificate" });
    assert.notEqual(changes[0]?.cert, first.cert);
    assert.equal(changes[0]?.caFile, first.caFile);
  });
});

test("a folder that cannot be made is a reason not to start", async () => {
  await using folder = temporaryFolder();
  const file = path.join(folder.path, "file");
  await writeFile(file, "");
  await assert.rejects(ensureCertificates({ dir: path.join(file, "tls"), hostnames: [] }), SetupError);
});
