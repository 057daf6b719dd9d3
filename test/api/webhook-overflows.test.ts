import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newEvent } from "../../core/event.ts";
import { SYSTEM } from "../../core/principal.ts";
import { insertEvents } from "../../store/events.ts";
import { rowsOf } from "../../store/sql.ts";
import { inTransaction } from "../../store/transaction.ts";
import { MAX_PENDING, purgeDeliveries } from "../../store/webhook-deliveries.ts";
import { noteCaughtUp } from "../../store/webhook-overflows.ts";
import { addPerson } from "../rules/notify-scene.ts";
import { databases } from "../support/databases.ts";
import { until } from "../support/wait.ts";
import { openWebhookScene, type WebhookScene } from "./webhooks-scene.ts";

const DAY_MS = 86_400_000;

interface Shown {
  readonly is_active: boolean;
  readonly dropped: number;
  readonly last_dropped_at: string | null;
  readonly overflowing_since: string | null;
}

const shownOf = async ({ ask }: WebhookScene, id: string): Promise<Shown> => (await ask("GET", `/webhooks/${id}`)).json["webhook"] as Shown;

const dropped = (scene: WebhookScene, id: string, count: number): Promise<Shown> =>
  until(
    async () => {
      const shown = await shownOf(scene, id);
      return shown.dropped >= count && shown;
    },
    { what: `${count} that are counted as dropped` },
  );

/** The data of its events, the first one first. */
async function overflowsOf({ hub }: WebhookScene, id: string): Promise<Record<string, unknown>[]> {
  const rows = await rowsOf<{ data: unknown }>(
    hub.context.store.db,
    "select data from events where type = 'webhook.overflow' and entity_id = ? order by id",
    [id],
  );
  return rows.map(({ data }) => (typeof data === "string" ? JSON.parse(data) : data) as Record<string, unknown>);
}

/** So many wait for it, of which two are under way. */
async function fill({ happen }: WebhookScene, count: number): Promise<void> {
  for (let left = count; left > 0; left -= 1_000) await happen("device.online", { count: Math.min(1_000, left) });
}

/** So many of those that nobody has tried have got through. */
async function drain({ hub }: WebhookScene, id: string, count: number): Promise<void> {
  const now = new Date().toISOString();
  const drained = await rowsOf(
    hub.context.store.db,
    `update webhook_deliveries set status = 'delivered', finished_at = ? where id in (
       select id from webhook_deliveries where webhook_id = ? and status = 'pending' and attempts = 0 order by id desc limit ?) returning id`,
    [now, id, count],
  );
  assert.equal(drained.length, count);
}

for (const { name, skip, open } of databases())
  describe(`what is too much for a webhook, on ${name}`, { skip }, () => {
    async function inScene(work: (scene: WebhookScene) => Promise<void>, gate = {}): Promise<void> {
      await using database = await open();
      await using scene = await openWebhookScene(database, gate);
      await work(scene);
    }

    test("what waits is bounded, what is rolled back is not sent, and what ended is forgotten after a week", async () => {
      await inScene(async ({ hub, owner, receiver, webhook, happen, deliveries, ended }) => {
        const target = await receiver();
        const { db } = hub.context.store;
        const { id } = await webhook(target.url);
        await happen("device.online", { count: 2 });
        await ended(id, 2);
        await hub.context.store.db("webhook_deliveries").update({ finished_at: new Date(Date.now() - 8 * DAY_MS).toISOString() });
        assert.equal(await purgeDeliveries(db, Date.now()), 2);
        assert.deepEqual(await deliveries(id), []);
        target.answer = () => undefined;
        await happen("device.online", { count: 700 });
        await until(() => target.open.now === 2, { what: "its two places" });
        for (let round = 0; round < 8; round++) await happen("device.online", { count: 700 });
        const [row] = await rowsOf<{ n: number }>(
          db,
          "select count(*) as n from webhook_deliveries where webhook_id = ? and status = 'pending'",
          [id],
        );
        assert.equal(Number(row?.n), 5_000);
        assert.match(await hub.context.metrics.text(), /hexahub_webhook_deliveries_total\{status="overflow"\} 1300/);
        // Each of the two is given up after 15 s, which filling takes on a busy machine, and others take their places.
        assert.equal(target.open.most, 2);

        const calm = await receiver();
        const other = await webhook(calm.url, { events: ["device.offline"] });
        const undone = inTransaction(db, async (trx) => {
          const about = { organizationId: owner.organizationId, entityId: null, actor: SYSTEM, now: Date.now() };
          await insertEvents(trx, [newEvent("device.offline", about, {})]);
          throw new Error("on second thought");
        });
        await assert.rejects(undone, /on second thought/);
        const [kept] = await happen("device.offline");
        assert.deepEqual(
          (await ended(other.id, 1)).map((one) => one["event_id"]),
          [kept?.id],
        );
        assert.equal(calm.received.length, 1);
      });
    });

    test("the first that is dropped makes an event and tells those who may manage webhooks; the next ones are counted", async () => {
      await inScene(async (scene) => {
        const { hub, owner, receiver, webhook, happen } = scene;
        const { db } = hub.context.store;
        await addPerson(db, owner.organizationId, "viewer");
        const target = await receiver();
        target.answer = () => undefined;
        const { id } = await webhook(target.url, { name: "Pager" });
        const calm = await webhook((await receiver()).url, { events: ["device.offline"] });
        await fill(scene, MAX_PENDING);
        assert.deepEqual((await shownOf(scene, id)).dropped, 0);
        await happen("device.online", { count: 3 });
        const first = await dropped(scene, id, 3);
        assert.equal(first.dropped, 3);
        assert.ok(Math.abs(Date.parse(first.last_dropped_at ?? "") - Date.now()) < 60_000 && first.overflowing_since !== null);
        const data = { webhook_id: id, name: "Pager", waiting: MAX_PENDING, dropped: 3 };
        assert.deepEqual(await overflowsOf(scene, id), [data]);
        await until(() => hub.emitted.some((event) => event.type === "webhook.overflow"), { what: "the event on the bus" });

        // Many at once; one of them has not happened.
        const undone = inTransaction(db, async (trx) => {
          const about = { organizationId: owner.organizationId, entityId: null, actor: SYSTEM, now: Date.now() };
          await insertEvents(trx, [newEvent("device.online", about, {})]);
          throw new Error("on second thought");
        });
        await Promise.all([assert.rejects(undone), ...Array.from({ length: 12 }, () => happen("device.online", { count: 2 }))]);
        await dropped(scene, id, 27);
        await happen("device.online");
        assert.equal((await dropped(scene, id, 28)).dropped, 28);
        assert.equal((await overflowsOf(scene, id)).length, 1);
        assert.equal((await rowsOf(db, "select 1 from webhook_deliveries where event_type = 'webhook.overflow'")).length, 0);
        const untouched = await shownOf(scene, calm.id);
        assert.deepEqual([untouched.dropped, untouched.last_dropped_at, untouched.overflowing_since], [0, null, null]);

        const told = await rowsOf<{ user_id: string; title: string; source_kind: string; source_id: string }>(
          db,
          "select user_id, title, source_kind, source_id from notifications",
        );
        assert.deepEqual(told, [
          { user_id: owner.userId, title: "The webhook Pager is not told of everything", source_kind: "system", source_id: id },
        ]);
      });
    });

    test("again only after it has caught up by half, or was switched on anew", async () => {
      await inScene(
        async (scene) => {
          const { hub, ask, receiver, webhook, happen } = scene;
          const { store, timers } = hub.context;
          const target = await receiver();
          const held: (() => void)[] = [];
          target.answer = (response) => void held.push(() => response.writeHead(204).end());
          const { id } = await webhook(target.url);
          const catchUp = () => inTransaction(store.db, (trx) => noteCaughtUp(trx, id, timers.now()));
          const isOverflowing = async () => (await shownOf(scene, id)).overflowing_since !== null;
          await fill(scene, MAX_PENDING);
          await happen("device.online");
          await dropped(scene, id, 1);
          await drain(scene, id, MAX_PENDING / 2);
          await catchUp();
          assert.ok(await isOverflowing());
          await fill(scene, MAX_PENDING / 2);
          await happen("device.online");
          await dropped(scene, id, 2);
          assert.equal((await overflowsOf(scene, id)).length, 1);

          await drain(scene, id, MAX_PENDING / 2 + 1);
          await catchUp();
          assert.ok(!(await isOverflowing()));
          await fill(scene, MAX_PENDING / 2 + 1);
          await happen("device.online", { count: 4 });
          await dropped(scene, id, 6);
          const [, second, ...more] = await overflowsOf(scene, id);
          assert.deepEqual([second?.["waiting"], more.length], [MAX_PENDING, 0]);

          const change = async (isActive: boolean) =>
            (await ask("PATCH", `/webhooks/${id}`, { is_active: isActive }, { "if-match": "*" })).json["webhook"] as Shown;
          await change(false);
          const on = await change(true);
          assert.deepEqual([on.is_active, on.overflowing_since, on.dropped], [true, null, 6]);
          await fill(scene, MAX_PENDING);
          await happen("device.online");
          await dropped(scene, id, 7);
          assert.equal((await overflowsOf(scene, id)).length, 3);
          const { data } = (await ask("GET", "/notifications")).json as { data: { count: number }[] };
          assert.deepEqual(
            data.map(({ count }) => count),
            [3],
          );

          // By itself too, when its receiver takes what waits.
          await drain(scene, id, MAX_PENDING - 100);
          target.answer = (response) => void response.writeHead(204).end();
          for (const answer of held) answer();
          await until(async () => !(await isOverflowing()), { what: "that it has caught up" });
        },
        { failures: 1_000 },
      );
    });
  });
