import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import { ensureCertificates } from "../../broker/certificates.ts";
import { startHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";

/** `hexahub serve` that is expected to end by itself. */
async function refusedStart(env: Record<string, string>): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const { PATH = "", HOME = "" } = process.env;
  const ports = { HEXA_HTTP_PORT: "0", HEXA_MQTT_PORT: "0", HEXA_MQTTS_PORT: "0" };
  const child = spawn("./hexahub.js", ["serve"], {
    cwd: new URL("../..", import.meta.url),
    env: { PATH: `${dirname(process.execPath)}:${PATH}`, HOME, ...ports, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "exit") as Promise<[number | null]>,
  ]);
  return { code, stdout, stderr };
}

test("a reason not to start is what, where and how to mend, code 3, and never a stack", async () => {
  await using folder = temporaryFolder();
  await using taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address() as { port: number };
  const file = join(folder.path, "file");
  writeFileSync(file, "");
  const cases: [Record<string, string>, RegExp][] = [
    [{ HEXA_HTTP_PORT: String(port) }, /in use.*HEXA_HTTP_PORT/s],
    [{ HEXA_MQTT_PORT: String(port) }, /taken.*HEXA_MQTT_PORT/s],
    [{ HEXA_MQTTS_PORT: String(port) }, /taken.*HEXA_MQTTS_PORT/s],
    [{ HEXA_DATA_DIR: join(file, "below") }, /data folder cannot be written.*HEXA_DATA_DIR/s],
    [{ HEXA_HTTP_PROT: "1" }, /HEXA_HTTP_PROT.*HEXA_HTTP_PORT/s],
    [{ HEXA_MQTT_PORT: "many" }, /HEXA_MQTT_PORT.*0 to 65535/s],
    [{ HEXA_HOST: "192.0.2.1" }, /HEXA_HOST/],
    [{ DATABASE_URL: "postgres://127.0.0.1:1/none" }, /database cannot be reached.*DATABASE_URL/s],
    [{ REDIS_URL: "redis://127.0.0.1" }, /REDIS_URL.*without DATABASE_URL/s],
  ];
  for (const [env, said] of cases) {
    const { code, stdout, stderr } = await refusedStart({ HEXA_DATA_DIR: join(folder.path, "data"), ...env });
    assert.equal(code, 3, stderr);
    assert.match(stderr, said);
    assert.doesNotMatch(stderr, /^\s+at /m);
    assert.ok(stderr.trim().split("\n").length <= 2, stderr);
    assert.equal(stdout, "");
  }
});

test("MQTT over TLS takes a replaced certificate without a restart", async () => {
  await using folder = temporaryFolder();
  const [cert, key] = [join(folder.path, "cert.pem"), join(folder.path, "key.pem")];
  const install = async (name: string): Promise<void> => {
    const dir = join(folder.path, name);
    const made = await ensureCertificates({ dir, hostnames: [name] });
    writeFileSync(key, made.key);
    writeFileSync(cert, made.cert);
    copyFileSync(made.caFile, join(folder.path, "ca.pem"));
  };
  await install("first.test");
  await using hub = await startHub({ env: { HEXA_TLS_CERT_FILE: cert, HEXA_TLS_KEY_FILE: key } });
  const { port } = new URL(hub.mqtts);
  const served = async (): Promise<string> => {
    // Who signed it is not the question here.
    const socket = connectTls({ host: "127.0.0.1", port: Number(port), rejectUnauthorized: false });
    await once(socket, "secureConnect");
    const names = socket.getPeerCertificate().subjectaltname ?? "";
    socket.destroy();
    return names;
  };
  assert.match(await served(), /first\.test/);
  await install("second.test");
  await until(async () => /second\.test/.test(await served()), { what: "the new certificate", timeoutMs: 30_000 });
});
