import type { EventSink, Log, Metrics, ScheduleControl } from "../core/bus.ts";
import { HubError } from "../core/errors.ts";
import { type HubEvent, newEvent } from "../core/event.ts";
import { newId } from "../core/id.ts";
import { followsRealTime, MOST_MADE_UP, parseSchedule, type Schedule, type ScheduleDefinition } from "../core/schedule.ts";
import { contextOf, dueTime, nextTime, plan, timeToAwait, type Timetable } from "../core/schedule-plan.ts";
import type { NewTimer, Timer, Timers } from "../core/timer.ts";
import { insertEvents } from "../store/events.ts";
import type { Db } from "../store/open.ts";
import {
  findSchedule,
  freeTimes,
  noteManualRun,
  noteSchedule,
  type StoredSchedule,
  takeSchedule,
  waitingSchedules,
} from "../store/schedules.ts";
import { afterCommit, inTransaction } from "../store/transaction.ts";
import type { Runs } from "./runs.ts";

export interface SchedulesContext {
  readonly db: Db;
  readonly timers: Timers<Db>;
  readonly runs: Runs;
  readonly events: EventSink;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** A schedule that can be asked. */
interface Planned extends Schedule, Timetable {
  readonly stored: StoredSchedule;
}

interface TimerPayload {
  readonly schedule: string;
  readonly version: number;
  readonly scheduled_for: string;
}

/** A node's clock, and the time that its transaction waits for the database, make its `now` this much older than another's at most. */
const BEHIND_MS = 5_000;
/** Whoever changes a schedule is done by then. */
const BUSY_MS = 250;
const PAGE = 200;

/** Waits for the times of all schedules. Before the timers begin: what the hub waits for is set right, if its clock was set back while it was off. */
export async function openSchedules(context: SchedulesContext): Promise<ScheduleControl<Db>> {
  const schedules = new WaitingSchedules(context);
  await inTransaction(context.db, (trx) => schedules.planAnew(trx, context.timers.now()));
  return schedules;
}

class WaitingSchedules implements ScheduleControl<Db> {
  readonly #context: SchedulesContext;

  constructor(context: SchedulesContext) {
    this.#context = context;
    context.timers.handle("schedule", async (trx, timers, now) => {
      for (const timer of timers) await this.#onTimer(trx, timer, now);
      return undefined;
    });
    context.timers.onStep(async (trx, stepMs, now) => {
      // Forward, what was jumped over is due.
      if (stepMs < 0) await this.planAnew(trx, now);
    });
  }

  async plan(trx: Db, id: string): Promise<void> {
    const { timers } = this.#context;
    const stored = await findSchedule(trx, id);
    const planned = stored?.isActive ? this.#read(stored) : undefined;
    const next = planned && timeToAwait(planned, timeOf(planned.stored.nextRunAt), timers.now());
    if (planned && next !== undefined) await timers.put(trx, [timerFor(planned, next)]);
    else await timers.drop(trx, "schedule", [id]);
    if (stored) await noteSchedule(trx, id, { nextRunAt: next });
  }

  async fire(trx: Db, id: string, who: Readonly<Record<string, unknown>>): Promise<{ runId: string } | { refused: "busy" }> {
    const stored = await findSchedule(trx, id);
    const planned = stored && this.#read(stored);
    if (!planned) throw new HubError("not_found", "there is no such schedule");
    const runId = await this.#begin(trx, planned, { cause: { kind: "manual", ...who }, isOneOfMany: false });
    if (runId === undefined) return { refused: "busy" };
    await noteManualRun(trx, id, this.#context.timers.now());
    return { runId };
  }

  /**
   * The clock was set back: what is waited for comes sooner. A time of day that was run already is not run again, which the runs
   * themselves see to; what follows real time goes on.
   */
  async planAnew(trx: Db, now: number): Promise<void> {
    const { timers } = this.#context;
    let after: string | undefined;
    do {
      const page = await waitingSchedules(trx, { now, after, limit: PAGE });
      const moved = page.items.flatMap((stored) => {
        const planned = this.#read(stored);
        const awaited = timeOf(stored.nextRunAt);
        // Another node may have run the times of the last moment already: they stay as they are, and are not run again.
        const isLate = planned && awaited !== undefined && (nextTime(planned, now + BEHIND_MS) ?? awaited) < awaited;
        const next = isLate ? nextTime(planned, now) : undefined;
        return planned && next !== undefined ? [{ planned, next }] : [];
      });
      const freed = moved.filter(({ planned }) => followsRealTime(planned.recurrence)).map(({ planned }) => planned.id);
      await freeTimes(trx, freed, now);
      for (const { planned, next } of moved) await noteSchedule(trx, planned.id, { nextRunAt: next });
      if (moved.length > 0)
        await timers.put(
          trx,
          moved.map(({ planned, next }) => timerFor(planned, next)),
        );
      after = page.next ?? undefined;
    } while (after !== undefined);
  }

  /** Either the runs, their events, the counters and the next timer are kept, or the timer comes again. */
  async #onTimer(trx: Db, timer: Timer, now: number): Promise<void> {
    const { timers } = this.#context;
    const { schedule: id, version, scheduled_for: awaited } = timer.payload as unknown as TimerPayload;
    const stored = await takeSchedule(trx, id);
    if (stored === "busy") return await timers.put(trx, [{ ...timer, dueAt: now + BUSY_MS }]);
    // Whoever changed it has put a timer of the new version, or wants none.
    if (!stored?.isActive || stored.version !== version) return;
    const planned = this.#read(stored);
    if (!planned) return;
    const { runs, next } = plan(planned, Date.parse(awaited), now);
    let begun = 0;
    for (const at of runs) {
      const cause = { kind: "schedule", scheduled_for: new Date(at).toISOString() };
      if ((await this.#begin(trx, planned, { cause, scheduledFor: at, isOneOfMany: runs.length > 1 })) !== undefined) begun++;
    }
    await noteSchedule(trx, id, { ...(begun > 0 ? { runs: begun, at: now } : {}), nextRunAt: next });
    if (next !== undefined) await timers.put(trx, [timerFor(planned, next)]);
  }

  /** Those that are made up for come one after the other, whatever `overlap` says. undefined: one goes on, or the time had its run. */
  async #begin(
    trx: Db,
    { stored, actions, overlap, context }: Planned,
    {
      cause,
      scheduledFor,
      isOneOfMany,
    }: { readonly cause: Readonly<Record<string, unknown>>; readonly scheduledFor?: number; readonly isOneOfMany: boolean },
  ): Promise<string | undefined> {
    const { runs, metrics } = this.#context;
    const { id, organizationId, version, name } = stored;
    const eventId = newId();
    const runId = await runs.begin(trx, {
      organizationId,
      source: { kind: "schedule", id, version, name },
      mode: isOneOfMany ? "queue" : overlap,
      actions,
      cause,
      timeZone: context.timeZone,
      correlationId: eventId,
      causationId: null,
      eventId,
      depth: 0,
      scheduledFor,
      ...(isOneOfMany ? { most: MOST_MADE_UP } : {}),
    });
    if (runId === undefined) {
      afterCommit(trx, () => metrics.count("hexahub_schedules_held_back_total"));
      return undefined;
    }
    const data = { schedule_id: id, version, run_id: runId, name, scheduled_for: cause["scheduled_for"] ?? null };
    await this.#tell(trx, stored, { id: eventId, data });
    return runId;
  }

  async #tell(trx: Db, { id, organizationId }: StoredSchedule, about: Pick<HubEvent, "id" | "data">): Promise<void> {
    const { events, metrics, log, timers } = this.#context;
    const actor = { kind: "schedule", id } as const;
    const made = newEvent("schedule.fired", { organizationId, entityId: id, actor, now: timers.now() }, { ...about.data });
    const event: HubEvent = { ...made, id: about.id, correlationId: about.id };
    await insertEvents(trx, [event]);
    afterCommit(trx, () => {
      metrics.count("hexahub_schedules_fired_total");
      events.emit([event]).catch((error: unknown) => log.error({ err: error, scheduleId: id }, "events could not be published"));
    });
  }

  /** Undefined, and told, for one that this build cannot read: it must not take the others down. */
  #read(stored: StoredSchedule): Planned | undefined {
    try {
      const schedule = parseSchedule(stored.definition as unknown as ScheduleDefinition);
      const context = contextOf(schedule, stored, Date.parse(stored.createdAt));
      return { ...schedule, id: stored.id, runCount: stored.runCount, context, stored };
    } catch (error) {
      if (!(error instanceof HubError)) throw error;
      this.#context.log.error({ err: error, scheduleId: stored.id }, "a schedule cannot be read: it does not run");
      return undefined;
    }
  }
}

const timeOf = (text: string | null): number | undefined => (text === null ? undefined : Date.parse(text));

function timerFor(planned: Planned, next: number): NewTimer {
  const { id, version, organizationId } = planned.stored;
  const payload: TimerPayload = { schedule: id, version, scheduled_for: new Date(next).toISOString() };
  return { kind: "schedule", key: id, organizationId, dueAt: dueTime(planned, next), isRelative: false, payload: { ...payload } };
}
