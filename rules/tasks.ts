import type { Bus, Commands, DeviceRef, Sessions, TaskControl, TaskSignals } from "../core/bus.ts";
import type { RecentCommandMemory } from "../core/risk.ts";
import type { Topics } from "../core/topics.ts";
import type { Db } from "../store/open.ts";
import type { RiskPolicyDirectory } from "../store/risk-policy-directory.ts";
import type { TaskKeys } from "../store/task-keys.ts";
import { Gate } from "./gate.ts";
import { RiskDesk } from "./risk-desk.ts";
import type { ResultReader } from "./state-commits.ts";
import { TaskDesk } from "./task-desk.ts";
import { TaskExecutor } from "./task-executor.ts";
import type { TaskDevice, TaskRecordContext } from "./task-record.ts";
import { acceptResult } from "./task-results.ts";

export interface TasksContext extends Omit<TaskRecordContext, "nudge"> {
  readonly db: Db;
  readonly bus: Bus;
  readonly topics: Topics;
  readonly commands: Commands;
  readonly sessions: Pick<Sessions, "isReachableHere">;
  readonly policies: RiskPolicyDirectory;
  readonly recent: RecentCommandMemory;
  readonly taskKeys: TaskKeys;
  readonly nodeId: () => string;
  /** ms since 1970 */
  readonly clock: () => number;
  /** Of the other nodes, which have devices too; undefined on a node that is alone. */
  readonly signals: TaskSignals | undefined;
}

/** Tasks: who decides about them, and what hands them to devices. */
export interface Tasks extends AsyncDisposable {
  readonly control: TaskControl<Db>;
  readonly gate: Gate;
  readonly readResult: ResultReader;
  deviceReachable(device: DeviceRef): void;
  /** What may have been missed is looked for. */
  reload(): void;
}

/** Their timers fire once {@link Timers} begins. */
export function openTasks(context: TasksContext): Tasks {
  const { db, clock, signals, policies, recent, taskKeys: keys } = context;
  const record: TaskRecordContext = { ...context, nudge };
  const risk = new RiskDesk({ db, policies, recent, clock, isShared: signals !== undefined });
  const desk = new TaskDesk({ ...record, risk });
  const executor = new TaskExecutor({ ...context, ...record, keys, isShared: signals !== undefined });
  const gate = new Gate({ db, clock, judge: (judged) => risk.judge(judged), park: (trx, wanted, high) => desk.park(trx, wanted, high) });
  const others = signals?.onTold((device) => executor.wake(device));

  function nudge(device: TaskDevice): void {
    executor.wake(device);
    if (!context.sessions.isReachableHere(device.uid)) signals?.tell(device);
  }

  return {
    control: desk,
    gate,
    readResult: (trx, message) => acceptResult({ ...context, ...record, keys }, trx, message),
    deviceReachable: (device) => executor.deviceReachable(device),
    reload: () => executor.sweep(),
    async [Symbol.asyncDispose]() {
      others?.[Symbol.dispose]();
      await executor[Symbol.asyncDispose]();
    },
  };
}
