import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { startVirtualDevice, type VirtualDevice, type VirtualDeviceOptions } from "../../firmware/virtual/device.ts";
import { connectAsync } from "mqtt";
import type { Packet } from "mqtt-packet";
import pg from "pg";
import { ADMIN, type HubOptions, startHub, type TestHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";

export interface TaskJson {
  readonly id: string;
  readonly status: string;
  readonly name: string;
  readonly attempt: number;
  readonly command_id: string | null;
  readonly payload_hash: string;
  readonly error: string | null;
  readonly error_code: string | null;
  readonly risk: { readonly score: number; readonly reasons: readonly { rule: string; points: number }[] } | null;
  readonly approval: { readonly decision: string | null; readonly expires_at: string } | null;
}

export interface TaskDeviceOptions {
  readonly knowsTasks?: boolean;
  readonly isCritical?: boolean;
  readonly faults?: VirtualDeviceOptions["faults"];
  readonly isAway?: boolean;
}

/** A hub with an administrator and devices that do tasks. */
export interface TaskScene extends AsyncDisposable {
  readonly hub: TestHub;
  add(
    options?: TaskDeviceOptions,
  ): Promise<{ readonly uid: string; readonly device: VirtualDevice; readonly connect: () => Promise<VirtualDevice> }>;
  create(uid: string, body?: object): Promise<TaskJson>;
  show(id: string): Promise<TaskJson>;
  /** Waits until it has one of these statuses. */
  until(id: string, ...statuses: string[]): Promise<TaskJson>;
  post(
    path: string,
    body?: object,
  ): Promise<{ readonly status: number; readonly body: Record<string, unknown> & { task: TaskJson; code?: string } }>;
  /** Its time to be approved is over, and the hub has noticed. */
  expire(id: string): Promise<void>;
  /** Somebody with an MQTT client who sees everything of the organisation. */
  person(): Promise<Person>;
  audit(action: string): Promise<readonly { resource_id: string; details: Record<string, unknown>; actor: { kind: string; id: string } }[]>;
}

export interface Person extends AsyncDisposable {
  readonly received: { readonly topic: string; readonly payload: string }[];
  /** Gives the reason that the broker says with its acknowledgement. */
  publish(topic: string, payload: string): Promise<string | undefined>;
}

export const ON = { command: "set_relay", relay: 0, state: "ON" } as const;

export async function startTaskScene(options: HubOptions = {}): Promise<TaskScene> {
  await using stack = new AsyncDisposableStack();
  const hub = stack.use(await startHub(options));
  const { api } = hub;
  await api.login();
  const owned = stack.use(new AsyncDisposableStack());
  const running = stack.move();
  const show = async (id: string): Promise<TaskJson> => (await api.call<{ task: TaskJson }>("GET", `/api/v1/tasks/${id}`)).body.task;
  return {
    hub,
    async add({ knowsTasks = true, isCritical = false, faults, isAway = false } = {}) {
      const capabilities = { relays: 4, tasks: knowsTasks };
      const made = await api.call<{ device_uid: string; device_token: string; task_key: string; task_key_id: string }>(
        "POST",
        "/api/v1/devices",
        {
          name: "Pump",
          device_class: "relay_controller",
          capabilities,
        },
      );
      assert.equal(made.status, 201, JSON.stringify(made.body));
      const { device_uid: uid, device_token: password, task_key: key, task_key_id: id } = made.body;
      if (isCritical) assert.equal((await api.call("PATCH", `/api/v1/devices/${uid}`, { sensitivity: "critical" })).status, 200);
      const connect = async (): Promise<VirtualDevice> =>
        owned.use(
          await startVirtualDevice({
            url: hub.mqtt,
            uid,
            password,
            deviceClass: "relay_controller",
            capabilities,
            taskKey: { id, key },
            protocolVersion: 5,
            heartbeatMs: 0,
            ...(faults ? { faults } : {}),
          }),
        );
      return { uid, connect, device: isAway ? (undefined as never) : await connect() };
    },
    async create(uid, body = {}) {
      const made = await api.call<{ task: TaskJson }>("POST", "/api/v1/tasks", { device: uid, name: "Pump", actions: [ON], ...body });
      assert.equal(made.status, 201, JSON.stringify(made.body));
      return made.body.task;
    },
    show,
    async until(id, ...statuses) {
      let task = await show(id);
      await until(
        async () => {
          task = await show(id);
          return statuses.includes(task.status);
        },
        { what: `${statuses.join(" or ")} of ${id}`, timeoutMs: 15_000 },
      ).catch((cause: unknown) => {
        throw new Error(`the task is ${task.status}: ${task.error ?? ""}`, { cause });
      });
      return task;
    },
    async expire(id) {
      await makeDue(id, options.databaseUrl ?? join(hub.dataDir, "hexahub.db"));
      await until(async () => (await show(id)).status !== "awaiting_confirmation", { what: "the end of its time", timeoutMs: 20_000 });
    },
    async person() {
      const { token } = (await api.call<{ token: string }>("POST", "/api/v1/access-tokens", { kind: "personal", name: "person" })).body;
      const client = await connectAsync(hub.mqtt, { username: ADMIN.email, password: token, protocolVersion: 5 });
      const received: { topic: string; payload: string }[] = [];
      client.on("message", (topic, payload) => received.push({ topic, payload: payload.toString() }));
      await client.subscribeAsync(["hexa/+/relay/+/state", "hexa/+/relay/+/set", "hexa-app/+/events/#"], { qos: 1 });
      return {
        received,
        async publish(topic, payload) {
          let reason: string | undefined;
          const onPacket = (packet: Packet): void => {
            if (packet.cmd === "puback") reason = packet.properties?.reasonString;
          };
          client.on("packetreceive", onPacket);
          await client.publishAsync(topic, payload, { qos: 1 });
          client.off("packetreceive", onPacket);
          return reason;
        },
        [Symbol.asyncDispose]: () => client.endAsync(),
      };
    },
    post: async (path, body) => await api.call("POST", `/api/v1/${path}`, body),
    audit: async (action) =>
      (
        await api.call<{ data: { resource_id: string; details: Record<string, unknown>; actor: { kind: string; id: string } }[] }>(
          "GET",
          `/api/v1/audit?action=${action}`,
        )
      ).body.data,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** The task's timer is overdue; the hub looks at the database's within ten seconds. */
async function makeDue(taskId: string, database: string): Promise<void> {
  const past = new Date(Date.now() - 1_000).toISOString();
  if (!database.startsWith("postgres")) {
    using sqlite = new DatabaseSync(database, { timeout: 5_000 });
    assert.equal(sqlite.prepare("update timers set due_at = ? where kind = 'task' and timer_key = ?").run(past, taskId).changes, 1);
    return;
  }
  const client = new pg.Client({ connectionString: database });
  await client.connect();
  const { rowCount } = await client.query("update timers set due_at = $1 where kind = 'task' and timer_key = $2", [past, taskId]);
  await client.end();
  assert.equal(rowCount, 1);
}
