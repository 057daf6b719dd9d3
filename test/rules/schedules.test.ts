import assert from "node:assert/strict";
import { PLATFORM, SYSTEM } from "../../core/principal.ts";
import type { ScheduleDefinition } from "../../core/schedule.ts";
import { listAudit } from "../../store/audit.ts";
import { listEvents } from "../../store/events.ts";
import { lockSchedule, updateSchedule } from "../../store/schedules.ts";
import { rowsOf } from "../../store/sql.ts";
import { inTransaction } from "../../store/transaction.ts";
import { forEachEngine } from "../store/engines.ts";
import { until } from "../support/wait.ts";
import { heldTransaction } from "../support/held-transaction.ts";
import { type Scene, startScene } from "./schedules-scene.ts";

const HOUR = 3_600_000;
/** Long enough for a busy machine to have everything ready before. */
const SOON = 1_500;
const DAY = 24 * HOUR;
const HOURLY: ScheduleDefinition["recurrence"] = { kind: "interval", every_s: 3_600 };
const EVERY_SECOND: ScheduleDefinition["recurrence"] = { kind: "interval", every_s: 1 };
const iso = (ms: number): string => new Date(ms).toISOString();

/** Runs that came to an end, when there are so many. */
const ended = (scene: Scene, id: string, count: number) =>
  until(
    async () => {
      const runs = await scene.runs(id);
      return runs.length >= count && runs.every(({ finishedAt }) => finishedAt !== null) && runs;
    },
    { what: `${count} runs`, timeoutMs: 30_000 },
  );
const edit = (scene: Scene, id: string, change: { readonly isActive?: boolean; readonly definition?: object }): Promise<void> =>
  inTransaction(scene.db, async (trx) => {
    const before = await lockSchedule(trx, PLATFORM, id);
    await updateSchedule(
      trx,
      before,
      { ...before, ...change, definition: { ...before.definition, ...change.definition } },
      { actor: SYSTEM, now: Date.now() },
    );
    await scene.schedules.plan(trx, id);
  });

forEachEngine(({ engine, test }) => {
  test("a time that is due has its run, its event and its place in the counters, and the next one waits", async (db) => {
    await using scene = await startScene(db);
    const now = Math.floor(scene.timers.now());
    const id = await scene.make({ recurrence: { kind: "interval", every_s: 3_600, starting_at: iso(now + SOON) } });
    assert.equal((await scene.find(id)).nextRunAt, iso(now + SOON));
    scene.timers.begin();
    const [run] = await ended(scene, id, 1);
    assert.deepEqual(
      [run?.status, run?.sourceKind, run?.sourceVersion, run?.scheduledFor, run?.cause["kind"]],
      ["ok", "schedule", 1, iso(now + SOON), "schedule"],
    );
    const { runCount, lastRunAt, nextRunAt } = await scene.find(id);
    assert.deepEqual([runCount, nextRunAt, await scene.dueAt(id)], [1, iso(now + SOON + HOUR), now + SOON + HOUR]);
    assert.ok(lastRunAt !== null && Date.parse(lastRunAt) >= now + SOON);
    const events = (await listEvents(db, PLATFORM, { limit: 10 })).items.toReversed();
    const [fired, told] = events;
    assert.deepEqual(
      events.map(({ type }) => type),
      ["schedule.fired", "custom.told"],
    );
    assert.deepEqual([fired?.data["schedule_id"], fired?.data["run_id"], fired?.data["scheduled_for"]], [id, run?.id, iso(now + SOON)]);
    assert.deepEqual([told?.causationId, told?.correlationId, told?.actor], [fired?.id, fired?.id, { kind: "schedule", id }]);
    assert.deepEqual(scene.emitted.map(({ id: event }) => event).toSorted(), events.map(({ id: event }) => event).toSorted());
  });

  for (const [policy, wanted] of [
    [{ policy: "skip", grace_s: 60 }, []],
    [{ policy: "skip", grace_s: 3_600 }, [1]],
    [{ policy: "once" }, [1]],
    [{ policy: "all", limit: 3 }, [3, 2, 1]],
    [{ policy: "all", limit: 100 }, Array.from({ length: 48 }, (_, index) => 48 - index)],
  ] as const)
    test(`off for two days: ${JSON.stringify(policy)} runs ${wanted.length} of 48`, async (db) => {
      await using scene = await startScene(db);
      const now = Math.floor(scene.timers.now());
      const first = now - 2 * DAY + HOUR / 2;
      const recurrence = { ...HOURLY, starting_at: iso(first) } as const;
      const id = await scene.make({
        recurrence,
        misfire: policy,
        actions: [
          { kind: "delay", for_s: 0.1 },
          { kind: "event", type: "custom.told" },
        ],
      });
      await scene.pretend(id, first);
      scene.timers.begin();
      const awaited = first + 48 * HOUR;
      await until(async () => (await scene.dueAt(id)) === awaited, { what: "the next time" });
      const runs = await ended(scene, id, wanted.length);
      assert.deepEqual(
        runs.map(({ scheduledFor }) => scheduledFor),
        wanted.map((back) => iso(awaited - back * HOUR)),
      );
      assert.ok(runs.every(({ status }) => status === "ok"));
      const overlaps = runs
        .slice(1)
        .filter(({ steps }, index) => Date.parse(steps[0]?.at ?? "") < Date.parse(runs[index]?.finishedAt ?? ""));
      assert.deepEqual(overlaps, [], "they come one after the other");
      assert.equal((await scene.find(id)).runCount, wanted.length);
    });

  test("a time comes once, whatever happens", async (db) => {
    await using scene = await startScene(db);
    const now = Math.floor(scene.timers.now());
    const id = await scene.make({ recurrence: { ...HOURLY, starting_at: iso(now - HOUR / 2) }, misfire: { policy: "once" } });
    scene.timers.begin();
    await scene.pretend(id, now - HOUR / 2);
    await ended(scene, id, 1);
    await scene.pretend(id, now - HOUR / 2);
    await until(async () => (await scene.dueAt(id)) === now + HOUR / 2, { what: "the second look" });
    assert.equal((await scene.runs(id)).length, 1);
    assert.equal((await scene.find(id)).runCount, 1);
  });

  test("while a run goes on the next is left out, or does what overlap says", async (db) => {
    await using scene = await startScene(db);
    const actions = [{ kind: "delay", for_s: 3_600 }];
    const skipping = await scene.make({ recurrence: EVERY_SECOND, actions });
    const beside = await scene.make({ recurrence: EVERY_SECOND, actions, overlap: "parallel" });
    scene.timers.begin();
    await until(async () => (await scene.runs(beside)).length === 3, { what: "three runs" });
    assert.equal((await scene.runs(skipping)).length, 1);
    assert.equal((await scene.find(skipping)).runCount, 1);
  });

  test("paused it does not run, and resumed it makes up for nothing", async (db) => {
    await using scene = await startScene(db);
    const id = await scene.make({ recurrence: EVERY_SECOND, misfire: { policy: "all" } });
    await edit(scene, id, { isActive: false });
    assert.deepEqual([await scene.dueAt(id), (await scene.find(id)).nextRunAt], [undefined, null]);
    await scene.pretend(id, scene.timers.now() - HOUR);
    const other = await scene.make({ recurrence: EVERY_SECOND, max_runs: 2 });
    scene.timers.begin();
    await ended(scene, other, 2);
    assert.deepEqual([await scene.dueAt(id), await scene.runs(id)], [undefined, []]);
    const resumedAt = scene.timers.now();
    await edit(scene, id, { isActive: true });
    const [first] = await ended(scene, id, 1);
    assert.ok(Date.parse(first?.scheduledFor ?? "") > resumedAt);
  });

  test("a timer of a former version does nothing", async (db) => {
    await using scene = await startScene(db);
    const id = await scene.make({ recurrence: HOURLY });
    const [former] = await rowsOf<{ payload: unknown }>(db, "select payload from timers where timer_key = ?", [id]);
    await edit(scene, id, { definition: { recurrence: { kind: "interval", every_s: 7_200 } } });
    assert.equal((await scene.find(id)).version, 2);
    const payload = (typeof former?.payload === "string" ? JSON.parse(former.payload) : former?.payload) as Record<string, unknown>;
    await inTransaction(db, (trx) =>
      scene.timers.put(trx, [{ kind: "schedule", key: id, organizationId: null, dueAt: scene.timers.now(), isRelative: false, payload }]),
    );
    scene.timers.begin();
    await until(async () => (await scene.dueAt(id)) === undefined, { what: "the timer to be taken" });
    assert.deepEqual(await scene.runs(id), []);
  });

  test("after max_runs, and after ends_at, it does not come again", async (db) => {
    await using scene = await startScene(db);
    const counted = await scene.make({ recurrence: EVERY_SECOND, max_runs: 2 });
    const ending = await scene.make({ recurrence: EVERY_SECOND, ends_at: iso(scene.timers.now() + 1_500) });
    scene.timers.begin();
    for (const [id, count] of [
      [counted, 2],
      [ending, 1],
    ] as const) {
      await ended(scene, id, count);
      const { runCount, nextRunAt } = await scene.find(id);
      assert.deepEqual([runCount, nextRunAt, await scene.dueAt(id)], [count, null, undefined]);
    }
  });

  test("by hand it runs also while it is off, and its times and counters stay", async (db) => {
    await using scene = await startScene(db);
    const id = await scene.make({ recurrence: HOURLY, max_runs: 1 }, { isActive: false });
    const fired = await inTransaction(db, (trx) => scene.schedules.fire(trx, id, { by: SYSTEM }));
    assert.ok("runId" in fired);
    const [run] = await ended(scene, id, 1);
    assert.deepEqual([run?.id, run?.scheduledFor, run?.cause["kind"]], [fired.runId, null, "manual"]);
    const { runCount, lastRunAt } = await scene.find(id);
    assert.deepEqual([runCount, lastRunAt !== null], [0, true]);
  });

  test("a run that fails is told: an event, the audit, and those who manage schedules", async (db) => {
    await using scene = await startScene(db);
    const id = await scene.make({
      recurrence: { kind: "once", at: iso(scene.timers.now() + 100) },
      actions: [{ kind: "command", device: "relay-k3m9x2q7", command: { command: "set_relay", relay: 0, state: "ON" } }],
    });
    scene.timers.begin();
    const [run] = await ended(scene, id, 1);
    assert.deepEqual([run?.status, run?.steps[0]?.code], ["failed", "device_offline"]);
    const failed = (await listEvents(db, PLATFORM, { limit: 10, types: ["schedule.failed"] })).items;
    assert.deepEqual([failed.length, failed[0]?.data["schedule_id"]], [1, id]);
    const audit = (await listAudit(db, PLATFORM, { limit: 10 })).items.filter(({ action }) => action === "schedule.failed");
    assert.deepEqual(
      audit.map(({ resourceId }) => resourceId),
      [id],
    );
    assert.deepEqual(
      scene.notified.map(({ source, to }) => [source, to]),
      [[{ kind: "schedule", id }, { permission: "automation.manage" }]],
    );
  });

  if (engine === "postgres") {
    test("of two hubs one runs each time, and none waits for somebody who changes the schedule", async (db) => {
      await using a = await startScene(db);
      await using b = await startScene(db);
      const ids = await Promise.all(Array.from({ length: 20 }, () => a.make({ recurrence: EVERY_SECOND, max_runs: 4 })));
      const [changed = ""] = ids;
      await using lock = await heldTransaction(db, async (trx) => await lockSchedule(trx, PLATFORM, changed));
      for (const { timers } of [a, b]) timers.begin();
      for (const id of ids.slice(1)) {
        const runs = await ended(a, id, 4);
        assert.equal(new Set(runs.map(({ scheduledFor }) => scheduledFor)).size, runs.length);
        assert.equal((await a.find(id)).runCount, 4);
        assert.equal(runs.length, 4);
      }
      assert.deepEqual(await a.runs(changed), []);
      await lock.release();
      assert.equal((await ended(a, changed, 4)).length, 4);
    });
    return;
  }

  for (const byMs of [-HOUR, -3 * DAY])
    test(`set back by ${-byMs / HOUR} h an interval goes on without silence, and a time of day that was run is not run again`, async (db) => {
      const clock = { aheadMs: 0 };
      await using scene = await startScene(db, () => Date.now() + clock.aheadMs);
      const now = Math.floor(scene.timers.now());
      const going = await scene.make({ recurrence: EVERY_SECOND });
      const frequent = await scene.make({ recurrence: { kind: "cron", expression: "* * * * * *" } });
      const fixed = await scene.make({ recurrence: { kind: "once", at: iso(now + 200) } });
      const later = await scene.make({ recurrence: HOURLY }, { createdAt: now - 10 * DAY });
      scene.timers.begin();
      for (const id of [going, frequent, fixed]) await ended(scene, id, 1);
      const before = { going: (await scene.runs(going)).length, frequent: (await scene.runs(frequent)).length };
      clock.aheadMs += byMs;
      await ended(scene, going, before.going + 3);
      await ended(scene, frequent, before.frequent + 3);
      const due = (await scene.dueAt(later)) ?? 0;
      assert.ok(due > now + byMs && due <= now + byMs + HOUR + 60_000, iso(due));
      // The time comes a second time, and finds that it has been.
      await scene.pretend(fixed, now + 200);
      clock.aheadMs -= byMs;
      await until(async () => (await scene.dueAt(fixed)) === undefined, { what: "the single time again" });
      assert.equal((await scene.runs(fixed)).length, 1);
    });

  test("set forward by three hours what was jumped over is treated by the policy, and nothing comes in a burst", async (db) => {
    const clock = { aheadMs: 0 };
    await using scene = await startScene(db, () => Date.now() + clock.aheadMs);
    const going = await scene.make({ recurrence: EVERY_SECOND });
    const made = { createdAt: scene.timers.now() - DAY - HOUR / 2 };
    const ids = {
      skip: await scene.make({ recurrence: HOURLY, misfire: { policy: "skip", grace_s: 60 } }, made),
      once: await scene.make({ recurrence: HOURLY, misfire: { policy: "once" } }, made),
      all: await scene.make({ recurrence: HOURLY, misfire: { policy: "all", limit: 2 } }, made),
    };
    scene.timers.begin();
    await ended(scene, going, 1);
    clock.aheadMs += 3 * HOUR;
    const steppedAt = Date.now();
    await ended(scene, ids.all, 2);
    await until(async () => ((await scene.dueAt(ids.skip)) ?? 0) > scene.timers.now(), { what: "the next times" });
    assert.deepEqual(
      [(await scene.runs(ids.skip)).length, (await scene.runs(ids.once)).length, (await scene.runs(ids.all)).length],
      [0, 1, 2],
    );
    const { length } = await ended(scene, going, 3);
    assert.ok(length <= 3 + (Date.now() - steppedAt) / 1_000 + 2, `${length} runs`);
  });

  test("a hub whose clock was set back while it was off does not wait for the time that it had in mind", async (db) => {
    const clock = { aheadMs: 0 };
    const id = await (async () => {
      await using first = await startScene(db, () => Date.now() + clock.aheadMs);
      const made = await first.make({ recurrence: EVERY_SECOND });
      first.timers.begin();
      await ended(first, made, 2);
      return made;
    })();
    clock.aheadMs = -2 * HOUR;
    await using second = await startScene(db, () => Date.now() + clock.aheadMs);
    const { length } = await second.runs(id);
    second.timers.begin();
    await ended(second, id, length + 2);
  });

  test("a hub that starts a moment behind another does not run again what that has run", async (db) => {
    const clock = { aheadMs: 0 };
    const id = await (async () => {
      await using first = await startScene(db, () => Date.now() + clock.aheadMs);
      const made = await first.make({ recurrence: EVERY_SECOND });
      first.timers.begin();
      await ended(first, made, 2);
      clock.aheadMs = Date.parse((await first.find(made)).nextRunAt ?? "") - 1_100 - Date.now();
      return made;
    })();
    await using second = await startScene(db, () => Date.now() + clock.aheadMs);
    const { length } = await second.runs(id);
    second.timers.begin();
    const times = (await ended(second, id, length + 2)).map(({ scheduledFor }) => scheduledFor);
    assert.ok(!times.includes(null));
    assert.equal(new Set(times).size, times.length);
  });
});
