import type { Bus, Commands, DeviceRef, EventSink, Log, Metrics, Sessions } from "../core/bus.ts";
import {
  checkCapability,
  type Command,
  type CommandRecord,
  type CommandRequest,
  type CommandResult,
  DEFAULT_TIMEOUT_MS,
  FINAL_STATUSES,
  resolveCommand,
} from "../core/command.ts";
import type { Device } from "../core/device.ts";
import { HubError } from "../core/errors.ts";
import { newId } from "../core/id.ts";
import { PLATFORM } from "../core/principal.ts";
import { NO_STATE } from "../core/state.ts";
import type { Topics } from "../core/topics.ts";
import { findCommand, insertCommand, listOpenCommands, markSent, overdueCommands } from "../store/commands.ts";
import { getDevice } from "../store/devices.ts";
import type { Store } from "../store/open.ts";
import { failCommand, type Outcome, outcomeOf, type StateCommits } from "./state-commits.ts";

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
}

export interface CommandPath extends Commands, AsyncDisposable {
  /** The device listens again: what waits for it is sent, oldest first. */
  deviceReachable(device: DeviceRef): void;
  /** Ends what is overdue; called by a timer, and by tests with their own time. */
  sweep(now: number): Promise<void>;
}

interface Pending {
  readonly outcome: Promise<Outcome>;
  readonly settle: (outcome: Outcome) => void;
  timer: NodeJS.Timeout | undefined;
}

const SWEEP_MS = 5_000;
const SWEEP_LIMIT = 500;

/**
 * The one way in which anything changes a device: validate, publish, await the acknowledgement, commit (in
 * state-commits.ts, inside the acknowledgement's own group commit), then state, bridges and metrics.
 */
export function createCommandPath(context: CommandPathContext): CommandPath {
  const { store, bus, sessions, topics, states, log, metrics, clock } = context;
  const pending = new Map<string, Pending>();
  const turns = new Map<string, Promise<void>>();
  const timeoutMs = context.timeoutMs ?? DEFAULT_TIMEOUT_MS;

  states.onSettled((outcome) => {
    const waiting = pending.get(outcome.record.id);
    if (!waiting) return;
    clearTimeout(waiting.timer);
    pending.delete(outcome.record.id);
    waiting.settle(outcome);
  });

  /** Commands of one device are taken one after the other, so that they reach it in the order of their rows. */
  async function begin(request: CommandRequest): Promise<{ record: CommandRecord; isRepeated: boolean }> {
    const device = await getDevice(store.db, request.scope, request.device);
    const turn = (turns.get(device.id) ?? Promise.resolve()).then(() => beginInTurn(request, device));
    const settled = turn.then(
      () => undefined,
      () => undefined,
    );
    turns.set(device.id, settled);
    try {
      return await turn;
    } finally {
      if (turns.get(device.id) === settled) turns.delete(device.id);
    }
  }

  async function beginInTurn(request: CommandRequest, device: Device): Promise<{ record: CommandRecord; isRepeated: boolean }> {
    if (request.commandId !== undefined) {
      const earlier = await findCommand(store.db, PLATFORM, request.commandId);
      if (earlier) return { record: repeated(earlier, device, request.command), isRepeated: true };
    }
    if (device.organizationId === null)
      throw new HubError("device_not_claimed", `${device.uid} belongs to no organisation yet: claim it first`);
    checkCapability(request.command, device.capabilities);
    const isReachable = sessions.isReachable(device.uid);
    if (!isReachable && request.queueForMs === undefined)
      throw new HubError("device_offline", `${device.uid} is not connected`, {
        details: { device_uid: device.uid, last_seen_at: device.lastSeenAt },
      });
    const record = recordOf(request, device, resolveCommand(request.command, await states.known(device.id)), isReachable);
    const inserted = await insertCommand(store.db, record);
    if (!inserted.inserted) return { record: repeated(inserted.existing, device, request.command), isRepeated: true };
    if (isReachable) {
      states.intend(record, device.capabilities);
      watch(record, request.timeoutMs ?? timeoutMs);
      dispatch(device.uid, record);
    }
    return { record, isRepeated: false };
  }

  function recordOf(request: CommandRequest, device: Device, command: Command, isReachable: boolean): CommandRecord {
    const now = clock();
    const id = request.commandId ?? newId();
    const waitMs = isReachable ? (request.timeoutMs ?? timeoutMs) : (request.queueForMs as number);
    return {
      id,
      deviceId: device.id,
      organizationId: device.organizationId,
      command,
      status: isReachable ? "sent" : "queued",
      actor: request.actor,
      source: request.source,
      correlationId: request.correlationId ?? id,
      causationId: request.causationId ?? null,
      error: null,
      latencyMs: null,
      createdAt: new Date(now).toISOString(),
      deadlineAt: new Date(now + waitMs).toISOString(),
      finishedAt: null,
    };
  }

  function dispatch(uid: string, record: CommandRecord): void {
    const payload = JSON.stringify({ command_id: record.id, ...record.command, expires_at: record.deadlineAt });
    const expiresInMs = Math.max(1, Date.parse(record.deadlineAt) - clock());
    bus
      .publish({ topic: topics.build({ kind: "down", uid, type: "command" }), payload, qos: 1, expiresInMs })
      .catch((error: unknown) => log.error({ err: error, commandId: record.id }, "a command could not be published"));
  }

  /** Registers who waits before anything is sent: a quick device answers within the same turn. */
  function watch(record: CommandRecord, waitMs: number): Pending {
    const known = pending.get(record.id);
    if (known) return known;
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const entry: Pending = { outcome: promise, settle: resolve, timer: undefined };
    entry.timer = setTimeout(
      () =>
        void expire(record).catch((error: unknown) => log.error({ err: error, commandId: record.id }, "a time-out could not be stored")),
      waitMs,
    );
    pending.set(record.id, entry);
    return entry;
  }

  async function expire(record: CommandRecord): Promise<void> {
    const outcome = await failCommand(context, record, record.status === "queued" ? "expired" : "timeout");
    if (outcome) states.settle(outcome);
  }

  async function result(record: CommandRecord, isRepeated: boolean): Promise<CommandResult> {
    const waiting = pending.get(record.id);
    if (waiting) return answer(await waiting.outcome);
    if (record.status === "queued") return { commandId: record.id, status: "queued", latencyMs: null, state: null };
    const latest = isRepeated || record.status === "sent" ? ((await findCommand(store.db, PLATFORM, record.id)) ?? record) : record;
    return answer(outcomeOf(latest, await states.known(latest.deviceId)));
  }

  async function counted<T>(request: CommandRequest, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const status =
        error instanceof HubError && error.code === "command_timeout"
          ? "timeout"
          : error instanceof HubError && error.code === "device_error"
            ? "error"
            : "refused";
      // What the device or the clock decided was counted when it was committed.
      if (status === "refused") metrics.count("hexahub_commands_total", { status, source: request.source });
      throw error;
    }
  }

  async function resend(device: DeviceRef): Promise<void> {
    for (const record of await listOpenCommands(store.db, device.id)) {
      if (pending.has(record.id)) continue;
      const now = clock();
      if (Date.parse(record.deadlineAt) <= now) {
        await expire(record);
        continue;
      }
      // A queued command gets its full time to answer; one that a restart interrupted keeps its deadline.
      const sent =
        record.status === "queued" ? { ...record, status: "sent" as const, deadlineAt: new Date(now + timeoutMs).toISOString() } : record;
      if (record.status === "queued") await markSent(store.db, record.id, sent.deadlineAt);
      watch(sent, Date.parse(sent.deadlineAt) - now);
      dispatch(device.uid, sent);
    }
  }

  async function sweep(now: number): Promise<void> {
    for (const record of await overdueCommands(store.db, now, SWEEP_LIMIT)) if (!pending.has(record.id)) await expire(record);
  }

  const timer = setInterval(
    () => void sweep(clock()).catch((error: unknown) => log.error({ err: error }, "overdue commands could not be ended")),
    SWEEP_MS,
  ).unref();

  return {
    send: (request) =>
      counted(request, async () => {
        const { record, isRepeated } = await begin(request);
        return result(record, isRepeated);
      }),
    accept: (request) => counted(request, async () => ({ commandId: (await begin(request)).record.id })),
    deviceReachable: (device) =>
      void resend(device).catch((error: unknown) => log.error({ err: error, deviceUid: device.uid }, "waiting commands could not be sent")),
    sweep,
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      for (const { timer: one } of pending.values()) clearTimeout(one);
      pending.clear();
    },
  };
}

/** The earlier record of a command id, or the conflict that using it for something else is. */
function repeated(earlier: CommandRecord, device: Device, command: Command): CommandRecord {
  const wanted =
    "state" in command && command.state === "TOGGLE" && "state" in earlier.command ? { ...command, state: earlier.command.state } : command;
  if (earlier.deviceId !== device.id || !isSame(earlier.command, resolveCommand(wanted as Command, NO_STATE)))
    throw new HubError("command_id_conflict", `command_id ${earlier.id} was used for another command`);
  return earlier;
}

function isSame(a: Command, b: Command): boolean {
  const sorted = (command: Command): string => JSON.stringify(Object.entries(command).sort(([x], [y]) => (x < y ? -1 : 1)));
  return sorted(a) === sorted(b);
}

function answer({ record, state }: Outcome): CommandResult {
  if (FINAL_STATUSES.includes(record.status) && record.status !== "ok") {
    const details = { command_id: record.id, status: record.status };
    if (record.status === "error") throw new HubError("device_error", record.error ?? "the device refused the command", { details });
    throw new HubError(
      "command_timeout",
      record.status === "expired" ? "the device did not come back in time" : "the device did not acknowledge in time",
      { details },
    );
  }
  return { commandId: record.id, status: record.status, latencyMs: record.latencyMs, state };
}
