import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Webhook as Verifier } from "standardwebhooks";
import { newId } from "../../core/id.ts";
import { listAudit } from "../../store/audit.ts";
import { rowsOf } from "../../store/sql.ts";
import { PLATFORM } from "../../core/principal.ts";
import { databases } from "../support/databases.ts";
import type { ReceivedHook } from "../support/hook-receiver.ts";
import { until } from "../support/wait.ts";
import { assertEnvelope } from "./test-api.ts";
import { openWebhookScene, type WebhookScene } from "./webhooks-scene.ts";

const verified = (secret: string, { body, headers }: ReceivedHook): Record<string, unknown> =>
  new Verifier(secret).verify(body, headers as Record<string, string>) as Record<string, unknown>;
const DAY_MS = 86_400_000;

for (const { name, skip, open } of databases()) {
  describe(`webhooks on ${name}`, { skip }, () => {
    async function inScene(work: (scene: WebhookScene) => Promise<void>, gate = {}): Promise<void> {
      await using database = await open();
      await using scene = await openWebhookScene(database, gate);
      await work(scene);
    }

    test("each event that matches arrives as a CloudEvent that another library verifies, and no other", async () => {
      await inScene(async ({ hub, ask, receiver, webhook, happen, ended }) => {
        const target = await receiver();
        const added = await ask("POST", "/devices", { name: "Lamp", device_class: "relay_controller" });
        const lamp = added.json["device"] as { id: string; uid: string };
        const all = await webhook(target.url);
        const ofLamp = await webhook(target.url, { events: ["device.*"], devices: [lamp.uid] });
        const commands = await webhook(target.url, { events: ["command.completed"] });
        const off = await webhook(target.url, { is_active: false });
        const quiet = await receiver();
        const onRequest = await webhook(quiet.url, { events: ["device.flapping"] });
        const stranger = await hub.member();

        const [online] = await happen("device.online", { entityId: lamp.id });
        await happen("device.offline", { entityId: newId() });
        await happen("command.completed", { entityId: lamp.id });
        await happen("device.online", { organizationId: stranger.organizationId });
        await happen("webhook.received");
        await happen("webhook.disabled");
        await happen("webhook.requested");
        const asked = await happen("webhook.requested", { data: { webhook_id: onRequest.id, data: { text: "hello" } } });
        await happen("webhook.requested", { data: { webhook_id: onRequest.id }, organizationId: stranger.organizationId });
        assert.equal((await ended(all.id, 3)).length, 3);
        assert.deepEqual(
          (await ended(ofLamp.id, 1)).map((one) => one["event_id"]),
          [online?.id],
        );
        assert.deepEqual(
          (await ended(commands.id, 1)).map((one) => one["event_type"]),
          ["command.completed"],
        );
        assert.deepEqual(await ended(off.id, 0), []);
        assert.deepEqual(
          (await ended(onRequest.id, 1)).map((one) => one["event_id"]),
          asked.map(({ id }) => id),
        );
        assert.deepEqual([target.received.length, quiet.received.length], [5, 1]);

        const secrets = new Map([all, ofLamp, commands].map(({ id, secret }) => [id, secret]));
        const ids = new Map<string, string>();
        for (const [id] of secrets) for (const one of await ended(id, 1)) ids.set(one["id"] as string, id);
        for (const one of target.received) {
          const secret = secrets.get(ids.get(one.headers["webhook-id"] as string) ?? "") as string;
          const event = verified(secret, one);
          assert.deepEqual([event["specversion"], typeof event["id"]], ["1.0", "string"]);
          assert.match(one.headers["content-type"] ?? "", /^application\/cloudevents\+json/);
          assert.throws(() => verified(secret, { ...one, body: `${one.body} ` }));
          assert.throws(() => verified(commands.secret === secret ? all.secret : commands.secret, one));
        }
        const audit = JSON.stringify((await listAudit(hub.context.store.db, PLATFORM, { limit: 200 })).items);
        assert.ok(audit.includes("webhook.create") && !audit.includes("whsec_") && !audit.includes("/hook"), audit);
        const [row] = await rowsOf<object>(hub.context.store.db, "select * from webhooks where id = ?", [all.id]);
        assert.ok(!JSON.stringify(row).includes(all.secret.slice(6)), "the secret stands in the database");
      });
    });

    test("while a secret is changed both sign; a day later only the new one", async () => {
      await inScene(async ({ hub, ask, receiver, webhook, ended }) => {
        const target = await receiver();
        const { id, secret: first } = await webhook(target.url);
        const rotate = async (): Promise<string> => (await ask("POST", `/webhooks/${id}/rotate-secret`)).json["secret"] as string;
        const tryOut = async (count: number): Promise<ReceivedHook> => {
          assert.equal((await ask("POST", `/webhooks/${id}/test`)).status, 202);
          await ended(id, count);
          return target.received.at(-1) as ReceivedHook;
        };
        const second = await rotate();
        assert.match(second, /^whsec_[A-Za-z0-9+/]{43}=$/);
        const both = await tryOut(1);
        assert.equal(verified(first, both)["type"], "webhook.test");
        verified(second, both);
        assert.equal(String(both.headers["webhook-signature"]).split(" ").length, 2);
        await hub.context.store.db("webhooks").update({ former_secret_until: new Date(Date.now() - 1).toISOString() });
        const alone = await tryOut(2);
        verified(second, alone);
        assert.throws(() => verified(first, alone));
        const third = await rotate();
        const last = await tryOut(3);
        verified(second, last);
        verified(third, last);
        assert.throws(() => verified(first, last));
      });
    });

    test("what fails is sent again under the same id, later each time, until it is dead; then it can be replayed", async () => {
      await inScene(
        async ({ hub, ask, receiver, webhook, happen, deliveries, ended, skipWaits }) => {
          const target = await receiver();
          target.answer = (response) => void response.writeHead(302, { location: target.url }).end();
          const { id } = await webhook(target.url);
          await happen("device.online");
          const waits: number[] = [];
          for (let attempt = 1; attempt <= 9; attempt++) {
            const failures = () => hub.context.store.db("webhooks").where({ id, failure_count: attempt });
            await until(async () => (await failures()).length === 1, { what: `attempt ${attempt}` });
            const [noted] = await deliveries(id);
            waits.push(Date.parse(String(noted?.["next_attempt_at"])) - hub.context.timers.now());
            assert.deepEqual([noted?.["attempts"], noted?.["error"]], [attempt, "the receiver answered 302"]);
            await skipWaits();
          }
          const [dead] = await ended(id, 1);
          assert.deepEqual([dead?.["status"], dead?.["attempts"], dead?.["response_status"]], ["dead", 10, 302]);
          const planned = [5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800].map((s) => s * 1_000);
          for (const [index, wait] of waits.entries()) {
            const base = planned[index] as number;
            assert.ok(wait > base * 0.8 - 2_000 && wait < base * 1.2 + 100, `wait ${index}: ${wait} of ${base}`);
          }
          assert.equal(new Set(target.received.map(({ headers }) => headers["webhook-id"])).size, 1);

          target.answer = (response) => void response.writeHead(200).end();
          const since = new Date(Date.now() - 60_000).toISOString();
          assert.deepEqual((await ask("POST", `/webhooks/${id}/replay`, { since: new Date(Date.now() + 60_000).toISOString() })).json, {
            replayed: 0,
          });
          assert.deepEqual((await ask("POST", `/webhooks/${id}/replay`, { since })).json, { replayed: 1 });
          const [again] = await ended(id, 1);
          assert.deepEqual([again?.["status"], again?.["attempts"], again?.["id"]], ["delivered", 1, dead?.["id"]]);
          assert.equal((await ask("POST", `/webhooks/${id}/deliveries/${String(again?.["id"])}/replay`)).status, 202);
          await until(() => target.received.length === 12, { what: "the replay of one that was delivered" });
          const webhookNow = (await ask("GET", `/webhooks/${id}`)).json["webhook"] as Record<string, unknown>;
          assert.deepEqual([webhookNow["failure_count"], webhookNow["failing_since"]], [0, null]);
        },
        { failures: 100 },
      );
    });

    test("Retry-After is kept to, within an hour; 410 switches the webhook off, and so do five days", async () => {
      await inScene(async ({ hub, ask, receiver, webhook, happen, deliveries, ended, skipWaits }) => {
        const target = await receiver();
        const waitOf = async (header: string): Promise<number> => {
          target.answer = (response) => void response.writeHead(503, { "retry-after": header }).end();
          const { id } = await webhook(target.url, { events: ["device.stale"] });
          await happen("device.stale");
          const [one] = await until(
            async () => {
              const found = await deliveries(id);
              return found[0]?.["response_status"] === 503 && found;
            },
            { what: "the refusal" },
          );
          assert.equal((await ask("DELETE", `/webhooks/${id}`, undefined, { "if-match": "*" })).status, 204);
          return Math.round((Date.parse(String(one?.["next_attempt_at"])) - hub.context.timers.now()) / 1_000);
        };
        assert.ok(Math.abs((await waitOf("120")) - 120) <= 2);
        assert.ok(Math.abs((await waitOf("999999")) - 3_600) <= 2);
        assert.ok(Math.abs((await waitOf(new Date(Date.now() + 300_000).toUTCString())) - 300) <= 3);
        assert.ok((await waitOf("soon")) <= 6);

        target.answer = (response) => void response.writeHead(410).end();
        const gone = await webhook(target.url, { events: ["device.online"] });
        await happen("device.online", { count: 3 });
        const ends = (await ended(gone.id, 3)).map(({ status }) => status);
        assert.ok(ends.includes("dead") && ends.every((status) => status !== "delivered"), String(ends));
        const shown = (await ask("GET", `/webhooks/${gone.id}`)).json["webhook"] as Record<string, unknown>;
        assert.deepEqual([shown["is_active"], shown["disabled_reason"]], [false, "gone"]);
        assertEnvelope(await ask("POST", `/webhooks/${gone.id}/test`), 409, "conflict");
        assert.ok(
          hub.emitted.some(({ type, data }) => type === "webhook.disabled" && data["webhook_id"] === gone.id && data["reason"] === "gone"),
        );
        const before = target.received.length;
        await happen("device.online");
        assert.equal(target.received.length, before);

        target.answer = (response) => void response.writeHead(500).end();
        const failing = await webhook(target.url, { events: ["device.claimed"] });
        await happen("device.claimed");
        await until(
          async () => ((await ask("GET", `/webhooks/${failing.id}`)).json["webhook"] as { failure_count: number }).failure_count === 1,
          { what: "a failure" },
        );
        await hub.context.store
          .db("webhooks")
          .where({ id: failing.id })
          .update({ failing_since: new Date(Date.now() - 5 * DAY_MS - 1_000).toISOString() });
        await skipWaits();
        const [end] = await ended(failing.id, 1);
        assert.equal(end?.["status"], "dropped");
        const after = await ask("GET", `/webhooks/${failing.id}`);
        assert.equal((after.json["webhook"] as Record<string, unknown>)["disabled_reason"], "failing");
        const audit = (await listAudit(hub.context.store.db, PLATFORM, { limit: 200 })).items;
        assert.equal(audit.filter(({ action }) => action === "webhook.disable").length, 2);

        target.answer = (response) => void response.writeHead(200).end();
        const on = await ask("PATCH", `/webhooks/${failing.id}`, { is_active: true }, { "if-match": after.headers.get("etag") as string });
        const fresh = on.json["webhook"] as Record<string, unknown>;
        assert.deepEqual([fresh["is_active"], fresh["failure_count"], fresh["failing_since"], fresh["disabled_at"]], [true, 0, null, null]);
        assert.deepEqual((await ask("POST", `/webhooks/${failing.id}/replay`, { since: "2020-01-01T00:00:00Z" })).json, { replayed: 1 });
        assert.equal((await ended(failing.id, 1))[0]?.["status"], "delivered");
      });
    });

    test("a receiver that hangs, one that answers 500 and one that is slow keep nobody else waiting", async () => {
      await inScene(async ({ receiver, webhook, happen, ended, deliveries }) => {
        const [hanging, broken, slow, good] = [await receiver(), await receiver(), await receiver(), await receiver()];
        hanging.answer = () => undefined;
        broken.answer = (response) => void response.writeHead(500).end();
        slow.answer = (response) => void setTimeout(() => response.writeHead(200).end(), 300).unref();
        const made = [];
        for (const one of [hanging, hanging, hanging, broken, slow, good]) made.push(await webhook(one.url));
        const started = performance.now();
        for (let round = 0; round < 10; round++) await happen("device.online", { count: 10 });
        const ends = await ended(made.at(-1)?.id as string, 100);
        const tookMs = performance.now() - started;
        assert.ok(tookMs < 8_000, `${tookMs} ms`);
        assert.ok(ends.every(({ status }) => status === "delivered"));
        assert.equal(new Set(good.received.map(({ headers }) => headers["webhook-id"])).size, 100);
        assert.ok(
          good.open.most <= 2 && slow.open.most <= 2 && hanging.open.most <= 6,
          `${good.open.most} ${slow.open.most} ${hanging.open.most}`,
        );
        // After five failures in a row it is left alone.
        assert.ok(broken.received.length >= 5 && broken.received.length <= 6, `${broken.received.length}`);
        assert.equal((await deliveries(made[3]?.id as string)).filter(({ attempts }) => attempts === 0).length >= 94, true);
      });
    });

    test("an organisation with many receivers that hang leaves places to the others", async () => {
      await inScene(
        async ({ hub, receiver, webhook, happen, ended, ask }) => {
          const [hanging, good] = [await receiver(), await receiver()];
          hanging.answer = () => undefined;
          for (let count = 0; count < 5; count++) await webhook(hanging.url, { events: ["device.stale"] });
          const late = await webhook(good.url, { events: ["device.stale"] });
          const other = await hub.member();
          const made = await hub.ask("POST", "/api/v1/webhooks", { token: other.token, body: { name: "x", url: good.url, events: ["*"] } });
          assert.equal(made.status, 201, made.text);
          await happen("device.stale", { count: 20 });
          await until(() => hanging.open.now >= 3, { what: "all places of the organisation" });
          await happen("device.online", { count: 20, organizationId: other.organizationId });
          await until(() => good.received.length >= 20, { what: "the other organisation" });
          assert.ok(hanging.open.most <= 4);
          // Those of its own organisation get their turn when a place is given back.
          hanging.answer = (response) => void response.writeHead(200).end();
          await hanging[Symbol.asyncDispose]();
          assert.equal((await ended(late.id, 20)).length, 20);
          assert.equal((await ask("GET", "/webhooks")).status, 200);
        },
        { perOrganization: 4, perNode: 6 },
      );
    });

    test("versions, quotas and wrong input have their answers; nobody sets a URL that leads inside", async () => {
      await inScene(async ({ hub, ask, receiver, webhook }) => {
        const target = await receiver();
        const one = await webhook(target.url);
        const path = `/webhooks/${one.id}`;
        assertEnvelope(await ask("PATCH", path, { name: "x" }), 428, "precondition_required");
        assertEnvelope(await ask("DELETE", path), 428, "precondition_required");
        assertEnvelope(await ask("PATCH", path, { name: "x" }, { "if-match": '"other"' }), 412, "precondition_failed");
        const changed = await ask("PATCH", path, { name: "Bell", events: ["command.*"] }, { "if-match": one.etag });
        assert.deepEqual([changed.status, (changed.json["webhook"] as { name: string }).name], [200, "Bell"]);
        assertEnvelope(await ask("PATCH", path, { name: "y" }, { "if-match": one.etag }), 412, "precondition_failed");
        for (const url of [
          "http://169.254.169.254/",
          "http://[::1]/",
          "http://localhost:1880/",
          "ftp://x.example/",
          "http://u:p@x.example/",
          "x",
        ])
          assertEnvelope(await ask("POST", "/webhooks", { name: "x", url, events: ["*"] }), 400, "validation_error");
        assertEnvelope(await ask("PATCH", path, { url: "http://10.0.0.1/" }, { "if-match": "*" }), 400, "validation_error");
        for (const events of [[], ["device.nothing"], ["webhook.*"], ["webhook.test"], ["*", "*"]])
          assertEnvelope(await ask("POST", "/webhooks", { name: "x", url: target.url, events }), 400, "validation_error");
        const stranger = await hub.member();
        const foreign = await hub.ask("POST", "/api/v1/devices", { token: stranger.token, body: { name: "L", device_class: "ir_hub" } });
        const { id } = foreign.json["device"] as { id: string };
        assertEnvelope(await ask("POST", "/webhooks", { name: "x", url: target.url, events: ["*"], devices: [id] }), 404, "not_found");
        for (let count = 1; count < 50; count++) await webhook(target.url, { is_active: false });
        assertEnvelope(await ask("POST", "/webhooks", { name: "x", url: target.url, events: ["*"] }), 429, "quota_exceeded");
        assert.equal((await ask("DELETE", path, undefined, { "if-match": "*" })).status, 204);
        assertEnvelope(await ask("GET", path), 404, "not_found");
      });
    });
  });
}
