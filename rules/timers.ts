import type { Log, Metrics } from "../core/bus.ts";
import { type ClockReading, type HubTime, isExact, observe, startTime } from "../core/hub-clock.ts";
import type { NewTimer, StepHandler, Timer, TimerHandler, TimerKind, Timers } from "../core/timer.ts";
import type { Db } from "../store/open.ts";
import {
  databaseTime,
  type DueTimers,
  dropTimers,
  nextTimerAt,
  noteTime,
  postponeTimer,
  putTimers,
  seenTime,
  shiftRelativeTimers,
  takeDueTimers,
  takeStep,
} from "../store/timers.ts";
import { afterCommit, inTransaction } from "../store/transaction.ts";

export interface TimersContext {
  readonly db: Db;
  readonly log: Log;
  readonly metrics: Metrics;
  /** ms since 1970, of this machine. */
  readonly clock: () => number;
}

export type HubTimers = Timers<Db> & AsyncDisposable & { /** Once all handlers are there. */ begin(): void };

/** What another node has put, or what was missed, is found by then. */
const TICK_MS = 10_000;
/** One transaction takes so many: enough to share an fsync, few enough to let others to the database. */
const BATCH = 200;
const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 300_000;
const FIRST_READINGS = 5;

/** Rows are the truth, and the process only wakes up for the earliest of them. */
export async function openTimers(context: TimersContext): Promise<HubTimers> {
  const clock = await FollowedClock.open(context);
  return new FiringTimers(context, clock);
}

/** The time of the database, or of this machine where that has none, and what happens when somebody sets it. */
class FollowedClock {
  readonly #context: TimersContext;
  readonly stepHandlers: StepHandler<Db>[] = [];
  #time: HubTime;
  #notedAt = Number.NEGATIVE_INFINITY;

  private constructor(context: TimersContext, time: HubTime) {
    this.#context = context;
    this.#time = time;
    if (!time.isBelieved) this.#warn();
  }

  static async open(context: TimersContext): Promise<FollowedClock> {
    let reading = await readClock(context);
    // A first one that is off would look like a step later; a database that stays slow must not keep the hub from starting.
    for (let again = 0; again < FIRST_READINGS && !isExact(reading); again++) reading = await readClock(context);
    return new FollowedClock(context, startTime(reading, await seenTime(context.db)));
  }

  now(): number {
    return this.#time.offsetMs + performance.now();
  }

  /** A step is dealt with before anything fires by the new time. */
  async follow(): Promise<void> {
    const { db } = this.#context;
    const seen = observe(this.#time, await readClock(this.#context));
    if (seen.stepMs !== 0) await inTransaction(db, (trx) => this.#step(trx, seen.stepMs, seen.time.offsetMs + performance.now()));
    const wasBelieved = this.#time.isBelieved;
    this.#time = seen.time;
    if (wasBelieved && !seen.time.isBelieved) this.#warn();
    if (performance.now() - this.#notedAt < TICK_MS) return;
    await noteTime(db, this.now());
    this.#notedAt = performance.now();
  }

  async #step(trx: Db, stepMs: number, now: number): Promise<void> {
    if (!(await takeStep(trx, now, stepMs))) return;
    this.#context.log.warn({ step_ms: stepMs }, "the clock was set");
    this.#context.metrics.count("hexahub_clock_steps_total");
    await shiftRelativeTimers(trx, stepMs);
    for (const handler of this.stepHandlers) await handler(trx, stepMs, now);
  }

  #warn(): void {
    this.#context.log.warn(
      { now: new Date(this.now()).toISOString() },
      "the clock says a time before this release: timers go on by their own",
    );
  }
}

async function readClock({ db, clock }: TimersContext): Promise<ClockReading> {
  const before = performance.now();
  const wallMs = await databaseTime(db);
  const after = performance.now();
  if (wallMs === undefined) return { wallMs: clock(), monotonicMs: after };
  return { wallMs, monotonicMs: (before + after) / 2, spanMs: after - before };
}

class FiringTimers implements HubTimers {
  readonly #context: TimersContext;
  readonly #clock: FollowedClock;
  readonly #handlers = new Map<TimerKind, TimerHandler<Db>>();
  readonly #closing = new AbortController();
  /** Nothing is to be done before. */
  #wakeAt = Number.POSITIVE_INFINITY;
  #wake: (() => void) | undefined;
  #running: Promise<void> | undefined;

  constructor(context: TimersContext, clock: FollowedClock) {
    this.#context = context;
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  async put(trx: Db, timers: readonly NewTimer[]): Promise<void> {
    await putTimers(trx, timers);
    const earliest = Math.min(...timers.map(({ dueAt }) => dueAt));
    afterCommit(trx, () => {
      if (earliest >= this.#wakeAt) return;
      this.#wakeAt = earliest;
      this.#wake?.();
    });
  }

  drop(trx: Db, kind: TimerKind, keys: readonly string[]): Promise<void> {
    return dropTimers(trx, kind, keys);
  }

  handle(kind: TimerKind, handler: TimerHandler<Db>): void {
    this.#handlers.set(kind, handler);
  }

  onStep(handler: StepHandler<Db>): void {
    this.#clock.stepHandlers.push(handler);
  }

  begin(): void {
    this.#running ??= this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    this.#wake?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { db, log } = this.#context;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      // Whatever is put from here on is in time for the next turn.
      this.#wakeAt = Number.POSITIVE_INFINITY;
      try {
        await this.#clock.follow();
        while (!signal.aborted && (await this.#fire()));
        const next = await nextTimerAt(db, [...this.#handlers.keys()]);
        // Beside what was put while that was asked.
        this.#wakeAt = Math.min(this.#wakeAt, next ?? Number.POSITIVE_INFINITY);
      } catch (error) {
        log.error({ err: error }, "timers could not be fired; they are tried again");
        this.#wakeAt = this.now() + FIRST_RETRY_MS;
      }
      await this.#sleep(Math.min(TICK_MS, this.#wakeAt - this.now()));
    }
  }

  /** Until then, or until something earlier is put. */
  async #sleep(ms: number): Promise<void> {
    if (ms <= 0 || this.#closing.signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timeout = setTimeout(resolve, ms).unref();
    this.#wake = resolve;
    await promise;
    this.#wake = undefined;
    clearTimeout(timeout);
  }

  /** Fires one batch; resolves to whether there may be more. */
  async #fire(): Promise<boolean> {
    const due = { now: this.now(), kinds: [...this.#handlers.keys()], limit: BATCH };
    let taken: readonly Timer[] = [];
    try {
      await this.#fireTogether(due, (timers) => {
        taken = timers;
      });
    } catch (error) {
      if (taken.length === 0) throw error;
      for (const timer of taken) await this.#fireAlone(timer, due.now);
    }
    return taken.length === BATCH;
  }

  async #fireTogether(due: DueTimers, onTaken: (timers: readonly Timer[]) => void): Promise<void> {
    const { db, metrics, log } = this.#context;
    const after: (() => void)[] = [];
    const fired = await inTransaction(db, async (trx) => {
      const timers = await takeDueTimers(trx, due);
      onTaken(timers);
      after.length = 0;
      for (const [kind, group] of Map.groupBy(timers, (timer) => timer.kind)) {
        const done = await this.#handlers.get(kind)?.(trx, group, due.now);
        if (done) after.push(done);
      }
      return timers;
    });
    for (const { kind, dueAt } of fired) metrics.observe("hexahub_timer_lateness_seconds", Math.max(0, due.now - dueAt) / 1_000, { kind });
    for (const act of after) {
      try {
        act();
      } catch (error) {
        log.error({ err: error }, "what follows a timer failed");
      }
    }
  }

  async #fireAlone({ id, kind, key, attempts }: Timer, now: number): Promise<void> {
    const { db, log, metrics } = this.#context;
    try {
      await this.#fireTogether({ now, kinds: [kind], limit: 1, ids: [id] }, () => undefined);
    } catch (error) {
      log.error({ err: error, kind, key, attempts }, "a timer failed; it comes again");
      metrics.count("hexahub_timer_failures_total", { kind });
      await postponeTimer(db, id, now + Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** attempts));
    }
  }
}
