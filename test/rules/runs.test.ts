import assert from "node:assert/strict";
import type { Mode } from "../../core/automation.ts";
import { PLATFORM, SYSTEM } from "../../core/principal.ts";
import type { Run } from "../../core/run.ts";
import { ruleOf, type Rule } from "../../rules/automation-index.ts";
import { fire, type Fired } from "../../rules/firing.ts";
import { createAutomation, getAutomation } from "../../store/automations.ts";
import type { Db } from "../../store/open.ts";
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

forEachEngine(({ test }) => {
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
});

/** Not this one, nor the next. */
const otherDay = (): string => ["sun", "mon", "tue", "wed", "thu", "fri", "sat"][(new Date().getUTCDay() + 3) % 7] as string;
