import assert from "node:assert/strict";
import type { Mode } from "../../core/automation.ts";
import { PLATFORM, SYSTEM } from "../../core/principal.ts";
import { ruleOf, type Rule } from "../../rules/automation-index.ts";
import { type Cause, fire, type Fired } from "../../rules/firing.ts";
import {
  type AutomationFields,
  createAutomation,
  deleteAutomation,
  getAutomation,
  lockAutomation,
  saveWatched,
  updateAutomation,
} from "../../store/automations.ts";
import { listEvents } from "../../store/events.ts";
import { openRunIds } from "../../store/runs.ts";
import { inTransaction } from "../../store/transaction.ts";
import { forEachEngine } from "../store/engines.ts";
import { type Scene, startScene } from "./schedules-scene.ts";

const EDIT = { actor: SYSTEM, now: Date.now() };
/** It waits, so that its runs go on. */
const definitionOf = (mode: Mode, more: object = {}) => ({
  triggers: [{ kind: "event", type: "custom.go" }],
  actions: [{ kind: "delay", for_s: 3_600 }],
  mode,
  ...more,
});
const fieldsOf = (definition: object): AutomationFields => ({
  name: "Waits",
  description: null,
  isEnabled: true,
  definition: { ...definition },
});

async function make({ db, organizationId }: Scene, definition: object): Promise<Rule> {
  const made = await inTransaction(db, (trx) => createAutomation(trx, organizationId, fieldsOf(definition), 100, EDIT));
  return ruleOf(await getAutomation(db, PLATFORM, made.id));
}

const edit = ({ db }: Scene, { automation }: Rule, definition: object): Promise<Rule> =>
  inTransaction(db, async (trx) => {
    const before = await lockAutomation(trx, PLATFORM, automation.id);
    await updateAutomation(trx, before, fieldsOf(definition), EDIT);
    return ruleOf(await getAutomation(trx, PLATFORM, automation.id));
  });

const go = ({ db, firing }: Scene, rule: Rule, subject = ""): Promise<Fired> => {
  const cause: Cause = { kind: "event", triggerIndex: 0, meaning: { subject, values: {} }, now: Date.now() };
  return inTransaction(db, (trx) => fire(firing, trx, rule, cause));
};

forEachEngine(({ engine, test }) => {
  for (const mode of ["skip", "queue", "parallel", "restart"] as const)
    test(`${mode}: a former version that fires begins nothing and stops nothing`, async (db) => {
      await using scene = await startScene(db);
      const former = await make(scene, definitionOf(mode, { cooldown_s: 60 }));
      const rule = await edit(scene, former, definitionOf(mode, { cooldown_s: 0.001 }));
      const fired = await go(scene, rule);
      assert.ok("runId" in fired, JSON.stringify(fired));
      assert.deepEqual(await go(scene, former), { refused: "changed" });
      const runs = await scene.runs(rule.automation.id);
      assert.deepEqual(
        runs.map(({ id, sourceVersion, finishedAt }) => [id, sourceVersion, finishedAt]),
        [[fired.runId, 2, null]],
      );
      assert.equal((await getAutomation(db, PLATFORM, rule.automation.id)).fireCount, 1);
      assert.equal((await listEvents(db, PLATFORM, { limit: 10, types: ["automation.fired"] })).items.length, 1);
    });

  test("what is off, or removed, begins nothing where that was not heard of yet", async (db) => {
    await using scene = await startScene(db);
    const [off, gone] = [await make(scene, definitionOf("parallel")), await make(scene, definitionOf("parallel", { cooldown_s: 60 }))];
    await inTransaction(db, async (trx) => {
      const before = await lockAutomation(trx, PLATFORM, off.automation.id);
      await updateAutomation(trx, before, { ...fieldsOf(before.definition), isEnabled: false }, EDIT);
      await deleteAutomation(trx, gone.automation.id);
    });
    for (const rule of [off, gone]) {
      assert.deepEqual(await go(scene, rule), { refused: "changed" });
      assert.deepEqual(await scene.runs(rule.automation.id), []);
    }
  });

  test("one that is busy is not counted", async (db) => {
    await using scene = await startScene(db);
    const rule = await make(scene, definitionOf("skip"));
    assert.ok("runId" in (await go(scene, rule)));
    assert.deepEqual(await go(scene, rule), { refused: "busy" });
    assert.equal((await getAutomation(db, PLATFORM, rule.automation.id)).fireCount, 1);
  });

  if (engine === "postgres")
    test("whoever fires and whoever changes it do not wait for each other in a ring", async (db) => {
      await using scene = await startScene(db);
      let rule = await make(scene, definitionOf("restart", { cooldown_s: 0.001 }));
      const { id } = rule.automation;
      const fires = async (subject: string): Promise<Fired> => {
        const cause: Cause = { kind: "event", triggerIndex: 0, meaning: { subject, values: {} }, now: Date.now() };
        return await inTransaction(db, async (trx) => {
          await saveWatched(trx, id, `0 ${subject}`, true);
          return await fire(scene.firing, trx, rule, cause);
        });
      };
      const changes = async (round: number): Promise<void> => {
        rule = await inTransaction(db, async (trx) => {
          const before = await lockAutomation(trx, PLATFORM, id);
          await scene.firing.runs.cancel(trx, await openRunIds(trx, id));
          const definition = definitionOf("restart", { cooldown_s: 0.001, dedupe_s: 0.001 * (round + 1) });
          await updateAutomation(trx, before, fieldsOf(definition), EDIT);
          return ruleOf(await getAutomation(trx, PLATFORM, id));
        });
      };
      // A deadlock rejects one of them.
      for (let round = 0; round < 40; round++) {
        const fired = await Promise.all([fires("a"), fires("b"), changes(round), fires("c")]);
        assert.equal(fired.length, 4);
      }
      const runs = await scene.runs(id);
      assert.ok(runs.length > 0 && runs.filter(({ finishedAt }) => finishedAt === null).length <= 1);
    });
});
