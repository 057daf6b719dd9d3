import type { EventEmitter } from "node:events";
import { HubError } from "../../core/errors.ts";
import type { UpType } from "../../core/payloads.ts";
import type { DeviceState } from "../../core/state.ts";
import type { TaskActionResult } from "../../core/task-envelope.ts";
import type { DeviceEvents, Executed } from "./contract.ts";
import { reportOf } from "./execution.ts";
import { type DeviceNow, resultOf, type TaskFrame, TaskMemory } from "./tasks.ts";

/** The device, as its tasks need it. */
export interface TaskHost {
  now(): DeviceNow;
  readonly events: EventEmitter<DeviceEvents>;
  /** What was done, and what the outputs are by it. */
  take(executed: readonly Executed[], state: DeviceState): void;
  /** At once, or as late as a slow device does. */
  say(work: () => Promise<void>): void;
  send(type: UpType, payload: object): Promise<void>;
  background(work: Promise<void>): void;
  powerCycle(): Promise<void>;
}

/** What a device makes of the tasks that it gets. */
export class TaskDesk {
  readonly #host: TaskHost;
  readonly #memory = new TaskMemory();
  refused = 0;

  constructor(host: TaskHost) {
    this.#host = host;
  }

  runs(taskId: string): number {
    return this.#memory.runs(taskId);
  }

  receive(topic: string, json: unknown): void {
    const host = this.#host;
    try {
      const { frame, run, answer } = this.#memory.receive(json, host.now());
      if (run) {
        host.take(run.executed, run.state);
        host.say(async () => {
          this.#memory.finish(frame, run.results);
          if (host.now().faults.silent) return;
          await this.#answer(frame, run.results);
          if (run.report) await host.send("state_report", reportOf(run.report, host.now().state));
          if (run.isRestart) await host.powerCycle();
        });
      }
      if (answer) host.background(this.#answer(frame, answer));
      host.events.emit("task", frame);
    } catch (error) {
      if (!(error instanceof HubError)) throw error;
      this.refused++;
      const { code, message, details } = error;
      host.events.emit("refused", { code, message, topic, details });
    }
  }

  async #answer(frame: TaskFrame, results: readonly TaskActionResult[]): Promise<void> {
    const host = this.#host;
    const { key, faults, now } = host.now();
    if (faults.silent || !key) return;
    const result = resultOf(frame, results, { key, now, faults });
    await host.send("task_result", result);
    if (faults.tasks?.doubleResult) await host.send("task_result", result);
    host.events.emit("answered", result);
  }
}
