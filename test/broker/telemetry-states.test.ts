import assert from "node:assert/strict";
import { test } from "node:test";
import { telemetryHandler } from "../../broker/telemetry.ts";
import { createTopics } from "../../core/topics.ts";
import { createDevice } from "../../store/devices.ts";
import { loadDeviceDirectory } from "../../store/device-directory.ts";
import { openStore } from "../../store/open.ts";
import { inTransaction } from "../../store/transaction.ts";
import { createOrganization } from "../../store/organizations.ts";
import { releaseDevice } from "../../store/ownership.ts";
import { loadSensorDirectory } from "../../store/sensor-directory.ts";
import { createTelemetryStore } from "../../store/telemetry.ts";
import { createMetrics } from "../../api/metrics.ts";
import { temporaryFolder } from "../support/wait.ts";

const NOW = Date.UTC(2026, 5, 1);

test("a reading that comes late changes no state, after a restart and on another node too", async () => {
  await using folder = temporaryFolder();
  await using store = await openStore({ dataDir: folder.path });
  const { id: organizationId } = await createOrganization(store.db, { name: "acme" });
  const { id, uid } = await createDevice(store.db, { name: "one", deviceClass: "sensor_hub", organizationId, ownerId: null });
  const device = { id, uid, organizationId };
  const directory = await loadDeviceDirectory(store.db);
  await using sensors = await loadSensorDirectory(store.db, { debug() {}, info() {}, warn() {}, error() {} });
  const told: [string, string][] = [];
  const start = () =>
    telemetryHandler({
      telemetry: createTelemetryStore(store),
      directory,
      sensors,
      events: { emit: async () => undefined },
      metrics: createMetrics(),
      topics: createTopics(),
      announce: ({ topic, payload }) => void told.push([topic, String(payload)]),
    });
  let handle = start();
  async function report(ageMs: number, values: Record<string, number>): Promise<typeof told> {
    const ts = NOW - ageMs;
    const done = await inTransaction(store.db, (trx) =>
      handle(trx, [{ device, type: "telemetry", payload: { ts, values }, receivedAt: NOW }]),
    );
    done();
    return told.splice(0);
  }
  const state = (key: string, value: string): [string, string] => [`hexa/${uid}/sensor/${key}/state`, value];
  assert.deepEqual(await report(1_000, { t: 1, h: 50 }), [state("h", "50"), state("t", "1")]);
  assert.deepEqual(await report(2_000, { t: 2, p: 7 }), [state("p", "7")]);
  assert.deepEqual(await report(1_000, { t: 3 }), [], "the same time again: the reading is there already");
  handle = start();
  assert.deepEqual(await report(1_500, { t: 4, h: 40 }), []);
  assert.deepEqual(await report(500, { t: 5 }), [state("t", "5")]);
  await releaseDevice(store.db, { kind: "organization", organizationId }, id, "NEWCODE1");
  assert.deepEqual(await report(3_000, { t: 6 }), [state("t", "6")], "a new owner hears of it anew");
  directory.remove(uid);
  assert.deepEqual(await report(0, { t: 7 }), []);
});
