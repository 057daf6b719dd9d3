import type { Accepted, Bus, Commands, DeviceRef, EventSink, Log, Metrics, Sessions } from "../core/bus.ts";
import {
  checkCapability,
  type Command,
  type CommandRecord,
  type CommandRequest,
  type CommandResult,
  type CommandStatus,
  DEFAULT_TIMEOUT_MS,
  FINAL_STATUSES,
  resolveCommand,
} from "../core/command.ts";
import type { Capabilities, Device } from "../core/device.ts";
import { HubError } from "../core/errors.ts";
import { HUB_TOPICS } from "../core/hub-topics.ts";
import { newId } from "../core/id.ts";
import { PLATFORM } from "../core/principal.ts";
import type { Task } from "../core/task.ts";
import type { Topics } from "../core/topics.ts";
import { findCommand, insertCommand, listOpenCommands, markSent, overdueCommands } from "../store/commands.ts";
import { findDevice, getDevice } from "../store/devices.ts";
import type { Db, Store } from "../store/open.ts";
import { inTransaction } from "../store/transaction.ts";
import { findEffect, noteReceived } from "../store/received-messages.ts";
import { readState } from "../store/state.ts";
import { findTaskOfCommand } from "../store/tasks.ts";
import { isOverdue, parkedAnswer, recordOf, repeatedRecord, repeatedTask } from "./command-record.ts";
import { DeviceTurns } from "./device-turns.ts";
import { failCommand } from "./fail-command.ts";
import type { Asked, Gate } from "./gate.ts";
import { answerOf, goneWithDevice, type Outcome, outcomeOf } from "./outcome.ts";
import { onOwnerChanged } from "./ownership.ts";
import { PendingCommands } from "./pending-commands.ts";
import type { StateCommits } from "./state-commits.ts";

export interface CommandPathContext {
  readonly store: Store;
  readonly bus: Bus;
  readonly sessions: Sessions;
  readonly events: EventSink;
  readonly topics: Topics;
  readonly states: StateCommits;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: () => number;
  readonly timeoutMs?: number;
  /** Other nodes send commands too, and have devices. */
  readonly isShared?: boolean;
}

export interface CommandPath extends Commands, AsyncDisposable {
  /** The device listens again: what waits for it is sent, oldest first. */
  deviceReachable(device: DeviceRef): void;
  /** Whoever still waits for a command of the former owner is told at once. */
  ownerChanged(deviceId: string): void;
  /** Every command passes it from now on, but for those that are parts of a task: set once, before anybody can ask. */
  guardBy(gate: Gate): void;
  /** Ends what is overdue; called by a timer, and by tests with their own time. */
  sweep(now: number): Promise<void>;
}

const SWEEP_MS = 5_000;
const SWEEP_LIMIT = 500;
const OPEN_STATUSES: readonly CommandStatus[] = ["queued", "sent"];

/**
 * The one way in which anything changes a device: validate, publish, await the acknowledgement, commit (in
 * state-commits.ts, inside the acknowledgement's own group commit), then state, bridges and metrics.
 */
export function createCommandPath(context: CommandPathContext): CommandPath {
  const { states, metrics, clock } = context;
  const running = new RunningCommands(context);
  states.onSettled((outcome) => running.pending.settle(outcome));
  const owners = onOwnerChanged(context, (deviceId) => running.ownerChanged(deviceId));
  const others = context.isShared ? joinOtherPaths(context, running) : undefined;
  let sweeping: Promise<void> | undefined;
  const timer = setInterval(() => {
    sweeping ??= running.background(running.sweep(clock()), {}, "overdue commands could not be ended").finally(() => {
      sweeping = undefined;
    });
  }, SWEEP_MS).unref();

  /** What the device or the clock decides later is counted when it is committed. */
  async function begin(request: CommandRequest): Promise<Begun> {
    try {
      return await running.begin(request);
    } catch (error) {
      metrics.count("hexahub_commands_total", { status: "refused", source: request.source });
      throw error;
    }
  }

  return {
    send: async (request) => running.result(await begin(request)),
    accept: async (request) => acceptedAs(await begin(request)),
    deviceReachable: (device) => running.deviceReachable(device, OPEN_STATUSES),
    ownerChanged: (deviceId) => running.ownerChanged(deviceId),
    guardBy: (gate) => void (running.gate = gate),
    sweep: (now) => running.sweep(now),
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      owners[Symbol.dispose]();
      others?.[Symbol.dispose]();
      await running.turns.close();
      await sweeping;
      running.pending.abandon();
    },
  };
}

/** What another node must hear of, and does: the ends of commands, and that one waits for a device which may be there. */
function joinOtherPaths({ bus, states, sessions, log }: CommandPathContext, running: RunningCommands): Disposable {
  const stack = new DisposableStack();
  states.onSettled((outcome) => {
    bus
      .publish({ topic: HUB_TOPICS.commandEnded, payload: JSON.stringify(outcome), qos: 1 })
      .catch((error: unknown) => log.error({ err: error, commandId: outcome.record.id }, "the end of a command could not be told"));
  });
  stack.use(bus.subscribe(HUB_TOPICS.commandEnded, (_topic, payload) => running.pending.settle(JSON.parse(payload.toString()) as Outcome)));
  stack.use(
    bus.subscribe(HUB_TOPICS.commandQueued, (_topic, payload) => {
      const device = JSON.parse(payload.toString()) as DeviceRef;
      if (sessions.isReachableHere(device.uid)) running.deviceReachable(device, ["queued"]);
    }),
  );
  return stack;
}

type Begun = Sent | { readonly task: Task };

interface Sent {
  readonly record: CommandRecord;
  /** The id was used before, for the same command. */
  readonly isRepeated: boolean;
}

/** The command, and the task if it is one by now. */
const acceptedAs = (begun: Begun): Accepted =>
  "task" in begun
    ? { commandId: begun.task.commandId ?? begun.task.id, taskId: begun.task.id }
    : { commandId: begun.record.id, taskId: null };

/**
 * Sends, sends again and ends commands. All of that happens in the device's turn, so that commands reach it in the order
 * of their rows, and no two pieces of work send or end the same one; only acknowledgements come in between, and there
 * the row decides, since it takes its final status once.
 */
class RunningCommands {
  readonly pending = new PendingCommands();
  readonly turns = new DeviceTurns();
  gate: Gate | undefined;
  readonly #context: CommandPathContext;
  readonly #timeoutMs: number;

  constructor(context: CommandPathContext) {
    this.#context = context;
    this.#timeoutMs = context.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  }

  async begin(request: CommandRequest): Promise<Begun> {
    const { db } = this.#context.store;
    const device = await getDevice(db, request.scope, request.device);
    const waited = this.turns.isBusy(device.id);
    return this.turns.run(device.id, async () =>
      // It may have been released or removed while the request waited.
      this.#beginInTurn(request, waited ? await getDevice(db, request.scope, device.id) : device),
    );
  }

  async result(begun: Begun): Promise<CommandResult> {
    if ("task" in begun) return parkedAnswer(begun.task);
    const { record, isRepeated } = begun;
    const { store, states, isShared } = this.#context;
    if (isShared && isRepeated && record.status === "sent" && !this.pending.has(record.id)) this.#follow(record);
    const coming = this.pending.outcomeOf(record.id);
    if (coming) {
      const outcome = await coming;
      if (!outcome) throw new HubError("unavailable", "the hub stops; the same command_id gets the answer from its next start");
      return answerOf(outcome);
    }
    if (record.status === "queued") return { commandId: record.id, taskId: record.taskId, status: "queued", latencyMs: null, state: null };
    const latest = isRepeated || record.status === "sent" ? await findCommand(store.db, PLATFORM, record.id) : record;
    return answerOf(latest ? outcomeOf(latest, await states.committed(latest.deviceId)) : goneWithDevice(record));
  }

  /** Sends what waits for a device that is connected here. */
  deviceReachable(device: DeviceRef, statuses: readonly CommandStatus[]): void {
    void this.background(
      this.turns.run(device.id, () => this.#resend(device, statuses)),
      { deviceUid: device.uid },
      "waiting commands could not be sent",
    );
  }

  ownerChanged(deviceId: string): void {
    this.#context.states.forget(deviceId);
    const conclude = async (): Promise<void> => {
      for (const record of this.pending.ofDevice(deviceId)) await this.#conclude(record);
    };
    void this.background(this.turns.run(deviceId, conclude), { deviceId }, "commands of a former owner could not be ended");
  }

  async sweep(now: number): Promise<void> {
    const { store } = this.#context;
    for (const { id, deviceId } of await overdueCommands(store.db, now, SWEEP_LIMIT)) {
      const expire = async (): Promise<void> => {
        // By its turn a queued command may have been sent with a new deadline.
        const record = await findCommand(store.db, PLATFORM, id);
        if (record && isOverdue(record, now)) await this.#expire(record);
      };
      await this.background(this.turns.run(deviceId, expire), { commandId: id }, "an overdue command could not be ended");
    }
  }

  /** For what nobody waits for: never rejects. */
  async background(work: Promise<unknown>, data: object, message: string): Promise<void> {
    try {
      await work;
    } catch (error) {
      if (!this.turns.isClosed) this.#context.log.error({ ...data, err: error }, message);
    }
  }

  async #beginInTurn(request: CommandRequest, device: Device): Promise<Begun> {
    const { store, sessions, states, clock } = this.#context;
    const { timeoutMs = this.#timeoutMs, queueForMs } = request;
    const earlier = await this.#earlier(store.db, request);
    if (earlier) return { record: repeatedRecord(earlier, device, request.command), isRepeated: true };
    const parked = await this.#parked(store.db, request);
    if (parked) return { task: repeatedTask(parked, device, request.command) };
    const { organizationId } = device;
    if (organizationId === null) throw new HubError("device_not_claimed", `${device.uid} belongs to no organisation yet: claim it first`);
    checkCapability(request.command, device.capabilities);
    const command = resolveCommand(request.command, await states.known(device));
    const stopped = await this.#stop(request, { ...device, organizationId }, command);
    if (stopped) return { task: stopped };
    const isReachable = await sessions.isReachable(device);
    if (!isReachable && queueForMs === undefined) {
      const offline = new HubError("device_offline", `${device.uid} is not connected`, {
        details: { device_uid: device.uid, last_seen_at: device.lastSeenAt },
      });
      return { record: repeatedRecord(await this.#inFlight(request, offline), device, request.command), isRepeated: true };
    }
    const record = recordOf(request, device, {
      command,
      status: isReachable ? "sent" : "queued",
      now: clock(),
      waitMs: isReachable ? timeoutMs : (queueForMs as number),
    });
    const inserted = await this.#insert(record, request);
    if (!inserted.inserted) return { record: repeatedRecord(inserted.existing, device, request.command), isRepeated: true };
    if (isReachable) this.#dispatch(device, record, timeoutMs);
    else this.#tellQueued(device);
    return { record, isRepeated: false };
  }

  /** Somebody has to be asked: whoever assumed that it works falls back to what is true. */
  async #stop(request: CommandRequest, device: Asked["device"], command: Command): Promise<Task | undefined> {
    const { states, metrics } = this.#context;
    const { gate } = this;
    if (!gate || request.taskId !== undefined) return undefined;
    const task = await gate.stop({ request, commandId: request.commandId ?? newId(), device, command });
    if (!task) return undefined;
    metrics.count("hexahub_commands_total", { status: "awaiting_confirmation", source: request.source });
    states.showTruth(device.id);
    return task;
  }

  /** What came of the same request before. */
  async #earlier(db: Db, request: CommandRequest): Promise<CommandRecord | undefined> {
    const id = await this.#earlierId(db, request);
    return id === undefined ? undefined : await findCommand(db, PLATFORM, id);
  }

  /** The task that the same request became. */
  async #parked(db: Db, request: CommandRequest): Promise<Task | undefined> {
    if (!this.gate || request.taskId !== undefined) return undefined;
    const id = await this.#earlierId(db, request);
    return id === undefined ? undefined : await findTaskOfCommand(db, id);
  }

  async #earlierId(db: Db, { commandId, origin }: CommandRequest): Promise<string | undefined> {
    return commandId ?? (origin?.isRepeated ? await findEffect(db, origin, this.#context.clock()) : undefined);
  }

  /**
   * What the first copy made, where a node that is dead by now was committing it and nobody sees it yet: whoever notes the
   * same message waits for that. Throws the refusal if it made nothing, and notes nothing then.
   */
  async #inFlight(request: CommandRequest, refusal: HubError): Promise<CommandRecord> {
    const { origin } = request;
    if (!origin?.isRepeated) throw refusal;
    return inTransaction(this.#context.store.db, async (trx) => {
      const known = await noteReceived(trx, [{ identity: origin }], this.#context.clock());
      const existing = known.size > 0 ? await this.#earlier(trx, request) : undefined;
      if (!existing) throw refusal;
      return existing;
    });
  }

  async #insert(record: CommandRecord, request: CommandRequest): ReturnType<typeof insertCommand> {
    const { db } = this.#context.store;
    const { scope, origin } = request;
    try {
      if (!origin) return await insertCommand(db, record);
      return await inTransaction(db, async (trx) => {
        const known = await noteReceived(trx, [{ identity: origin, effectId: record.id }], this.#context.clock());
        // Another node took the first copy at the same time.
        const existing = known.size > 0 ? await this.#earlier(trx, request) : undefined;
        return existing ? { inserted: false, existing } : await insertCommand(trx, record);
      });
    } catch (error) {
      // Throws `not_found` when the row was refused because the device is gone.
      await getDevice(db, scope, record.deviceId);
      throw error;
    }
  }

  /** It may have come back meanwhile, to another node perhaps, which found nothing to send then. */
  #tellQueued({ id, uid, organizationId }: DeviceRef): void {
    const { bus, log, isShared } = this.#context;
    if (!isShared) return;
    bus
      .publish({ topic: HUB_TOPICS.commandQueued, payload: JSON.stringify({ id, uid, organizationId }), qos: 1 })
      .catch((error: unknown) => log.error({ err: error, deviceUid: uid }, "a waiting command could not be told"));
  }

  /** Waits for a command that another node has sent. */
  #follow(record: CommandRecord): void {
    this.pending.watch(record, Math.max(0, Date.parse(record.deadlineAt) - this.#context.clock()), (one) => this.#onTimeout(one));
    // It may have ended before this node listened.
    const conclude = (): Promise<void> => this.#conclude(record);
    void this.background(this.turns.run(record.deviceId, conclude), { commandId: record.id }, "a command could not be followed");
  }

  async #resend({ id, uid }: DeviceRef, statuses: readonly CommandStatus[]): Promise<void> {
    const { store, sessions, clock } = this.#context;
    const open = await listOpenCommands(store.db, id);
    const waiting = open.filter((record) => statuses.includes(record.status) && !this.pending.has(record.id));
    const device = waiting.length > 0 ? await findDevice(store.db, PLATFORM, id) : undefined;
    if (!device) return;
    for (const record of waiting) {
      const now = clock();
      if (isOverdue(record, now)) {
        await this.#expire(record);
        continue;
      }
      // Gone again: the rest waits for the next time.
      if (!sessions.isReachableHere(uid)) return;
      // A queued command gets its full time to answer; one that a restart interrupted keeps its deadline.
      const deadlineAt = record.status === "queued" ? new Date(now + this.#timeoutMs).toISOString() : record.deadlineAt;
      if (record.status === "queued" && !(await markSent(store.db, record.id, deadlineAt, now))) continue;
      this.#dispatch(device, { ...record, status: "sent", deadlineAt }, Date.parse(deadlineAt) - now);
    }
  }

  #dispatch({ uid, capabilities }: { uid: string; capabilities: Capabilities }, record: CommandRecord, waitMs: number): void {
    const { bus, topics, states, log, clock } = this.#context;
    states.intend(record, capabilities);
    this.pending.watch(record, waitMs, (one) => this.#onTimeout(one));
    const payload = JSON.stringify({ command_id: record.id, ...record.command, expires_at: record.deadlineAt });
    const expiresInMs = Math.max(1, Date.parse(record.deadlineAt) - clock());
    bus
      .publish({ topic: topics.build({ kind: "down", uid, type: "command" }), payload, qos: 1, expiresInMs })
      .catch((error: unknown) => log.error({ err: error, commandId: record.id }, "a command could not be published"));
  }

  /** What cannot be stored now stays pending, and the sweep tries again. */
  #onTimeout(record: CommandRecord): void {
    void this.background(
      this.turns.run(record.deviceId, () => this.#expire(record)),
      { commandId: record.id },
      "a time-out could not be stored",
    );
  }

  async #expire(record: CommandRecord): Promise<void> {
    const outcome = await failCommand(this.#context, record, this.#context.clock());
    if (outcome) this.#context.states.settle(outcome);
    else await this.#conclude(record);
  }

  /** Tells whoever waits how a command ended that something else than this path ended: an acknowledgement, a release, a removal. */
  async #conclude(record: CommandRecord): Promise<void> {
    const { store, states } = this.#context;
    const latest = await findCommand(store.db, PLATFORM, record.id);
    if (latest && !FINAL_STATUSES.includes(latest.status)) return;
    // From the table: what follows an acknowledgement's commit may not have reached the cache yet.
    const outcome = latest ? outcomeOf(latest, await readState(store.db, latest.deviceId)) : goneWithDevice(record);
    if (!this.pending.has(record.id)) return;
    if (!latest) states.forget(record.deviceId);
    // What a device or the clock decided was counted when it was committed; the end of an ownership gives its reason.
    if (latest && !(latest.status === "expired" && latest.error !== null)) states.announce(outcome);
    else states.settle(outcome);
  }
}
