import assert from "node:assert/strict";
import { test } from "node:test";
import { createAnnounce, createBus, createEventSink } from "../../broker/bus.ts";
import { createCounters } from "../../broker/counters.ts";
import { openDurableState } from "../../broker/durable-state.ts";
import { createIngest } from "../../broker/ingest.ts";
import { openDevicePresence } from "../../broker/device-presence.ts";
import type { DeviceRef, Log } from "../../core/bus.ts";
import { readConfig } from "../../core/config.ts";
import { PRESENCE_TTL_MS, type Presence } from "../../core/device.ts";
import { createTopics } from "../../core/topics.ts";
import { loadAccessDirectory } from "../../store/access-directory.ts";
import { loadDeviceDirectory } from "../../store/device-directory.ts";
import { listEvents } from "../../store/events.ts";
import { openStore } from "../../store/open.ts";
import { listConnected, setConnectionStatus } from "../../store/presence.ts";
import { device, tenant } from "../store/fixtures.ts";
import { temporaryFolder, until } from "../support/wait.ts";

const ARRIVAL = { ip: "127.0.0.1", credentialId: "credential" };

/**
 * Presence of one device over a real store and bus; `settled` waits until what was noted is committed and announced.
 * `before` is what the last run left as the device's status.
 */
async function presenceOfOne({ before, ...times }: { before?: Presence; presenceGraceMs?: number; presenceTtlMs?: number } = {}) {
  await using stack = new AsyncDisposableStack();
  const store = stack.use(await openStore({ dataDir: stack.use(temporaryFolder()).path }));
  const owner = await tenant(store.db, "acme");
  const { id, uid } = await device(store.db, owner);
  if (before) await setConnectionStatus(store.db, id, before, Date.now());
  const directory = await loadDeviceDirectory(store.db);
  const log: Log = { debug() {}, info() {}, warn() {}, error: (data) => assert.fail(JSON.stringify(data)) };
  const metrics = { count() {}, observe() {} };
  const topics = createTopics();
  const context = { store, directory, topics, log, metrics, clock: Date.now };
  const limits = readConfig({}, () => "");
  const state = stack.use(
    await openDurableState({
      ...context,
      rights: { topics, directory, access: await loadAccessDirectory(store.db, log) },
      limits,
      counters: createCounters(),
      isAlone: true,
    }),
  );
  const bus = createBus({ ...context, ...state });
  const ingest = createIngest({ ...context, ...state, stored: () => state.exchange.stored() });
  const announce = createAnnounce(bus, log);
  const events = createEventSink({ bus, topics, log });
  const devices = stack.use(openDevicePresence({ ...context, ...state, ...times, ingest, bus, announce, events }));
  await devices.begin({ disconnect: async () => 0, endRevoked: async () => {} });
  const announced: string[] = [];
  bus.subscribe(`hexa/${uid}/availability`, (_topic, payload) => announced.push(payload.toString()));
  const ref = directory.find(uid) as DeviceRef;
  const running = stack.move();
  return {
    ...devices,
    store,
    directory,
    device: ref,
    announced,
    async settled(): Promise<string[]> {
      await ingest[Symbol.asyncDispose]();
      // Announcements of one bus keep their order: when this one is back, all of them are.
      const back = new Promise<void>((resolve) => bus.subscribe("fence", () => resolve()));
      await bus.publish({ topic: "fence", payload: "" });
      await back;
      const { items } = await listEvents(store.db, owner.scope, { limit: 100, entityId: id });
      return items.map(({ type }) => type).toReversed();
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

test("a device that falls silent is stale, and online when it is heard again", async () => {
  await using one = await presenceOfOne();
  one.presence.online(one.device, ARRIVAL);
  one.presence.sweep(Date.now() + PRESENCE_TTL_MS + 1_000);
  one.presence.seen(one.device);
  assert.deepEqual(await one.settled(), ["device.online", "device.stale", "device.online"]);
});

test("nothing is said of a device after its removal, neither as an event nor as a retained message", async () => {
  await using one = await presenceOfOne();
  one.presence.online(one.device, ARRIVAL);
  assert.deepEqual(await one.settled(), ["device.online"]);
  one.announced.length = 0;
  one.presence.offline(one.device, "disconnected");
  one.presence.online(one.device, ARRIVAL);
  one.directory.remove(one.device.uid);
  one.presence.forget(one.device.uid);
  one.presence.sweep(Date.now() + PRESENCE_TTL_MS + 1_000);
  assert.ok(!(await one.settled()).includes("device.stale"));
  assert.deepEqual(one.announced, []);
});

test("a device that comes back within its grace was never away: no event, and available all the time", async () => {
  await using one = await presenceOfOne({ before: "online", presenceGraceMs: 30 });
  one.presence.online(one.device, ARRIVAL);
  const graceIsOver = performance.now() + 60;
  await until(() => performance.now() > graceIsOver, { what: "the end of the grace" });
  assert.deepEqual(await one.settled(), []);
  assert.deepEqual(one.announced, []);
  assert.equal((await listConnected(one.store.db)).length, 1);
});

test("a device that was connected before the start and does not come back is offline once, after its grace", async () => {
  await using one = await presenceOfOne({ before: "stale", presenceGraceMs: 30 });
  assert.equal((await listConnected(one.store.db)).length, 1);
  await until(async () => (await listConnected(one.store.db)).length === 0, { what: "the end of the grace" });
  assert.deepEqual(await one.settled(), ["device.offline"]);
  assert.deepEqual(one.announced, ["offline"]);
});

test("the same is said once, whoever says it again", async () => {
  await using one = await presenceOfOne();
  for (let round = 0; round < 3; round++) one.presence.online(one.device, ARRIVAL);
  for (let round = 0; round < 3; round++) one.presence.offline(one.device, "disconnected");
  one.presence.online(one.device, ARRIVAL);
  assert.deepEqual(await one.settled(), ["device.online", "device.offline", "device.online"]);
});

test("a session that moves to another node is no absence", async () => {
  await using one = await presenceOfOne();
  one.presence.online(one.device, ARRIVAL);
  one.presence.moved(one.device);
  one.presence.online(one.device, ARRIVAL);
  assert.deepEqual(await one.settled(), ["device.online"]);
});

test("a silent device stays connected as long as its session does, and is stale", async () => {
  await using one = await presenceOfOne({ presenceTtlMs: 40 });
  one.presence.online(one.device, ARRIVAL);
  const manyTtls = performance.now() + 400;
  await until(() => performance.now() > manyTtls, { what: "ten times the time after which it is stale" });
  assert.deepEqual(await one.settled(), ["device.online", "device.stale"]);
});

test("a login with a revoked credential is known at once, and other credentials are as good as before", async () => {
  await using one = await presenceOfOne();
  await one.revocations.note(["taken-back"]);
  const who = { kind: "device", id: one.device.id, uid: one.device.uid } as const;
  assert.equal(await one.revocations.includes({ ...who, credentialId: "taken-back" }), true);
  assert.equal(await one.revocations.includes({ ...who, credentialId: "good" }), false);
  const certificate = { credentialId: "taken-back", fingerprint: "00" };
  assert.equal(await one.revocations.includes({ ...who, credentialId: "good", certificate }), true);
});
