import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { directive, endpointsIn, errorIn, grantOf, stateIn } from "../support/alexa-directives.ts";
import { type AlexaMessage, assertAlexa } from "../support/alexa-rules.ts";
import { startAlexaScene } from "./alexa-scene.ts";

const LAMBDA = new URL("../../bridges/alexa/lambda.mjs", import.meta.url);
const RUNTIME = `
  const { handler } = await import(${JSON.stringify(LAMBDA.href)});
  process.stdin.setEncoding("utf8");
  let text = "";
  for await (const part of process.stdin) text += part;
  process.stdout.write(JSON.stringify(await handler(JSON.parse(text))));
`;

/** As AWS runs it: a process of its own, with nothing but the file and the variable. */
async function invoke(hubUrl: string, message: object): Promise<{ answer: AlexaMessage; log: string; ms: number }> {
  const began = performance.now();
  const child = spawn(process.execPath, ["--input-type=module", "--eval", RUNTIME], { env: { HUB_URL: hubUrl } });
  let out = "";
  let log = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => (out += part));
  child.stderr.setEncoding("utf8").on("data", (part: string) => (log += part));
  child.stdin.end(JSON.stringify(message));
  const [code] = (await once(child, "close")) as [number];
  assert.equal(code, 0, log);
  return { answer: assertAlexa(JSON.parse(out)), log, ms: performance.now() - began };
}

async function serverOf(listener: RequestListener): Promise<{ url: string } & AsyncDisposable> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

test("the Lambda hands directives on to the hub, and its answers back", async () => {
  await using scene = await startAlexaScene();
  const { hub, uid, token } = scene;
  const found = await invoke(hub.http, directive("Alexa.Discovery.Discover", { token }));
  assert.equal(endpointsIn(found.answer).length, 8);
  const on = directive("Alexa.PowerController.TurnOn", { token, endpointId: `${uid}:relay:0` });
  const { answer, log } = await invoke(hub.http, on);
  assert.equal(stateIn(answer)["PowerController.powerState"], "ON");
  assert.equal(answer.event.header.correlationToken, on.directive.header.correlationToken);
  assert.ok(!log.includes(token));
  const empty = directive("Alexa.PowerController.TurnOn", { token, endpointId: "x".repeat(300) });
  delete (empty.directive as { endpoint?: unknown }).endpoint;
  assert.equal(
    errorIn((await invoke(hub.http, { ...empty, directive: { ...empty.directive, payload: "none" } })).answer),
    "INVALID_DIRECTIVE",
  );
});

test("the Lambda answers for a hub that is away, slow or in trouble, before Alexa's 8 s are over", async () => {
  const on = directive("Alexa.PowerController.TurnOn", { token: "hxp_secret", endpointId: "relay-123456:relay:0" });
  const closed = await serverOf(() => undefined);
  await closed[Symbol.asyncDispose]();
  const away = await invoke(closed.url, on);
  assert.equal(errorIn(away.answer), "BRIDGE_UNREACHABLE");
  assert.equal(away.answer.event.header.correlationToken, on.directive.header.correlationToken);
  assert.match(away.log, /ECONNREFUSED/);
  assert.ok(!away.log.includes("hxp_secret"));
  assert.equal(errorIn((await invoke(closed.url, grantOf("code", "hxp_secret"))).answer), "ACCEPT_GRANT_FAILED");
  assert.equal(errorIn((await invoke(closed.url, directive("Alexa.Discovery.Discover"))).answer), "BRIDGE_UNREACHABLE");

  await using silent = await serverOf(() => undefined);
  const slow = await invoke(silent.url, on);
  assert.equal(errorIn(slow.answer), "BRIDGE_UNREACHABLE");
  assert.ok(slow.ms < 8_000, `${slow.ms} ms`);

  for (const [status, type] of [
    [429, "RATE_LIMIT_EXCEEDED"],
    [500, "INTERNAL_ERROR"],
    [503, "BRIDGE_UNREACHABLE"],
  ] as const) {
    await using broken = await serverOf((_request, response) => void response.writeHead(status).end("<html>"));
    assert.equal(errorIn((await invoke(broken.url, on)).answer), type);
  }
  await using elsewhere = await serverOf((_request, response) => void response.writeHead(302, { location: closed.url }).end());
  assert.equal(errorIn((await invoke(elsewhere.url, on)).answer), "BRIDGE_UNREACHABLE");
});
