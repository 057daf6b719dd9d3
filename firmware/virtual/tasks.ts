import Type, { type Static } from "typebox";
import { fingerprintOf } from "../../core/canonical-json.ts";
import type { Capabilities } from "../../core/device.ts";
import { HubError } from "../../core/errors.ts";
import { type DeviceState, isEmptyState, mergeState, NO_STATE, type StateReport } from "../../core/state.ts";
import {
  MAX_TASK_ACTIONS,
  requireSignature,
  requireTimely,
  signEnvelope,
  type TaskActionResult,
  TaskEnvelope,
  type TaskResultEnvelope,
} from "../../core/task-envelope.ts";
import { parserFor } from "../../core/validate.ts";
import type { Executed } from "./contract.ts";
import { execute, type Faults } from "./execution.ts";

/** `task_key` and `task_key_id`, as the hub has handed them out. */
export interface DeviceTaskKey {
  readonly id: string;
  /** base64url */
  readonly key: string;
}

/** A task as a device reads it: an action that a newer hub knows fails by itself, and not the whole task. */
const TaskFrame = Type.Object({
  ...TaskEnvelope.properties,
  actions: Type.Array(Type.Object({ action_id: Type.String({ maxLength: 64 }), command: Type.String({ maxLength: 64 }) }), {
    minItems: 1,
    maxItems: MAX_TASK_ACTIONS,
  }),
});
export type TaskFrame = Static<typeof TaskFrame>;
const parseFrame = parserFor(TaskFrame);

/** What a device is at the moment that a task comes. */
export interface DeviceNow {
  readonly state: DeviceState;
  readonly capabilities: Capabilities;
  readonly faults: Faults;
  readonly key: DeviceTaskKey | undefined;
  /** ms since 1970 */
  readonly now: number;
}

/** What a device makes of a task: new effects, what to say, or nothing while the same one still runs. */
export interface TaskTurn {
  readonly frame: TaskFrame;
  readonly run?: TaskRun;
  /** Of one that was done before. */
  readonly answer?: readonly TaskActionResult[];
}
export interface TaskRun {
  readonly executed: readonly Executed[];
  readonly state: DeviceState;
  readonly results: readonly TaskActionResult[];
  readonly report: StateReport | undefined;
  readonly isRestart: boolean;
}

const REMEMBERED = 100;
const MAX_COUNTED = 10_000;

interface Remembered {
  readonly content: string;
  /** undefined while it runs. */
  results?: readonly TaskActionResult[];
}

/** The tasks of a device: the last 100 attempts with their results, as it keeps them in flash. */
export class TaskMemory {
  readonly #attempts = new Map<string, Remembered>();
  readonly #runs = new Map<string, number>();

  runs(taskId: string): number {
    return this.#runs.get(taskId) ?? 0;
  }

  /** Throws `validation_error`, `task_signature_invalid` and `task_envelope_stale`: then nothing of it is done. */
  receive(payload: unknown, device: DeviceNow): TaskTurn {
    const frame = parseFrame(payload);
    if (device.key?.id !== frame.key_id) throw new HubError("task_signature_invalid", `this device has no task key ${frame.key_id}`);
    requireSignature(frame, Buffer.from(device.key.key, "base64url"));
    const known = this.#attempts.get(nameOf(frame));
    if (known) {
      // A hub that asks again may date it anew.
      if (known.content !== fingerprintOf(frame.actions))
        throw new HubError("task_signature_invalid", "another task came under the name of this one before");
      return known.results ? { frame, answer: known.results } : { frame };
    }
    requireTimely(frame, device);
    this.#begin(frame);
    return { frame, run: runTask(frame, device) };
  }

  finish(frame: TaskFrame, results: readonly TaskActionResult[]): void {
    const known = this.#attempts.get(nameOf(frame));
    if (known) known.results = results;
  }

  /** Before the effects: a power cut in between must lose them rather than do them twice. */
  #begin(frame: TaskFrame): void {
    this.#attempts.set(nameOf(frame), { content: fingerprintOf(frame.actions) });
    forgetOldest(this.#attempts, REMEMBERED);
    this.#runs.set(frame.task_id, this.runs(frame.task_id) + 1);
    forgetOldest(this.#runs, MAX_COUNTED);
  }
}

/** The answer, signed with the device's key as it is now. */
export function resultOf(
  { task_id, attempt }: Pick<TaskFrame, "task_id" | "attempt">,
  results: readonly TaskActionResult[],
  { key, now, faults }: Pick<DeviceNow, "now" | "faults"> & { readonly key: DeviceTaskKey },
): TaskResultEnvelope {
  const secret = Buffer.from(key.key, "base64url");
  if (faults.tasks?.wrongSignature) secret.reverse();
  const { resultFor = task_id } = faults.tasks ?? {};
  const head = { type: "task.result", task_id: resultFor, attempt, timestamp: now, key_id: key.id } as const;
  return signEnvelope({ ...head, results: [...results] }, secret);
}

const nameOf = ({ task_id, attempt }: Pick<TaskFrame, "task_id" | "attempt">): string => `${task_id} ${attempt}`;

function forgetOldest(map: Map<string, unknown>, kept: number): void {
  for (const oldest of map.keys()) {
    if (map.size <= kept) break;
    map.delete(oldest);
  }
}

/** One action after the other; after one that fails, the rest is left out. */
function runTask({ task_id: taskId, actions }: TaskFrame, { state: before, capabilities, faults }: DeviceNow): TaskRun {
  const executed: Executed[] = [];
  const results: TaskActionResult[] = [];
  let state = before;
  let reported = NO_STATE;
  for (const [place, { action_id, ...fields }] of actions.entries()) {
    if (results.some(({ status }) => status === "error")) {
      results.push({ action_id, status: "skipped" });
      continue;
    }
    const failure = faults.tasks?.failAt === place ? { ...faults, refuse: "the action failed" } : faults;
    const { ack, command, ...after } = execute({ ...fields, command_id: action_id }, { state, capabilities, faults: failure });
    const { command_id: _, ...said } = ack;
    results.push({ action_id, ...said });
    state = after.state;
    reported = mergeState(reported, after.report ?? {});
    if (command) executed.push({ commandId: action_id, command, taskId });
  }
  const isRestart = executed.some(({ command }) => command.command === "restart");
  return { executed, state, results, report: isEmptyState(reported) ? undefined : reportOf(reported), isRestart };
}

function reportOf({ relays, lights }: DeviceState): StateReport {
  return { ...(relays.length > 0 ? { relays: [...relays] } : {}), ...(lights.length > 0 ? { lights: [...lights] } : {}) };
}
