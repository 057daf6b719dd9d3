import assert from "node:assert/strict";
import type { Mode } from "../../core/automation.ts";
import { PLATFORM, SYSTEM } from "../../core/principal.ts";
import type { Run } from "../../core/run.ts";
import { ruleOf, type Rule } from "../../rules/automation-index.ts";
import { fire, type Fired } from "../../rules/firing.ts";
import { createAutomation, getAutomation } from "../../store/automations.ts";
import type { Db } from "../../store/open.ts";
import { rowsOf } from "../../store/sql.ts";
import { inTransaction } from "../../store/transaction.ts";
import { forEachEngine } from "../store/engines.ts";
import { until } from "../support/wait.ts";
import { type Scene, startScene } from "./schedules-scene.ts";

async function make({ db, organizationId }: Scene, actions: readonly object[], mode: Mode = "skip"): Promise<Rule> {
  const definition = { triggers: [{ kind: "event", type: "custom.go" }], actions, mode };
  const fields = { name: "Rule", description: null, isEnabled: true, definition };
  const made = await inTransaction(db, (trx) => createAutomation(trx, organizationId, fields, 100, { actor: SYSTEM, now: Date.now() }));
  return ruleOf(await getAutomation(db, PLATFORM, made.id));
}

const fireIn = ({ firing }: Scene, trx: Db, rule: Rule): Promise<Fired> =>
  fire(firing, trx, rule, { kind: "event", triggerIndex: 0, meaning: { subject: "", values: {} }, now: Date.now() });
const go = (scene: Scene, rule: Rule): Promise<Fired> => inTransaction(scene.db, (trx) => fireIn(scene, trx, rule));

/** Of the only run, once it has come to its end. */
const ended = (scene: Scene, { automation }: Rule): Promise<Run> =>
  until(async () => (await scene.runs(automation.id)).find(({ finishedAt }) => finishedAt !== null), { what: "the end of the run" });

/** Its timer comes now. */
const wake = ({ db, timers, organizationId }: Scene, key: string): Promise<void> =>
  inTransaction(db, (trx) => timers.put(trx, [{ kind: "run", key, organizationId, dueAt: timers.now(), isRelative: true, payload: {} }]));

const WAIT = [{ kind: "delay", for_s: 3_600 }];

/** One that waits in its delay, and one that waits for its turn. */
async function queue(scene: Scene): Promise<{ rule: Rule; ids: readonly [string, string]; statuses: () => Promise<string[]> }> {
  const rule = await make(scene, WAIT, "queue");
  const statuses = async (): Promise<string[]> => (await scene.runs(rule.automation.id)).map(({ status }) => status);
  await go(scene, rule);
  await until(async () => (await statuses())[0] === "waiting", { what: "its delay" });
  await go(scene, rule);
  const [first, second] = await scene.runs(rule.automation.id);
  return { rule, ids: [first?.id ?? "", second?.id ?? ""], statuses };
}

/** As if its node had died after that. */
const endUnheard = ({ db }: Scene, id: string): Promise<unknown> =>
  rowsOf(db, "update runs set status = 'ok', finished_at = created_at where id = ?", [id]);

forEachEngine(({ engine, test }) => {
  test("a run that goes round and finds nothing to do fails, and is not tried again", async (db) => {
    await using scene = await startScene(db);
    const never = { kind: "choose", options: [{ condition: { kind: "day", days: [otherDay()] }, actions: [{ kind: "delay", for_s: 1 }] }] };
    const round = (action: object) => ({ kind: "repeat", times: 100, actions: [action] });
    const rule = await make(scene, [round(round(never))]);
    await go(scene, rule);
    const { status, steps } = await ended(scene, rule);
    assert.deepEqual([status, steps.map(({ code }) => code)], ["failed", ["quota_exceeded"]]);
    assert.deepEqual(
      scene.emitted.map(({ type }) => type),
      ["automation.fired", "automation.failed"],
    );
  });

  test("whoever waits behind a run has its turn, also when nobody tells it", async (db) => {
    await using scene = await startScene(db);
    const { ids, statuses } = await queue(scene);
    await endUnheard(scene, ids[0]);
    const [row] = await rowsOf<{ due_at: string }>(db, "select due_at from timers where kind = 'run' and timer_key = ?", [ids[1]]);
    assert.ok(Date.parse(row?.due_at ?? "") < scene.timers.now() + 60_000);
    scene.timers.begin();
    await wake(scene, ids[1]);
    await until(async () => (await statuses())[1] === "waiting", { what: "the second one's turn" });
  });

  test("its turn does not come before the run in front of it has ended", async (db) => {
    await using scene = await startScene(db);
    const { ids, statuses } = await queue(scene);
    const dueAt = async (): Promise<number> =>
      Date.parse((await rowsOf<{ due_at: string }>(db, "select due_at from timers where timer_key = ?", [ids[1]]))[0]?.due_at ?? "");
    scene.timers.begin();
    await wake(scene, ids[1]);
    // It has looked, and does not look again for a minute.
    await until(async () => (await dueAt()) > scene.timers.now() + 30_000, { what: "its look" });
    assert.deepEqual(await statuses(), ["waiting", "queued"]);
  });

  test("a run that has no timer is gone on with at the start", async (db) => {
    await using scene = await startScene(db);
    const { ids, statuses } = await queue(scene);
    await rowsOf(db, "delete from timers where timer_key = ?", [ids[1]]);
    await endUnheard(scene, ids[0]);
    await scene.firing.runs.resume();
    scene.timers.begin();
    await until(async () => (await statuses())[1] === "waiting", { what: "its turn" });
  });

  // The other database has one transaction at a time.
  if (engine === "postgres")
    test("one that queues up while the run in front of it ends has its turn", async (db) => {
      await using scene = await startScene(db);
      const rule = await make(scene, WAIT, "queue");
      await go(scene, rule);
      const runs = () => scene.runs(rule.automation.id);
      const first = await until(async () => (await runs()).find(({ status }) => status === "waiting"), { what: "its delay" });
      scene.timers.begin();
      await inTransaction(db, async (trx) => {
        await fireIn(scene, trx, rule);
        await wake(scene, first.id);
        await ended(scene, rule);
      });
      await until(async () => (await runs())[1]?.status === "waiting", { what: "the second one's turn", timeoutMs: 5_000 });
    });
});

/** Not this one, nor the next. */
const otherDay = (): string => ["sun", "mon", "tue", "wed", "thu", "fri", "sat"][(new Date().getUTCDay() + 3) % 7] as string;
