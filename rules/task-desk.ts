import type { TaskControl, TaskDecision } from "../core/bus.ts";
import { HubError } from "../core/errors.ts";
import { newId } from "../core/id.ts";
import { PLATFORM, type Actor } from "../core/principal.ts";
import type { Risk, RiskReason } from "../core/risk.ts";
import {
  type Approval,
  DEFAULT_PRIORITY,
  DEFAULT_WAIT_MS,
  defaultTimeoutMs,
  type NewTask,
  NO_RETRY,
  payloadHashOf,
  requireTransition,
  type Task,
} from "../core/task.ts";
import { requireSendable } from "../core/task-envelope.ts";
import type { Timer } from "../core/timer.ts";
import { getDevice } from "../store/devices.ts";
import type { Db } from "../store/open.ts";
import { isoOf } from "../store/sql.ts";
import { endExecution } from "../store/task-executions.ts";
import { findTaskOfCommand, insertTask, lockTask } from "../store/tasks.ts";
import { afterCommit } from "../store/transaction.ts";
import type { RiskDesk } from "./risk-desk.ts";
import { hasAskedFor } from "./task-askers.ts";
import { endBereft, endTasksOf, failure, followEnd, isBereft } from "./task-followers.ts";
import { askApprovers, tellAsker } from "./task-notices.ts";
import { mustStep, nextAttemptAt, record, step, type TaskRecordContext, type TaskStep, waitsUntil } from "./task-record.ts";

export interface TaskDeskContext extends TaskRecordContext {
  readonly risk: RiskDesk;
}

/** What somebody decides about tasks: all of it part of the caller's transaction, and each thing decided once. */
export class TaskDesk implements TaskControl<Db> {
  readonly #context: TaskDeskContext;

  constructor(context: TaskDeskContext) {
    this.#context = context;
    context.timers.handle("task", async (trx, timers, now) => {
      for (const timer of timers) await this.#due(trx, timer, now);
      return undefined;
    });
  }

  /** Waits for a person if it is risky, else for its device. */
  async submit(trx: Db, wanted: NewTask): Promise<Task> {
    if (wanted.isDraft) return await this.#make(trx, wanted, undefined);
    return await this.#make(trx, wanted, await this.#context.risk.assess(trx, wanted));
  }

  /** For one whose risk is known: it waits for a person. An id of a command that is a task's already gives that task. */
  async park(trx: Db, wanted: NewTask, risk: Risk): Promise<Task> {
    return await this.#make(trx, wanted, risk);
  }

  async submitDraft(trx: Db, id: string, actor: Actor): Promise<Task> {
    const task = await lockTask(trx, PLATFORM, id);
    if (task.status !== "draft") throw new HubError("conflict", `the task is ${task.status}`, { details: { status: task.status } });
    return await this.#enter(trx, task, actor);
  }

  async decide(trx: Db, id: string, decision: TaskDecision): Promise<Task> {
    const { verdict, userId, payloadHash, note, now = this.#now() } = decision;
    const task = await lockTask(trx, PLATFORM, id);
    const { approval } = task;
    requireTransition(task.status, verdict === "approved" ? "queued" : "rejected");
    if (task.status !== "awaiting_confirmation" || !approval)
      throw new HubError("conflict", `the task is ${task.status}`, { details: { status: task.status } });
    // Its timer has not come yet, or not to this node.
    if (Date.parse(approval.expiresAt) <= now)
      throw new HubError("conflict", "the time to decide is over", { details: { status: "expired" } });
    if (payloadHash !== undefined && payloadHash !== approval.payloadHash)
      throw new HubError("conflict", "what waits for approval is something else", { details: { payload_hash: approval.payloadHash } });
    // It may have begun to wait, or to ask for a PIN, after somebody had looked.
    if (verdict === "approved" && approval.needsPin && decision.isPinChecked !== true)
      throw new HubError("pin_required", "the organisation asks for your PIN");
    if (verdict === "approved" && approval.isFourEyes && (await hasAskedFor(trx, task, userId)))
      throw new HubError("forbidden", "somebody else than who has asked for it has to approve it");
    const decided: Approval = { ...approval, decision: verdict, decidedBy: userId, decidedAt: isoOf(now), note };
    const actor: Actor = { kind: "user", id: userId };
    const told = { actor, details: { ...why(task), ...(note === null ? {} : { note }), payload_hash: approval.payloadHash }, now };
    const after =
      verdict === "approved"
        ? await mustStep(this.#context, trx, task, {
            ...told,
            to: "queued",
            change: { approval: decided, queuedAt: isoOf(now) },
            audit: "task.approve",
            event: "task.approved",
          })
        : await mustStep(this.#context, trx, task, {
            ...told,
            to: "rejected",
            change: { approval: decided },
            audit: "task.reject",
            event: "task.rejected",
          });
    await tellAsker(this.#context, trx, after, verdict === "approved" ? "approved" : "rejected");
    await this.#follow(trx, after, now);
    return after;
  }

  async cancel(trx: Db, id: string, actor: Actor): Promise<Task> {
    const now = this.#now();
    const task = await lockTask(trx, PLATFORM, id);
    if (task.status === "assigned" || task.status === "running")
      throw new HubError("conflict", "the device has the task already", { details: { status: task.status } });
    requireTransition(task.status, "cancelled");
    const after = await mustStep(this.#context, trx, task, { to: "cancelled", actor, audit: "task.cancel", event: "task.cancelled", now });
    await this.#follow(trx, after, now);
    return after;
  }

  /** Once more from the beginning, with a decision of its own where one is needed. */
  async retry(trx: Db, id: string, actor: Actor): Promise<Task> {
    const task = await lockTask(trx, PLATFORM, id);
    requireTransition(task.status, "queued");
    if (task.status !== "failed" && task.status !== "expired")
      throw new HubError("conflict", `a task that is ${task.status} is not tried again`, { details: { status: task.status } });
    return await this.#enter(trx, task, actor);
  }

  async endTasksOf(trx: Db, deviceId: string, actor: Actor): Promise<void> {
    await endTasksOf(this.#context, trx, deviceId, actor, this.#now());
  }

  #now(): number {
    return Math.floor(this.#context.timers.now());
  }

  async #make(trx: Db, wanted: NewTask, risk: Risk | undefined): Promise<Task> {
    const now = this.#now();
    const { device, actions, isDraft } = wanted;
    const at = isoOf(now);
    const id = wanted.id ?? newId();
    requireSendable(actions);
    const approval = risk?.isHigh ? await this.#approval(trx, wanted, wanted.actor, now) : null;
    const task: Task = {
      id,
      organizationId: wanted.organizationId,
      deviceId: device.id,
      uid: device.uid,
      name: wanted.name,
      description: wanted.description ?? null,
      status: isDraft ? "draft" : approval ? "awaiting_confirmation" : "queued",
      priority: wanted.priority ?? DEFAULT_PRIORITY,
      actions,
      payloadHash: payloadHashOf(device.id, actions),
      retry: wanted.retry ?? NO_RETRY,
      timeoutMs: wanted.timeoutMs ?? defaultTimeoutMs(actions.length),
      waitMs: wanted.waitMs ?? DEFAULT_WAIT_MS,
      dependsOn: wanted.dependsOn ?? [],
      resources: wanted.resources ?? [],
      tags: wanted.tags ?? [],
      metadata: wanted.metadata ?? {},
      template: wanted.template ?? null,
      actor: wanted.actor,
      source: wanted.source,
      commandId: wanted.commandId ?? null,
      risk: risk ?? null,
      approval,
      attempt: 0,
      sends: 0,
      notBefore: null,
      error: null,
      errorCode: null,
      correlationId: wanted.correlationId ?? id,
      causationId: wanted.causationId ?? null,
      ruleVersion: wanted.ruleVersion ?? null,
      version: 1,
      queuedAt: isDraft || approval ? null : at,
      createdAt: at,
      updatedAt: at,
      finishedAt: null,
    };
    if (!(await insertTask(trx, task))) {
      const known = wanted.commandId === undefined ? undefined : await findTaskOfCommand(trx, wanted.commandId);
      if (!known) throw new HubError("conflict", "the task is there already");
      return known;
    }
    await this.#written(trx, task, wanted.actor, now);
    return task;
  }

  /** A draft, or one that is tried again, on its way: what the policy says now counts. */
  async #enter(trx: Db, task: Task, actor: Actor): Promise<Task> {
    const now = this.#now();
    const device = await getDevice(trx, PLATFORM, task.deviceId);
    const risk = await this.#context.risk.assess(trx, { ...task, device });
    const approval = risk.isHigh ? await this.#approval(trx, { ...task, device }, actor, now) : null;
    const change = { risk, approval, error: null, errorCode: null, notBefore: null, sends: 0, queuedAt: approval ? null : isoOf(now) };
    const moved = await mustStep(this.#context, trx, task, {
      ...enteredAs({ ...task, risk, approval }),
      to: approval ? "awaiting_confirmation" : "queued",
      change,
      actor,
      now,
    });
    if (approval) await askApprovers(this.#context, trx, moved);
    this.#nudgeAfter(trx, moved);
    return moved;
  }

  async #written(trx: Db, task: Task, actor: Actor, now: number): Promise<void> {
    await record(this.#context, trx, task, { ...enteredAs(task), to: task.status, actor, now });
    if (task.approval) await askApprovers(this.#context, trx, task);
    this.#nudgeAfter(trx, task);
  }

  async #approval(
    trx: Db,
    { organizationId, device, actions }: Pick<NewTask, "organizationId" | "device" | "actions">,
    requestedBy: Actor,
    now: number,
  ): Promise<Approval> {
    const { isFourEyes, needsPin, timeoutMs } = await this.#context.risk.termsOf(trx, organizationId);
    return {
      requestedAt: isoOf(now),
      requestedBy,
      expiresAt: isoOf(now + timeoutMs),
      isFourEyes,
      needsPin,
      payloadHash: payloadHashOf(device.id, actions),
      decision: null,
      decidedBy: null,
      decidedAt: null,
      note: null,
    };
  }

  async #due(trx: Db, timer: Timer, now: number): Promise<void> {
    const task = await lockTask(trx, PLATFORM, timer.key).catch((error: unknown) => {
      if (error instanceof HubError && error.code === "not_found") return undefined;
      throw error;
    });
    if (!task || task.status !== timer.payload["status"]) return;
    if (isBereft(timer)) return await endBereft(this.#context, trx, task, now);
    switch (task.status) {
      case "awaiting_confirmation":
        return await this.#end(trx, task, "expired", { now, audit: "task.expire", details: why(task) });
      case "queued":
        if (waitsUntil(task) <= now)
          return await this.#end(trx, task, "expired", {
            now,
            audit: "task.expire",
            change: failure("device_offline", "its device did not come in time"),
          });
        await this.#rearm(trx, task, now);
        return this.#nudgeAfter(trx, task);
      case "assigned":
      case "running":
        return await this.#unanswered(trx, task, now);
      default:
        return;
    }
  }

  /** Its time has not come, or a new attempt may begin: what gives it up is set again. */
  async #rearm(trx: Db, task: Task, now: number): Promise<void> {
    const { id, organizationId, status } = task;
    const dueAt = Math.max(waitsUntil(task), now + 1_000);
    await this.#context.timers.put(trx, [{ kind: "task", key: id, organizationId, dueAt, isRelative: true, payload: { status } }]);
  }

  /** Whether the device has done it nobody knows: the same attempt goes out again, and a device that has done it says so. */
  async #unanswered(trx: Db, task: Task, now: number): Promise<void> {
    if (task.sends <= task.retry.attempts) {
      await step(this.#context, trx, task, {
        to: "queued",
        change: { notBefore: nextAttemptAt(task, now) },
        details: { reason: "timeout" },
        now,
      });
      return;
    }
    await endExecution(trx, task.id, task.attempt, { status: "timeout", results: [], error: "the device did not answer in time", now });
    await this.#end(trx, task, "failed", {
      now,
      audit: "task.fail",
      change: failure("command_timeout", "the device did not answer in time"),
    });
  }

  async #end(
    trx: Db,
    task: Task,
    to: "expired" | "failed",
    { now, audit, change = {}, details = {} }: Pick<TaskStep, "now" | "audit" | "change" | "details">,
  ): Promise<void> {
    const reason = change.errorCode ? { code: change.errorCode, error: change.error } : {};
    const after = await step(this.#context, trx, task, {
      to,
      change,
      details: { ...details, ...reason },
      event: `task.${to}`,
      now,
      ...(audit === undefined ? {} : { audit }),
    });
    if (!after) return;
    await tellAsker(this.#context, trx, after, to);
    await this.#follow(trx, after, now);
  }

  /** What waits for this one goes on, or never can. */
  async #follow(trx: Db, task: Task, now: number): Promise<void> {
    await followEnd(this.#context, trx, task, now);
    this.#nudgeAfter(trx, task);
  }

  #nudgeAfter(trx: Db, { deviceId: id, uid, organizationId, status }: Task): void {
    if (status === "queued") afterCommit(trx, () => this.#context.nudge({ id, uid, organizationId }));
  }
}

function enteredAs(task: Task): Pick<TaskStep, "audit" | "event" | "details"> {
  if (!task.approval) return { audit: "task.submit", details: why(task) };
  return {
    audit: "task.await",
    event: "task.awaiting_confirmation",
    details: { ...why(task), payload_hash: task.payloadHash, expires_at: task.approval.expiresAt, source: task.source },
  };
}

/** What the risk was made of. */
function why({ risk }: Pick<Task, "risk">): Record<string, unknown> {
  if (!risk) return {};
  const reasons = risk.reasons.map(({ rule, points, text }: RiskReason) => ({ rule, points, text }));
  return { score: risk.score, threshold: risk.threshold, reasons };
}
