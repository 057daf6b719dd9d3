import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { test } from "node:test";
import { type Check, checkClock, checkNode } from "../../api/cli/checks.ts";
import { SetupError } from "../../core/errors.ts";
import { temporaryFolder } from "../support/wait.ts";
import { hexahub, type Surroundings } from "./command-line.ts";
import { startRecordingHub } from "./recording-hub.ts";

const FREE = { HEXA_HTTP_PORT: "0", HEXA_MQTT_PORT: "0", HEXA_MQTTS_PORT: "0" };

async function examine(surroundings: Surroundings): Promise<{ code: number; find: (name: string) => Check | undefined }> {
  const { code, stdout } = await hexahub(["doctor", "--json"], surroundings);
  const { checks } = JSON.parse(stdout) as { checks: Check[] };
  return { code, find: (name) => checks.find((check) => check.name === name) };
}

test("a machine that is ready and runs no hub yet passes", async () => {
  await using folder = temporaryFolder();
  const { code, find } = await examine({ env: { ...FREE, HEXA_DATA_DIR: path.join(folder.path, "not", "yet") } });
  assert.equal(code, 0);
  assert.equal(find("hub")?.result, "skipped");
  assert.equal(find("data folder")?.result, "ok");
});

test("each finding is a line with its mark, and a failure says how to mend it", async () => {
  await using folder = temporaryFolder();
  await using taken = await listen();
  const { code, stdout } = await hexahub(["doctor"], { env: { ...FREE, HEXA_DATA_DIR: folder.path, HEXA_HTTP_PORT: String(taken.port) } });
  assert.equal(code, 1);
  assert.match(stdout, new RegExp(`^✗ port ${taken.port}: in use by another program\n {2}end it, or set HEXA_HTTP_PORT$`, "m"));
  assert.match(stdout, /^✓ clock: /m);
});

test("a port that the running hub holds is in order, and the hub vouches for its database", async () => {
  await using folder = temporaryFolder();
  await using hub = await startRecordingHub(() => ({ status: 200, body: { status: "ok" } }));
  writeFileSync(path.join(folder.path, "operator.json"), JSON.stringify({ url: hub.url, token: "t", pid: process.pid }), { mode: 0o600 });
  const dbStatus = async () => Promise.reject(new SetupError("in use by another hub", folder.path, "stop it"));
  const { code, find } = await examine({
    env: { ...FREE, HEXA_DATA_DIR: folder.path, HEXA_HTTP_PORT: String(hub.port) },
    actions: { dbStatus },
  });
  assert.equal(find(`port ${hub.port}`)?.detail, "held by the running hub");
  assert.equal(find("database")?.result, "ok");
  assert.equal(find("operator file")?.result, "ok");
  assert.equal(code, 0);
});

test("a hub that answers ill, or lives and does not answer, is a failure; one that is gone is not", async () => {
  await using folder = temporaryFolder();
  await using ill = await startRecordingHub(() => ({ status: 503, body: { code: "unavailable", message: "the database does not work" } }));
  const env = { ...FREE, HEXA_DATA_DIR: folder.path };
  const operatorFile = path.join(folder.path, "operator.json");
  const write = (url: string, pid: number) => writeFileSync(operatorFile, JSON.stringify({ url, token: "t", pid }), { mode: 0o600 });
  write(ill.url, process.pid);
  assert.match((await examine({ env })).find("hub")?.detail ?? "", /503.*the database does not work/);
  write("http://127.0.0.1:9", process.pid);
  assert.equal((await examine({ env })).find("hub")?.result, "failed");
  write("http://127.0.0.1:9", 2 ** 22 + 1);
  assert.equal((await examine({ env })).find("hub")?.result, "skipped");
});

test("an operator file that others can read is a failure", async () => {
  await using folder = temporaryFolder();
  const file = path.join(folder.path, "operator.json");
  writeFileSync(file, JSON.stringify({ url: "http://127.0.0.1:9", token: "t", pid: 2 ** 22 + 1 }));
  chmodSync(file, 0o644);
  const { code, find } = await examine({ env: { ...FREE, HEXA_DATA_DIR: folder.path } });
  assert.equal(code, 1);
  assert.match(find("operator file")?.mend ?? "", /chmod 600/);
});

test("a database that cannot be opened is a failure with the store's own cure", async () => {
  await using folder = temporaryFolder();
  const dbStatus = async () => Promise.reject(new SetupError("the database does not answer", "DATABASE_URL", "start PostgreSQL"));
  const { code, find } = await examine({
    env: { ...FREE, HEXA_DATA_DIR: folder.path, DATABASE_URL: "postgres://127.0.0.1/x" },
    actions: { dbStatus },
  });
  assert.equal(code, 1);
  assert.deepEqual(find("database"), {
    name: "database",
    result: "failed",
    detail: "the database does not answer",
    mend: "start PostgreSQL",
  });
});

test("a check that breaks is a finding, and the others are still printed", async () => {
  await using folder = temporaryFolder();
  const dbStatus = async () => Promise.reject(new TypeError("x is not a function"));
  const { code, find } = await examine({ env: { ...FREE, HEXA_DATA_DIR: folder.path }, actions: { dbStatus } });
  assert.equal(code, 1);
  assert.match(find("database")?.detail ?? "", /x is not a function/);
  assert.equal(find("clock")?.result, "ok");
});

test("a certificate that is no certificate is a failure", async () => {
  await using folder = temporaryFolder();
  const file = path.join(folder.path, "cert.pem");
  writeFileSync(file, "not a certificate");
  const { find } = await examine({ env: { ...FREE, HEXA_DATA_DIR: folder.path, HEXA_TLS_CERT_FILE: file, HEXA_TLS_KEY_FILE: file } });
  assert.equal(find("certificate")?.result, "failed");
});

test("a listener that is off needs no port, and no certificate", async () => {
  const { find } = await examine({ env: { HEXA_MQTT_PLAIN: "off", HEXA_MQTT_TLS: "off", HEXA_MQTTS_PORT: "1" } });
  assert.equal(find("port 1"), undefined);
  assert.match(find("certificate")?.detail ?? "", /HEXA_MQTT_TLS/);
});

test("wrong settings are findings like all others", async () => {
  const { code, find } = await examine({ env: { HEXA_MQTT_PLAIN: "maybe" } });
  assert.equal(code, 1);
  assert.match(find("settings")?.detail ?? "", /HEXA_MQTT_PLAIN/);
});

test("Node below 24 is too old", () => {
  assert.deepEqual(
    ["23.11.1", "24.0.0", "26.1.0"].map((version) => checkNode(version).result),
    ["failed", "ok", "ok"],
  );
});

test("a clock before this release, or away from the hub's, is wrong", () => {
  const now = Date.UTC(2026, 10, 21);
  const results = [checkClock(0, undefined), checkClock(now, undefined), checkClock(now, now - 4000), checkClock(now, now + 60_000)].map(
    ({ result }) => result,
  );
  assert.deepEqual(results, ["failed", "ok", "ok", "failed"]);
});

async function listen(): Promise<AsyncDisposable & { port: number }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
