import type { Alert, RaisedAlert } from "./alert.ts";
import type { CommandRequest, CommandResult } from "./command.ts";
import type { HubEvent } from "./event.ts";
import type { SensorValue, UpType } from "./payloads.ts";
import type { Access } from "./permissions.ts";
import type { Actor, DevicePrincipal, Member } from "./principal.ts";
import type { SessionSelector } from "./session-selector.ts";
import type { NewTask, Task } from "./task.ts";

export interface BusMessage {
  readonly topic: string;
  readonly payload: string | Buffer;
  readonly qos?: 0 | 1;
  readonly retain?: boolean;
  /** Not delivered to a session that comes back later than this. */
  readonly expiresInMs?: number;
}

/** The hub's side of the broker. Handlers see what was accepted, never what was refused. */
export interface Bus {
  /** Resolves when the broker has taken the message: queued for every session that matches, retained if asked so. */
  publish(message: BusMessage): Promise<void>;
  /** `everywhere`: also what other nodes accept. Without it only what is below `$hub/` comes from them. */
  subscribe(filter: string, handler: (topic: string, payload: Buffer) => void, reach?: "everywhere"): Disposable;
}

export type EndReason = "revoked" | "taken_over" | "deleted";

/** Live sessions, for whoever must end them or ask after them: those of all nodes, where nothing else is said. */
export interface Sessions {
  /** The device is connected here and listens to its commands, or is connected to another node. */
  isReachable(device: Pick<DeviceRef, "id" | "uid">): Promise<boolean>;
  /** As {@link Sessions.isReachable}, for this node alone. */
  isReachableHere(uid: string): boolean;
  /**
   * Ends the sessions that the selector names; resolves to how many there were. A node that does not answer within a
   * second does it when it hears of it.
   */
  disconnect(selector: SessionSelector, reason: EndReason): Promise<number>;
  /** Takes back everything of a removed device: its session, what is queued for it and every retained message below its uid. */
  forgetDevice(uid: string): Promise<void>;
  /** Ends the sessions of this node whose credential was revoked while it could not hear of it. */
  endRevoked(): Promise<void>;
  /** Sessions that are connected to this node. */
  count(): number;
}

/** Work that every node of a cluster does for the one that asks; on a node that is alone only this one. */
export interface NodeCalls {
  /** From now on this node does `work` for whoever asks by that name. */
  handle(name: string, work: (request: unknown) => Promise<unknown>): Disposable;
  /** Asks the other nodes. Resolves to the answers that came in time, undefined for the work that failed. */
  askOthers(name: string, request: unknown, timeoutMs: number): Promise<unknown[]>;
}

/** Work that one node of a cluster has at a time. */
export interface Duties {
  /**
   * Runs `work` here when no other node does, until disposed of, which waits for it. It has to end when its signal aborts: then another
   * node may have the duty. If it ends by itself, it is run again later, here or elsewhere.
   */
  hold(name: string, work: (signal: AbortSignal) => Promise<void>): AsyncDisposable;
}

/** The command path. Resolves with the answer, throws a {@link HubError} for every answer that is an error. */
export interface Commands {
  send(request: CommandRequest): Promise<CommandResult>;
  /** Like `send`, and resolves as soon as the request is durable; the outcome is an event. */
  accept(request: CommandRequest): Promise<Accepted>;
}

/** What a request has become: a command, or a task that waits for somebody to approve it. */
export interface Accepted {
  readonly commandId: string;
  readonly taskId: string | null;
}

/** What the API tells the rooms that follow automations. */
export interface AutomationControl<Trx> {
  /** Part of the transaction that makes, changes or removes one: what waits for a time is planned anew. */
  plan(trx: Trx, id: string): Promise<void>;
  /** Resolves when what the database says of it holds on this node; on others within a second. */
  changed(id: string): Promise<void>;
  /** By hand: no trigger has to be true, and no condition. Part of the transaction; says why it does not fire. */
  fire(trx: Trx, id: string, who: Readonly<Record<string, unknown>>): Promise<{ readonly runId: string } | { readonly refused: string }>;
  /** Part of the transaction; what is under way is not taken back. Gives those that had not finished. */
  cancelRuns(trx: Trx, ids: readonly string[]): Promise<readonly string[]>;
}

/** What the API tells whoever waits for the times of schedules. All of it is part of the transaction. */
export interface ScheduleControl<Trx> {
  /** For one that was made, changed or removed, or whose site was: its next time is waited for from now on, and none that was missed. */
  plan(trx: Trx, id: string): Promise<void>;
  /** By hand, whether it is active or not; says why it does not run. The caller has locked it. */
  fire(trx: Trx, id: string, who: Readonly<Record<string, unknown>>): Promise<{ readonly runId: string } | { readonly refused: "busy" }>;
}

/** What somebody does with an alert. */
export type AlertRequest =
  | { readonly kind: "acknowledge" }
  | { readonly kind: "resolve" }
  /** ms since 1970 */
  | { readonly kind: "silence"; readonly until: number };

/** What the API tells the rooms that follow alerts. */
export interface AlertControl<Trx> {
  /**
   * Part of the transaction that makes, changes or removes a rule: its alerts end, what it has seen is forgotten, and what it watches is
   * looked at anew.
   */
  plan(trx: Trx, ruleId: string): Promise<void>;
  /** Part of the transaction: devices of the organisation are elsewhere now, and what rules saw of them where they were is over. */
  moved(trx: Trx, organizationId: string): Promise<void>;
  /** Resolves when what the database says of the rule holds on this node; on others within a second. */
  changed(ruleId: string): Promise<void>;
  /** Part of the transaction. Throws `conflict` when the alert is not in a state for it. */
  handle(trx: Trx, alert: Alert, request: AlertRequest, actor: Actor): Promise<void>;
  /** Part of the transaction: by hand, or by a system outside. Gives the one of the same key that is open already. */
  raise(trx: Trx, wanted: RaisedAlert, actor: Actor): Promise<{ readonly id: string; readonly isNew: boolean }>;
}

/** Publishes events that are committed. */
export interface EventSink {
  emit(events: readonly HubEvent[]): Promise<void>;
}

/** Monotonic counters and histograms; the only names the rest of the hub knows of Prometheus. */
export interface Metrics {
  count(name: string, labels?: Readonly<Record<string, string>>, by?: number): void;
  observe(name: string, seconds: number, labels?: Readonly<Record<string, string>>): void;
}

export interface Log {
  debug(data: object, message: string): void;
  info(data: object, message: string): void;
  warn(data: object, message: string): void;
  error(data: object, message: string): void;
}

/** What a device may say over HTTP as well as over MQTT. Resolves after the commit, throws a {@link HubError}. */
export interface Ingest {
  accept(device: { readonly id: string; readonly uid: string }, type: UpType, payload: unknown): Promise<void>;
}

/** For devices that poll over HTTP. Throws a {@link HubError}. */
export interface DeviceGateway {
  /**
   * What the device has to be told, oldest first, as it reads it: at once where there is something new, else when there is
   * or the time is up. For as long as it polls the device is connected here, as one with MQTT is. A newer poll ends an older with nothing.
   */
  poll(
    device: DevicePrincipal,
    options: { readonly waitMs: number; readonly remoteAddress: string },
  ): Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** What the device says on `up/<type>`. Resolves when what it means is committed. */
  report(device: Pick<DeviceRef, "id" | "uid">, type: UpType, payload: Readonly<Record<string, unknown>>): Promise<void>;
  /** The hub stops: nobody waits any longer. */
  endWaits(): void;
}

/** Which device a topic's uid is, without asking the database. */
export interface DeviceRef {
  readonly id: string;
  readonly uid: string;
  readonly organizationId: string | null;
}
export interface DeviceDirectory {
  /** Another one after every change: what was decided before has to be decided again. */
  readonly version: number;
  /** The same object until the device changes. */
  find(uid: string): DeviceRef | undefined;
  put(device: DeviceRef): void;
  remove(uid: string): void;
  /** Resolves when this device is known here, which may be new and enrolled at another node. */
  know(uid: string): Promise<void>;
  /** Resolves when the changes that other nodes have told of are known here. */
  settled(): Promise<void>;
}

/** What each principal may do, without asking the database. */
export interface AccessDirectory {
  /** Another one after every change: what was decided before has to be decided again. */
  readonly version: number;
  of(principal: Member): Access;
  /** Resolves when it is known what this user may do, who may be new. */
  know(userId: string): Promise<void>;
  /** The database says something else of these users now: resolves when it holds on this node; on others within a second. */
  changed(userIds: readonly string[]): Promise<void>;
}

/** Redis scripts over one key, for counters that all nodes share. Rejects when there is no answer in a quarter of a second. */
export interface SharedScripts {
  run(script: string, key: string, args: readonly string[]): Promise<unknown>;
}

/** A text that was made from what had been changed so often. */
export interface RevisedText {
  /** Grows with every change. */
  readonly revision: number;
  readonly text: string;
}

/** A cache that all nodes share. Rejects when there is no answer in a quarter of a second. */
export interface SharedCache {
  find(key: string): Promise<RevisedText | undefined>;
  /** Unless what is there is newer, or {@link SharedCache.outdate} said that there is something newer. */
  put(key: string, value: RevisedText, ttlMs: number): Promise<void>;
  /** What is older than this revision goes, and is not taken again for so long. */
  outdate(key: string, revision: number, ttlMs: number): Promise<void>;
}

/** Whether the database has room for what must be kept. */
export interface StorageState {
  readonly isFull: boolean;
}

export interface DemoDevice {
  readonly uid: string;
  readonly name: string;
  readonly connected: boolean;
}
/** The demo home: virtual devices over real MQTT/TLS. */
export interface Demo {
  start(organizationId: string): Promise<readonly DemoDevice[]>;
  /** Disconnects and removes every demo device; resolves to how many there were. */
  stop(): Promise<number>;
  status(): Promise<readonly DemoDevice[]>;
}

/** A value of a sensor on its way into the tables. */
export interface DeviceReading {
  readonly device: DeviceRef;
  readonly key: string;
  /** ms since 1970, by the device's clock */
  readonly ts: number;
  readonly value: SensorValue;
}

/** Sees readings inside the transaction that stores them; called again when that is tried again. */
export type ReadingWitness<Trx> = (trx: Trx, readings: readonly DeviceReading[]) => Promise<void>;

/** A parsed, checked and authorised message from a device. */
export interface UpMessage<T = unknown> {
  readonly device: DeviceRef;
  readonly type: UpType;
  readonly payload: T;
  /** ms since 1970, the hub's clock. */
  readonly receivedAt: number;
}

/**
 * Commits the effects of some messages inside one transaction and returns what to do once it is committed.
 * It is called again with the same messages when the transaction failed, so it changes nothing outside before that.
 */
export type UpHandler<Trx, T = unknown> = (trx: Trx, messages: readonly UpMessage<T>[]) => Promise<(() => void) | undefined>;

/** Between the nodes: a task waits for a device. Nobody answers for it being heard. */
export interface TaskSignals {
  tell(device: DeviceRef): void;
  onTold(listener: (device: DeviceRef) => void): Disposable;
}

/** What somebody says about a task that waits for approval. */
export interface TaskDecision {
  readonly verdict: "approved" | "rejected";
  readonly userId: string;
  /** What they have seen: anything else than what waits is a conflict. */
  readonly payloadHash?: string | undefined;
  readonly note: string | null;
  /** They have shown that they know it. */
  readonly isPinChecked?: boolean | undefined;
  /** ms since 1970 */
  readonly now?: number | undefined;
}

/** Tasks, for whoever asks for them. All of it is part of the transaction; throws `conflict` for what the task's status does not allow. */
export interface TaskControl<Trx> {
  submit(trx: Trx, wanted: NewTask): Promise<Task>;
  submitDraft(trx: Trx, id: string, actor: Actor): Promise<Task>;
  /** Whether they may decide is the caller's to know, but for four eyes. */
  decide(trx: Trx, id: string, decision: TaskDecision): Promise<Task>;
  cancel(trx: Trx, id: string, actor: Actor): Promise<Task>;
  retry(trx: Trx, id: string, actor: Actor): Promise<Task>;
  /** The device leaves its organisation, or is removed. */
  endTasksOf(trx: Trx, deviceId: string, actor: Actor): Promise<void>;
}
