import type { Bus, EventSink, Log, Metrics, UpHandler, UpMessage } from "../core/bus.ts";
import { type CommandRecord, effectOf } from "../core/command.ts";
import type { Capabilities, Device } from "../core/device.ts";
import type { Ack } from "../core/payloads.ts";
import { PLATFORM } from "../core/principal.ts";
import { type DeviceState, lightPayload, mergeState, type StateReport } from "../core/state.ts";
import type { TaskResultEnvelope } from "../core/task-envelope.ts";
import type { Topics } from "../core/topics.ts";
import { insertAudit } from "../store/audit.ts";
import { listOpenCommands } from "../store/commands.ts";
import { findDevice } from "../store/devices.ts";
import { insertEvents } from "../store/events.ts";
import type { Db, Store } from "../store/open.ts";
import { readState } from "../store/state.ts";
import { commitAck, type Effect } from "./acknowledgement.ts";
import { DeviceStates } from "./device-states.ts";
import type { Outcome } from "./outcome.ts";
import { commitReport } from "./report.ts";

export interface StateContext {
  readonly store: Store;
  readonly bus: Bus;
  readonly events: EventSink;
  readonly topics: Topics;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: () => number;
  /** Other nodes work on the same database. */
  readonly isShared?: boolean;
}

/** Takes a task's result, and gives what it says of single commands. */
export type ResultReader = (trx: Db, message: UpMessage<TaskResultEnvelope>) => Promise<readonly UpMessage<Ack>[]>;

export interface StateCommits {
  /**
   * The group commit's handler for `ack`, `state_report` and `task_result` together: they speak of the same outputs, so their order
   * counts.
   */
  readonly onMessages: UpHandler<Db>;
  /** The outputs as committed. */
  committed(deviceId: string): Promise<DeviceState>;
  /** The outputs as committed, with what was asked and is not answered yet laid over them. */
  known(device: Pick<Device, "id" | "capabilities">): Promise<DeviceState>;
  /** The command is on its way: TOGGLE counts from what it will have done. */
  intend(record: CommandRecord, capabilities: Capabilities): void;
  onSettled(listener: (outcome: Outcome) => void): void;
  /** Set once, before a device can send one. */
  readResultsBy(reader: ResultReader): void;
  /** Counts the end of a command and tells everybody who waits for it. */
  settle(outcome: Outcome): void;
  /** Tells only, for an end that was counted before. */
  announce(outcome: Outcome): void;
  /** Publishes the outputs as they are, for whoever assumes something else. */
  showTruth(deviceId: string): void;
  /** The device changed hands or was removed. */
  forget(deviceId: string): void;
}

/** Commits device state from acknowledgements and reports: rows, audit and events together, then cache and topics. */
export function createStateCommits(context: StateContext): StateCommits {
  const { store, metrics, isShared = false } = context;
  const states = new DeviceStates(isShared);
  const listeners: ((outcome: Outcome) => void)[] = [];
  let readResult: ResultReader = async () => [];

  function announce(outcome: Outcome): void {
    states.fulfil(outcome.record);
    for (const listener of listeners) listener(outcome);
  }

  function settle(outcome: Outcome): void {
    const { status, source, latencyMs } = outcome.record;
    metrics.count("hexahub_commands_total", { status: status === "ok" ? "success" : status === "expired" ? "timeout" : status, source });
    if (latencyMs !== null) metrics.observe("hexahub_command_duration_seconds", latencyMs / 1_000);
    announce(outcome);
    // Whoever assumed that the command works (a switch in another system) falls back to what is true.
    if (status !== "ok") void showTruth(context, states, outcome.record.deviceId);
  }

  /** Stores what the effects leave behind, and gives what there is to do once that is committed. */
  async function record(trx: Db, effects: readonly Effect[]): Promise<() => void> {
    const happened = effects.flatMap(({ events }) => events);
    await insertAudit(
      trx,
      effects.flatMap(({ audit }) => audit),
    );
    await insertEvents(trx, happened);
    return () => {
      states.commit(trx);
      for (const { device, shown, outcome } of effects) {
        publishState(context, device.uid, shown);
        if (outcome) settle(outcome);
      }
      context.events.emit(happened).catch((error: unknown) => context.log.error({ err: error }, "events could not be published"));
    };
  }

  return {
    onMessages: async (trx, messages) =>
      record(
        trx,
        await inOrder(await withoutResults(messages, (one) => readResult(trx, one)), (one) =>
          one.type === "ack"
            ? commitAck({ states, log: context.log }, trx, one as UpMessage<Ack>)
            : commitReport({ states }, trx, one as UpMessage<StateReport>),
        ),
      ),
    committed: (deviceId) => states.read(store.db, deviceId),
    known: (device) => (isShared ? expectedByAll(store.db, device) : states.expected(store.db, device.id)),
    intend(command, capabilities) {
      // Among several nodes the open commands of the table say it, of all nodes.
      if (!isShared) states.intend(command, capabilities);
    },
    onSettled: (listener) => void listeners.push(listener),
    readResultsBy: (reader) => void (readResult = reader),
    settle,
    announce,
    showTruth: (deviceId) => void showTruth(context, states, deviceId),
    forget: (deviceId) => states.forget(deviceId),
  };
}

/** The outputs as committed, with what any node has asked and is not answered yet laid over them. */
async function expectedByAll(db: Db, { id, capabilities }: Pick<Device, "id" | "capabilities">): Promise<DeviceState> {
  const open = await listOpenCommands(db, id);
  const effects = open.filter(({ status }) => status === "sent").map(({ command }) => effectOf(command, capabilities));
  return effects.reduce<DeviceState>(mergeState, await readState(db, id));
}

/** In the place of a task's result stands what it says of its commands. */
async function withoutResults(messages: readonly UpMessage[], read: (message: UpMessage<TaskResultEnvelope>) => ReturnType<ResultReader>) {
  if (!messages.some(({ type }) => type === "task_result")) return messages;
  const all: UpMessage[] = [];
  for (const one of messages) {
    if (one.type === "task_result") all.push(...(await read(one as UpMessage<TaskResultEnvelope>)));
    else all.push(one);
  }
  return all;
}

/** One after the other, since each builds on the state that the one before left. */
async function inOrder(messages: readonly UpMessage[], commit: (message: UpMessage) => Promise<Effect | undefined>): Promise<Effect[]> {
  const effects: Effect[] = [];
  for (const message of messages) {
    const effect = await commit(message);
    if (effect) effects.push(effect);
  }
  return effects;
}

function publishState({ bus, topics, log }: StateContext, uid: string, shown: DeviceState): void {
  const publish = (topic: string, payload: string): void => {
    bus
      .publish({ topic, payload, qos: 1, retain: true })
      .catch((error: unknown) => log.error({ err: error, topic }, "a state could not be published"));
  };
  for (const { index, state } of shown.relays) publish(topics.build({ kind: "relay_state", uid, index }), state);
  for (const light of shown.lights) publish(topics.build({ kind: "light_state", uid, index: light.index }), lightPayload(light));
}

async function showTruth(context: StateContext, states: DeviceStates, deviceId: string): Promise<void> {
  const { store, log } = context;
  try {
    const device = await findDevice(store.db, PLATFORM, deviceId);
    // A released device has no state to show: what is retained would reach its next owner.
    if (device && device.organizationId !== null) publishState(context, device.uid, await states.read(store.db, deviceId));
  } catch (error) {
    log.error({ err: error, deviceId }, "a state could not be read");
  }
}
