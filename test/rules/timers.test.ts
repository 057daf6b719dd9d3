import assert from "node:assert/strict";
import { EARLIEST_MS } from "../../core/hub-clock.ts";
import type { NewTimer, Timer } from "../../core/timer.ts";
import { type HubTimers, openTimers } from "../../rules/timers.ts";
import type { Db } from "../../store/open.ts";
import { rowsOf } from "../../store/sql.ts";
import { shiftRelativeTimers, takeStep } from "../../store/timers.ts";
import { inTransaction } from "../../store/transaction.ts";
import { forEachEngine } from "../store/engines.ts";
import { until } from "../support/wait.ts";

const HOUR = 3_600_000;
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };
const METRICS = { count() {}, observe() {} };

interface Scene {
  readonly timers: HubTimers;
  readonly fired: { readonly key: string; readonly at: number; readonly attempts: number }[];
  readonly logged: string[];
}

/** A hub's timers, whose clock the test may set where the database has none of its own. */
async function hubOf(db: Db, clock: () => number = Date.now, fail: (timer: Timer) => boolean = () => false): Promise<Scene> {
  const logged: string[] = [];
  const log = {
    ...SILENT,
    warn: (_: object, text: string) => void logged.push(text),
    error: (_: object, text: string) => void logged.push(text),
  };
  const timers = await openTimers({ db, log, metrics: METRICS, clock });
  const fired: Scene["fired"] = [];
  timers.handle("run", async (_trx, group, now) => {
    const broken = group.find(fail);
    if (broken) throw new Error(`${broken.key} cannot be done`);
    return () => void fired.push(...group.map(({ key, attempts }) => ({ key, at: now, attempts })));
  });
  return { timers, fired, logged };
}

/** The same database; the answer to statements that begin so comes once `wait` is over. */
function slowDatabase(db: Db, statement: string, wait: () => Promise<void>): Db {
  const raw = async (sql: string, ...bindings: unknown[]): Promise<unknown> => {
    const answer: unknown = await (db.raw as (...all: unknown[]) => Promise<unknown>)(sql, ...bindings);
    if (sql.startsWith(statement)) await wait();
    return answer;
  };
  return new Proxy(db, { get: (of, name) => (name === "raw" ? raw : (Reflect.get(of, name) as unknown)) });
}

const timer = (key: string, dueAt: number, more: Partial<NewTimer> = {}): NewTimer => ({
  kind: "run",
  key,
  organizationId: null,
  dueAt,
  isRelative: false,
  payload: { key },
  ...more,
});
const put = (db: Db, { timers }: Scene, wanted: readonly NewTimer[]): Promise<void> => inTransaction(db, (trx) => timers.put(trx, wanted));
const count = async (db: Db): Promise<number> => Number((await rowsOf<{ n: number }>(db, "select count(*) as n from timers"))[0]?.n);
const keys = (scene: Scene): string[] => scene.fired.map(({ key }) => key);

forEachEngine(({ engine, test }) => {
  test("fires each once, in time and in order, also what is put while it sleeps", async (db) => {
    const hub = await hubOf(db);
    await using timers = hub.timers;
    const start = timers.now();
    await put(db, hub, [timer("late", start + 400), timer("past", start - HOUR), timer("soon", start + 150), timer("never", start + HOUR)]);
    timers.begin();
    await until(() => hub.fired.length === 1, { what: "the first" });
    await put(db, hub, [timer("between", start + 250)]);
    await until(() => hub.fired.length === 4, { what: "all that is due" });
    assert.deepEqual(keys(hub), ["past", "soon", "between", "late"]);
    for (const { key, at } of hub.fired.slice(1))
      assert.ok(at >= Math.trunc(start) + { soon: 150, between: 250, late: 400 }[key as "soon"], key);
    assert.equal(await count(db), 1);
  });

  test("what is put while it looks for the next one does not wait for the next look", async (db) => {
    const [asked, answered] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const late = slowDatabase(db, "select due_at from timers", async () => {
      asked.resolve();
      await answered.promise;
    });
    const hub = await hubOf(late);
    await using timers = hub.timers;
    timers.begin();
    await asked.promise;
    await put(db, hub, [timer("a", timers.now())]);
    answered.resolve();
    await until(() => hub.fired.length === 1, { what: "the timer", timeoutMs: 5_000 });
  });

  test("one for the year 10000, also by a step of the clock, does not come before its time nor hold back others", async (db) => {
    const hub = await hubOf(db);
    await using timers = hub.timers;
    const late = ["9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59Z"].map((text) => timer(text, Date.parse(text), { isRelative: true }));
    await put(db, hub, [...late, timer("soon", timers.now() + 100)]);
    await inTransaction(db, (trx) => shiftRelativeTimers(trx, 400 * 24 * HOUR));
    timers.begin();
    await until(() => hub.fired.length > 0, { what: "the other", timeoutMs: 5_000 });
    assert.deepEqual([keys(hub), await count(db)], [["soon"], 2]);
  });

  test("each step of the clock is done once, whichever node sees it, and one of another size is another", async (db) => {
    const now = EARLIEST_MS + HOUR;
    const take = (at: number, stepMs: number): Promise<boolean> => inTransaction(db, (trx) => takeStep(trx, at, stepMs));
    assert.deepEqual([await take(now, 5_000), await take(now + 400, 5_300)], [true, false]);
    assert.deepEqual([await take(now + 9_000, -5_000), await take(now + 9_100, -5_200)], [true, false]);
    assert.equal(await take(now + 60_000, -5_000), true);
  });

  if (engine === "postgres")
    test("a database that answers late is no clock that was set", async (db) => {
      let slow = 0;
      const late = slowDatabase(db, "select extract(epoch", async () => {
        const since = performance.now();
        if (slow++ === 1) await until(() => performance.now() - since > 2_500, { what: "the answer" });
      });
      const hub = await hubOf(late);
      await using timers = hub.timers;
      await put(db, hub, [timer("x", timers.now() + HOUR, { isRelative: true })]);
      const due = async (): Promise<unknown> =>
        (await rowsOf<{ due_at: string }>(db, "select due_at from timers where timer_key = 'x'"))[0];
      const before = await due();
      timers.begin();
      for (const key of ["a", "b"]) {
        await put(db, hub, [timer(key, timers.now())]);
        await until(() => keys(hub).includes(key), { what: key });
      }
      assert.ok(slow > 2);
      assert.deepEqual([await due(), hub.logged], [before, []]);
    });

  test("has one of a key: the last one put, and none that was dropped", async (db) => {
    const hub = await hubOf(db);
    await using timers = hub.timers;
    const now = timers.now();
    await put(db, hub, [timer("a", now + HOUR), timer("b", now - 2), timer("c", now - 3)]);
    await put(db, hub, [timer("a", now - 1), timer("b", now + HOUR), timer("b", now + 2 * HOUR)]);
    await inTransaction(db, (trx) => timers.drop(trx, "run", ["c", "nothing"]));
    timers.begin();
    await until(() => hub.fired.length === 1, { what: "a" });
    assert.deepEqual(keys(hub), ["a"]);
    const [left] = await rowsOf<{ timer_key: string; due_at: string }>(db, "select timer_key, due_at from timers");
    assert.deepEqual([left?.timer_key, Math.trunc(Date.parse(left?.due_at ?? ""))], ["b", Math.trunc(now + 2 * HOUR)]);
  });

  test("one that fails holds nobody up, loses nothing and comes again", async (db) => {
    const broken = new Set(["bad"]);
    const hub = await hubOf(db, Date.now, ({ key }) => broken.has(key));
    await using timers = hub.timers;
    const now = timers.now();
    await put(db, hub, [timer("bad", now - 50), ...Array.from({ length: 20 }, (_, index) => timer(`good ${index}`, now - index))]);
    timers.begin();
    await until(() => hub.fired.length === 20, { what: "the others" });
    broken.clear();
    await until(() => hub.fired.length === 21, { what: "the one that failed" });
    assert.deepEqual(hub.fired.at(-1)?.key, "bad");
    assert.ok((hub.fired.at(-1)?.attempts ?? 0) >= 1);
    assert.equal(await count(db), 0);
  });

  test("what a handler puts for the same key is a new one", async (db) => {
    const hub = await hubOf(db);
    await using timers = hub.timers;
    const turns: number[] = [];
    timers.handle("schedule", async (trx, [one], now) => {
      const turn = Number(one?.payload["turn"]);
      if (turn < 5) await timers.put(trx, [timer("again", now, { kind: "schedule", payload: { turn: turn + 1 } })]);
      return () => void turns.push(turn);
    });
    await put(db, hub, [timer("again", timers.now(), { kind: "schedule", payload: { turn: 1 } })]);
    timers.begin();
    await until(() => turns.length === 5, { what: "five turns" });
    assert.deepEqual(turns, [1, 2, 3, 4, 5]);
  });

  if (engine === "postgres")
    test("of two hubs one fires each of a thousand, by the database's time, however wrong their own clocks", async (db) => {
      const hubs = [await hubOf(db, () => Date.now() + 5 * HOUR), await hubOf(db, () => 0)];
      await using stack = new AsyncDisposableStack();
      for (const { timers } of hubs) stack.use(timers);
      const [first] = hubs as [Scene];
      const now = first.timers.now();
      await put(
        db,
        first,
        Array.from({ length: 1_000 }, (_, index) => timer(`t${index}`, now + (index % 500))),
      );
      await put(db, first, [timer("in an hour", now + HOUR)]);
      for (const { timers } of hubs) timers.begin();
      await until(() => hubs.flatMap(keys).length >= 1_000, { what: "all" });
      await until(async () => (await count(db)) === 1, { what: "the last commit" });
      assert.equal(new Set(hubs.flatMap(keys)).size, 1_000);
      assert.equal(hubs.flatMap(keys).length, 1_000);
    });
  else {
    test("time that goes by is not set: relative timers move along with the clock, others do not", async (db) => {
      for (const step of [HOUR, -HOUR]) {
        const clock = { aheadMs: 0 };
        const hub = await hubOf(db, () => Date.now() + clock.aheadMs);
        const now = hub.timers.now();
        const seen: number[] = [];
        hub.timers.onStep(async (_trx, stepMs) => void seen.push(stepMs));
        await rowsOf(db, "delete from timers");
        await rowsOf(db, "delete from hub_clock");
        await put(db, hub, [timer("at", now + 2 * HOUR), timer("in", now + 2 * HOUR, { isRelative: true })]);
        clock.aheadMs = step;
        hub.timers.begin();
        await until(() => seen.length > 0, { what: "the step" });
        await hub.timers[Symbol.asyncDispose]();
        assert.ok(Math.abs((seen[0] ?? 0) - step) < 1_000);
        const rows = await rowsOf<{ timer_key: string; due_at: string }>(db, "select timer_key, due_at from timers order by timer_key");
        const moved = rows.map(({ due_at: dueAt }) => Math.round((Date.parse(dueAt) - now - 2 * HOUR) / 1_000) * 1_000 + 0);
        assert.deepEqual(
          [rows.map(({ timer_key: key }) => key), moved],
          [
            ["at", "in"],
            [0, step],
          ],
        );
      }
    });

    test("a clock of 1970 stops nothing: the time goes on from the latest that was seen", async (db) => {
      const first = await hubOf(db);
      const now = first.timers.now();
      first.timers.begin();
      await until(async () => (await rowsOf(db, "select 1 from hub_clock")).length === 1, { what: "the note of the time" });
      await first.timers[Symbol.asyncDispose]();
      const hub = await hubOf(db, () => 1_000);
      await using timers = hub.timers;
      // It is written down to the millisecond.
      assert.ok(timers.now() >= Math.floor(now) && timers.now() < now + 60_000 && now > EARLIEST_MS);
      await put(db, hub, [timer("in an hour", now + HOUR), timer("now", now + 200)]);
      timers.begin();
      await until(() => hub.fired.length === 1, { what: "what is due" });
      assert.deepEqual(keys(hub), ["now"]);
      assert.deepEqual(hub.logged, ["the clock says a time before this release: timers go on by their own"]);
    });
  }
});
