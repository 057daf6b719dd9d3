import assert from "node:assert/strict";
import { test } from "node:test";
import { SetupError } from "../../core/errors.ts";
import { newId } from "../../core/id.ts";
import { startApi } from "../../api/server.ts";
import { assertEnvelope, OPERATOR, startTestApi } from "./test-api.ts";
import { until } from "../support/wait.ts";

test("/health answers while the database does, and 503 when it does not", async () => {
  await using hub = await startTestApi();
  const well = await hub.ask("GET", "/health");
  assert.deepEqual([well.status, well.json["status"], well.json["version"]], [200, "ok", "0.0.0-test"]);
  await hub.context.store.db.destroy();
  const ill = await hub.ask("GET", "/health");
  assertEnvelope(ill, 503, "unavailable");
  assert.deepEqual(ill.json["details"], { database: "failed", storage: "ok", sessions: 0 });
});

test("/health names the storage among what works, and is 503 while it is full", async () => {
  await using hub = await startTestApi();
  const isWell = async (): Promise<void> => {
    const { status, json } = await hub.ask("GET", "/health");
    assert.deepEqual([status, json["database"], json["storage"]], [200, "ok", "ok"]);
  };
  await isWell();
  hub.storage.isFull = true;
  const full = await hub.ask("GET", "/health");
  assertEnvelope(full, 503, "unavailable");
  assert.deepEqual(full.json["details"], { database: "ok", storage: "full", sessions: 0 });
  hub.storage.isFull = false;
  await isWell();
});

test("/metrics counts requests by route pattern, never by path", async () => {
  await using hub = await startTestApi();
  const id = newId();
  await hub.ask("GET", `/api/v1/devices/${id}`, { token: OPERATOR });
  await hub.ask("GET", `/nowhere/${id}`);
  const { text, headers } = await hub.ask("GET", "/metrics");
  assert.match(headers.get("content-type") ?? "", /^text\/plain/);
  assert.match(text, /hexahub_http_requests_total\{method="GET",route="\/api\/v1\/devices\/:id",status="404"\} 1/);
  assert.match(text, /hexahub_http_requests_total\{method="GET",route="unknown",status="404"\} 1/);
  assert.match(text, /hexahub_http_request_duration_seconds_count\{method="GET",route="\/api\/v1\/devices\/:id"\} 1/);
  assert.ok(!text.includes(id));
});

test("/metrics is for administrators when the asker is not on the hub's machine", async () => {
  await using hub = await startTestApi({ trustProxy: ["127.0.0.1"] });
  const headers = { "x-forwarded-for": "203.0.113.9" };
  assertEnvelope(await hub.ask("GET", "/metrics", { headers }), 401, "unauthorized");
  assert.equal((await hub.ask("GET", "/metrics", { headers, token: OPERATOR })).status, 200);
  const { token } = await hub.member();
  assertEnvelope(await hub.ask("GET", "/metrics", { headers, token }), 403, "forbidden");
});

test("with ENFORCE_HTTPS plain HTTP is 426 for everybody but the hub's own machine", async () => {
  await using hub = await startTestApi({ enforceHttps: true, trustProxy: ["127.0.0.1"] });
  const via = (proto: string) =>
    hub.ask("GET", "/api/v1/devices", { token: OPERATOR, headers: { "x-forwarded-for": "203.0.113.9", "x-forwarded-proto": proto } });
  const plain = await via("http");
  assertEnvelope(plain, 426, "https_required");
  assert.match(plain.headers.get("upgrade") ?? "", /TLS/);
  const secure = await via("https");
  assert.equal(secure.status, 200);
  assert.match(secure.headers.get("strict-transport-security") ?? "", /max-age=31536000/);
  assert.equal((await hub.ask("GET", "/api/v1/devices", { token: OPERATOR })).status, 200);
});

test("every answer carries the security headers, and none opens the API to other origins", async () => {
  await using hub = await startTestApi();
  for (const path of ["/", "/setup", "/docs", "/health", "/nothing"]) {
    const { headers } = await hub.ask("GET", path, { headers: { origin: "https://evil.example", accept: "text/html" } });
    assert.match(headers.get("content-security-policy") ?? "", /default-src 'none';script-src 'self';style-src 'self'/);
    assert.deepEqual(
      [
        headers.get("x-content-type-options"),
        headers.get("access-control-allow-origin"),
        headers.get("strict-transport-security"),
        headers.get("x-powered-by"),
      ],
      ["nosniff", null, null, null],
      path,
    );
  }
});

test("pages have no inline script, no inline style and nothing from elsewhere", async () => {
  await using hub = await startTestApi();
  for (const path of ["/", "/setup", "/docs"]) {
    const page = await hub.ask("GET", path, { headers: { accept: "text/html" } });
    assert.equal(page.status, 200);
    assert.doesNotMatch(page.text, /<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|https?:\/\//);
    for (const [, link = ""] of page.text.matchAll(/(?:src|href)="(\/[^"]+)"/g)) {
      const linked = await hub.ask("GET", link);
      assert.equal(linked.status, 200, link);
      assert.ok(linked.text.length > 10, link);
    }
  }
});

test("a request is logged once, with its route and without its secrets", async () => {
  await using hub = await startTestApi();
  await hub.ask("GET", "/api/v1/devices?search=verysecret", { token: OPERATOR, headers: { "x-request-id": "req-logged" } });
  const lines = hub.logged.filter((line) => line.data["request_id"] === "req-logged");
  assert.deepEqual(
    lines.map(({ level, message, data }) => [level, message, data["method"], data["route"], data["status"]]),
    [["info", "request", "GET", "/api/v1/devices", 200]],
  );
  assert.ok(!JSON.stringify(lines).includes("verysecret") && !JSON.stringify(lines).includes(OPERATOR));
});

test("stopping lets a running request finish and takes no new one", async () => {
  const hub = await startTestApi();
  let finish: () => void = () => undefined;
  hub.commandAnswer.next = (request) =>
    new Promise(
      (resolve) =>
        (finish = () => resolve({ commandId: request.commandId ?? "c1", taskId: null, status: "ok", latencyMs: 1, state: "ON" })),
    );
  const running = hub.ask("POST", `/api/v1/devices/${newId()}/commands`, {
    token: OPERATOR,
    body: { command: "set_relay", relay: 0, state: "ON" },
  });
  await until(() => hub.sent.length === 1, { what: "the command to reach the command path" });
  const stopped = hub[Symbol.asyncDispose]();
  await assert.rejects(fetch(`${hub.api.url}/health`));
  finish();
  const answer = await running;
  assert.deepEqual([answer.status, answer.json["state"]], [200, "ON"]);
  await stopped;
});

test("a port that is taken is a reason not to start", async () => {
  await using hub = await startTestApi();
  const port = Number(new URL(hub.api.url).port);
  await assert.rejects(
    startApi({ ...hub.context, settings: { ...hub.context.settings, port } }),
    (error) => error instanceof SetupError && /in use/.test(error.message),
  );
});
