import type { Action } from "../core/action.ts";
import type { Log, Metrics } from "../core/bus.ts";
import { MOST_RUNS, type Mode } from "../core/automation.ts";
import { type Condition, devicesOfCondition, evaluate, type Facts } from "../core/condition.ts";
import { DEFAULT_TIMEOUT_MS } from "../core/command.ts";
import { HubError } from "../core/errors.ts";
import { type EventType, newAudit, newEvent } from "../core/event.ts";
import { newId } from "../core/id.ts";
import { BEGIN, MOST_TURNS, nextStep, type Step } from "../core/program.ts";
import { MOST_EFFECTS, MOST_STEPS, type Run, type RunSource, type RunStep } from "../core/run.ts";
import type { Timers } from "../core/timer.ts";
import { insertAudit } from "../store/audit.ts";
import { insertEvents } from "../store/events.ts";
import { readFacts } from "../store/facts.ts";
import type { Db } from "../store/open.ts";
import {
  beginQueuedRun,
  cancelRuns,
  findQueuedRun,
  forgottenRuns,
  insertRuns,
  lockOpenRuns,
  type RunProgress,
  saveProgress,
  takeRun,
} from "../store/runs.ts";
import { afterCommit, inTransaction } from "../store/transaction.ts";
import { actorOfRun, type EffectsContext, perform, type Rest } from "./effects.ts";
import { RunPlaces, type RunTurn } from "./run-places.ts";

export interface RunsContext extends EffectsContext {
  readonly timers: Timers<Db>;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Of a command. */
  readonly commandTimeoutMs?: number | undefined;
}

export interface NewRun {
  readonly organizationId: string;
  readonly source: { readonly kind: RunSource; readonly id: string; readonly version: number | null; readonly name: string };
  readonly mode: Mode;
  readonly actions: readonly Action[];
  /** With the values that decided; conditions of the actions read it as `trigger`. */
  readonly cause: Readonly<Record<string, unknown>>;
  readonly timeZone: string;
  readonly correlationId: string;
  readonly causationId: string | null;
  /** Of the event that tells of this run. */
  readonly eventId: string | null;
  readonly depth: number;
  /** ms since 1970; of a schedule. */
  readonly scheduledFor?: number | undefined;
  /** How many may go on or wait; ten without it. */
  readonly most?: number | undefined;
}

/** Does actions, one after the other, over restarts. */
export interface Runs extends AsyncDisposable {
  /**
   * Part of the transaction of its cause: the run is kept if and only if that is. undefined when the mode says so (one goes on, or
   * as many wait as may), or when the time of the schedule has its run.
   */
  begin(trx: Db, wanted: NewRun): Promise<string | undefined>;
  /** Part of the transaction; what is under way is not taken back. Gives those that had not finished. */
  cancel(trx: Db, ids: readonly string[]): Promise<readonly string[]>;
  /** At the start: runs that nothing would come back to go on. */
  resume(): Promise<void>;
}

/** Another node goes on with a run that was not heard of for so long, beyond what a device has to answer. */
const MARGIN_MS = 5_000;
/** One that waits behind another looks so often whether it is its turn, if nobody tells it. */
const QUEUED_MS = 60_000;
/** The lease was written so long before it is counted, at most. */
const HELD_MARGIN_MS = 1_000;
const AT_ONCE = 200;

export function createRuns(context: RunsContext): Runs {
  return new StoredRuns(context);
}

class StoredRuns implements Runs {
  readonly #context: RunsContext;
  readonly #leaseMs: number;
  readonly #places: RunPlaces;
  readonly #turning = new Set<Promise<void>>();

  constructor(context: RunsContext) {
    this.#context = context;
    this.#leaseMs = (context.commandTimeoutMs ?? DEFAULT_TIMEOUT_MS) + MARGIN_MS;
    this.#places = new RunPlaces({ work: (turn) => this.#work(turn), places: AT_ONCE, heldMs: this.#leaseMs - HELD_MARGIN_MS });
    context.timers.handle("run", async (trx, timers, now) => {
      // Whoever has it does not answer: it is this node's, and comes again if this one dies too.
      await context.timers.put(
        trx,
        timers.map((timer) => ({ ...timer, dueAt: now + this.#leaseMs, isRelative: true })),
      );
      return () => timers.forEach(({ key, organizationId }) => this.#places.enter({ id: key, organizationId: organizationId ?? "" }));
    });
  }

  async begin(trx: Db, wanted: NewRun): Promise<string | undefined> {
    const { timers } = this.#context;
    const now = timers.now();
    const mode = await this.#make(trx, wanted);
    if (mode === undefined) return undefined;
    const run: Run = {
      id: newId(),
      organizationId: wanted.organizationId,
      sourceKind: wanted.source.kind,
      sourceId: wanted.source.id,
      sourceVersion: wanted.source.version,
      status: mode,
      mode: wanted.mode,
      cause: { ...wanted.cause, name: wanted.source.name, time_zone: wanted.timeZone },
      actions: wanted.actions,
      frames: BEGIN,
      steps: [],
      effects: 0,
      attempt: 0,
      depth: wanted.depth,
      eventId: wanted.eventId,
      correlationId: wanted.correlationId,
      causationId: wanted.causationId,
      scheduledFor: wanted.scheduledFor === undefined ? null : new Date(wanted.scheduledFor).toISOString(),
      createdAt: new Date(now).toISOString(),
      finishedAt: null,
    };
    const inserted = await insertRuns(trx, [run]);
    if (!inserted.has(run.id)) return undefined;
    await this.#lease(trx, run);
    if (mode === "running") afterCommit(trx, () => this.#places.enter(run));
    return run.id;
  }

  async cancel(trx: Db, ids: readonly string[]): Promise<readonly string[]> {
    const cancelled = await this.#cancel(trx, ids);
    const sources = new Map(cancelled.map((one) => [one.sourceId, one]));
    afterCommit(trx, () => sources.values().forEach((one) => this.#endTurn(one)));
    return cancelled.map(({ id }) => id);
  }

  async resume(): Promise<void> {
    const { db, timers } = this.#context;
    await inTransaction(db, async (trx) => {
      for (const run of await forgottenRuns(trx)) await this.#lease(trx, run, timers.now());
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#places[Symbol.asyncDispose]();
    await Promise.all(this.#turning);
  }

  async #cancel(trx: Db, ids: readonly string[]): Promise<Awaited<ReturnType<typeof cancelRuns>>> {
    const { timers } = this.#context;
    const cancelled = await cancelRuns(trx, ids, timers.now());
    await timers.drop(
      trx,
      "run",
      cancelled.map(({ id }) => id),
    );
    return cancelled;
  }

  /** How the new one stands beside those that go on; undefined for not at all. */
  async #make(trx: Db, { mode, source, most = MOST_RUNS }: NewRun): Promise<"running" | "queued" | undefined> {
    const open = await lockOpenRuns(trx, source.id);
    if (open.length === 0) return "running";
    switch (mode) {
      case "skip":
        return undefined;
      case "queue":
        return open.length < most ? "queued" : undefined;
      case "parallel":
        return open.length < most ? "running" : undefined;
      case "restart":
        await this.#cancel(
          trx,
          open.map(({ id }) => id),
        );
        return "running";
    }
  }

  #lease(
    trx: Db,
    { id, organizationId }: Pick<Run, "id" | "organizationId">,
    dueAt = this.#context.timers.now() + this.#leaseMs,
  ): Promise<void> {
    return this.#context.timers.put(trx, [{ kind: "run", key: id, organizationId, dueAt, isRelative: true, payload: {} }]);
  }

  /** Resolves to whether there is more to do, which others come before. */
  async #work(turn: RunTurn): Promise<boolean> {
    const { db, log } = this.#context;
    try {
      let run = (await inTransaction(db, (trx) => takeRun(trx, turn.id))) ?? (await this.#takeTurn(turn));
      while (run && !this.#places.isClosing) {
        run = await this.#step(run);
        if (run && this.#places.mustYield(turn)) return true;
      }
    } catch (error) {
      if (!(error instanceof RunLost)) log.error({ err: error, runId: turn.id }, "a run could not go on; it is tried again");
    }
    return false;
  }

  /** One that waits behind another looks for itself: whoever was to tell it of its turn may have ended before. */
  async #takeTurn({ id }: RunTurn): Promise<Run | undefined> {
    const { db, timers } = this.#context;
    return await inTransaction(db, async (trx) => {
      const queued = await findQueuedRun(trx, id);
      if (!queued) return undefined;
      const next = await this.#beginNext(trx, queued);
      if (next?.id === id) return await takeRun(trx, id);
      if (next) afterCommit(trx, () => this.#places.enter(next));
      await this.#lease(trx, queued, timers.now() + QUEUED_MS);
      return undefined;
    });
  }

  /** One effect, and what follows it up to the next; undefined when there is nothing to do for now. */
  async #step(run: Run): Promise<Run | undefined> {
    const { db } = this.#context;
    const step = await this.#next(run);
    if (step.kind !== "effect") return await inTransaction(db, (trx) => this.#rest(trx, run, step));
    if (run.effects >= MOST_EFFECTS) {
      const ended = this.#tooLong(run, step.path, { kind: step.action.kind, message: `a run has at most ${MOST_EFFECTS} effects` });
      return await inTransaction(db, (trx) => this.#finish(trx, ended));
    }
    const { done, rest } = await this.#do(run, step);
    const stops = done.status === "failed" && "on_error" in step.action && step.action.on_error === "stop";
    const after: Run = {
      ...run,
      effects: run.effects + 1,
      frames: stops ? [] : step.frames,
      steps: [...run.steps, done].slice(-MOST_STEPS),
    };
    const next = await this.#next(after);
    return await inTransaction(db, async (trx) => {
      await rest(trx, this.#context.timers.now());
      return await this.#rest(trx, after, next);
    });
  }

  /** Notes where the run is: at an effect that it goes on with, in a delay, or at its end. */
  async #rest(trx: Db, run: Run, step: Step): Promise<Run | undefined> {
    if (step.kind === "end") return await this.#finish(trx, run);
    if (step.kind === "endless") {
      const message = `there is nothing to do in ${MOST_TURNS} turns and conditions`;
      return await this.#finish(trx, this.#tooLong(run, step.path, { kind: "repeat", message }));
    }
    if (step.kind === "effect") {
      if (!(await this.#save(trx, run))) return undefined;
      await this.#lease(trx, run);
      return run;
    }
    if (!(await this.#save(trx, { ...run, status: "waiting", frames: step.frames }))) return undefined;
    await this.#lease(trx, run, this.#context.timers.now() + step.action.for_s * 1_000);
    return undefined;
  }

  #tooLong(run: Run, path: string, { kind, message }: Pick<RunStep, "kind"> & { readonly message: string }): Run {
    const last: RunStep = { path, kind, status: "failed", at: this.#now(), code: "quota_exceeded", message };
    return { ...run, steps: [...run.steps, last] };
  }

  /** Throws when somebody else has the run: what was done in the transaction is theirs to do. */
  async #save(trx: Db, progress: RunProgress, finishedAt?: number): Promise<boolean> {
    const isSaved = await saveProgress(trx, progress, finishedAt);
    if (!isSaved) throw new RunLost(progress.id);
    return isSaved;
  }

  async #do(run: Run, { path, action }: Extract<Step, { kind: "effect" }>): Promise<{ readonly done: RunStep; readonly rest: Rest }> {
    const told = { path, kind: action.kind, at: this.#now() };
    try {
      const rest = await perform(this.#context, run, action);
      return { done: { ...told, status: "ok" }, rest };
    } catch (error) {
      const known = error instanceof HubError ? error : undefined;
      if (!known) this.#context.log.error({ err: error, runId: run.id, path }, "an action failed");
      const { code, message } = known ?? { code: "internal_error", message: "the hub failed" };
      return { done: { ...told, status: "failed", code, message: message.slice(0, 300) }, rest: async () => {} };
    }
  }

  async #next(run: Run): Promise<Step> {
    const uids = conditionsOf(run.actions).flatMap((condition) => devicesOfCondition(condition, "").map(({ device }) => device));
    const about = { now: this.#context.timers.now(), timeZone: textOf(run.cause["time_zone"], "UTC"), trigger: run.cause };
    let facts: Facts | undefined;
    if (uids.length > 0) facts = await readFacts(this.#context.db, run.organizationId, uids, about);
    const known: Facts = facts ?? { ...about, output: () => undefined, reading: () => undefined, presence: () => undefined };
    return nextStep(run.actions, run.frames, (condition, path) => evaluate(condition, known, path).met);
  }

  async #finish(trx: Db, run: Run): Promise<undefined> {
    const { timers, metrics, log, events } = this.#context;
    const now = timers.now();
    const failed = run.steps.filter(({ status }) => status === "failed");
    const status = failed.length > 0 ? "failed" : "ok";
    await this.#save(trx, { ...run, status, frames: [] }, now);
    await timers.drop(trx, "run", [run.id]);
    if (failed.length > 0) {
      const event = await this.#tellFailure(trx, run, failed, now);
      afterCommit(
        trx,
        () =>
          void events.emit([event]).catch((error: unknown) => log.error({ err: error, runId: run.id }, "events could not be published")),
      );
    }
    if (run.mode === "queue") afterCommit(trx, () => this.#endTurn(run));
    afterCommit(trx, () => metrics.count("hexahub_runs_total", { source: run.sourceKind, status }));
    return undefined;
  }

  /** What waits behind it has its turn: in a transaction of its own, which sees whatever was begun while this one had not ended. */
  #endTurn(ended: Pick<Run, "sourceId" | "organizationId">): void {
    const { db, log } = this.#context;
    const turning = inTransaction(db, async (trx) => {
      const next = await this.#beginNext(trx, ended);
      if (next) afterCommit(trx, () => this.#places.enter(next));
    })
      .catch((error: unknown) => log.error({ err: error, sourceId: ended.sourceId }, "the next run could not begin; it is tried again"))
      .finally(() => this.#turning.delete(turning));
    this.#turning.add(turning);
  }

  /** The lock is a statement of its own, so that what the next one sees is what those before have committed. */
  async #beginNext(trx: Db, { sourceId, organizationId }: Pick<Run, "sourceId" | "organizationId">): Promise<RunTurn | undefined> {
    await lockOpenRuns(trx, sourceId);
    const id = await beginQueuedRun(trx, sourceId);
    if (id === undefined) return undefined;
    await this.#lease(trx, { id, organizationId });
    return { id, organizationId };
  }

  async #tellFailure(trx: Db, run: Run, failed: readonly RunStep[], now: number) {
    const { notifier } = this.#context;
    const { organizationId, sourceKind, sourceId, sourceVersion, correlationId } = run;
    const name = textOf(run.cause["name"], "");
    const alertId = sourceKind === "alert" ? textOf(run.cause["alert_id"], "") : undefined;
    const of = alertId === undefined ? { [`${sourceKind}_id`]: sourceId } : { rule_id: sourceId, alert_id: alertId };
    const data = { ...of, version: sourceVersion, run_id: run.id, name, steps: failed.slice(-10) };
    const resourceType = sourceKind === "alert" ? "alert_rule" : sourceKind;
    const type: EventType = sourceKind === "schedule" ? "schedule.failed" : "automation.failed";
    const about = { organizationId, actor: actorOfRun(run), now, correlationId };
    const event = newEvent(type, { ...about, entityId: sourceId, causationId: run.eventId }, data);
    await insertEvents(trx, [event]);
    await insertAudit(trx, [newAudit({ ...about, action: type, resourceType, resourceId: sourceId, details: data })]);
    await notifier.notify(trx, {
      organizationId,
      to: { permission: "automation.manage" },
      severity: "warning",
      title: `${name} could not be done`,
      body: failed.map(({ path, message }) => `${path}: ${message}`).join("\n"),
      source: { kind: sourceKind === "scene" ? "automation" : sourceKind, id: alertId ?? sourceId },
      correlationId,
      causationId: event.id,
      groupKey: `${sourceKind}.failed:${sourceId}`,
    });
    return event;
  }

  #now(): string {
    return new Date(this.#context.timers.now()).toISOString();
  }
}

const textOf = (value: unknown, fallback: string): string => (typeof value === "string" ? value : fallback);

/** Somebody else goes on with it, or it was cancelled. */
class RunLost extends Error {
  override readonly name = "RunLost";
}

function conditionsOf(actions: readonly Action[]): Condition[] {
  return actions.flatMap((action) => {
    if (action.kind === "choose")
      return [
        ...action.options.flatMap(({ condition, actions: then }) => [condition, ...conditionsOf(then)]),
        ...conditionsOf(action.otherwise ?? []),
      ];
    if (action.kind === "repeat") return [...(action.while ? [action.while] : []), ...conditionsOf(action.actions)];
    return [];
  });
}
