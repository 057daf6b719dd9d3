import mqtt from "mqtt";
import { startVirtualDevice, type VirtualDevice, type VirtualDeviceOptions } from "../../firmware/virtual/device.ts";
import { ADMIN, type HubOptions, startHub, type TestHub } from "../support/hub.ts";
import { askRedis, freshDatabase, postgresMissing, redisMissing, type Service, startRedis } from "../support/services.ts";
import { sharedPostgres } from "../support/tables.ts";
import { until } from "../support/wait.ts";

/** Why a cluster cannot be started here, for `{ skip: clusterMissing() }`. */
export const clusterMissing = (): string | undefined => postgresMissing() ?? redisMissing();

/** What the nodes of one cluster have in common: an empty database and a Redis of its own. */
export interface Ground extends AsyncDisposable {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly redis: Service;
}

export async function startGround(): Promise<Ground> {
  const redis = await startRedis();
  const databaseUrl = await emptyDatabase();
  return { databaseUrl, redisUrl: redis.url, redis, [Symbol.asyncDispose]: () => redis[Symbol.asyncDispose]() };
}

export async function emptyDatabase(): Promise<string> {
  return await freshDatabase(await sharedPostgres());
}

/** Of a node that died: its duty ends by time, which a test has not. Another node looks for it every few seconds. */
export async function endLease({ redis }: Pick<Ground, "redis">, duty: string): Promise<void> {
  if (!(await askRedis(redis, `HSET hexa:lease:${duty} until 0`)).startsWith(":0")) throw new Error(`nobody had the duty ${duty}`);
}

export interface Hubs extends AsyncDisposable {
  readonly a: TestHub;
  readonly b: TestHub;
}

export interface Pair extends Hubs {
  readonly ground: Ground;
}

/** Two hubs in this process that know each other, their clients logged in. */
export async function startPair(options: HubOptions = {}): Promise<Pair> {
  await using stack = new AsyncDisposableStack();
  const ground = stack.use(await startGround());
  const shared = { ...options, databaseUrl: ground.databaseUrl, redisUrl: ground.redisUrl };
  const { a, b } = stack.use(await startHubs(shared, shared));
  const running = stack.move();
  return { ground, a, b, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/** The same with options of their own; they share a database and a Redis. */
export async function startHubs(...options: readonly [HubOptions, HubOptions]): Promise<Hubs> {
  await using stack = new AsyncDisposableStack();
  const [a, b] = await Promise.all([startHub(options[0]), startHub(options[1])]);
  stack.use(a);
  stack.use(b);
  await Promise.all([a.api.login(), b.api.login()]);
  await acquaint(a, b);
  const running = stack.move();
  return { a, b, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/** Waits until what is said at one of them is heard at the other, both ways. */
export async function acquaint(a: TestHub, b: TestHub): Promise<void> {
  const { body } = await a.api.call<{ user: { organization_id: string } }>("GET", "/api/v1/auth/me");
  const topic = `hexa-app/${body.user.organization_id}/bus/acquaint`;
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    await using listener = await person(to);
    await using speaker = await person(from);
    let isHeard = false;
    listener.client.on("message", () => {
      isHeard = true;
    });
    await listener.client.subscribeAsync(topic);
    await until(
      async () => {
        await speaker.client.publishAsync(topic, "hello");
        return isHeard;
      },
      { what: "two nodes to know each other" },
    );
  }
}

/** The administrator as an MQTT client. */
export async function person(hub: TestHub): Promise<AsyncDisposable & { readonly client: mqtt.MqttClient }> {
  const client = await mqtt.connectAsync(hub.mqtt, { username: ADMIN.email, password: ADMIN.password, reconnectPeriod: 0 });
  return { client, [Symbol.asyncDispose]: () => client.endAsync(true) };
}

export type Relay = { readonly uid: string; readonly id: string; readonly token: string };

/** A relay of that account at this node. */
export function relayAt(
  hub: Pick<TestHub, "mqtt">,
  { uid, token }: Relay,
  options: Partial<VirtualDeviceOptions> = {},
): Promise<VirtualDevice> {
  return startVirtualDevice({ url: hub.mqtt, uid, password: token, deviceClass: "relay_controller", protocolVersion: 5, ...options });
}

/** The types of a device's events in their order. */
export async function eventsOf(hub: TestHub, { id }: Relay): Promise<string[]> {
  const { body } = await hub.api.call<{ data: { type: string }[] }>("GET", `/api/v1/events?entity_id=${id}&limit=100`);
  return body.data.map(({ type }) => type).toReversed();
}
