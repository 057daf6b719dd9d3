import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { isPermission } from "../../core/permissions.ts";
import { ROUTES } from "../../api/routes.ts";
import { newId } from "../../core/id.ts";
import { assertEnvelope, OPERATOR, PROVISION_KEY, startTestApi, type TestApi } from "./test-api.ts";

describe("errors", () => {
  let hub: TestApi;
  before(async () => {
    hub = await startTestApi();
  });
  after(() => hub[Symbol.asyncDispose]());

  test("an unknown path is not_found, a known one with another method names what it takes", async () => {
    assertEnvelope(await hub.ask("GET", "/api/v1/nothing"), 404, "not_found");
    const wrong = await hub.ask("PUT", "/api/v1/devices");
    assertEnvelope(wrong, 405, "method_not_allowed");
    assert.deepEqual(wrong.headers.get("allow")?.split(", ").toSorted(), ["GET", "HEAD", "POST"]);
    assertEnvelope(await hub.ask("OPTIONS", "/api/v1/devices"), 405, "method_not_allowed");
  });

  test("a body that is no JSON, too large, of another type or compressed is refused", async () => {
    const login = (body: string, headers: Record<string, string> = {}) => hub.ask("POST", "/api/v1/auth/login", { body, headers });
    assertEnvelope(await login("{"), 400, "bad_json");
    assertEnvelope(await login("x".repeat(1_048_577)), 413, "payload_too_large");
    assertEnvelope(await login("{}", { "content-type": "text/plain" }), 415, "unsupported_media_type");
    assertEnvelope(await login("{}", { "content-type": "application/json; charset=latin1" }), 415, "unsupported_media_type");
    assertEnvelope(await login("{}", { "content-encoding": "gzip" }), 415, "unsupported_media_type");
    assertEnvelope(await login(""), 400, "validation_error");
    assertEnvelope(await login('{"email":"a@b.c","password":"\\u0000"}'), 400, "validation_error");
    assertEnvelope(await login('{"email":"a@b.c","password":"\\ud800"}'), 400, "validation_error");
  });

  test("a chunked body is cut at the limit as well", async () => {
    const chunk = new Uint8Array(65_536).fill(0x20);
    const stream = new ReadableStream({
      start(controller) {
        for (let sent = 0; sent < 17; sent++) controller.enqueue(chunk);
        controller.close();
      },
    });
    const init: RequestInit & { duplex: "half" } = {
      method: "POST",
      body: stream,
      duplex: "half",
      headers: { "content-type": "application/json" },
    };
    const response = await fetch(`${hub.api.url}/api/v1/auth/login`, init);
    assert.equal(response.status, 413);
    assert.equal(((await response.json()) as { code: string }).code, "payload_too_large");
  });

  test("unknown fields and unknown query parameters are named", async () => {
    const field = await hub.ask("POST", "/api/v1/auth/login", { body: { email: "a@b.c", password: "x", remember: true } });
    assertEnvelope(field, 400, "validation_error");
    assert.match(JSON.stringify(field.json["details"]), /remember/);
    const parameter = await hub.ask("GET", "/api/v1/devices?colour=red", { token: OPERATOR });
    assertEnvelope(parameter, 400, "validation_error");
    assert.match(JSON.stringify(parameter.json["details"]), /colour/);
    assertEnvelope(await hub.ask("GET", "/api/v1/devices?limit=201", { token: OPERATOR }), 400, "validation_error");
    assertEnvelope(await hub.ask("GET", "/api/v1/devices?limit=1&limit=2", { token: OPERATOR }), 400, "validation_error");
    assertEnvelope(await hub.ask("GET", "/api/v1/devices?search=%00", { token: OPERATOR }), 400, "validation_error");
  });

  test("whatever is wrong with a large body, the answer is small", async () => {
    const unknown = Object.fromEntries(Array.from({ length: 60_000 }, (_, index) => [`member${index}`, 1]));
    const scene = { name: "x", commands: Array.from({ length: 300_000 }, () => ({})) };
    const { token } = await hub.member();
    for (const [path, body] of [
      ["/api/v1/auth/login", { email: "a@b.c", password: "x", ...unknown }],
      ["/api/v1/scenes", scene],
    ] as const) {
      const answer = await hub.ask("POST", path, { token, body });
      assertEnvelope(answer, 400, "validation_error");
      assert.ok(answer.text.length < 2_000, `${answer.text.length} characters`);
    }
  });

  test("RFC 9457 is for those who ask for it", async () => {
    const answer = await hub.ask("GET", "/api/v1/nothing", { headers: { accept: "application/problem+json" } });
    assert.match(answer.headers.get("content-type") ?? "", /^application\/problem\+json/);
    const { request_id, ...rest } = answer.json;
    assert.deepEqual(rest, {
      type: "urn:hexahub:error:not_found",
      title: "There is no such thing, or it is not yours to see",
      status: 404,
      detail: "there is no such path",
      code: "not_found",
      details: null,
    });
    assert.equal(request_id, answer.headers.get("x-request-id"));
  });

  test("a request id is taken over where it is one, and made where it is not", async () => {
    const given = await hub.ask("GET", "/health", { headers: { "x-request-id": "req-abc123" } });
    assert.equal(given.headers.get("x-request-id"), "req-abc123");
    const made = await hub.ask("GET", "/health", { headers: { "x-request-id": 'a b"c' } });
    assert.match(made.headers.get("x-request-id") ?? "", /^req-[0-9a-f-]{36}$/);
  });

  test("a bug answers without its message and stands in the log", async () => {
    hub.commandAnswer.next = () => Promise.reject(new TypeError("secret internals"));
    const answer = await hub.ask("POST", `/api/v1/devices/${newId()}/commands`, { token: OPERATOR, body: { command: "identify" } });
    assertEnvelope(answer, 500, "internal_error");
    assert.doesNotMatch(answer.text, /secret internals/);
    const line = hub.logged.find((one) => one.level === "error" && one.data["request_id"] === answer.json["request_id"]);
    assert.match(String(line?.data["err"]), /secret internals/);
  });

  test("bytes that are no HTTP get an answer of the same kind", async () => {
    const socket = connect(Number(new URL(hub.api.url).port), "127.0.0.1");
    await once(socket, "connect");
    socket.write("HELO there\r\n\r\n");
    let text = "";
    for await (const chunk of socket) text += String(chunk);
    assert.match(text, /^HTTP\/1\.1 400 /);
    assert.equal((JSON.parse(text.slice(text.indexOf("{"))) as { code: string }).code, "validation_error");
  });

  test("a path that cannot be decoded is an ordinary error", async () => {
    assertEnvelope(await hub.ask("GET", "/api/v1/devices/%E0%A4%A", { token: OPERATOR }), 400, "validation_error");
  });
});

describe("every route", () => {
  let hub: TestApi;
  before(async () => {
    hub = await startTestApi();
  });
  after(() => hub[Symbol.asyncDispose]());

  const fill = (path: string) =>
    path
      .replace(":version", "1")
      .replace(/(sensors|series)\/:key/, "$1/none")
      .replace(/:\w+/g, () => newId());
  /** They are a person's, and the operator is none. */
  const isPersonal = (path: string) => path.startsWith("/api/v1/notifications");
  /** It takes what others send, as they send it. */
  const isForeign = (path: string) => path.startsWith("/api/v1/hooks/");
  const credentials = { "x-provision-key": PROVISION_KEY };

  for (const route of ROUTES) {
    const path = fill(route.path);
    if (route.access !== "none") {
      test(`${route.method} ${route.path} refuses a stranger`, async () => {
        const stranger = await hub.ask(route.method, path, { token: "hxp_wrong", ...(route.body === undefined ? {} : { body: {} }) });
        assertEnvelope(stranger, 401, "unauthorized");
        assert.match(stranger.headers.get("www-authenticate") ?? "", /^Bearer/);
        assertEnvelope(await hub.ask(route.method, path), 401, "unauthorized");
      });
    }
    if (route.access === "platform" || isPermission(route.access)) {
      test(`${route.method} ${route.path} refuses who may nothing`, async () => {
        const { token } = await hub.member("user", route.access === "platform" ? "owner" : null);
        assertEnvelope(await hub.ask(route.method, path, { token }), 403, "forbidden");
      });
    }
    if (route.access === "device") continue;
    test(`${route.method} ${route.path} names an unknown query parameter`, async () => {
      const answer = await hub.ask(route.method, `${path}?bogus=1`, {
        token: OPERATOR,
        headers: credentials,
        ...(route.bodyExample === undefined ? {} : { body: route.bodyExample }),
      });
      assertEnvelope(answer, 400, "validation_error");
    });
    if (route.method === "GET" || isForeign(route.path)) continue;
    // A file is read for those alone who may have it kept (ir-codes.test.ts).
    if (!route.raw)
      test(`${route.method} ${route.path} refuses bodies that are not its own`, async () => {
        for (const body of [[], 5, "null", { bogus: 1 }]) {
          assertEnvelope(await hub.ask(route.method, path, { token: OPERATOR, headers: credentials, body }), 400, "validation_error");
        }
        assertEnvelope(await hub.ask(route.method, path, { token: OPERATOR, headers: credentials, body: "{" }), 400, "bad_json");
      });
    // Whether a commanded device exists is for the command path to say.
    if (route.path.includes(":id") && !route.path.endsWith("/commands") && !isPersonal(route.path)) {
      test(`${route.method} ${route.path} does not find what is not there`, async () => {
        const answer = await hub.ask(route.method, path, {
          token: OPERATOR,
          ...(route.bodyExample === undefined ? {} : { body: route.bodyExample }),
          ...(route.path.endsWith("/revoke") ? { body: {} } : {}),
        });
        assertEnvelope(answer, 404, "not_found");
      });
    }
  }
});
