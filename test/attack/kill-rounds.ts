import assert from "node:assert/strict";
import { startVirtualDevice } from "../../firmware/virtual/device.ts";
import { type ApiClient, ADMIN, type HubProcess, spawnHub } from "../support/hub.ts";
import { freePort } from "../support/services.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { type Acknowledged, type Load, startLoad } from "./kill-load.ts";
import { readRecords, type Records } from "./kill-records.ts";
import { connectStubborn, DurableSubscriber } from "./stubborn-client.ts";

/** Everybody's queue holds what comes while he is away, however long that is. */
const SETTINGS = {
  HEXA_COMMAND_TIMEOUT_MS: "2000",
  HEXA_MQTT_QUEUE_MESSAGES: "1000000",
  HEXA_MQTT_QUEUE_BYTES: "1000000000",
};

export interface Survived {
  readonly kills: number;
  readonly acknowledged: number;
}

/**
 * Kills a hub under load again and again, each time after so many more acknowledgements, and then asserts that nothing
 * acknowledged is lost (in the database, and at a subscriber that was away), nothing was done twice, and sessions,
 * retained messages and subscriptions are what was acknowledged.
 */
export async function surviveKills(databaseUrl: string | undefined, moments: Iterable<number>): Promise<Survived> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(temporaryFolder());
  const env = { ...SETTINGS, HEXA_MQTT_PORT: String(await freePort()) };
  const start = (): Promise<HubProcess> => spawnHub({ dataDir: folder.path, databaseUrl, env });
  const firstTs = Date.now() - 3_600_000;

  let hub = await start();
  stack.defer(() => hub[Symbol.asyncDispose]());
  const { api } = hub;
  await api.login();
  const [relayDevice, sensorDevice] = [await api.addDevice(), await api.addDevice()];
  const { token } = (await api.call<{ token: string }>("POST", "/api/v1/access-tokens", { kind: "personal", name: "attack" })).body;
  const organizationId = await organizationOf(api);
  const person = { url: hub.mqtt, username: ADMIN.email, password: token };
  const relay = stack.use(
    await startVirtualDevice({
      url: hub.mqtt,
      uid: relayDevice.uid,
      password: relayDevice.token,
      deviceClass: "relay_controller",
      protocolVersion: 5,
      reconnectMs: 50,
    }),
  );
  const subscriber = stack.use(new DurableSubscriber({ ...person, clientId: "durable" }));
  const away = await subscriber.come();
  await away.subscribeAsync([`hexa-app/${organizationId}/#`, "hexa/+/up/input_event", `hexa/${sensorDevice.uid}/relay/0/state`], {
    qos: 1,
  });
  const device = { url: hub.mqtt, username: sensorDevice.uid, password: sensorDevice.token, clientId: sensorDevice.uid };
  const load = stack.use(await startLoad({ device, person: { ...person, clientId: "load" }, relay, organizationId, firstTs }));

  let kills = 0;
  for (const moment of moments) {
    // Every other time the hub dies while the subscriber is away, and he comes back to the next one.
    if (kills % 2 === 0) await subscriber.go();
    else await subscriber.come();
    const target = load.total() + moment;
    await until(() => load.total() >= target, { what: `${moment} acknowledgements`, timeoutMs: 20_000 });
    await hub.kill9();
    kills++;
    hub = await start();
  }
  await load.finish();
  await subscriber.come();
  await subscriberHasAll(subscriber, load.acknowledged);
  await subscriptionsAreRight(load, organizationId);
  await retainedIsRight({ ...person, clientId: "late" }, organizationId, load.acknowledged);
  hub.api.token = token;
  await until(async () => isIdle(hub.api, relayDevice.uid), { what: "an end of every command", timeoutMs: 20_000 });
  await hub[Symbol.asyncDispose]();
  recordsAreRight(await readRecords({ dataDir: folder.path, databaseUrl }, sensorDevice), load.acknowledged);
  const executed = relay.executed.map(({ commandId }) => commandId);
  assert.equal(new Set(executed).size, executed.length, "a command was executed twice");
  return { kills, acknowledged: load.total() };
}

async function organizationOf(api: ApiClient): Promise<string> {
  const { body } = await api.call<{ data: { id: string }[] }>("GET", "/api/v1/organizations");
  return body.data[0]?.id ?? assert.fail("no organization");
}

async function isIdle(api: ApiClient, uid: string): Promise<boolean> {
  const { body } = await api.call<{ data: { status: string }[] }>("GET", `/api/v1/devices/${uid}/commands?limit=200`);
  return body.data.every(({ status }) => status !== "sent" && status !== "queued");
}

async function subscriberHasAll(subscriber: DurableSubscriber, { bus, presses, reports }: Acknowledged): Promise<void> {
  await subscriber.has("/bus/stream", bus.map(String));
  const numbersOf = (ending: string, read: (payload: Payload) => unknown): Set<unknown> =>
    new Set([...subscriber.received(ending)].map((text) => read(JSON.parse(text) as Payload)));
  const missing = (numbers: ReadonlySet<unknown>): number[] => presses.filter((n) => !numbers.has(n));
  await until(() => missing(numbersOf("/up/input_event", (one) => one.duration_ms)).length === 0, { what: "every press itself" });
  await until(() => missing(numbersOf("/events/device.input_event", (one) => one.data?.duration_ms)).length === 0, {
    what: "the event of every press",
  });
  const changes = () => numbersOf("/events/device.state_changed", (one) => one.id).size;
  await until(() => changes() >= reports.length, { what: "the event of every report" });
}
interface Payload {
  readonly id?: string;
  readonly duration_ms?: number;
  readonly data?: { readonly duration_ms?: number };
}

/** What the session really holds shows in what comes. */
async function subscriptionsAreRight({ changing, acknowledged }: Load, organizationId: string): Promise<void> {
  const held = new Set<string>();
  for (const change of acknowledged.subscriptions) {
    if (change.startsWith("+")) held.add(change.slice(1));
    else held.delete(change.slice(1));
  }
  const came = new Set<string>();
  const probe = "the last word";
  changing.on("message", (topic, payload) => payload.toString() === probe && came.add(topic));
  await changing.subscribeAsync(`hexa-app/${organizationId}/bus/end`, { qos: 1 });
  for (let n = 0; n < 5; n++) await changing.publishAsync(`hexa-app/${organizationId}/bus/of/${n}`, probe, { qos: 1 });
  await changing.publishAsync(`hexa-app/${organizationId}/bus/end`, probe, { qos: 1 });
  await until(() => came.delete(`hexa-app/${organizationId}/bus/end`), { what: "the last of the probes" });
  assert.deepEqual(came, held);
}

async function retainedIsRight(
  account: Parameters<typeof connectStubborn>[0],
  organizationId: string,
  { retained }: Acknowledged,
): Promise<void> {
  const client = await connectStubborn(account);
  const first = new Promise<string>((resolve) => client.once("message", (_topic, payload) => resolve(payload.toString())));
  await client.subscribeAsync(`hexa-app/${organizationId}/bus/last`, { qos: 1 });
  assert.equal(await first, String(retained.at(-1)));
  await client.endAsync(true);
}

/** Everything that was sent was acknowledged in the end: the rows are exactly that. */
function recordsAreRight(records: Records, acknowledged: Acknowledged): void {
  const { readings, untimed, presses, reports, toggles } = acknowledged;
  const sorted = (numbers: readonly number[]): number[] => numbers.toSorted((a, b) => a - b);
  assert.deepEqual(sorted(records.readings), sorted(readings), "readings");
  assert.deepEqual(sorted(records.untimed), sorted(untimed), "readings without a time");
  assert.deepEqual(sorted(records.presses), sorted(presses), "events");
  assert.equal(records.reports, reports.length, "reports");
  assert.equal(records.toggles, toggles.length, "commands");
}
