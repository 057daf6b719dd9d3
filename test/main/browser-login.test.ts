import assert from "node:assert/strict";
import { test } from "node:test";
import { connectAsync, type MqttClient } from "mqtt";
import { ADMIN, startHub, type TestHub } from "../support/hub.ts";
import { freePort } from "../support/services.ts";

const OTHER = "https://app.example";

/** Logs in as a page does, and gives what the browser would send from then on. */
async function browser(hub: TestHub): Promise<string> {
  const { status, headers } = await hub.api.call("POST", "/api/v1/auth/login", { ...ADMIN, cookie: true });
  assert.equal(status, 200);
  return headers.getSetCookie()[0]?.split(";")[0] ?? "";
}

const come = (hub: TestHub, headers: Record<string, string>, options: object = {}): Promise<MqttClient> =>
  connectAsync(hub.ws, { protocolVersion: 5, reconnectPeriod: 0, connectTimeout: 10_000, wsOptions: { headers }, ...options });

test("a page of the hub is logged in over WebSocket by its cookie, until it logs out", async () => {
  await using hub = await startHub();
  const cookie = await browser(hub);
  const origin = hub.http;
  const page = await come(hub, { cookie: `theme=dark; ${cookie}; more=1`, origin });
  const granted = await page.subscribeAsync("hexa-app/+/events/#", { qos: 1 });
  assert.deepEqual(
    granted.map(({ qos }) => qos),
    [1],
  );
  const gone = new Promise((resolve) => page.once("close", () => resolve(undefined)));
  const logout = await hub.api.call("POST", "/api/v1/auth/logout", undefined, { cookie, origin, "x-hexahub-csrf": "1" });
  assert.equal(logout.status, 204);
  await gone;
  await assert.rejects(come(hub, { cookie, origin }), { code: 135 });
});

test("the cookie is worth nothing to a page of another site, to what is no browser, and beside a password", async () => {
  await using hub = await startHub({ env: { HEXA_MQTT_ORIGINS: OTHER } });
  const cookie = await browser(hub);
  const origin = hub.http;
  const worthless: readonly Record<string, string>[] = [
    { cookie, origin: OTHER },
    { cookie },
    { cookie: "session_token=x", origin },
    { origin },
  ];
  for (const headers of worthless)
    await assert.rejects(come(hub, headers), ({ code }: { code: number }) => code === 134 || code === 135, JSON.stringify(headers));
  await assert.rejects(come(hub, { cookie, origin }, { username: ADMIN.email, password: "wrong" }), { code: 134 });
  await (await come(hub, { cookie, origin })).endAsync();
});

test("behind a proxy the public URL's pages are the hub's own", async () => {
  const port = await freePort();
  const env = { HEXA_PUBLIC_URL: "https://hub.example", HEXA_HTTP_PORT: String(port), HEXA_MQTT_ORIGINS: "http://hub.example" };
  await using hub = await startHub({ env });
  hub.api.base = `http://127.0.0.1:${port}`;
  const cookie = await browser(hub);
  const behind = { ...hub, ws: `ws://127.0.0.1:${port}/mqtt` };
  await (await come(behind, { cookie, origin: "https://hub.example" })).endAsync();
  await assert.rejects(come(behind, { cookie, origin: "http://hub.example" }), { code: 135 });
});
