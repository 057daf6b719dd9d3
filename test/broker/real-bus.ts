import assert from "node:assert/strict";
import { createBus } from "../../broker/bus.ts";
import { createCounters } from "../../broker/counters.ts";
import { openDurableState } from "../../broker/durable-state.ts";
import type { Bus, Log } from "../../core/bus.ts";
import { readConfig } from "../../core/config.ts";
import { createTopics } from "../../core/topics.ts";
import { loadAccessDirectory } from "../../store/access-directory.ts";
import { type HubDirectory, loadDeviceDirectory } from "../../store/device-directory.ts";
import { openStore, type Store } from "../../store/open.ts";
import { temporaryFolder } from "../support/wait.ts";

/** The hub's bus over a real store, without a broker's doors; an error in the log fails the test. */
export interface RealBus extends AsyncDisposable {
  readonly bus: Bus;
  readonly store: Store;
  readonly directory: HubDirectory;
  readonly log: Log;
}

export async function openRealBus(): Promise<RealBus> {
  await using stack = new AsyncDisposableStack();
  const store = stack.use(await openStore({ dataDir: stack.use(temporaryFolder()).path }));
  const directory = await loadDeviceDirectory(store.db);
  const log: Log = { debug() {}, info() {}, warn() {}, error: (data, message) => assert.fail(`${message} ${JSON.stringify(data)}`) };
  const rights = { topics: createTopics(), directory, access: await loadAccessDirectory(store.db, log) };
  const limits = readConfig({}, () => "");
  const context = { store, log, clock: Date.now, limits, rights, counters: createCounters(), isAlone: true };
  const state = stack.use(await openDurableState(context));
  const running = stack.move();
  return { bus: createBus({ ...context, ...state }), store, directory, log, [Symbol.asyncDispose]: () => running.disposeAsync() };
}
