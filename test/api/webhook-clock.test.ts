import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newId } from "../../core/id.ts";
import { rowsOf } from "../../store/sql.ts";
import { inTransaction } from "../../store/transaction.ts";
import { shiftDeliveries } from "../../store/webhook-deliveries.ts";
import { databases } from "../support/databases.ts";
import { until } from "../support/wait.ts";
import { openWebhookScene, type WebhookScene } from "./webhooks-scene.ts";

const DAY_MS = 86_400_000;
const TEN_MINUTES_MS = 600_000;
/** No event is worth sending so late: what stayed behind would be dropped, or wait for as long. */
const STEPS_MS = [2 * DAY_MS, -2 * DAY_MS];

interface Waiting {
  readonly id: string;
  readonly status: string;
  readonly attempts: number;
  readonly next_attempt_at: string;
  readonly expires_at: string;
}

async function deliveriesOf({ hub }: WebhookScene, webhookId: string): Promise<Waiting[]> {
  return await rowsOf<Waiting>(hub.context.store.db, "select * from webhook_deliveries where webhook_id = ? order by id", [webhookId]);
}

/** One that the receiver wants to have in ten minutes. */
async function openPostponed(scene: WebhookScene) {
  const target = await scene.receiver();
  target.answer = (response) => void response.writeHead(503, { "retry-after": String(TEN_MINUTES_MS / 1_000) }).end();
  const { id } = await scene.webhook(target.url);
  await scene.happen("device.online");
  await refused(scene, id);
  return { id, target };
}

/** Resolves when the first refusal has been noted. */
async function refused({ hub }: WebhookScene, id: string): Promise<void> {
  const hasFailed = async (): Promise<boolean> => (await hub.context.store.db("webhooks").where({ id, failure_count: 1 })).length === 1;
  await until(hasFailed, { what: "the refusal" });
}

/** Resolves when the hub goes by it, which any timer makes it look for. */
async function setClock({ hub }: WebhookScene, aheadMs: number): Promise<void> {
  const { timers, store } = hub.context;
  const before = timers.now();
  hub.time.aheadMs = aheadMs;
  const timer = { kind: "webhook_delivery", key: newId(), organizationId: null, dueAt: before, isRelative: true } as const;
  await inTransaction(store.db, (trx) => timers.put(trx, [{ ...timer, payload: { webhook: newId() } }]));
  await until(() => Math.abs(timers.now() - before) > DAY_MS, { what: "the step", timeoutMs: 20_000 });
}

for (const { name, skip, open } of databases())
  describe(`messages to webhooks when the clock is set, on ${name}`, { skip }, () => {
    test("those that wait move along, with the end of their time; those that have ended stay", async () => {
      await using database = await open();
      await using scene = await openWebhookScene(database);
      const { db } = scene.hub.context.store;
      const calm = await scene.webhook((await scene.receiver()).url, { events: ["device.offline"] });
      await scene.happen("device.offline");
      await scene.ended(calm.id, 1);
      const { id } = await openPostponed(scene);
      const timesOf = async (webhookId: string) =>
        (await deliveriesOf(scene, webhookId)).map((one) => [Date.parse(one.next_attempt_at), Date.parse(one.expires_at)]);
      for (const stepMs of [...STEPS_MS, 1_234, -987_654]) {
        const [[next = 0, end = 0] = []] = await timesOf(id);
        const ended = await timesOf(calm.id);
        await inTransaction(db, (trx) => shiftDeliveries(trx, stepMs));
        const [[nextNow = 0, endNow = 0] = []] = await timesOf(id);
        // SQLite's times are whole milliseconds, which it works out of days.
        assert.ok(
          Math.abs(nextNow - next - stepMs) <= 1 && Math.abs(endNow - end - stepMs) <= 1,
          `${stepMs}: ${nextNow - next}, ${endNow - end}`,
        );
        assert.deepEqual(await timesOf(calm.id), ended);
      }
    });

    // PostgreSQL's clock is its machine's: nobody sets it here.
    if (name === "SQLite")
      test("what waits for a time is sent when so much time has gone by, whatever the clock says meanwhile", async () => {
        await using database = await open();
        await using scene = await openWebhookScene(database);
        const { happen, ended } = scene;
        const { timers } = scene.hub.context;
        const { id, target } = await openPostponed(scene);
        for (const aheadMs of [2 * DAY_MS, 0]) {
          await setClock(scene, aheadMs);
          const [one] = await deliveriesOf(scene, id);
          const waitMs = Date.parse(one?.next_attempt_at ?? "") - timers.now();
          assert.ok(waitMs > TEN_MINUTES_MS - 60_000 && waitMs <= TEN_MINUTES_MS, `${waitMs} ms`);
          assert.deepEqual([one?.status, one?.attempts, target.received.length], ["pending", 1, 1]);
        }

        // The receiver is left alone for three seconds, not for as long as the clock takes to come back.
        const soon = await scene.receiver();
        soon.answer = (response) => void response.writeHead(503, { "retry-after": "3" }).end();
        const other = await scene.webhook(soon.url, { events: ["device.offline"] });
        await happen("device.offline");
        // Noted, so that it is the wait that the clock is set in, and not the moment in which it is worked out.
        await refused(scene, other.id);
        soon.answer = (response) => void response.writeHead(204).end();
        await setClock(scene, -2 * DAY_MS);
        const [sent] = await ended(other.id, 1);
        assert.deepEqual([sent?.["status"], sent?.["attempts"], soon.received.length], ["delivered", 2, 2]);
        assert.ok((soon.received[1]?.at ?? 0) - (soon.received[0]?.at ?? 0) > 2_900);
      });

    if (name === "SQLite")
      test("a message under way when the clock is set is not given up for it, and a receiver that failed is tried again", async () => {
        await using database = await open();
        await using scene = await openWebhookScene(database, { failures: 1, breakMs: 3_000 });
        const { hub, happen, ended } = scene;
        const target = await scene.receiver();
        const held: (() => void)[] = [];
        target.answer = (response) => void held.push(() => response.writeHead(500).end());
        const { id } = await scene.webhook(target.url);
        await happen("device.online");
        await until(() => held.length === 1, { what: "the attempt" });
        await setClock(scene, 2 * DAY_MS);
        held[0]?.();
        const noted = await until(
          async () => {
            const [one] = await deliveriesOf(scene, id);
            return (await hub.context.store.db("webhooks").where({ id, failure_count: 1 })).length === 1 && one;
          },
          { what: "the failure" },
        );
        assert.equal(noted.status, "pending");
        await setClock(scene, 0);
        target.answer = (response) => void response.writeHead(204).end();
        const [sent] = await ended(id, 1);
        assert.deepEqual([sent?.["status"], target.received.length], ["delivered", 2]);
      });
  });
