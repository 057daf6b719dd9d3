import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import { alarmOf, createExpiryAlarm } from "../../broker/certificate-expiry.ts";
import { uidOf } from "../../broker/client-certificates.ts";
import { loadClientTrust } from "../../broker/client-trust.ts";
import { parseRevocationLists } from "../../broker/revocation-list.ts";
import { chooseByName } from "../../broker/server-names.ts";
import { deviceUrn } from "../../core/certificate.ts";
import { SetupError } from "../../core/errors.ts";
import { makeTestAuthority, pemOf, type Wanted } from "../support/certificates.ts";
import { findProgram } from "../support/services.ts";
import { temporaryFolder } from "../support/wait.ts";

const opensslMissing = findProgram("openssl") ? undefined : "openssl is not installed";
const DAY_MS = 86_400_000;

describe("the device that a certificate names", () => {
  const [a, b] = ["relay-aaaaaaaaaa", "relay-bbbbbbbbbb"];
  const url = (value: string) => ({ type: "url" as const, value });
  const dns = (value: string) => ({ type: "dns" as const, value });
  const cases: [string, Wanted, string | undefined][] = [
    ["its common name", { name: a }, a],
    ["a common name that is no uid", { name: "Relay A" }, undefined],
    ["a common name with a NUL in it", { name: `${a}\0.example.org` }, undefined],
    ["a common name with a line of its own", { name: `x\nCN=${a}` }, undefined],
    ["the URI before the common name", { name: b, alternatives: [url(deviceUrn(a))] }, a],
    ["the URI before a host name", { name: "x", alternatives: [dns(b), url(deviceUrn(a))] }, a],
    ["the same URI twice", { name: "x", alternatives: [url(deviceUrn(a)), url(deviceUrn(a))] }, a],
    ["two URIs", { name: a, alternatives: [url(deviceUrn(a)), url(deviceUrn(b))] }, undefined],
    ["a URI of ours without a uid", { name: a, alternatives: [url(deviceUrn("A"))] }, undefined],
    ["a foreign URI", { name: a, alternatives: [url("urn:example:device:1")] }, a],
    ["a host name that is a uid", { name: "x", alternatives: [dns("hub.example.org"), dns(a)] }, a],
    ["two host names that are uids", { name: a, alternatives: [dns(a), dns(b)] }, undefined],
    ["a host name that only begins so", { name: "x", alternatives: [dns(`${a}.example.org`)] }, undefined],
    ["a URI hidden in another entry", { name: "x", alternatives: [url(`http://x/, URI:${deviceUrn(a)}`)] }, undefined],
    ["a URI hidden in an e-mail address", { name: "x", alternatives: [{ type: "email", value: `x", URI:${deviceUrn(a)}` }] }, undefined],
  ];
  for (const [claim, wanted, uid] of cases)
    test(`${claim}: ${uid ?? "none"}`, async () => {
      const ca = await makeTestAuthority("CA");
      assert.equal(uidOf(new X509Certificate((await ca.issue(wanted)).cert)), uid);
    });
});

describe("a revocation list", () => {
  test("is read in DER and PEM, several of them too, and knows who signed it", async () => {
    const [ca, other] = [await makeTestAuthority("CA"), await makeTestAuthority("CA")];
    const der = await ca.revoke(["00f0a1", "41ff"]);
    const pem = pemOf("X509 CRL", der) + pemOf("X509 CRL", await other.revoke([]));
    const [one] = parseRevocationLists(der);
    const lists = parseRevocationLists(Buffer.from(pem));
    assert.deepEqual(one?.serials, ["F0A1", "41FF"]);
    assert.deepEqual(
      lists.map(({ serials }) => serials),
      [["F0A1", "41FF"], []],
    );
    const key = new X509Certificate(ca.cert).publicKey;
    assert.deepEqual(
      lists.map((list) => list.isSignedBy(key)),
      [true, false],
    );
    assert.ok(Math.abs((one?.nextUpdate ?? 0) - Date.now() - 7 * DAY_MS) < 60_000);
  });

  test("that was changed anywhere is not read or not signed", async () => {
    const ca = await makeTestAuthority("CA");
    const der = await ca.revoke(["41aa", "41bb"]);
    const key = new X509Certificate(ca.cert).publicKey;
    fc.assert(
      fc.property(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Buffer.from(der);
        changed[at] = (changed[at] as number) ^ flip;
        try {
          assert.ok(!parseRevocationLists(changed).some((list) => list.isSignedBy(key)));
        } catch (error) {
          assert.ok(error instanceof Error && !(error instanceof assert.AssertionError), String(error));
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test("of any other bytes is an error and nothing worse", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        assert.throws(() => parseRevocationLists(Buffer.from(bytes)), { name: "Error" });
      }),
      { numRuns: 2_000 },
    );
    for (const text of ["", "-----BEGIN X509 CRL-----\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
      assert.throws(() => parseRevocationLists(Buffer.from(text)));
  });

  test("by OpenSSL, with 20,000 entries, for EC, RSA and Ed25519", { skip: opensslMissing }, async () => {
    for (const [kind, make] of [
      ["EC", ["ecparam", "-name", "secp384r1", "-genkey", "-noout"]],
      ["RSA", ["genpkey", "-algorithm", "rsa"]],
      ["Ed25519", ["genpkey", "-algorithm", "ed25519"]],
    ] as const) {
      await using folder = temporaryFolder();
      const { cert, der } = opensslList(folder.path, make, 20_000);
      const [list] = parseRevocationLists(der);
      assert.equal(list?.serials.length, 20_000, kind);
      assert.equal(list?.serials[12_345], serialAt(12_345));
      assert.equal(list?.isSignedBy(new X509Certificate(cert).publicKey), true, kind);
    }
  });

  test("of an authority that is not trusted is a reason not to start", async () => {
    await using folder = temporaryFolder();
    const [ca, other] = [await makeTestAuthority("CA"), await makeTestAuthority("CA")];
    const [caFile, crlFile] = [path.join(folder.path, "ca.pem"), path.join(folder.path, "crl.pem")];
    const load = () => loadClientTrust({ dir: folder.path, caFile, crlFile }, Date.now());
    writeFileSync(caFile, ca.cert);
    writeFileSync(crlFile, await other.revoke([]));
    await assert.rejects(load(), (error) => error instanceof SetupError && error.where === crlFile);
    writeFileSync(crlFile, await ca.revoke([]));
    assert.deepEqual([...(await load()).revoked.values()], [new Set()]);
    const { cert } = await ca.issue({ name: "no authority" });
    for (const text of [cert, "", ca.cert.slice(0, 300), ca.cert + ca.cert.slice(0, 300)]) {
      writeFileSync(caFile, text);
      await assert.rejects(load(), (error) => error instanceof SetupError && error.where === caFile, text.slice(0, 40));
    }
  });
});

const serialAt = (index: number): string => `40000000000000000000000000000000${index.toString(16).toUpperCase().padStart(8, "0")}`;

function opensslList(dir: string, makeKey: readonly string[], entries: number): { cert: string; der: Buffer } {
  const run = (...args: string[]) => execFileSync("openssl", args, { cwd: dir, stdio: "pipe" });
  run(...makeKey, "-out", "ca.key");
  run("req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=CA", "-days", "30", "-out", "ca.pem");
  mkdirSync(path.join(dir, "certs"));
  const lines = Array.from(
    { length: entries },
    (_, index) => `R\t300101000000Z\t250101000000Z\t${serialAt(index)}\tunknown\t/CN=x${index}`,
  );
  writeFileSync(path.join(dir, "index.txt"), `${lines.join("\n")}\n`);
  writeFileSync(path.join(dir, "number"), "01\n");
  writeFileSync(
    path.join(dir, "ca.cnf"),
    "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=number\nnew_certs_dir=certs\ncertificate=ca.pem\nprivate_key=ca.key\ndefault_md=default\ndefault_crl_days=30\n",
  );
  run("ca", "-config", "ca.cnf", "-gencrl", "-out", "crl.pem");
  run("crl", "-in", "crl.pem", "-outform", "DER", "-out", "crl.der");
  return { cert: readFileSync(path.join(dir, "ca.pem"), "utf8"), der: readFileSync(path.join(dir, "crl.der")) };
}

test("the very name comes before the wildcard of its level", () => {
  const hosts = new Map([
    ["a.example.org", 1],
    ["*.example.org", 2],
    ["*.b.example.org", 3],
  ]);
  for (const [name, chosen] of [
    ["a.example.org", 1],
    ["A.EXAMPLE.ORG", 1],
    ["c.example.org", 2],
    ["b.example.org", 2],
    ["c.b.example.org", 3],
    ["c.a.example.org", undefined],
    ["example.org", undefined],
    ["org", undefined],
    ["", undefined],
    ["*.example.org", 2],
  ] as const)
    assert.equal(chooseByName(hosts, name), chosen, name);
});

describe("the alarm", () => {
  const at = (days: number, renewsItself = false) => ({ name: "server", notAfter: new Date(days * DAY_MS), renewsItself });
  test("warns from 30 days on and is an error from 7 on; what the hub renews itself only when that is overdue", () => {
    const levels = [31, 29.9, 27.9, 7.1, 6.9, -1].map((days) => [alarmOf(at(days), 0), alarmOf(at(days, true), 0)]);
    assert.deepEqual(levels, [
      [undefined, undefined],
      ["warn", undefined],
      ["warn", "warn"],
      ["warn", "warn"],
      ["error", "error"],
      ["error", "error"],
    ]);
  });

  test("tells once a day, at once when it becomes grave, and again after a renewal", () => {
    const told: string[] = [];
    const note = (level: string) => (data: object) => void told.push(`${level} ${(data as { days: number }).days}`);
    const alarm = createExpiryAlarm({ warn: note("warn"), error: note("error") });
    for (let hour = 0; hour < 24 * 3; hour++) alarm([at(9.5)], hour * 3_600_000);
    assert.deepEqual(told, ["warn 9", "warn 8", "warn 7", "error 6"]);
    alarm([at(400)], 3 * DAY_MS);
    alarm([at(9.5)], 3 * DAY_MS);
    assert.deepEqual(told.slice(4), ["error 6"]);
  });
});
