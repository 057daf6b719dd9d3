import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Webhook as Verifier } from "standardwebhooks";
import { openStore } from "../../store/open.ts";
import { rowsOf } from "../../store/sql.ts";
import { databases } from "../support/databases.ts";
import { startHookReceiver } from "../support/hook-receiver.ts";
import { spawnHub, startHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";

const ALLOWED = { HEXA_OUTBOUND_ALLOW: "127.0.0.1/32" };

for (const { name, skip, open } of databases())
  describe(`${name}: a whole hub with webhooks`, { skip }, () => {
    test("killed between sending and noting, it sends again under the same id, and loses nothing that was committed", {
      timeout: 120_000,
    }, async () => {
      await using database = await open();
      await using folder = temporaryFolder();
      await using target = await startHookReceiver();
      const options = { dataDir: folder.path, databaseUrl: database.url, env: ALLOWED };
      const secrets: string[] = [];
      {
        await using hub = await spawnHub(options);
        await hub.api.login();
        const made = await hub.api.call<{ secret: string }>("POST", "/api/v1/webhooks", {
          name: "x",
          url: target.url,
          events: ["device.registered"],
        });
        assert.equal(made.status, 201, JSON.stringify(made.body));
        secrets.push(made.body.secret);
        // It has the message, and the hub does not know: two are under way, and four wait.
        target.answer = () => undefined;
        for (let count = 0; count < 6; count++) await hub.api.addDevice({ name: `lamp ${count}` });
        await until(() => target.received.length === 2, { what: "two messages" });
        await hub.kill9();
      }
      const before = target.received.map(({ headers }) => headers["webhook-id"]);
      target.answer = (response) => void response.writeHead(204).end();
      {
        // The leases of the hub that died end by time, which this test has not.
        await using store = await openStore({ dataDir: folder.path, databaseUrl: database.url });
        const past = new Date(Date.now() - 1_000).toISOString();
        const [leased] = await rowsOf<{ n: number }>(store.db, "select count(*) as n from timers where kind = 'webhook_delivery'");
        assert.ok(Number(leased?.n) >= 3, "nothing would wake the next hub");
        await store.db("timers").where({ kind: "webhook_delivery" }).update({ due_at: past });
        await store.db("webhook_deliveries").where({ status: "pending" }).update({ next_attempt_at: past });
      }
      await using hub = await spawnHub(options);
      await until(() => new Set(target.received.map(({ headers }) => headers["webhook-id"])).size === 6, {
        what: "all six",
        timeoutMs: 30_000,
      });
      const ids = target.received.map(({ headers }) => headers["webhook-id"]);
      for (const id of before) assert.equal(ids.filter((one) => one === id).length, 2, String(id));
      assert.equal(ids.length, 8);
      for (const { body, headers } of target.received) {
        const event = new Verifier(secrets[0] as string).verify(body, headers as Record<string, string>) as { type: string };
        assert.equal(event.type, "device.registered");
      }
      await hub.api.login();
      await until(
        async () => {
          const { body } = await hub.api.call<{ data: { id: string }[] }>("GET", "/api/v1/webhooks");
          const path = `/api/v1/webhooks/${body.data[0]?.id}/deliveries`;
          const { body: all } = await hub.api.call<{ data: { status: string }[] }>("GET", path);
          return all.data.length === 6 && all.data.every(({ status }) => status === "delivered");
        },
        { what: "six that were delivered" },
      );
    });

    test("what one hub sends another takes, and nothing of it goes round", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url, env: ALLOWED });
      await hub.api.login();
      const inbound = await hub.api.call<{ hook: { path: string }; secret: string }>("POST", "/api/v1/inbound-hooks", {
        name: "mirror",
        scheme: "token",
      });
      // The hub is its own receiver: the signature is another one's, so that the door stays shut.
      const wrong = await hub.api.call<{ webhook: { id: string }; secret: string }>("POST", "/api/v1/webhooks", {
        name: "mirror",
        url: `${hub.http}${inbound.body.hook.path}`,
        events: ["*"],
      });
      assert.equal(wrong.status, 201, JSON.stringify(wrong.body));
      const mine = await hub.api.call<{ hook: { path: string; id: string } }>("POST", "/api/v1/inbound-hooks", {
        name: "mirror",
        scheme: "standard",
        secret: wrong.body.secret,
      });
      const etag = (await hub.api.call("GET", `/api/v1/webhooks/${wrong.body.webhook.id}`)).headers.get("etag") as string;
      const url = `${hub.http}${mine.body.hook.path}`;
      const turned = await hub.api.call("PATCH", `/api/v1/webhooks/${wrong.body.webhook.id}`, { url }, { "if-match": etag });
      assert.equal(turned.status, 200, JSON.stringify(turned.body));
      const { id } = await hub.api.addDevice();
      const eventsOf = async (type: string) =>
        (await hub.api.call<{ data: { data: { body: { type: string; subject: string } } }[] }>("GET", `/api/v1/events?type=${type}`)).body
          .data;
      const path = `/api/v1/webhooks/${wrong.body.webhook.id}/deliveries`;
      type Sent = { readonly data: { readonly event_type: string; readonly status: string }[] };
      const sent = await until(
        async () => {
          const { body } = await hub.api.call<Sent>("GET", path);
          return body.data.length > 0 && body.data.every(({ status }) => status === "delivered") && body;
        },
        { what: "what is delivered" },
      );
      assert.ok(sent.data.every(({ event_type: type }) => !type.startsWith("webhook.")));
      const received = await eventsOf("webhook.received");
      assert.equal(received.length, sent.data.length);
      assert.ok(received.every(({ data }) => data.body.subject === id && data.body.type.startsWith("device.")));
    });
  });
