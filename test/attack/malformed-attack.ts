import { once } from "node:events";
import { Socket } from "node:net";
import { setInterval } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import mqtt, { type MqttClient } from "mqtt";
import { readFileSync } from "node:fs";
import type { TestHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";
import type { AttackOrder, AttackReport } from "./malformed-worker.ts";

const LANES = 4;
const BETWEEN_ROUND_TRIPS_MS = 10;

/** A hub under attack: who attacks it, and who uses it meanwhile. */
export interface Siege extends AsyncDisposable {
  /** Resolves when so many damaged packets were sent and the hub has closed every one of their connections. */
  attack(seed: number, packets: number): Promise<AttackReport>;
  /** Round trips of the good clients since the last call, in ms, sorted; and what went wrong for them so far. */
  served(): { readonly roundTripsMs: readonly number[]; readonly losses: readonly string[] };
  /** Bytes that the hub holds on to after its garbage is collected. */
  heldBytes(): number;
  /** Resolves when no session is left but the good clients'. */
  calm(): Promise<void>;
}

/** Devices and service accounts for the attackers, and three good clients that send themselves messages: over TCP, TLS and WebSocket. */
export async function besiege(hub: TestHub): Promise<Siege> {
  await hub.api.login();
  const fuzzer = await addService(hub, "fuzzer");
  const good = await addService(hub, "good");
  const lanes = await Promise.all(Array.from({ length: LANES }, (_, number) => addLane(hub, fuzzer, number)));
  const target = { tcp: Number(new URL(hub.mqtt).port), tls: Number(new URL(hub.mqtts).port), ca: hub.ca, ws: hub.ws };
  const ca = readFileSync(hub.ca);
  const visits = await Promise.all([
    visit(good, "good-tcp", hub.mqtt, { protocolVersion: 5 }),
    visit(good, "good-tls", hub.mqtts, { protocolVersion: 4, ca }),
    visit(good, "good-ws", hub.ws, { protocolVersion: 5 }),
  ]);
  return {
    async attack(seed, packets) {
      const order: AttackOrder = { seed, packets, target, lanes };
      const worker = new Worker(new URL("./malformed-worker.ts", import.meta.url), { workerData: order });
      // It may end in the turn that brings its report.
      const [[report]] = await Promise.all([once(worker, "message") as Promise<[AttackReport]>, once(worker, "exit")]);
      return report;
    },
    served: () => ({
      roundTripsMs: visits.flatMap(({ roundTripsMs }) => roundTripsMs.splice(0)).toSorted((a, b) => a - b),
      losses: visits.flatMap((one) => one.losses),
    }),
    heldBytes() {
      for (let round = 0; round < 3; round++) collectGarbage();
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    },
    async calm() {
      const isCalm = async (): Promise<boolean> =>
        (await (await fetch(`${hub.http}/metrics`)).text()).split("\n").includes(`hexahub_mqtt_sessions ${visits.length}`);
      await until(isCalm, { what: "the end of every session but the good ones" });
    },
    [Symbol.asyncDispose]: async () => void (await Promise.all(visits.map((one) => one.end()))),
  };
}

interface Account {
  readonly username: string;
  readonly password: string;
  readonly organizationId: string;
}

async function addService(hub: TestHub, name: string): Promise<Account> {
  const { body } = await hub.api.call<{ token: string }>("POST", "/api/v1/access-tokens", { kind: "service", name });
  const me = await hub.api.call<{ organization_id: string }>("GET", "/api/v1/auth/me");
  return { username: name, password: body.token, organizationId: me.body.organization_id };
}

async function addLane(
  hub: TestHub,
  { username, password, organizationId }: Account,
  number: number,
): Promise<AttackOrder["lanes"][number]> {
  const { uid, token } = await hub.api.addDevice();
  const own = ["up/telemetry", "up/heartbeat", "up/task_result", "up/ack", "up/register", "availability", "relay/0/set", "down/command"];
  return {
    device: { clientId: uid, username: uid, password: token },
    service: { clientId: `fuzz-${number}`, username, password },
    topics: [
      ...own.map((name) => `hexa/${uid}/${name}`),
      "hexa/relay-foreign/up/telemetry",
      `hexa-app/${organizationId}/bus/fuzz/${number}`,
      `hexa-app/${organizationId}/events/device.online`,
      "homeassistant/status",
      "$SYS/x/new/clients",
      "$hub/x",
      "a/b",
    ],
  };
}

interface Visit {
  readonly roundTripsMs: number[];
  readonly losses: string[];
  end(): Promise<void>;
}

async function visit(account: Account, clientId: string, url: string, options: mqtt.IClientOptions): Promise<Visit> {
  const { username, password, organizationId } = account;
  const client = await mqtt.connectAsync(url, { ...options, clientId, username, password, reconnectPeriod: 0 });
  // Its own kernel would hold a small packet back until the one before is confirmed: 40 ms, and not the hub's.
  if (client.stream instanceof Socket) client.stream.setNoDelay(true);
  const losses: string[] = [];
  let isOver = false;
  client.on("close", () => isOver || losses.push(`${clientId}: closed`));
  const topic = `hexa-app/${organizationId}/bus/good/${clientId}`;
  await client.subscribeAsync(topic, { qos: 1 });
  const roundTripsMs: number[] = [];
  let trips = 0;
  const going = (async () => {
    for await (const _ of setInterval(BETWEEN_ROUND_TRIPS_MS)) {
      if (isOver) break;
      trips++;
      roundTripsMs.push(await roundTrip(client, topic, `trip ${trips}`, trips % 2 === 0 ? 0 : 1));
    }
  })().catch((error: unknown) => losses.push(`${clientId}: ${String(error)}`));
  return {
    roundTripsMs,
    losses,
    async end() {
      isOver = true;
      await client.endAsync(true);
      await going;
    },
  };
}

const ROUND_TRIP_TIMEOUT_MS = 10_000;

/** Publishes the text and waits until it comes back, in ms. Rejects after 10 s. */
async function roundTrip(client: MqttClient, topic: string, text: string, qos: 0 | 1): Promise<number> {
  const { promise: arrived, resolve, reject } = Promise.withResolvers<number>();
  const startedAt = performance.now();
  const timer = setTimeout(() => reject(new Error(`${topic}: "${text}" did not come back`)), ROUND_TRIP_TIMEOUT_MS);
  const onMessage = (_topic: string, payload: Buffer): void => {
    if (payload.toString() === text) resolve(performance.now() - startedAt);
  };
  const onClose = (): void => reject(new Error("the connection was closed"));
  client.on("message", onMessage).once("close", onClose);
  try {
    const [tookMs] = await Promise.all([arrived, client.publishAsync(topic, text, { qos })]);
    return tookMs;
  } finally {
    clearTimeout(timer);
    client.off("message", onMessage).off("close", onClose);
  }
}

function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
}
