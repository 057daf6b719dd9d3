import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { rowsOf } from "../../store/sql.ts";
import { inTransaction } from "../../store/transaction.ts";
import { databases } from "../support/databases.ts";
import { until } from "../support/wait.ts";
import { inScene, type Json, type Scene, SITE } from "./places-scene.ts";

const HOUR = 3_600_000;
const AT_EIGHT = { kind: "schedule", recurrence: { kind: "cron", expression: "0 8 * * *" } };
const TELL = [{ kind: "event", type: "custom.told" }];
const TOKYO = { time_zone: "Asia/Tokyo" };
/** Eight o'clock there, which has no daylight saving time. */
const EIGHT_IN_TOKYO = /T23:00:00.000Z$/;
const tokyoClock = (at: number): string => new Date(at + 9 * HOUR).toISOString().slice(11, 16);

for (const { name, skip, open } of databases()) {
  describe(`automations at a site, on ${name}`, { skip }, () => {
    async function automation({ ask, owner }: Scene, body: object): Promise<{ id: string; show: () => Promise<Json> }> {
      const made = await ask(owner, "POST", "automations", { name: "x", actions: TELL, ...body });
      assert.equal(made.status, 201, made.text);
      const { id } = made.json["automation"] as { id: string };
      return { id, show: async () => (await ask(owner, "GET", `automations/${id}`)).json["automation"] as Json };
    }

    async function timerOf({ hub }: Scene, id: string): Promise<string> {
      const sql = "select due_at from timers where kind = 'automation' and timer_key = ?";
      const [row] = await rowsOf<{ due_at: string }>(hub.context.store.db, sql, [`${id} 0`]);
      return row?.due_at ?? "none";
    }

    test("wait for the time of day where it is, and look at the clock there, wherever it moves and when it is gone", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner } = scene;
        const site = await scene.make("sites", SITE);
        const morning = await automation(scene, { triggers: [AT_EIGHT], site_id: site.id });
        const window = { kind: "time_window", from: tokyoClock(Date.now() - HOUR), to: tokyoClock(Date.now() + HOUR) };
        const knock = { kind: "event", type: "custom.knock" };
        const door = await automation(scene, { triggers: [knock], condition: window, site_id: site.id });
        const firings = async (): Promise<unknown> => {
          assert.equal((await ask(owner, "POST", "events", { type: knock.type, data: {} })).status, 201);
          return (await door.show())["fire_count"];
        };
        assert.equal(await timerOf(scene, morning.id), (await morning.show())["next_run_at"]);
        assert.equal(await firings(), 0);

        assert.equal((await ask(owner, "PATCH", `sites/${site.id}`, TOKYO)).status, 200);
        assert.match(await timerOf(scene, morning.id), EIGHT_IN_TOKYO);
        assert.equal(await timerOf(scene, morning.id), (await morning.show())["next_run_at"]);
        assert.equal(await firings(), 1);

        assert.equal((await ask(owner, "DELETE", `sites/${site.id}`)).status, 204);
        assert.match(await timerOf(scene, morning.id), /T08:00:00.000Z$/);
        assert.equal(await firings(), 1);
      });
    });

    test("wait for the right time after a firing, also on a node that has not heard where the site is", async () => {
      await inScene(open, async (scene) => {
        const { timers, store } = scene.hub.context;
        const site = await scene.make("sites", SITE);
        const { id, show } = await automation(scene, { triggers: [AT_EIGHT], site_id: site.id });
        const { organization_id: organizationId, version } = (await show()) as { organization_id: string; version: number };
        await store.db("sites").where({ id: site.id }).update(TOKYO);
        const payload = { automation: id, version, index: 0 };
        const due = { kind: "automation", key: `${id} 0`, organizationId, dueAt: timers.now(), isRelative: false, payload } as const;
        await inTransaction(store.db, (trx) => timers.put(trx, [due]));
        await until(async () => (await show())["fire_count"] === 1, { what: "the firing" });
        assert.match(await timerOf(scene, id), EIGHT_IN_TOKYO);
      });
    });
  });
}
