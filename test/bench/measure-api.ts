import { spawn } from "node:child_process";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { createInterface } from "node:readline";
import { mayPublish, mayReceive, type Rights } from "../../core/authorize.ts";
import type { DeviceRef } from "../../core/bus.ts";
import { deviceRolePermissions, NO_PERMISSIONS, organizationAccess, type Role, rolePermissions } from "../../core/permissions.ts";
import type { UserPrincipal } from "../../core/principal.ts";
import { createTopics, type Topic } from "../../core/topics.ts";
import { createHistogram } from "./histogram.ts";
import { ADMIN, startHubProcess } from "./hub-process.ts";
import { median, type Row } from "./report.ts";
import type { Plan } from "./stage.ts";

const CONNECTIONS = 10;
const DECISIONS_PER_S = 1_000_000;

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}
export interface Times {
  readonly perS: number;
  readonly p99Ms: number;
}

/** The hub beside a Koa that says hello; what a log-in costs; and how quick the broker decides. */
export async function measureApi({ runs, span }: Plan): Promise<Row[]> {
  await using hub = await startHubProcess();
  await using bare = await startBareKoa();
  const [device] = await hub.addDevices("sensor_hub", 1);
  const { access_token: token } = await hub.post("/api/v1/auth/login", ADMIN);
  const headers = { authorization: `Bearer ${String(token)}` };
  const get = { method: "GET", path: `/api/v1/devices/${device?.clientId}`, headers };
  const login = {
    method: "POST",
    path: "/api/v1/auth/login",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(ADMIN),
  };
  const seen = { hub: [] as Times[], bare: [] as Times[], login: [] as Times[], decisions: [] as number[] };
  for (let run = 0; run < runs; run++) {
    seen.hub.push(await drive(hub.http, get, span.measureMs));
    seen.bare.push(await drive(bare.url, { method: "GET", path: "/", headers: {} }, span.measureMs));
    seen.login.push(await drive(hub.http, login, span.measureMs));
    seen.decisions.push(decide(span.measureMs));
  }
  const of = (times: readonly Times[], pick: (one: Times) => number) => median(times.map(pick));
  return [
    {
      name: "GET of a device, with a token (other: bare Koa)",
      unit: "requests/s",
      hub: of(seen.hub, ({ perS }) => perS),
      other: of(seen.bare, ({ perS }) => perS),
    },
    { name: "  p99", unit: "ms", hub: of(seen.hub, ({ p99Ms }) => p99Ms), other: of(seen.bare, ({ p99Ms }) => p99Ms) },
    { name: "log-ins", unit: "log-ins/s", hub: of(seen.login, ({ perS }) => perS) },
    {
      name: "decisions about a topic from compiled rights",
      unit: "decisions/s",
      hub: median(seen.decisions),
      goal: { atLeast: DECISIONS_PER_S },
    },
  ];
}

export async function startBareKoa(): Promise<AsyncDisposable & { url: string }> {
  const child = spawn(process.execPath, [new URL("bare-koa.ts", import.meta.url).pathname], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const [port] = (await once(createInterface(child.stdout), "line")) as [string];
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

/** One request after the other on each of ten connections. */
export async function drive(url: string, asked: Asked, measureMs: number): Promise<Times> {
  using agent = Object.assign(new Agent({ keepAlive: true, maxSockets: CONNECTIONS }), {
    [Symbol.dispose]: () => agent.destroy(),
  });
  const histogram = createHistogram();
  const until = performance.now() + measureMs;
  let count = 0;
  const from = performance.now();
  async function loop(): Promise<void> {
    while (performance.now() < until) {
      const at = performance.now();
      await ask(url, asked, agent);
      histogram.add(performance.now() - at);
      count++;
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, loop));
  return { perS: (count * 1_000) / (performance.now() - from), p99Ms: histogram.summary().p99Ms };
}

function ask(url: string, { method, path, headers, body }: Asked, agent: Agent): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const sent = request(new URL(path, url), { method, headers, agent }, (response) => {
    response.resume();
    response.on("end", () => (response.statusCode === 200 ? resolve() : reject(new Error(`${path}: ${response.statusCode}`))));
  });
  sent.on("error", reject);
  sent.end(body);
  return promise;
}

/** 1,000 devices of ten organisations, and people of every role with a grant or without; a second's decisions. */
function decide(measureMs: number): number {
  const devices = new Map<string, DeviceRef>();
  for (let index = 0; index < 1_000; index++)
    devices.set(`relay-${index}`, { id: `d${index}`, uid: `relay-${index}`, organizationId: `o${index % 10}` });
  const roles: (Role | null)[] = ["viewer", "operator", "admin", "owner", null];
  const people = Array.from(
    { length: 100 },
    (_, index): UserPrincipal => ({
      kind: "user",
      id: `u${index}`,
      email: "",
      role: "user",
      organizationId: `o${index % 10}`,
      credentialId: "c",
    }),
  );
  const access = new Map(
    people.map(({ id, organizationId }, index) => {
      const role = roles[index % roles.length] ?? null;
      const grants = new Map([[`d${index}`, deviceRolePermissions("operator")]]);
      return [id, organizationAccess(organizationId, role === null ? NO_PERMISSIONS : rolePermissions(role), grants)] as const;
    }),
  );
  const rights: Rights = {
    topics: createTopics(),
    directory: { version: 0, find: (uid) => devices.get(uid), put() {}, remove() {}, async know() {}, async settled() {} },
    access: { version: 0, of: ({ id }) => access.get(id) ?? organizationAccess("", NO_PERMISSIONS), async know() {}, async changed() {} },
  };
  const topics = [...devices.keys()].flatMap((uid): Topic[] => [
    { kind: "relay_set", uid, index: 0 },
    { kind: "sensor_state", uid, key: "power" },
  ]);
  const until = performance.now() + measureMs;
  const from = performance.now();
  let count = 0;
  let allowed = 0;
  while (performance.now() < until)
    for (const topic of topics) {
      const person = people[count % people.length] as UserPrincipal;
      if (mayReceive(rights, person, topic)) allowed++;
      if (mayPublish(rights, person, topic)) allowed++;
      count += 2;
    }
  if (allowed === 0 || allowed === count) throw new Error("everybody may the same");
  return (count * 1_000) / (performance.now() - from);
}
