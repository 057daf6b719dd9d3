import type { Bus, DeviceRef, EventSink, Log, Metrics, UpMessage } from "../core/bus.ts";
import { type Command, type CommandRecord, effectOf, FINAL_STATUSES } from "../core/command.ts";
import type { Capabilities } from "../core/device.ts";
import { type AuditEntry, type HubEvent, newAudit, newEvent } from "../core/event.ts";
import type { Ack, StateReport } from "../core/payloads.ts";
import { type Actor, PLATFORM, SYSTEM } from "../core/principal.ts";
import { changesBetween, type DeviceState, isEmptyState, lightPayload, mergeState, type OnOff } from "../core/state.ts";
import type { Topics } from "../core/topics.ts";
import { insertAudit } from "../store/audit.ts";
import { findCommand, finishCommand, noteLateAck } from "../store/commands.ts";
import { findDevice, getDevice } from "../store/devices.ts";
import { insertEvents } from "../store/events.ts";
import { type Db, inTransaction, type Store } from "../store/open.ts";
import { readState, writeState } from "../store/state.ts";
import { LRUCache } from "lru-cache";

/** A command that has its final status, with the commanded output as it is now. */
export interface Outcome {
  readonly record: CommandRecord;
  readonly state: OnOff | Record<string, unknown> | null;
}

export interface StateContext {
  readonly store: Store;
  readonly bus: Bus;
  readonly events: EventSink;
  readonly topics: Topics;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: () => number;
}

export interface StateCommits {
  /** Handlers for the group commit. */
  onAcks(trx: Db, messages: readonly UpMessage[]): Promise<() => void>;
  onReports(trx: Db, messages: readonly UpMessage[]): Promise<() => void>;
  /** The outputs as committed, with what was asked and is not answered yet laid over them. */
  known(deviceId: string): Promise<DeviceState>;
  /** The command is on its way: TOGGLE counts from what it will have done. */
  intend(record: CommandRecord, capabilities: Capabilities): void;
  onSettled(listener: (outcome: Outcome) => void): void;
  settle(outcome: Outcome): void;
}

const CACHED_DEVICES = 10_000;

/** What one message changed, collected while the transaction runs and acted on after it. */
interface Effect {
  readonly device: DeviceRef;
  /** Published as state, changed or not: whoever asked must see the answer. */
  readonly shown: DeviceState;
  readonly next: DeviceState;
  readonly outcome?: Outcome;
}

/** Commits device state from acknowledgements and reports: rows, audit and events together, then cache and topics. */
export function createStateCommits(context: StateContext): StateCommits {
  const { store, bus, events, topics, log, metrics } = context;
  const committed = new LRUCache<string, DeviceState>({ max: CACHED_DEVICES });
  /** By device, in the order of sending. */
  const intended = new Map<string, Map<string, Partial<DeviceState>>>();
  const listeners: ((outcome: Outcome) => void)[] = [];

  async function stateOf(db: Db, deviceId: string): Promise<DeviceState> {
    return committed.get(deviceId) ?? (await readState(db, deviceId));
  }

  function settle(outcome: Outcome): void {
    const { id, deviceId, status, source, latencyMs } = outcome.record;
    const intentions = intended.get(deviceId);
    if (intentions?.delete(id) && intentions.size === 0) intended.delete(deviceId);
    // Whoever assumed that the command works (a switch in another system) falls back to what is true.
    if (status !== "ok")
      void showTruth(deviceId).catch((error: unknown) => log.error({ err: error, deviceId }, "a state could not be read"));
    metrics.count("hexahub_commands_total", { status: status === "ok" ? "success" : status === "expired" ? "timeout" : status, source });
    if (latencyMs !== null) metrics.observe("hexahub_command_duration_seconds", latencyMs / 1_000);
    for (const listener of listeners) listener(outcome);
  }

  function publishState(uid: string, shown: DeviceState): void {
    const publish = (topic: string, payload: string): void => {
      bus
        .publish({ topic, payload, qos: 1, retain: true })
        .catch((error: unknown) => log.error({ err: error, topic }, "a state could not be published"));
    };
    for (const { index, state } of shown.relays) publish(topics.build({ kind: "relay_state", uid, index }), state);
    for (const light of shown.lights) publish(topics.build({ kind: "light_state", uid, index: light.index }), lightPayload(light));
  }

  function after(effects: readonly Effect[], happened: readonly HubEvent[]): () => void {
    return () => {
      for (const { device, shown, next, outcome } of effects) {
        committed.set(device.id, next);
        publishState(device.uid, shown);
        if (outcome) settle(outcome);
      }
      void events.emit(happened);
    };
  }

  async function commitAck(
    trx: Db,
    message: UpMessage<Ack>,
    states: Map<string, DeviceState>,
  ): Promise<{ effect: Effect; events: HubEvent[]; audit: AuditEntry[] } | undefined> {
    const { device, payload, receivedAt } = message;
    const record = await findCommand(trx, PLATFORM, payload.command_id);
    if (!record || record.deviceId !== device.id) {
      log.warn({ deviceUid: device.uid, commandId: payload.command_id }, "an acknowledgement names no command of this device");
      return undefined;
    }
    const isFinal = FINAL_STATUSES.includes(record.status);
    // A repeated acknowledgement of what was answered changes nothing.
    if (isFinal && (record.status === "ok" || record.status === "error")) return undefined;
    const known = states.get(device.id) ?? (await stateOf(trx, device.id));
    const reported = payload.status === "ok" ? await reportedState(trx, record, payload) : {};
    const next = mergeState(known, reported);
    const shown = pick(next, reported);
    const latencyMs = Math.max(0, receivedAt - Date.parse(record.createdAt));
    let finished: CommandRecord | undefined;
    if (isFinal) await noteLateAck(trx, record.id, receivedAt);
    else
      finished = await finishCommand(trx, record.id, { status: payload.status, error: payload.error ?? null, latencyMs, now: receivedAt });
    if (!isEmptyState(shown))
      await writeState(trx, device.id, shown, {
        now: receivedAt,
        actor: record.actor,
        source: record.source,
        commandId: record.id,
        correlationId: record.correlationId,
      });
    states.set(device.id, next);
    const changes = changesBetween(known, reported);
    return {
      effect: { device, shown, next, ...(finished ? { outcome: { record: finished, state: commanded(finished.command, next) } } : {}) },
      events: ackEvents(message, record, finished, changes),
      audit: [commandAudit(record, finished ? finished.status : "late_ack", device.uid, receivedAt)],
    };
  }

  return {
    async onAcks(trx, messages) {
      const states = new Map<string, DeviceState>();
      const done = [];
      for (const message of messages) {
        const one = await commitAck(trx, message as UpMessage<Ack>, states);
        if (one) done.push(one);
      }
      const happened = done.flatMap((one) => one.events);
      await insertAudit(
        trx,
        done.flatMap((one) => one.audit),
      );
      await insertEvents(trx, happened);
      return after(
        done.map((one) => one.effect),
        happened,
      );
    },
    async onReports(trx, messages) {
      const states = new Map<string, DeviceState>();
      const effects: Effect[] = [];
      const happened: HubEvent[] = [];
      const audit: AuditEntry[] = [];
      for (const { device, payload, receivedAt } of messages as readonly UpMessage<StateReport>[]) {
        const known = states.get(device.id) ?? (await stateOf(trx, device.id));
        const changes = changesBetween(known, payload);
        if (isEmptyState(changes)) continue;
        const next = mergeState(known, changes);
        states.set(device.id, next);
        const actor: Actor = { kind: "device", id: device.id };
        const event = newEvent(
          "device.state_changed",
          { organizationId: device.organizationId, entityId: device.id, actor, now: receivedAt },
          { uid: device.uid, ...changes },
        );
        await writeState(trx, device.id, changes, {
          now: receivedAt,
          actor,
          source: "device",
          commandId: null,
          correlationId: event.correlationId,
        });
        effects.push({ device, shown: changes, next });
        happened.push(event);
        // Reconciling is the hub's act, whatever moved the relay.
        if (changes.relays.length > 0)
          audit.push(
            newAudit({
              organizationId: device.organizationId,
              actor: SYSTEM,
              action: "state.reconciled",
              resourceType: "device",
              resourceId: device.id,
              details: { uid: device.uid, relays: changes.relays },
              correlationId: event.correlationId,
              now: receivedAt,
            }),
          );
      }
      await insertAudit(trx, audit);
      await insertEvents(trx, happened);
      return after(effects, happened);
    },
    async known(deviceId) {
      const state = await stateOf(store.db, deviceId);
      return [...(intended.get(deviceId)?.values() ?? [])].reduce<DeviceState>(mergeState, state);
    },
    intend(record, capabilities) {
      const intentions = intended.get(record.deviceId) ?? new Map<string, Partial<DeviceState>>();
      intended.set(record.deviceId, intentions.set(record.id, effectOf(record.command, capabilities)));
    },
    onSettled: (listener) => void listeners.push(listener),
    settle,
  };

  async function showTruth(deviceId: string): Promise<void> {
    const device = await findDevice(store.db, PLATFORM, deviceId);
    if (device) publishState(device.uid, await stateOf(store.db, deviceId));
  }
}

/** Ends a command without an acknowledgement; undefined when the acknowledgement was quicker. */
export async function failCommand(
  context: StateContext,
  record: CommandRecord,
  status: "timeout" | "expired",
): Promise<Outcome | undefined> {
  const { store, events, clock } = context;
  const now = clock();
  const { outcome, event } = await inTransaction(store.db, async (trx) => {
    const finished = await finishCommand(trx, record.id, { status, error: null, latencyMs: null, now });
    if (!finished) return { outcome: undefined, event: undefined };
    const device = await getDevice(trx, PLATFORM, record.deviceId);
    const failed = newEvent("command.failed", about(record, now), {
      uid: device.uid,
      command_id: record.id,
      command: record.command.command,
      status,
    });
    await insertAudit(trx, [commandAudit(record, status, device.uid, now)]);
    await insertEvents(trx, [failed]);
    return { outcome: { record: finished, state: null }, event: failed };
  });
  if (event) await events.emit([event]);
  return outcome;
}

/** A finished command as it is answered again to whoever repeats its id. */
export function outcomeOf(record: CommandRecord, state: DeviceState): Outcome {
  return { record, state: record.status === "ok" ? commanded(record.command, state) : null };
}

async function reportedState(trx: Db, record: CommandRecord, ack: Ack): Promise<Partial<DeviceState>> {
  if (typeof ack.state === "object") return ack.state;
  const { capabilities } = await getDevice(trx, PLATFORM, record.deviceId);
  const command =
    typeof ack.state === "string" && "state" in record.command ? ({ ...record.command, state: ack.state } as Command) : record.command;
  return effectOf(command, capabilities);
}

function ackEvents(
  { device, payload, receivedAt }: UpMessage<Ack>,
  record: CommandRecord,
  finished: CommandRecord | undefined,
  changes: DeviceState,
): HubEvent[] {
  const data = { uid: device.uid, command_id: record.id, command: record.command.command };
  const type = !finished ? "command.late_ack" : finished.status === "ok" ? "command.completed" : "command.failed";
  const first = newEvent(type, about(record, receivedAt), {
    ...data,
    ...(finished ? { status: finished.status, latency_ms: finished.latencyMs } : {}),
    ...(payload.error === undefined ? {} : { error: payload.error }),
  });
  if (isEmptyState(changes)) return [first];
  return [
    first,
    newEvent(
      "device.state_changed",
      { ...about(record, receivedAt), causationId: first.id },
      { uid: device.uid, command_id: record.id, ...changes },
    ),
  ];
}

function about(record: CommandRecord, now: number) {
  return {
    organizationId: record.organizationId,
    entityId: record.deviceId,
    actor: record.actor,
    now,
    correlationId: record.correlationId,
    causationId: record.causationId,
  };
}

function commandAudit(record: CommandRecord, outcome: string, uid: string, now: number): AuditEntry {
  return newAudit({
    organizationId: record.organizationId,
    actor: record.actor,
    action: `command.${outcome}`,
    resourceType: "device",
    resourceId: record.deviceId,
    details: { uid, command_id: record.id, command: record.command.command, source: record.source },
    correlationId: record.correlationId,
    now,
  });
}

/** The outputs of `state` that `named` names. */
function pick(state: DeviceState, named: Partial<DeviceState>): DeviceState {
  const has = (list: readonly { index: number }[] | undefined, index: number): boolean => list?.some((one) => one.index === index) === true;
  return {
    relays: state.relays.filter(({ index }) => has(named.relays, index)),
    lights: state.lights.filter(({ index }) => has(named.lights, index)),
  };
}

/** The commanded output as the answer shows it. */
function commanded(command: Command, state: DeviceState): Outcome["state"] {
  switch (command.command) {
    case "set_relay":
      return state.relays.find(({ index }) => index === command.relay)?.state ?? null;
    case "set_all_relays":
      return command.state;
    case "set_light": {
      const light = state.lights.find(({ index }) => index === command.light);
      return light ? { ...light } : null;
    }
    default:
      return null;
  }
}
