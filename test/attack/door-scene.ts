import assert from "node:assert/strict";
import type { Capabilities } from "../../core/device.ts";
import { newId } from "../../core/id.ts";
import type { Role } from "../../core/permissions.ts";
import { startVirtualDevice, type VirtualDevice } from "../../firmware/virtual/device.ts";
import { createAccessToken } from "../../store/access-tokens.ts";
import { openStore } from "../../store/open.ts";
import { createOrganization } from "../../store/organizations.ts";
import { createPasswords } from "../../store/passwords.ts";
import { loadMasterKey, loadSigningKeys } from "../../store/secrets.ts";
import { createUser } from "../../store/users.ts";
import { ApiClient, startHub, type TestHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";

/** Members of the one organisation, but `stranger`, who administers another one. */
const ROLES = { owner: "owner", admin: "admin", operator: "operator", stranger: "admin" } as const satisfies Record<string, Role>;
export type PersonName = keyof typeof ROLES;

export interface Asker {
  readonly name: string;
  readonly api: ApiClient;
  /** Of MQTT. */
  readonly username: string;
  readonly password: string;
  /** Of a person's browser. */
  readonly cookie: string | undefined;
}

export interface WaitingTask {
  readonly id: string;
  readonly status: string;
  readonly command_id: string | null;
  readonly payload_hash: string;
  readonly error: string | null;
  readonly actor: { readonly kind: string; readonly id: string };
  readonly risk: { readonly score: number; readonly is_high: boolean; readonly reasons: readonly { readonly rule: string }[] } | null;
}

/** How a device comes to the hub. `plain` speaks MQTT 3.1.1 and knows no tasks. */
export const TARGETS = ["mqtt", "plain", "ws", "poll"] as const;
export type TargetName = (typeof TARGETS)[number];

export interface Target {
  readonly uid: string;
  /** Connects it if it is not. */
  readonly connect: () => Promise<VirtualDevice>;
}

/** A hub with two organisations, in which everybody has a password, a token and a browser. */
export interface DoorScene extends AsyncDisposable {
  readonly hub: TestHub;
  readonly people: Readonly<Record<PersonName, Asker>>;
  /** Home Assistant's account. */
  readonly service: Asker;
  add(target: TargetName, sensitivity?: "normal" | "high" | "critical"): Promise<Target>;
  /** The owner's view: of a device, newest first. */
  tasks(uid: string, status?: string): Promise<readonly WaitingTask[]>;
  task(id: string): Promise<WaitingTask>;
  until(id: string, ...statuses: string[]): Promise<WaitingTask>;
  /** By the owner. */
  decide(id: string, verdict: "approve" | "reject"): Promise<number>;
  /** How many audit rows there are of the task having come to wait, each with its score and reasons. */
  awaited(id: string): Promise<number>;
  setPolicy(policy: object): Promise<void>;
}

export const CAPABILITIES = { relays: 4, lights: 1, ir: true } as const satisfies Capabilities;
const PASSWORD = "correct horse battery";

export async function must<T = Record<string, unknown>>(
  api: ApiClient,
  status: number,
  [method, path, body]: readonly [string, string, object?],
): Promise<T> {
  const answer = await api.call<T>(method, `/api/v1/${path}`, body);
  assert.equal(answer.status, status, `${method} ${path}: ${JSON.stringify(answer.body)}`);
  return answer.body;
}

interface Made {
  readonly people: ReadonlyMap<PersonName, { readonly email: string; readonly token: string }>;
  readonly serviceToken: string;
}

async function makePeople(dataDir: string, databaseUrl: string | undefined): Promise<Made> {
  await using store = await openStore({ dataDir, databaseUrl });
  await using passwords = createPasswords(10);
  const { db } = store;
  const keys = await loadSigningKeys(db, await loadMasterKey(dataDir));
  const ours = (await createOrganization(db, { name: "ours" })).id;
  const theirs = (await createOrganization(db, { name: "theirs" })).id;
  const passwordHash = await passwords.hash(PASSWORD);
  const people = new Map<PersonName, { email: string; token: string }>();
  for (const [name, memberRole] of Object.entries(ROLES) as [PersonName, Role][]) {
    const organizationId = name === "stranger" ? theirs : ours;
    const email = `${name}@example.test`;
    const { id: userId } = await createUser(db, { email, passwordHash, role: "user", memberRole, organizationId });
    people.set(name, { email, token: (await createAccessToken(db, keys, { kind: "personal", name, userId, organizationId })).token });
  }
  const { token } = await createAccessToken(db, keys, { kind: "service", name: "home-assistant", organizationId: ours });
  return { people, serviceToken: token };
}

export async function startDoorScene(databaseUrl: string | undefined): Promise<DoorScene> {
  await using stack = new AsyncDisposableStack();
  const dataDir = stack.use(temporaryFolder("doors")).path;
  const made = await makePeople(dataDir, databaseUrl);
  // Many devices at once on a busy machine: what is late is not what is looked at.
  const hub = stack.use(await startHub({ databaseUrl, dataDir, env: { HEXA_COMMAND_TIMEOUT_MS: "30000" } }));
  const devices = stack.use(new AsyncDisposableStack());
  const clientOf = (token: string): ApiClient => Object.assign(new ApiClient(hub.http), { token });
  const people = Object.fromEntries(
    await Promise.all(
      [...made.people].map(async ([name, { email, token }]) => {
        const login = await new ApiClient(hub.http).call("POST", "/api/v1/auth/login", { email, password: PASSWORD, cookie: true });
        assert.equal(login.status, 200, JSON.stringify(login.body));
        const cookie = login.headers.getSetCookie()[0]?.split(";")[0];
        return [name, { name, api: clientOf(token), username: email, password: token, cookie }] as const;
      }),
    ),
  ) as Record<PersonName, Asker>;
  const { serviceToken: password } = made;
  const service = { name: "service", api: clientOf(password), username: "home-assistant", password, cookie: undefined };
  const { api } = people.owner;
  const task = async (id: string): Promise<WaitingTask> => (await must<{ task: WaitingTask }>(api, 200, ["GET", `tasks/${id}`])).task;
  const running = stack.move();
  return {
    hub,
    people,
    service,
    add: (target, sensitivity = "normal") => addTarget({ hub, api, devices }, target, sensitivity),
    tasks: async (uid, status = "awaiting_confirmation") =>
      (await must<{ data: WaitingTask[] }>(api, 200, ["GET", `tasks?limit=200&device=${uid}&status=${status}`])).data,
    task,
    async until(id, ...statuses) {
      await until(async () => statuses.includes((await task(id)).status), {
        what: `${statuses.join(" or ")} of ${id}`,
        timeoutMs: 60_000,
      }).catch(async (cause: unknown) => {
        throw new Error(`it is ${JSON.stringify(await task(id))}`, { cause });
      });
      return await task(id);
    },
    decide: async (id, verdict) => (await api.call("POST", `/api/v1/tasks/${id}/${verdict}`, {})).status,
    async awaited(id) {
      const { data } = await must<{ data: { details: { score?: unknown; reasons?: unknown } }[] }>(api, 200, [
        "GET",
        `audit?action=task.await&resource_id=${id}`,
      ]);
      for (const { details } of data)
        assert.ok(typeof details.score === "number" && Array.isArray(details.reasons) && details.reasons.length > 0, JSON.stringify(data));
      return data.length;
    },
    async setPolicy(policy) {
      const { headers } = await api.call("GET", "/api/v1/risk-policy");
      const put = await api.call("PUT", "/api/v1/risk-policy", policy, { "if-match": headers.get("etag") ?? "" });
      assert.equal(put.status, 200, JSON.stringify(put.body));
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

async function addTarget(
  { hub, api, devices }: { readonly hub: TestHub; readonly api: ApiClient; readonly devices: AsyncDisposableStack },
  target: TargetName,
  sensitivity: string,
): Promise<Target> {
  const deviceClass = "hybrid";
  const capabilities: Capabilities = { ...CAPABILITIES, tasks: target !== "plain" };
  const { uid, token, taskKey } = await api.addDevice({ name: `${target} ${newId()}`, device_class: deviceClass, capabilities });
  if (sensitivity !== "normal") await must(api, 200, ["PATCH", `devices/${uid}`, { sensitivity }]);
  let device: VirtualDevice | undefined;
  const transport = target === "plain" ? "mqtt" : target;
  return {
    uid,
    connect: async () =>
      (device ??= devices.use(
        await startVirtualDevice({
          url: transport === "mqtt" ? hub.mqtt : hub.http,
          transport,
          uid,
          password: token,
          deviceClass,
          capabilities,
          taskKey,
          protocolVersion: target === "plain" ? 4 : 5,
          heartbeatMs: 0,
        }),
      )),
  };
}
