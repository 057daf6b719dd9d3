import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../support/wait.ts";
import { hexahub } from "./command-line.ts";
import { startRecordingHub } from "./recording-hub.ts";

const EMPTY_PAGE = { data: [], next_cursor: null };

function writeOperatorFile(dataDir: string, content: unknown): void {
  mkdirSync(dataDir, { recursive: true });
  writeFileSync(path.join(dataDir, "operator.json"), typeof content === "string" ? content : JSON.stringify(content), { mode: 0o600 });
}

test("finds the hub that runs on the data folder, with the operator's token", async () => {
  await using hub = await startRecordingHub(() => ({ status: 200, body: EMPTY_PAGE }));
  await using folder = temporaryFolder();
  writeOperatorFile(folder.path, { url: hub.url, token: "operator-secret", pid: process.pid });
  const { code } = await hexahub(["device", "list"], { env: { HEXA_DATA_DIR: folder.path } });
  assert.equal(code, 0);
  assert.equal(hub.requests[0]?.authorization, "Bearer operator-secret");
});

test("HEXA_URL and HEXA_TOKEN win over the data folder, --url and --token-file over both", async () => {
  await using hub = await startRecordingHub(() => ({ status: 200, body: EMPTY_PAGE }));
  await using other = await startRecordingHub(() => ({ status: 200, body: EMPTY_PAGE }));
  await using folder = temporaryFolder();
  writeOperatorFile(folder.path, { url: "http://127.0.0.1:9", token: "operator-secret", pid: 1 });
  const env = { HEXA_DATA_DIR: folder.path, HEXA_URL: hub.url, HEXA_TOKEN: "from-environment" };
  assert.equal((await hexahub(["device", "list"], { env })).code, 0);
  const file = path.join(folder.path, "token");
  writeFileSync(file, "from-file\n");
  assert.equal((await hexahub(["device", "list", "--url", other.url, "--token-file", file], { env })).code, 0);
  assert.equal((await hexahub(["--url", other.url, "--token-file", "-", "device", "list"], { env, stdin: "from-stdin\n" })).code, 0);
  assert.deepEqual(
    hub.requests.map(({ authorization }) => authorization),
    ["Bearer from-environment"],
  );
  assert.deepEqual(
    other.requests.map(({ authorization }) => authorization),
    ["Bearer from-file", "Bearer from-stdin"],
  );
});

test("the operator's token never goes to another address", async () => {
  await using hub = await startRecordingHub(() => ({ status: 200, body: EMPTY_PAGE }));
  await using folder = temporaryFolder();
  writeOperatorFile(folder.path, { url: "http://127.0.0.1:9", token: "operator-secret", pid: 1 });
  const { code, stderr } = await hexahub(["device", "list", "--url", hub.url], { env: { HEXA_DATA_DIR: folder.path } });
  assert.equal(code, 5);
  assert.match(stderr, /HEXA_TOKEN/);
  assert.equal(hub.requests.length, 0);
});

test("a token does not follow a redirect", async () => {
  await using elsewhere = await startRecordingHub(() => ({ status: 200, body: EMPTY_PAGE }));
  await using hub = await startRecordingHub(() => ({ status: 302, headers: { location: elsewhere.url } }));
  assert.equal((await hexahub(["device", "list"], { env: { HEXA_URL: hub.url, HEXA_TOKEN: "t" } })).code, 69);
  assert.equal(elsewhere.requests.length, 0);
});

test("ends with 69 when no hub runs, when nothing answers, and when what answers is no hub", async () => {
  await using folder = temporaryFolder();
  const env = { HEXA_DATA_DIR: folder.path };
  const none = await hexahub(["device", "list"], { env });
  assert.equal(none.code, 69);
  assert.match(none.stderr, /hexahub serve/);
  const gone = await startRecordingHub(() => ({ status: 200 }));
  await gone[Symbol.asyncDispose]();
  writeOperatorFile(folder.path, { url: gone.url, token: "t", pid: process.pid });
  const refused = await hexahub(["device", "list", "--json"], { env });
  assert.equal(refused.code, 69);
  assert.equal(JSON.parse(refused.stderr).code, "unreachable");
  await using stranger = await startRecordingHub(() => ({ status: 200, text: "<html>" }));
  assert.equal((await hexahub(["device", "list"], { env: { HEXA_URL: stranger.url, HEXA_TOKEN: "t" } })).code, 69);
});

test("a damaged operator.json is said to be damaged", async () => {
  await using folder = temporaryFolder();
  writeOperatorFile(folder.path, "{");
  const { code, stderr } = await hexahub(["device", "list"], { env: { HEXA_DATA_DIR: folder.path } });
  assert.equal(code, 1);
  assert.match(stderr, /operator\.json is not what a hub writes/);
});

for (const [status, envelope, expected] of [
  [404, "not_found", 4],
  [401, "unauthorized", 5],
  [403, "forbidden", 5],
  [409, "device_offline", 1],
  [504, "command_timeout", 1],
  [400, "validation_error", 1],
  [503, "unavailable", 69],
] as const) {
  test(`an answer ${status} ${envelope} ends with code ${expected} and prints code, message and request`, async () => {
    await using hub = await startRecordingHub(() => ({
      status,
      body: { code: envelope, message: "as the hub says it", details: null, request_id: "req-7" },
    }));
    const env = { HEXA_URL: hub.url, HEXA_TOKEN: "t" };
    const { code, stdout, stderr } = await hexahub(["device", "cmd", "relay-0000000001", "relay", "0", "on"], { env });
    assert.equal(code, expected);
    assert.equal(stdout, "");
    assert.equal(stderr, `✗ ${envelope}: as the hub says it\n  request req-7\n`);
    const json = await hexahub(["device", "show", "relay-0000000001", "--json"], { env });
    assert.deepEqual(JSON.parse(json.stderr), { code: envelope, message: "as the hub says it", details: null, request_id: "req-7" });
  });
}
