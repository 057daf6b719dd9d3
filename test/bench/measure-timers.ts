import { newId } from "../../core/id.ts";
import type { NewTimer } from "../../core/timer.ts";
import { type HubTimers, openTimers } from "../../rules/timers.ts";
import { type Db, openStore } from "../../store/open.ts";
import { inTransaction } from "../../store/transaction.ts";
import { temporaryFolder } from "../support/wait.ts";
import { createHistogram, type Latency } from "./histogram.ts";
import { median, type Row } from "./report.ts";
import type { Plan } from "./stage.ts";

const RATE_GOAL = 1_000;
const LATENESS_GOAL_MS = 250;
const BURST = 10_000;
const STEADY_PER_S = 1_000;
/** All are rows before the first is due. */
const HEAD_START_MS = 3_000;
const AT_ONCE = 1_000;
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

/** The hub's timers on SQLite in this process: so many that are due at once, and so many a second. */
export async function measureTimers({ runs, span }: Plan): Promise<Row[]> {
  const bursts: number[] = [];
  const steady: Latency[] = [];
  for (let run = 0; run < runs; run++) {
    const burst = await fireAll(BURST, (now) => now - 1);
    bursts.push((BURST * 1_000) / burst.tookMs);
    const count = Math.round((STEADY_PER_S * span.measureMs) / 1_000);
    steady.push((await fireAll(count, (now, index) => now + HEAD_START_MS + (index * 1_000) / STEADY_PER_S)).lateness);
  }
  return [
    { name: "timers that are due at once: fired", unit: "timers/s", hub: median(bursts), goal: { atLeast: RATE_GOAL } },
    { name: "timers, 1,000 a second: late by, p50", unit: "ms", hub: median(steady.map(({ p50Ms }) => p50Ms)) },
    { name: "  p99", unit: "ms", hub: median(steady.map(({ p99Ms }) => p99Ms)), goal: { atMost: LATENESS_GOAL_MS } },
  ];
}

async function fireAll(
  count: number,
  dueAt: (now: number, index: number) => number,
): Promise<{ readonly tookMs: number; readonly lateness: Latency }> {
  await using folder = temporaryFolder();
  await using store = await openStore({ dataDir: folder.path });
  await using timers = await openTimers({ db: store.db, log: SILENT, metrics: { count() {}, observe() {} }, clock: Date.now });
  const histogram = createHistogram();
  const done = Promise.withResolvers<void>();
  let left = count;
  timers.handle("run", async (_trx, group) => () => {
    const now = timers.now();
    for (const timer of group) histogram.add(Math.max(0, now - timer.dueAt));
    left -= group.length;
    if (left === 0) done.resolve();
  });
  const start = timers.now();
  await put(
    store.db,
    timers,
    Array.from({ length: count }, (_, index) => ({
      kind: "run",
      key: newId(),
      organizationId: null,
      dueAt: dueAt(start, index),
      isRelative: false,
      payload: {},
    })),
  );
  const from = performance.now();
  timers.begin();
  await done.promise;
  return { tookMs: performance.now() - from, lateness: histogram.summary() };
}

async function put(db: Db, timers: HubTimers, wanted: readonly NewTimer[]): Promise<void> {
  for (let at = 0; at < wanted.length; at += AT_ONCE) await inTransaction(db, (trx) => timers.put(trx, wanted.slice(at, at + AT_ONCE)));
}
