import type { Bus, Commands, DeviceRef, Sessions } from "../core/bus.ts";
import { type Command, effectOf, resolveCommand } from "../core/command.ts";
import type { Device } from "../core/device.ts";
import { HubError } from "../core/errors.ts";
import { PLATFORM } from "../core/principal.ts";
import { type DeviceState, mergeState } from "../core/state.ts";
import { type ActionResult, actionIdOf, payloadHashOf, type Task, type TaskActions, type TaskExecution } from "../core/task.ts";
import { signEnvelope } from "../core/task-envelope.ts";
import type { Topics } from "../core/topics.ts";
import { getDevice } from "../store/devices.ts";
import type { Db } from "../store/open.ts";
import { readState } from "../store/state.ts";
import { findExecution, openExecution } from "../store/task-executions.ts";
import type { TaskKeys } from "../store/task-keys.ts";
import { findTask, holdResources, lockDeviceTasks, lockTask, nextTasks, waitingDevices } from "../store/tasks.ts";
import { timerDueAt } from "../store/timers.ts";
import { inTransaction } from "../store/transaction.ts";
import { finishTask, lockAttempt } from "./task-end.ts";
import { endBereft, failTask, failure, lostDependency } from "./task-followers.ts";
import { commandIdOf, mustStep, step, type TaskDevice, type TaskRecordContext, waitsUntil } from "./task-record.ts";
import { TaskRoutes } from "./task-routes.ts";
import { TaskWorkers } from "./task-workers.ts";

export interface TaskExecutorContext extends TaskRecordContext {
  readonly db: Db;
  readonly bus: Bus;
  readonly topics: Topics;
  readonly commands: Commands;
  readonly sessions: Pick<Sessions, "isReachableHere">;
  readonly keys: TaskKeys;
  readonly nodeId: () => string;
  /** Other nodes have devices too. */
  readonly isShared: boolean;
}

/** One that a device of this node is to get. */
interface Job {
  readonly task: Task;
  readonly execution: TaskExecution;
  readonly device: Device;
  /** The hub waits for its end until then, in ms since 1970. */
  readonly until: number;
}

/** What is looked at for a device in one go; those before it wait for others. */
const LOOKED_AT = 20;
const SWEEP_MS = 10_000;
const SWEPT_AT_ONCE = 500;
/** Devices whose tasks this node has in its hands at a time. */
const WORKERS = 64;

/**
 * Hands devices their tasks: one at a time each, by priority and in the order of asking, from the node that has the device's session. What is under
 * way when a hub dies goes out again under the same attempt, which a device does once.
 */
export class TaskExecutor implements AsyncDisposable {
  readonly #context: TaskExecutorContext;
  readonly #workers: TaskWorkers;
  /** undefined on a node that is alone. */
  readonly #routes: TaskRoutes | undefined;
  readonly #sweeping: NodeJS.Timeout;
  #isClosing = false;
  #sweep: Promise<void> | undefined;

  constructor(context: TaskExecutorContext) {
    this.#context = context;
    this.#routes = context.isShared ? new TaskRoutes(context) : undefined;
    this.#workers = new TaskWorkers({ most: WORKERS, work: (device, isBack) => this.#advance(device, isBack), log: context.log });
    this.#sweeping = setInterval(() => this.sweep(), SWEEP_MS).unref();
  }

  /** There may be something for the device; nothing is done where it is not. */
  wake(device: TaskDevice, priority = 0): void {
    if (this.#context.sessions.isReachableHere(device.uid)) this.#workers.ask(device, { priority, isBack: false });
  }

  /** The device listens again: what it had, or should have had, comes once more. */
  deviceReachable(device: DeviceRef): void {
    const ask = (): void => this.#workers.ask(device, { priority: 0, isBack: true });
    if (!this.#routes) return ask();
    // Where that fails, the next look at what waits does it.
    this.#routes
      .arrived(device.id)
      .then(ask, (error: unknown) =>
        this.#context.log.error({ err: error, deviceUid: device.uid }, "a device's session could not be noted"),
      );
  }

  /** What nobody has told this node of: it was away, or the other one died. */
  sweep(): void {
    if (this.#isClosing) return;
    this.#sweep ??= this.#sweepAll()
      .catch((error: unknown) => this.#context.log.error({ err: error }, "waiting tasks could not be looked for"))
      .finally(() => {
        this.#sweep = undefined;
      });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosing = true;
    clearInterval(this.#sweeping);
    await this.#sweep;
    await this.#workers.close();
  }

  async #sweepAll(): Promise<void> {
    const { db, timers } = this.#context;
    for (let after: string | undefined; !this.#isClosing; ) {
      const some = await waitingDevices(db, { now: timers.now(), limit: SWEPT_AT_ONCE, after });
      for (const { priority, ...device } of some) this.#look(device, priority);
      if (some.length < SWEPT_AT_ONCE) return;
      after = some.at(-1)?.id;
    }
  }

  /** A session that could not be noted when it began is noted now. */
  #look(device: TaskDevice, priority: number): void {
    const isUnknown = this.#routes?.isKnown(device.id) === false && this.#context.sessions.isReachableHere(device.uid);
    if (isUnknown) this.deviceReachable(device);
    else this.wake(device, priority);
  }

  async #advance(device: TaskDevice, isBack: boolean): Promise<void> {
    for (let isFirst = true; !this.#isClosing && this.#context.sessions.isReachableHere(device.uid); isFirst = false) {
      const job = await inTransaction(this.#context.db, (trx) => this.#take(trx, device, isBack && isFirst));
      if (!job) return;
      if (job.device.capabilities.tasks) return await this.#send(job);
      if (!(await this.#perform(job))) return;
    }
  }

  /** The next for the device, which is this node's from then on; what it has already, if it has just come back. */
  async #take(trx: Db, device: TaskDevice, isBack: boolean): Promise<Job | undefined> {
    const underWay = await lockDeviceTasks(trx, device.id);
    if (underWay.length > 0 && !isBack) return undefined;
    if (this.#routes && !(await this.#routes.isLatest(trx, device.id))) return undefined;
    const [task] = underWay;
    return task ? await this.#takeAgain(trx, task) : await this.#takeNext(trx, device);
  }

  /** As long as the hub waits for its end and no longer: what the device did later nobody would expect. */
  async #takeAgain(trx: Db, { id, attempt }: Task): Promise<Job | undefined> {
    const now = Math.floor(this.#context.timers.now());
    const task = await lockTask(trx, PLATFORM, id);
    const device = await getDevice(trx, PLATFORM, task.deviceId);
    if (task.attempt !== attempt || (await this.#refuse(trx, task, device, now))) return undefined;
    const execution = await findExecution(trx, id, attempt);
    const until = await timerDueAt(trx, "task", id);
    return execution && until !== undefined && until > now ? { task, execution, device, until } : undefined;
  }

  async #takeNext(trx: Db, { id }: TaskDevice): Promise<Job | undefined> {
    const now = Math.floor(this.#context.timers.now());
    const next = await nextTasks(trx, id, now, LOOKED_AT);
    if (next.length === 0) return undefined;
    const device = await getDevice(trx, PLATFORM, id);
    for (const task of next) {
      if (waitsUntil(task) <= now) continue;
      if (await this.#refuse(trx, task, device, now)) continue;
      // Cancelled meanwhile, or the device has answered an attempt that had gone back: nobody changes it from here on.
      const locked = await lockTask(trx, PLATFORM, task.id);
      if (locked.status !== "queued" || (await this.#isBereft(trx, locked, now))) continue;
      if (!(await holdResources(trx, locked))) continue;
      return await this.#assign(trx, locked, device, now);
    }
    return undefined;
  }

  /** What must not be done any more, whoever has approved what. */
  async #refuse(trx: Db, task: Task, device: Device, now: number): Promise<boolean> {
    const { approval, organizationId, payloadHash } = task;
    const present = payloadHashOf(task.deviceId, task.actions);
    const isApproved = approval === null || (approval.decision === "approved" && approval.payloadHash === present);
    const reason =
      device.organizationId !== organizationId
        ? failure("device_not_claimed", "the device has left the organisation")
        : payloadHash !== present || !isApproved
          ? failure("forbidden", "it is not what was approved")
          : undefined;
    if (!reason) return false;
    await failTask(this.#context, trx, task, reason, now);
    return true;
  }

  /** What it depends on has gone, with its device perhaps: nobody knows that it was done. */
  async #isBereft(trx: Db, task: Task, now: number): Promise<boolean> {
    if (task.dependsOn.length === 0 || (await lostDependency(trx, task)) === undefined) return false;
    await endBereft(this.#context, trx, task, now);
    return true;
  }

  async #assign(trx: Db, task: Task, device: Device, now: number): Promise<Job> {
    const { nodeId } = this.#context;
    // The same attempt again where nobody knows how it went.
    const last = task.attempt === 0 ? undefined : await findExecution(trx, task.id, task.attempt);
    const attempt = last && last.completedAt === null ? task.attempt : task.attempt + 1;
    const execution = await openExecution(trx, { taskId: task.id, attempt, nodeId: nodeId(), now }, async () =>
      resolved(task.actions, device, await readState(trx, device.id)),
    );
    const assigned = await mustStep(this.#context, trx, task, {
      to: "assigned",
      change: { attempt, sends: task.sends + 1, notBefore: null },
      details: { attempt, node_id: nodeId() },
      now,
    });
    return { task: assigned, execution, device, until: now + task.timeoutMs };
  }

  /** As one signed envelope; the device's answer comes by itself. */
  async #send({ task, execution, device, until }: Job): Promise<void> {
    const { db, bus, topics, keys, timers } = this.#context;
    const now = timers.now();
    const key = await keys.taskKeyOf(db, device.id);
    const envelope = signEnvelope(
      {
        type: "task.exec" as const,
        task_id: task.id,
        attempt: execution.attempt,
        issued_at: new Date(now).toISOString(),
        expires_at: new Date(until).toISOString(),
        actions: execution.actions.map((action, index) => ({ action_id: actionIdOf(task.id, execution.attempt, index), ...action })),
        key_id: key.id,
      },
      key.secret,
    );
    const topic = topics.build({ kind: "down", uid: device.uid, type: "task" });
    await bus.publish({ topic, payload: JSON.stringify(envelope), qos: 1, expiresInMs: until - now });
  }

  /** One command after the other, for a device that knows no envelopes. False when it could not be brought to its end. */
  async #perform({ task, execution }: Job): Promise<boolean> {
    const { db, timers } = this.#context;
    const running =
      task.status === "running"
        ? task
        : await inTransaction(db, (trx) => step(this.#context, trx, task, { to: "running", now: Math.floor(timers.now()) }));
    if (!running) return false;
    const results: ActionResult[] = [];
    let isUnknown = false;
    for (const [index, command] of execution.actions.entries()) {
      const actionId = actionIdOf(task.id, execution.attempt, index);
      if (results.some(({ status }) => status === "error")) results.push({ actionId, status: "skipped" });
      else {
        if (!(await this.#isAwaited(running))) return false;
        const result = await this.#command(running, { command, actionId, commandId: commandIdOf(task, execution.attempt, index) });
        if (result === "later") return await this.#putBack(running);
        isUnknown ||= result.isUnknown === true;
        results.push(result);
      }
    }
    const end = { results, isUnknown, now: Math.floor(timers.now()) };
    await inTransaction(db, async (trx) => {
      const attempted = await lockAttempt(trx, task.id, execution.attempt);
      if (attempted) await finishTask(this.#context, trx, attempted, end);
    });
    return true;
  }

  /** Its time may be over while the device does what comes before. */
  async #isAwaited({ id, attempt }: Task): Promise<boolean> {
    const present = await findTask(this.#context.db, PLATFORM, id);
    return present?.status === "running" && present.attempt === attempt;
  }

  async #command(
    task: Task,
    { command, actionId, commandId }: { readonly command: Command; readonly actionId: string; readonly commandId: string },
  ): Promise<(ActionResult & { readonly isUnknown?: boolean }) | "later"> {
    try {
      const { status, state } = await this.#context.commands.send({
        device: task.deviceId,
        scope: { kind: "organization", organizationId: task.organizationId },
        command,
        commandId,
        taskId: task.id,
        actor: task.actor,
        source: task.source,
        correlationId: task.correlationId,
        causationId: task.causationId ?? undefined,
        ruleVersion: task.ruleVersion ?? undefined,
      });
      return status === "ok" ? { actionId, status, state } : "later";
    } catch (error) {
      if (!(error instanceof HubError)) throw error;
      if (error.code === "device_offline" || error.code === "unavailable") return "later";
      const isUnknown = error.code === "command_timeout";
      return { actionId, status: "error", error: `${error.code}: ${error.message}`, ...(isUnknown ? { isUnknown } : {}) };
    }
  }

  /** The device has gone, or the hub stops: the same attempt goes on when it is there again. */
  async #putBack(task: Task): Promise<false> {
    const { db, timers, sessions } = this.#context;
    if (this.#isClosing || sessions.isReachableHere(task.uid)) return false;
    await inTransaction(db, (trx) =>
      step(this.#context, trx, task, { to: "queued", details: { reason: "device_offline" }, now: Math.floor(timers.now()) }),
    );
    return false;
  }
}

/** TOGGLE as what it means now: the same for every repetition of the attempt. */
function resolved(actions: TaskActions, { capabilities }: Device, known: DeviceState): TaskActions {
  let state = known;
  return actions.map((action) => {
    const command = resolveCommand(action, state);
    state = mergeState(state, effectOf(command, capabilities));
    return command;
  });
}
