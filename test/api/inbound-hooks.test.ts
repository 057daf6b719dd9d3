import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, test } from "node:test";
import { Webhook as Signer } from "standardwebhooks";
import { newId } from "../../core/id.ts";
import { listEvents } from "../../store/events.ts";
import { databases } from "../support/databases.ts";
import { type Answered, assertEnvelope, startTestApi, type TestApi } from "./test-api.ts";

interface Hook {
  readonly id: string;
  readonly secret: string;
}

for (const { name, skip, open } of databases()) {
  describe(`inbound webhooks on ${name}`, { skip }, () => {
    type Scene = Awaited<ReturnType<typeof sceneOf>>;
    async function inScene(work: (scene: Scene) => Promise<void>, settings = {}): Promise<void> {
      await using database = await open();
      await using hub = await startTestApi(settings, database.url);
      await work(await sceneOf(hub));
    }

    async function sceneOf(hub: TestApi) {
      const owner = await hub.member();
      const ask = (method: string, below: string, body?: object, headers: Record<string, string> = {}): Promise<Answered> =>
        hub.ask(method, `/api/v1${below}`, { token: owner.token, headers, ...(body === undefined ? {} : { body }) });
      const hookOf = async (body: object): Promise<Hook> => {
        const made = await ask("POST", "/inbound-hooks", { name: "Door bell", ...body });
        assert.equal(made.status, 201, made.text);
        return { id: (made.json["hook"] as { id: string }).id, secret: made.json["secret"] as string };
      };
      const call = (id: string, body: string, headers: Record<string, string>): Promise<Answered> =>
        hub.ask("POST", `/api/v1/hooks/${id}`, { body, headers: { "content-type": "application/json", ...headers } });
      const received = async () => {
        const scope = { kind: "organization", organizationId: owner.organizationId } as const;
        return (await listEvents(hub.context.store.db, scope, { limit: 50, types: ["webhook.received"] })).items;
      };
      return { hub, owner, ask, hookOf, call, received };
    }

    const signed = (secret: string, body: string, { id = newId(), at = new Date() } = {}): Record<string, string> => ({
      "webhook-id": id,
      "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
      "webhook-signature": new Signer(secret).sign(id, at, body),
    });
    const sha256 = (secret: string, body: string): string => `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;

    test("whoever proves to know the secret makes an event of the organisation, in each of three ways", async () => {
      await inScene(async ({ hub, hookOf, call, received }) => {
        const [standard, github, token] = [
          await hookOf({ scheme: "standard" }),
          await hookOf({ scheme: "sha256", secret: "a-secret-of-sixteen" }),
          await hookOf({ scheme: "token" }),
        ];
        const body = '{"temperature":21.5,"zones":["a"]}';
        for (const [one, headers] of [
          [standard, signed(standard.secret, body)],
          [github, { "x-hub-signature-256": sha256(github.secret, body) }],
          [token, { "x-hook-token": token.secret }],
        ] as const) {
          const answer = await call(one.id, body, headers);
          assert.equal(answer.status, 202, answer.text);
          const [event] = await received();
          assert.deepEqual(event?.data, {
            hook_id: one.id,
            name: "Door bell",
            content_type: "application/json",
            body: JSON.parse(body) as object,
          });
          assert.deepEqual([event?.id, event?.entityId, event?.actor], [answer.json["event_id"], one.id, { kind: "bridge", id: one.id }]);
        }
        const wrong: [Hook, Record<string, string>][] = [
          [standard, {}],
          [standard, { "x-hook-token": standard.secret }],
          [standard, { "x-hub-signature-256": sha256(standard.secret, body) }],
          [standard, signed(standard.secret, `${body} `)],
          [standard, signed(`whsec_${Buffer.alloc(32, 1).toString("base64")}`, body)],
          [standard, { ...signed(standard.secret, body), "webhook-id": "another" }],
          [standard, { ...signed(standard.secret, body), "webhook-timestamp": "1" }],
          [standard, { ...signed(standard.secret, body), "webhook-timestamp": "soon" }],
          [standard, signed(standard.secret, body, { id: "" })],
          [standard, signed(standard.secret, body, { at: new Date(Date.now() - 301_000) })],
          [standard, signed(standard.secret, body, { at: new Date(Date.now() + 302_000) })],
          [github, { "x-hub-signature-256": sha256(github.secret, "{}") }],
          [github, { "x-hub-signature-256": "" }],
          [github, { "x-hook-token": github.secret }],
          [token, { "x-hook-token": `${token.secret}x` }],
          [token, { "x-hook-token": "" }],
          [token, { authorization: `Bearer ${token.secret}` }],
          [token, signed(token.secret, body)],
        ];
        for (const [one, headers] of wrong) assertEnvelope(await call(one.id, body, headers), 401, "unauthorized");
        // Not in an address, which stands in logs.
        const inQuery = await hub.ask("POST", `/api/v1/hooks/${token.id}?x-hook-token=${token.secret}`, { body });
        assertEnvelope(inQuery, 400, "validation_error");
        assertEnvelope(await call(newId(), body, { "x-hook-token": token.secret }), 404, "not_found");
        assert.equal((await received()).length, 3);
      });
    });

    test("a message that comes again, and many at once, have one effect", async () => {
      await inScene(async ({ hookOf, call, received }) => {
        const { id, secret } = await hookOf({ scheme: "standard" });
        const headers = signed(secret, "{}", { id: "msg_1" });
        const answers = await Promise.all(Array.from({ length: 8 }, () => call(id, "{}", headers)));
        assert.ok(answers.every(({ status }) => status === 202));
        assert.equal(answers.filter(({ json }) => json["is_repeated"] === false).length, 1);
        // Its sender had no answer and signs it anew.
        const later = await call(id, "{}", signed(secret, "{}", { id: "msg_1", at: new Date(Date.now() + 60_000) }));
        assert.deepEqual(later.json, { event_id: null, is_repeated: true });
        assert.equal((await call(id, "{}", signed(secret, "{}", { id: "msg_2" }))).json["is_repeated"], false);
        assert.equal((await received()).length, 2);
      });
    });

    test("JSON, forms and text are read; what is too large, broken or something else is refused", async () => {
      await inScene(async ({ hookOf, call, received, hub }) => {
        const { id, secret } = await hookOf({ scheme: "token" });
        const fields = (count: number): string => Array.from({ length: count }, () => "a=1").join("&");
        const send = (body: string, type: string) => call(id, body, { "x-hook-token": secret, "content-type": type });
        for (const [body, type, expected] of [
          ["[1,null]", "application/vnd.x+json; charset=utf-8", [1, null]],
          ["a=1&b=x+y&a=2&__proto__=z", "application/x-www-form-urlencoded", { a: ["1", "2"], b: "x y", ["__proto__"]: "z" }],
          [fields(1_000), "application/x-www-form-urlencoded", { a: Array.from({ length: 1_000 }, () => "1") }],
          ["Grüße\0", "text/plain", "Grüße\uFFFD"],
          ["", "application/json", null],
        ] as const) {
          assert.equal((await send(body, type)).status, 202, type);
          assert.equal(JSON.stringify((await received())[0]?.data["body"]), JSON.stringify(expected));
        }
        const before = (await received()).length;
        assertEnvelope(await send("{", "application/json"), 400, "bad_json");
        assertEnvelope(await send(`${"[".repeat(100)}${"]".repeat(100)}`, "application/json"), 400, "validation_error");
        assertEnvelope(await send(fields(1_001), "application/x-www-form-urlencoded"), 400, "validation_error");
        assertEnvelope(await send("x", "application/octet-stream"), 415, "unsupported_media_type");
        assertEnvelope(await send("x".repeat(65_537), "text/plain"), 413, "payload_too_large");
        assert.equal((await send("x".repeat(65_536), "text/plain")).status, 202);
        assert.equal((await received()).length, before + 1);
        assert.ok(!JSON.stringify(hub.logged).includes(secret));
      });
    });

    test("while a secret is changed both are right; what is off or gone takes nothing", async () => {
      await inScene(async ({ hub, ask, hookOf, call }) => {
        const { id, secret } = await hookOf({ scheme: "token" });
        const codeWith = async (token: string): Promise<number> => (await call(id, "{}", { "x-hook-token": token })).status;
        const next = (await ask("POST", `/inbound-hooks/${id}/rotate-secret`, {})).json["secret"] as string;
        assert.deepEqual([await codeWith(secret), await codeWith(next)], [202, 202]);
        await hub.context.store.db("inbound_hooks").update({ former_secret_until: new Date(Date.now() - 1).toISOString() });
        assert.deepEqual([await codeWith(secret), await codeWith(next)], [401, 202]);
        const path = `/inbound-hooks/${id}`;
        assertEnvelope(await ask("PATCH", path, { is_active: false }), 428, "precondition_required");
        const etag = (await ask("GET", path)).headers.get("etag") as string;
        const off = await ask("PATCH", path, { is_active: false }, { "if-match": etag });
        assert.equal(off.status, 200);
        assert.equal(await codeWith(next), 404);
        assertEnvelope(await ask("DELETE", path, undefined, { "if-match": etag }), 412, "precondition_failed");
        assert.equal((await ask("DELETE", path, undefined, { "if-match": off.headers.get("etag") as string })).status, 204);
        assertEnvelope(await ask("GET", path), 404, "not_found");
        for (const wrong of [
          { scheme: "standard", secret: "not-a-standard-secret" },
          { scheme: "token", secret: "short" },
          { scheme: "none" },
        ])
          assertEnvelope(await ask("POST", "/inbound-hooks", { name: "x", ...wrong }), 400, "validation_error");
        const [row] = (await hub.context.store.db("inbound_hooks").select()) as object[];
        assert.equal(row, undefined);
      });
    });

    test("whoever calls too often is told to wait, one hook and address at a time", async () => {
      await inScene(
        async ({ hookOf, call }) => {
          const [one, other] = [await hookOf({ scheme: "token" }), await hookOf({ scheme: "token" })];
          const codes: number[] = [];
          for (let count = 0; count < 7; count++) codes.push((await call(one.id, "{}", { "x-hook-token": one.secret })).status);
          assert.deepEqual(codes, [202, 202, 202, 202, 202, 429, 429]);
          const refused = await call(one.id, "{}", { "x-hook-token": "a guess" });
          assertEnvelope(refused, 429, "rate_limited");
          assert.ok(Number(refused.headers.get("retry-after")) > 0);
          assert.equal((await call(other.id, "{}", { "x-hook-token": other.secret })).status, 202);
        },
        { hookRate: 5 },
      );
    });
  });
}
