import assert from "node:assert/strict";
import { test } from "node:test";
import { createAnnounce, createBus, createEventSink } from "../../broker/bus.ts";
import { createCounters } from "../../broker/counters.ts";
import { openDurableState } from "../../broker/durable-state.ts";
import { createIngest } from "../../broker/ingest.ts";
import { createPresence } from "../../broker/presence.ts";
import type { DeviceRef, Log } from "../../core/bus.ts";
import { readConfig } from "../../core/config.ts";
import { PRESENCE_TTL_MS } from "../../core/device.ts";
import { createTopics } from "../../core/topics.ts";
import { loadDeviceDirectory } from "../../store/device-directory.ts";
import { listEvents } from "../../store/events.ts";
import { openStore } from "../../store/open.ts";
import { device, tenant } from "../store/fixtures.ts";
import { temporaryFolder } from "../support/wait.ts";

/** Presence of one device over a real store and bus; `settled` waits until what was noted is committed and announced. */
async function presenceOfOne() {
  await using stack = new AsyncDisposableStack();
  const store = stack.use(await openStore({ dataDir: stack.use(temporaryFolder()).path }));
  const owner = await tenant(store.db, "acme");
  const { id, uid } = await device(store.db, owner);
  const directory = await loadDeviceDirectory(store.db);
  const log: Log = { debug() {}, info() {}, warn() {}, error: (data) => assert.fail(JSON.stringify(data)) };
  const metrics = { count() {}, observe() {} };
  const topics = createTopics();
  const context = { store, directory, topics, log, metrics, clock: Date.now };
  const limits = readConfig({}, () => "");
  const state = stack.use(await openDurableState({ ...context, rights: { topics, directory }, limits, counters: createCounters(), isAlone: true }));
  const bus = createBus({ ...context, ...state });
  const ingest = createIngest({ ...context, ...state, stored: () => state.exchange.stored() });
  const presence = stack.use(
    createPresence({ ...context, ingest, announce: createAnnounce(bus, log), events: createEventSink({ bus, topics, log }) }),
  );
  const announced: string[] = [];
  bus.subscribe(`hexa/${uid}/availability`, (_topic, payload) => announced.push(payload.toString()));
  const ref = directory.find(uid) as DeviceRef;
  const running = stack.move();
  return {
    presence,
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
  one.presence.online(one.device, "127.0.0.1");
  one.presence.sweep(Date.now() + PRESENCE_TTL_MS + 1_000);
  one.presence.seen(one.device);
  assert.deepEqual(await one.settled(), ["device.online", "device.stale", "device.online"]);
});

test("nothing is said of a device after its removal, neither as an event nor as a retained message", async () => {
  await using one = await presenceOfOne();
  one.presence.online(one.device, "127.0.0.1");
  assert.deepEqual(await one.settled(), ["device.online"]);
  one.announced.length = 0;
  one.presence.offline(one.device, "disconnected");
  one.presence.online(one.device, "127.0.0.1");
  one.directory.remove(one.device.uid);
  one.presence.forget(one.device.uid);
  one.presence.sweep(Date.now() + PRESENCE_TTL_MS + 1_000);
  assert.ok(!(await one.settled()).includes("device.stale"));
  assert.deepEqual(one.announced, []);
});
