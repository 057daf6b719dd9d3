import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { fakeClockIn, faketimeMissing } from "../support/fake-clock.ts";
import { spawnHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { AlertsScene } from "./alerts-scene.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const SILENT_MS = 3_000;
const WARM_MS = 8_000;
/** A step is noticed at the next timer, or tick. */
const NOTICED_MS = 12_000;
const iso = (ms: number): string => new Date(ms).toISOString();

test("a clock that is set forward, back and to 1970: alert rules neither burst nor fall silent", {
  skip: faketimeMissing(),
  timeout: 240_000,
}, async () => {
  await using folder = temporaryFolder();
  const clock = fakeClockIn(folder.path);
  const dataDir = join(folder.path, "data");
  await using hub = await spawnHub({ dataDir, env: { ...clock.env, HEXA_LOG_LEVEL: "error" } });
  await hub.api.login();
  const scene = new AlertsScene(hub);
  const [talking, warm, quiet] = [await scene.addSensor("Talks"), await scene.addSensor("Warm"), await scene.addSensor("Quiet")];
  const now = Date.now();
  await scene.rule({ name: "Silent", condition: { kind: "absence", key: "h" }, for_s: SILENT_MS / 1_000 });
  await scene.rule({ name: "Mute", condition: { kind: "absence" }, for_s: SILENT_MS / 1_000, device: talking.uid });
  await scene.rule({ name: "Warm", condition: { kind: "threshold", key: "t", above: 30 }, for_s: WARM_MS / 1_000, device: warm.uid });
  const silences = [{ kind: "between", from: iso(now - MINUTE), until: iso(now + 30 * MINUTE) }];
  await scene.rule({ name: "Hushed", condition: { kind: "threshold", key: "q", above: 30 }, device: quiet.uid, silences });
  // By now its token is of no use any more: what there is stands in the tables.
  using db = new DatabaseSync(join(dataDir, "hexahub.db"), { readOnly: true });
  const count = (name: string, more = "true"): number =>
    db.prepare(`select count(*) as n from alerts join alert_rules r on r.id = rule_id where name = ? and ${more}`).get(name)?.[
      "n"
    ] as number;
  const open = (name: string): number => count(name, "alerts.status <> 'resolved'");
  await scene.report(quiet, { q: 40 });
  await until(() => open("Hushed") === 1, { what: "the alert of which nobody is told" });

  let rounds = 0;
  async function goesOn(what: string, set: () => void): Promise<void> {
    await scene.report(warm, { t: 40 });
    const from = performance.now();
    const passed = (): number => performance.now() - from;
    set();
    const talk = scene.talk(talking, (h) => ({ h }));
    // Longer than it may be silent, and than it takes to notice the step.
    await talk.says(((SILENT_MS + NOTICED_MS) / 1_000) * 6);
    assert.deepEqual([count("Silent"), count("Mute"), open("Silent")], [rounds, rounds, 0], `while it talks ${what}`);
    await until(() => open("Warm") === 1, { what: `what is warm ${what}`, timeoutMs: WARM_MS + NOTICED_MS + 5_000 });
    assert.ok(passed() >= WARM_MS - 100, `after ${passed()} ms ${what}`);
    await scene.report(warm, { t: 20 });
    await until(() => open("Warm") === 0, { what: `the end of it ${what}` });
    await talk[Symbol.asyncDispose]();
    const hushed = performance.now();
    await until(() => open("Silent") === 1 && open("Mute") === 1, {
      what: `the silence ${what}`,
      timeoutMs: SILENT_MS + NOTICED_MS + 8_000,
    });
    assert.ok(performance.now() - hushed >= SILENT_MS - 500, `after ${performance.now() - hushed} ms ${what}`);
    await scene.report(talking, { h: -1 });
    await until(() => open("Silent") === 0 && open("Mute") === 0, { what: `its end ${what}` });
    rounds++;
    assert.deepEqual([count("Silent"), count("Mute"), count("Warm"), count("Hushed")], [rounds, rounds, rounds, 1], what);
  }

  await goesOn("at first", () => undefined);
  assert.equal(count("Hushed", "told_at is null"), 1);
  await goesOn("an hour ahead", () => clock.setAhead(HOUR));
  assert.equal(count("Hushed", "told_at is null"), 0, "the silence is over by the clock that people set");
  await goesOn("set back by an hour", () => clock.setAhead(0));
  await goesOn("in 1970", () => clock.setAhead(-now));
  await goesOn("out of 1970", () => clock.setAhead(HOUR));
  await goesOn("set back by five minutes", () => clock.setAhead(HOUR - 5 * MINUTE));
});
