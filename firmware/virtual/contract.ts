import type { EventEmitter } from "node:events";
import type { Command } from "../../core/command.ts";
import type { Capabilities, DeviceClass, DeviceSettings } from "../../core/device.ts";
import type { Ack, DownCommand, DownError, InputEvent, Registered, SensorValue, UpType } from "../../core/payloads.ts";
import type { DeviceState, OnOff } from "../../core/state.ts";
import type { TaskResultEnvelope } from "../../core/task-envelope.ts";
import type { Faults } from "./execution.ts";
import type { LinkOptions } from "./link.ts";
import type { DeviceTaskKey, TaskFrame } from "./tasks.ts";

export interface VirtualDeviceOptions extends LinkOptions {
  readonly deviceClass: DeviceClass;
  /** What the class has by default when left out. */
  readonly capabilities?: Capabilities | undefined;
  /** What a device with the capability `tasks` needs; without it, it refuses them all. */
  readonly taskKey?: DeviceTaskKey | undefined;
  readonly model?: string | undefined;
  readonly firmwareVersion?: string | undefined;
  /** Instead of what `down/registered` asks for; 0 for none. */
  readonly heartbeatMs?: number | undefined;
  /** Readings by themselves. */
  readonly behaviour?: Behaviour | undefined;
  readonly faults?: Faults | undefined;
  readonly topicRoot?: string | undefined;
  readonly now?: (() => number) | undefined;
  readonly log?: ((data: object, message: string) => void) | undefined;
}

export interface Behaviour {
  readonly everyMs: number;
  /** The values at that time (ms since 1970), given the outputs. undefined: nothing to say. */
  sample(now: number, state: DeviceState): Readonly<Record<string, SensorValue>> | undefined;
}

/** What a device tells its owner, each with one argument. */
export interface DeviceEvents {
  /** The session is up again: subscribed, online, registered. */
  ready: [Registered];
  lost: [{ readonly reason: string }];
  /** A command came in, also one that is a repetition or out of time. */
  command: [DownCommand & Readonly<Record<string, unknown>>];
  executed: [Executed];
  acknowledged: [Ack];
  /** A task came in whose signature is right, also one that is a repetition. */
  task: [TaskFrame];
  /** What was said of a task. */
  answered: [TaskResultEnvelope];
  state: [DeviceState];
  config: [DeviceSettings];
  /** What came on `down/error`, and tasks that the device refuses itself. */
  refused: [DownError];
  /** Any other `down/<type>`. */
  down: [{ readonly type: string; readonly payload: unknown }];
}

export interface Executed {
  /** Of an action of a task its action id. */
  readonly commandId: string;
  readonly command: Command;
  readonly taskId?: string | undefined;
}

export interface VirtualDevice extends AsyncDisposable {
  readonly uid: string;
  readonly capabilities: Capabilities;
  readonly state: DeviceState;
  /** Effects, each command id and each action of an attempt once; the last 10,000. */
  readonly executed: readonly Executed[];
  /** What came on `down/error`; the last 1,000. */
  readonly errors: readonly DownError[];
  /** Infrared frames sent, repetitions included. */
  readonly irSent: number;
  /** Commands that arrived after their `expires_at`. */
  readonly expired: number;
  /** Tasks that were not done: badly signed, too old, or another one under the name of one that was. */
  readonly refusedTasks: number;
  readonly config: DeviceSettings | undefined;
  readonly connected: boolean;
  /** What the hub answered to the last `up/register`. */
  readonly registered: Registered | undefined;
  readonly events: EventEmitter<DeviceEvents>;
  /** Replace it at any time. */
  faults: Faults;
  /** Replace it when the hub has made the next one. */
  taskKey: DeviceTaskKey | undefined;
  /** How often the actions of this task were begun; of the last 10,000 tasks. */
  taskRuns(taskId: string): number;
  /** Resolves with the next such event; rejects after `timeoutMs` (10 s). */
  next<K extends keyof DeviceEvents>(name: K, timeoutMs?: number): Promise<DeviceEvents[K][0]>;
  /** An input's event, `click` unless said otherwise. Resolves when the hub has taken it. */
  press(input: number, event?: InputEvent["event"]): Promise<void>;
  /** Somebody switches the relay at the device: the state changes, and the device reports it. */
  setRelayLocally(index: number, state: OnOff): Promise<void>;
  /** QoS 1 unless said otherwise. `ts` in ms since 1970; without it the hub's time of receipt counts. */
  sendTelemetry(values: Readonly<Record<string, SensorValue>>, ts?: number, qos?: 0 | 1): Promise<void>;
  /** `up/<type>` with this payload, QoS 1. */
  send(type: UpType, payload: object): Promise<void>;
  /** Anything to anywhere. Resolves at the PUBACK, rejects when the connection ends or 30 s pass before it. */
  publish(topic: string, payload: string | Buffer, options?: { readonly qos?: 0 | 1; readonly retain?: boolean }): Promise<void>;
  /** Says `offline` and DISCONNECT. */
  disconnect(): Promise<void>;
  /** Cuts the connection without DISCONNECT, so that the broker sends the will. */
  kill(): Promise<void>;
  /**
   * Connects after `disconnect()` or `kill()`; resolves when the hub has answered the registration. State and the
   * executed command ids are still known, as in a device that keeps them in flash; what was being sent is gone.
   */
  reconnect(): Promise<void>;
}
