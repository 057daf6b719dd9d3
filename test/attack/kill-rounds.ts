import assert from "node:assert/strict";
import { startVirtualDevice } from "../../firmware/virtual/device.ts";
import { type ApiClient, ADMIN } from "../support/hub.ts";
import { until } from "../support/wait.ts";
import { type Acknowledged, type Load, startLoad } from "./kill-load.ts";
import type { Place } from "./kill-place.ts";
import { readRecords, type Records } from "./kill-records.ts";
import { type Account, connectStubborn, DurableSubscriber } from "./stubborn-client.ts";

export interface Survived {
  readonly kills: number;
  readonly acknowledged: number;
}

/** When a hub dies, after so many more acknowledgements; and which, where there are several. */
export interface Kill {
  readonly after: number;
  readonly pick: number;
}

const MOST_BETWEEN_KILLS = 400;

/** Random moments and hubs until the time is over, and so many at least; the seed is printed, so that a failing run can be repeated. */
export function* randomKills(seed: number, kills: number, untilMs: number): Generator<Kill> {
  for (let state = seed, made = 0; made < kills || performance.now() < untilMs; made++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    // The lowest bits take turns.
    const random = state >>> 8;
    yield { after: 1 + (random % MOST_BETWEEN_KILLS), pick: random >>> 12 };
  }
}

/**
 * Kills the hubs of a place under load again and again, and then asserts that nothing acknowledged is lost (in the
 * database, at a subscriber that was away, in a group that shares its work), nothing was done twice, and sessions,
 * retained messages and subscriptions are what was acknowledged.
 */
export async function surviveKills(place: Place, plan: Iterable<Kill>): Promise<Survived> {
  await using stack = new AsyncDisposableStack();
  const { api } = place;
  const [relayDevice, sensorDevice] = [await api.addDevice(), await api.addDevice()];
  const { token } = (await api.call<{ token: string }>("POST", "/api/v1/access-tokens", { kind: "personal", name: "attack" })).body;
  const organizationId = await organizationOf(api);
  // Half of them begin at either hub, and some go to the other one when theirs is dead.
  const [first, last] = [from(place, 0), from(place, 1)];
  const person = { ...last, username: ADMIN.email, password: token };
  const relay = stack.use(
    await startVirtualDevice({
      url: last.url,
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
  const workers = stack.use(await startWorkers({ ...person, ...first }, person, organizationId));
  const device = { ...first, username: sensorDevice.uid, password: sensorDevice.token, clientId: sensorDevice.uid };
  const load = stack.use(
    await startLoad({
      device,
      person: { ...person, clientId: "load" },
      relay,
      organizationId,
      firstTs: Date.now() - 3_600_000,
    }),
  );

  let kills = 0;
  for (const { after, pick } of plan) {
    // Every other time the hub dies while the subscriber is away, and he comes back to the next one.
    if (kills % 2 === 0) await subscriber.go();
    else await subscriber.come(from(place, pick >> 1).urls);
    const target = load.total() + after;
    await until(() => load.total() >= target, { what: `${after} acknowledgements`, timeoutMs: 20_000 });
    await place.killOne(pick);
    kills++;
  }
  await load.finish();
  await subscriber.come();
  await subscriberHasAll(subscriber, load.acknowledged);
  await workers.have(load.acknowledged.work.map(String));
  await subscriptionsAreRight(load, organizationId);
  for (const [index, url] of place.urls.entries())
    await retainedIsRight(
      { ...person, url, urls: [url], clientId: `late-${index}` },
      { organizationId, isAlone: place.urls.length === 1 },
      load.acknowledged,
    );
  api.token = token;
  await until(async () => isIdle(api, relayDevice.uid), { what: "an end of every command", timeoutMs: 20_000 });
  await place.stop();
  recordsAreRight(await readRecords(place.store, sensorDevice), load.acknowledged);
  const executed = relay.executed.map(({ commandId }) => commandId);
  assert.equal(new Set(executed).size, executed.length, "a command was executed twice");
  return { kills, acknowledged: load.total() };
}

/** All hubs of the place, that one first. */
function from({ urls }: Place, start: number): { readonly url: string; readonly urls: readonly string[] } {
  const all = urls.map((_, index) => urls[(start + index) % urls.length] as string);
  return { url: all[0] as string, urls: all };
}

/** Two who share what there is to do. One waits for its hub when that is dead, the other one goes on to the next. */
async function startWorkers(faithful: Omit<Account, "clientId">, roaming: Omit<Account, "clientId">, organizationId: string) {
  await using stack = new AsyncDisposableStack();
  const workers = [
    stack.use(new DurableSubscriber({ ...faithful, urls: [faithful.url], clientId: "worker-1" })),
    stack.use(new DurableSubscriber({ ...roaming, clientId: "worker-2" })),
  ];
  for (const worker of workers) {
    const client = await worker.come();
    await client.subscribeAsync(`$share/workers/hexa-app/${organizationId}/bus/work`, { qos: 1 });
  }
  const running = stack.move();
  return {
    async have(wanted: readonly string[]): Promise<void> {
      const missing = (): string[] => {
        const received = workers.map((worker) => worker.received("/bus/work"));
        return wanted.filter((one) => received.every((each) => !each.has(one)));
      };
      await until(() => missing().length === 0, { what: "all work at some worker", timeoutMs: 15_000 }).catch((cause: unknown) => {
        throw new Error(`${missing().length} of ${wanted.length} acknowledged messages reached nobody of the group`, { cause });
      });
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
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

/** `isAlone`: at the first look; a node that has just started may hear a moment later from a slow one what changed meanwhile. */
async function retainedIsRight(
  account: Account,
  { organizationId, isAlone }: { organizationId: string; isAlone: boolean },
  { retained }: Acknowledged,
): Promise<void> {
  let last: string | undefined;
  const onMessage = (_topic: string, payload: Buffer): void => {
    last = payload.toString();
  };
  const client = await connectStubborn(account, { onMessage });
  const look = async (): Promise<boolean> => {
    await client.subscribeAsync(`hexa-app/${organizationId}/bus/last`, { qos: 1 });
    if (isAlone) await until(() => last !== undefined, { what: "the retained message" });
    return last === String(retained.at(-1));
  };
  if (isAlone) assert.ok(await look(), `${last} is retained, and not ${retained.at(-1)}`);
  await until(look, { what: `the retained ${retained.at(-1)} at ${account.url}` }).finally(() => client.end(true));
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
