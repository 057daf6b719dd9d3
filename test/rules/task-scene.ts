import assert from "node:assert/strict";
import { createMetrics } from "../../api/metrics.ts";
import type { Commands, Log } from "../../core/bus.ts";
import type { Device } from "../../core/device.ts";
import { SYSTEM } from "../../core/principal.ts";
import { type ActionResult, actionIdOf, type NewTask, type Task, type TaskActions } from "../../core/task.ts";
import { type TaskEnvelope, type TaskResultEnvelope, signEnvelope } from "../../core/task-envelope.ts";
import { createTopics } from "../../core/topics.ts";
import { createRecentCommands } from "../../rules/recent-commands.ts";
import { RiskDesk } from "../../rules/risk-desk.ts";
import { TaskDesk } from "../../rules/task-desk.ts";
import { finishTask, lockAttempt } from "../../rules/task-end.ts";
import { TaskExecutor } from "../../rules/task-executor.ts";
import type { TaskRecordContext } from "../../rules/task-record.ts";
import { acceptResult } from "../../rules/task-results.ts";
import { type HubTimers, openTimers } from "../../rules/timers.ts";
import { createDevice } from "../../store/devices.ts";
import type { Db } from "../../store/open.ts";
import { createOrganization } from "../../store/organizations.ts";
import { loadRiskPolicyDirectory } from "../../store/risk-policy-directory.ts";
import { createTaskKeys } from "../../store/task-keys.ts";
import { inTransaction } from "../../store/transaction.ts";

export const ON: TaskActions = [{ command: "set_relay", relay: 0, state: "ON" }];

export interface TaskNode {
  readonly executor: TaskExecutor;
  /** `<task id> <attempt>` of each envelope. */
  readonly sent: readonly string[];
  readonly envelopes: readonly TaskEnvelope[];
}

export interface TaskScene extends AsyncDisposable {
  readonly organizationId: string;
  readonly device: Device;
  readonly timers: HubTimers;
  readonly desk: TaskDesk;
  /** What was logged as an error. */
  readonly errors: readonly string[];
  /** One that believes every device to be its own. */
  readonly node: (name: string, command?: Commands["send"]) => TaskNode;
  readonly addDevice: (name: string, knowsTasks?: boolean) => Promise<Device>;
  readonly make: (over?: Partial<NewTask>) => Promise<Task>;
  readonly cancel: (task: Pick<Task, "id">) => Promise<Task>;
  /** As the device says it, without its signature. */
  readonly finish: (task: Pick<Task, "id">, attempt?: number) => Promise<Task | undefined>;
  /** Signed; gives the ids of the commands that it acknowledges. */
  readonly answer: (task: Pick<Task, "id">, attempt?: number) => Promise<string[]>;
}

/** What decides about tasks and hands them out, and the timers; whoever begins those ends what waits. */
export async function openTaskScene(db: Db): Promise<TaskScene> {
  await using stack = new AsyncDisposableStack();
  const errors: string[] = [];
  const log: Log = { debug() {}, info() {}, warn() {}, error: (_data, message) => void errors.push(message) };
  const metrics = createMetrics();
  const timers = stack.use(await openTimers({ db, log, metrics, clock: Date.now }));
  const record: TaskRecordContext = {
    timers,
    notifier: { notify: async () => {} },
    events: { emit: async () => {} },
    metrics,
    log,
    nudge: () => {},
  };
  const policies = stack.use(await loadRiskPolicyDirectory(db, log));
  const desk = new TaskDesk({
    ...record,
    risk: new RiskDesk({ db, policies, recent: createRecentCommands(), clock: Date.now, isShared: true }),
  });
  const { id: organizationId } = await createOrganization(db, { name: "Home" });
  const addDevice = (name: string, knowsTasks = true): Promise<Device> =>
    createDevice(db, {
      name,
      deviceClass: "relay_controller",
      capabilities: { relays: 1, ir: true, tasks: knowsTasks },
      organizationId,
      ownerId: null,
    });
  const device = await addDevice("Pump");
  const keys = createTaskKeys(Buffer.alloc(32, 7));
  const topics = createTopics();
  const bus = { publish: async () => {}, subscribe: () => ({ [Symbol.dispose]() {} }) };
  const nodes = stack.use(new AsyncDisposableStack());
  const running = stack.move();
  return {
    organizationId,
    device,
    timers,
    desk,
    errors,
    addDevice,
    node(name, command = () => Promise.reject(new Error("the device knows tasks"))) {
      const sent: string[] = [];
      const envelopes: TaskEnvelope[] = [];
      const executor = new TaskExecutor({
        ...record,
        db,
        topics,
        keys,
        nodeId: () => name,
        isShared: true,
        sessions: { isReachableHere: () => true },
        bus: {
          ...bus,
          async publish({ payload }) {
            const envelope = JSON.parse(payload.toString()) as TaskEnvelope;
            sent.push(`${envelope.task_id} ${envelope.attempt}`);
            envelopes.push(envelope);
          },
        },
        commands: { send: command, accept: () => Promise.reject(new Error("nobody publishes a command here")) },
      });
      nodes.use(executor);
      return { executor, sent, envelopes };
    },
    make: (over = {}) =>
      inTransaction(db, (trx) =>
        desk.submit(trx, { organizationId, device, name: "Pump", actions: ON, actor: SYSTEM, source: "rest", ...over }),
      ),
    cancel: ({ id }) => inTransaction(db, (trx) => desk.cancel(trx, id, SYSTEM)),
    finish: ({ id }, attempt = 1) =>
      inTransaction(db, async (trx) => {
        const attempted = (await lockAttempt(trx, id, attempt)) ?? assert.fail("there is no such attempt");
        return await finishTask(record, trx, attempted, { results: [resultOf(id, attempt)], now: Math.floor(timers.now()) });
      }),
    async answer({ id }, attempt = 1) {
      const { secret, id: keyId } = await keys.taskKeyOf(db, device.id);
      const now = Date.now();
      const results = [{ action_id: actionIdOf(id, attempt, 0), status: "ok" as const }];
      const unsigned = { type: "task.result" as const, task_id: id, attempt, results, timestamp: now, key_id: keyId };
      const message = {
        device,
        type: "task_result" as const,
        payload: signEnvelope<Omit<TaskResultEnvelope, "signature">>(unsigned, secret),
        receivedAt: now,
      };
      const acks = await inTransaction(db, (trx) => acceptResult({ ...record, bus, topics, keys }, trx, message));
      return acks.map(({ payload }) => payload.command_id);
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

const resultOf = (taskId: string, attempt: number): ActionResult => ({ actionId: actionIdOf(taskId, attempt, 0), status: "ok" });
