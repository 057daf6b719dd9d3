import assert from "node:assert/strict";
import { startVirtualDevice, type VirtualDevice, type VirtualDeviceOptions } from "../../firmware/virtual/device.ts";
import type { TestHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";
import type { TaskJson } from "./task-scene.ts";

export interface WandererOptions {
  readonly knowsTasks?: boolean;
  readonly isCritical?: boolean;
  readonly faults?: VirtualDeviceOptions["faults"];
}

/** A device that goes from node to node, and knows what it has done. */
export interface Wanderer extends AsyncDisposable {
  readonly uid: string;
  readonly id: string;
  readonly device: VirtualDevice;
  /** Leaves without a word where it is. */
  moveTo(hub: Pick<TestHub, "mqtt">): Promise<void>;
}

export async function wanderAt(hub: TestHub, { knowsTasks = true, isCritical = false, faults }: WandererOptions = {}): Promise<Wanderer> {
  const capabilities = { relays: 4, tasks: knowsTasks };
  const { uid, id, token, taskKey } = await hub.api.addDevice({ capabilities });
  if (isCritical) assert.equal((await hub.api.call("PATCH", `/api/v1/devices/${uid}`, { sensitivity: "critical" })).status, 200);
  let url = hub.mqtt;
  const device = await startVirtualDevice({
    get url() {
      return url;
    },
    uid,
    password: token,
    deviceClass: "relay_controller",
    capabilities,
    taskKey,
    protocolVersion: 5,
    heartbeatMs: 0,
    reconnectMs: 100,
    ...(faults ? { faults } : {}),
  });
  return {
    uid,
    id,
    device,
    async moveTo(other) {
      await device.kill();
      url = other.mqtt;
      await device.reconnect();
    },
    [Symbol.asyncDispose]: () => device[Symbol.asyncDispose](),
  };
}

export async function createAt({ api }: TestHub, uid: string, body: object = {}): Promise<TaskJson> {
  const actions = [{ command: "set_relay", relay: 0, state: "ON" }];
  const made = await api.call<{ task: TaskJson }>("POST", "/api/v1/tasks", { device: uid, name: "Pump", actions, ...body });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  return made.body.task;
}

export const showAt = async ({ api }: TestHub, id: string): Promise<TaskJson> =>
  (await api.call<{ task: TaskJson }>("GET", `/api/v1/tasks/${id}`)).body.task;

/** Waits until it has that status, as that node sees it. */
export async function untilAt(hub: TestHub, id: string, status: string, timeoutMs = 15_000): Promise<TaskJson> {
  let task = await showAt(hub, id);
  await until(async () => (task = await showAt(hub, id)).status === status, { what: `${status} of ${id}`, timeoutMs }).catch(
    (cause: unknown) => {
      throw new Error(`the task is ${task.status}: ${task.error ?? ""}`, { cause });
    },
  );
  return task;
}
