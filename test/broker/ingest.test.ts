import assert from "node:assert/strict";
import { test } from "node:test";
import { createIngest, type IngestMessage } from "../../broker/ingest.ts";
import type { Log } from "../../core/bus.ts";
import { HubError } from "../../core/errors.ts";
import { loadDeviceDirectory } from "../../store/device-directory.ts";
import { openStore } from "../../store/open.ts";
import { temporaryFolder } from "../support/wait.ts";

const log: Log = { debug() {}, info() {}, warn() {}, error() {} };
const message = (payload: string): IngestMessage => ({
  device: { id: "d", uid: "sensor-one", organizationId: null },
  type: "heartbeat",
  payload,
  receivedAt: 0,
});

/** What becomes of three messages in one group when `fail` decides which payloads cannot be stored, and why. */
async function outcomes(fail: (payload: unknown) => Error | undefined): Promise<{ stored: boolean[]; groups: number }> {
  await using folder = temporaryFolder();
  await using store = await openStore({ dataDir: folder.path });
  await using ingest = createIngest({
    store,
    directory: await loadDeviceDirectory(store.db),
    log,
    metrics: { count() {}, observe() {} },
    clock: Date.now,
    stored: async () => undefined,
    storage: { failed: () => false },
  });
  let groups = 0;
  ingest.handle("heartbeat", async (_trx: unknown, messages: readonly IngestMessage[]) => {
    groups += 1;
    for (const { payload } of messages) {
      const error = fail(payload);
      if (error) throw error;
    }
    return undefined;
  });
  const settled = await Promise.allSettled(["a", "b", "c"].map((payload) => ingest.commit(message(payload))));
  return { stored: settled.map(({ status }) => status === "fulfilled"), groups };
}

test("a message that cannot be stored takes no other of its group down with it", async () => {
  assert.deepEqual(await outcomes((payload) => (payload === "b" ? new Error("not this one") : undefined)), {
    stored: [true, false, true],
    groups: 4,
  });
});

test("a database that does not answer is asked once for the whole group, not once for every message", async () => {
  assert.deepEqual(await outcomes(() => new HubError("unavailable", "the database does not answer")), {
    stored: [false, false, false],
    groups: 1,
  });
});
