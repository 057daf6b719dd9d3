import assert from "node:assert/strict";
import { startVirtualDevice, type VirtualDevice } from "../../firmware/virtual/device.ts";
import type { ApiClient, Answer } from "../support/hub.ts";
import { until } from "../support/wait.ts";
import type { Place } from "./kill-place.ts";
import { randomOf } from "./random-of.ts";

/** Of each kind of device. */
const DEVICES = 3;
const AT_ONCE = 6;

interface Plan {
  readonly kills: number;
  readonly tasks: number;
  readonly seed: number;
}

interface Attacked {
  readonly device: VirtualDevice;
  readonly knowsTasks: boolean;
}

/**
 * Has devices do tasks, some of which somebody has to approve, while hubs are killed at random moments, and asserts that each task comes to an
 * end and that no device has done one twice. Gives how many there were.
 */
export async function surviveTaskKills(
  place: Place,
  { kills, tasks, seed }: Plan,
): Promise<{ readonly tasks: number; readonly deaths: number }> {
  const random = randomOf(seed);
  const { api } = place;
  await using stack = new AsyncDisposableStack();
  const devices: Attacked[] = [];
  for (let index = 0; index < 2 * DEVICES; index++)
    devices.push(
      await addDevice(
        api,
        { url: place.urls[index % place.urls.length] as string, knowsTasks: index % 2 === 0, isCritical: index % 3 === 0 },
        stack,
      ),
    );
  let next = 0;
  const made: string[] = [];
  const over = new AbortController();
  const isDone = (): boolean => over.signal.aborted || made.length === tasks;
  const create = async (): Promise<void> => {
    while (next < tasks && !over.signal.aborted) {
      const index = next++;
      const { device, knowsTasks } = devices[Math.floor(random() * devices.length)] as Attacked;
      // What goes out again is the same attempt; of single commands another attempt would be another command.
      const repeated = knowsTasks ? { timeout_s: 20, retry: { attempts: 5, backoff_s: 1 } } : {};
      const body = { device: device.uid, name: `task ${index}`, actions: actionsOf(index), priority: index % 10, ...repeated };
      const { body: answer } = await persist(async (again) =>
        api.call<{ task: { id: string } }>("POST", "/api/v1/tasks", body, { "idempotency-key": `task-${seed}-${index}-${again}` }),
      );
      made.push(answer.task.id);
    }
  };
  const approve = async (): Promise<void> => {
    while (!isDone() || (!over.signal.aborted && (await waiting(api)).length > 0)) {
      for (const id of await waiting(api)) {
        const { status } = await persist(() => api.call("POST", `/api/v1/tasks/${id}/approve`, {}), [409]);
        assert.ok(status === 200 || status === 409, `${status}`);
      }
    }
  };
  const kill = async (): Promise<void> => {
    for (let death = 0; death < kills; death++) {
      const target = Math.min(tasks, Math.ceil(((death + random()) * tasks) / kills));
      await until(() => over.signal.aborted || made.length >= target, { what: `${target} tasks`, timeoutMs: 120_000 });
      await place.killOne(Math.floor(random() * 2));
    }
  };
  await Promise.all([...Array.from({ length: AT_ONCE }, create), approve(), kill()]).finally(() => over.abort());
  await judge(api, devices, tasks);
  return { tasks, deaths: kills };
}

async function addDevice(
  api: ApiClient,
  { url, knowsTasks, isCritical }: { readonly url: string; readonly knowsTasks: boolean; readonly isCritical: boolean },
  stack: AsyncDisposableStack,
): Promise<Attacked> {
  const capabilities = { relays: 4, tasks: knowsTasks };
  const { status, body } = await api.call<{ device_uid: string; device_token: string; task_key: string; task_key_id: string }>(
    "POST",
    "/api/v1/devices",
    {
      name: "Attacked",
      device_class: "relay_controller",
      capabilities,
    },
  );
  assert.equal(status, 201, JSON.stringify(body));
  if (isCritical) assert.equal((await api.call("PATCH", `/api/v1/devices/${body.device_uid}`, { sensitivity: "critical" })).status, 200);
  const device = await startVirtualDevice({
    url,
    uid: body.device_uid,
    password: body.device_token,
    deviceClass: "relay_controller",
    capabilities,
    taskKey: { id: body.task_key_id, key: body.task_key },
    protocolVersion: 5,
    reconnectMs: 50,
  });
  stack.use(device);
  return { device, knowsTasks };
}

const actionsOf = (index: number): object[] =>
  Array.from({ length: 1 + (index % 3) }, (_, relay) => ({ command: "set_relay", relay, state: index % 2 === 0 ? "ON" : "OFF" }));

async function waiting(api: ApiClient): Promise<string[]> {
  const { body } = await persist(() => api.call<{ data: { id: string }[] }>("GET", "/api/v1/tasks?status=awaiting_confirmation&limit=50"));
  return body.data.map(({ id }) => id);
}

/**
 * Asks again until a hub that lives has answered; with the same idempotency key nothing comes of it twice. What a dead node had begun nobody
 * else may do for a while: then `again` counts up, for another key.
 */
async function persist<T>(ask: (again: number) => Promise<Answer<T>>, alsoFine: readonly number[] = []): Promise<Answer<T>> {
  let last: unknown;
  let answer: Answer<T> | undefined;
  let again = 0;
  await until(
    async () => {
      try {
        const one = await ask(again);
        last = one.body;
        if ((one.body as { code?: string }).code === "idempotency_in_progress") again++;
        else if (one.status < 400 || alsoFine.includes(one.status)) answer = one;
      } catch (error) {
        last = error;
      }
      return answer !== undefined;
    },
    { what: "an answer", timeoutMs: 60_000 },
  ).catch((cause: unknown) => {
    throw new Error(`no answer: ${JSON.stringify(last)}`, { cause });
  });
  return answer as Answer<T>;
}

interface TaskJson {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly device_uid: string;
  readonly error: string | null;
  readonly actions: readonly unknown[];
}

async function allTasks(api: ApiClient): Promise<TaskJson[]> {
  const all: TaskJson[] = [];
  for (let cursor = ""; ; ) {
    const path = `/api/v1/tasks?limit=200${cursor === "" ? "" : `&cursor=${cursor}`}`;
    const { body } = await persist(() => api.call<{ data: TaskJson[]; next_cursor: string | null }>("GET", path));
    all.push(...body.data);
    if (body.next_cursor === null) return all;
    cursor = body.next_cursor;
  }
}

async function judge(api: ApiClient, devices: readonly Attacked[], made: number): Promise<void> {
  let all: TaskJson[] = [];
  await until(
    async () => {
      all = await allTasks(api);
      return all.every(isFinal);
    },
    { what: "the end of every task", timeoutMs: 150_000 },
  ).catch((cause: unknown) => {
    throw new Error(`these have not ended: ${JSON.stringify(all.filter((one) => !isFinal(one)).slice(0, 5))}`, { cause });
  });
  assert.equal(new Set(all.map(({ name }) => name)).size, made, "a task is lost");
  for (const { device, knowsTasks } of devices) {
    const mine = all.filter(({ device_uid }) => device_uid === device.uid);
    const ids = device.executed.map(({ commandId }) => commandId);
    assert.equal(new Set(ids).size, ids.length, "an action was done twice");
    for (const task of mine)
      if (knowsTasks) assert.deepEqual([task.status, device.taskRuns(task.id)], ["completed", 1], `${task.id}: ${task.error}`);
      // Of a single command nobody knows whether it was done when its answer is lost: it may fail, and is not done again by itself.
      else assert.ok(task.status === "completed" || task.status === "failed", `${task.id} is ${task.status}`);
  }
}

const isFinal = (task: TaskJson | undefined): boolean =>
  ["completed", "failed", "cancelled", "rejected", "expired"].includes(task?.status ?? "");
