import assert from "node:assert/strict";
import { test } from "node:test";
import { OPERATOR, startTestApi } from "./test-api.ts";

const APP = "https://app.example";
const preflight = { "access-control-request-method": "PATCH", "access-control-request-headers": "authorization,if-match" };

test("no page of another site may ask, unless its origin is a setting", async () => {
  await using closed = await startTestApi();
  await using open = await startTestApi({ apiOrigins: [APP] });
  const allowed = async (hub: typeof open, origin: string): Promise<(string | null)[]> => {
    const asked = await hub.ask("GET", "/api/v1/devices", { token: OPERATOR, headers: { origin } });
    const first = await hub.ask("OPTIONS", "/api/v1/devices", { headers: { origin, ...preflight } });
    return [asked, first].map(({ headers }) => headers.get("access-control-allow-origin"));
  };
  assert.deepEqual(await allowed(closed, APP), [null, null]);
  assert.deepEqual(await allowed(open, "https://app.example.evil"), [null, null]);
  assert.deepEqual(await allowed(open, "null"), [null, null]);
  assert.deepEqual(await allowed(open, APP), [APP, APP]);
});

test("a page that may ask reads versions and limits, errors too, and gets no cookie's rights", async () => {
  await using hub = await startTestApi({ apiOrigins: [APP] });
  const first = await hub.ask("OPTIONS", "/api/v1/devices", { headers: { origin: APP, ...preflight } });
  assert.equal(first.status, 204);
  assert.match(first.headers.get("access-control-allow-headers") ?? "", /\bif-match\b/);
  assert.match(first.headers.get("access-control-allow-methods") ?? "", /\bPATCH\b/);
  const refused = await hub.ask("GET", "/api/v1/devices", { headers: { origin: APP } });
  assert.equal(refused.status, 401);
  for (const { headers } of [first, refused]) {
    assert.equal(headers.get("access-control-allow-origin"), APP);
    assert.equal(headers.get("access-control-allow-credentials"), null);
    assert.match(headers.get("vary") ?? "", /origin/i);
  }
  assert.match(refused.headers.get("access-control-expose-headers") ?? "", /\betag\b/);
});
