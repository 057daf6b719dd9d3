import assert from "node:assert/strict";
import { test } from "node:test";
import { telemetryHandler } from "../../broker/telemetry.ts";
import { createTopics } from "../../core/topics.ts";
import { createDevice } from "../../store/devices.ts";
import { loadDeviceDirectory } from "../../store/device-directory.ts";
import { openStore } from "../../store/open.ts";
import { inTransaction } from "../../store/transaction.ts";
import { createOrganization } from "../../store/organizations.ts";
import { createTelemetryStore } from "../../store/telemetry.ts";
import { temporaryFolder } from "../support/wait.ts";

const NOW = Date.UTC(2026, 5, 1);

test("a reading that comes late changes no state; what is remembered for that goes with the device", async () => {
  await using folder = temporaryFolder();
  await using store = await openStore({ dataDir: folder.path });
  const { id: organizationId } = await createOrganization(store.db, { name: "acme" });
  const { id, uid } = await createDevice(store.db, { name: "one", deviceClass: "sensor_hub", organizationId, ownerId: null });
  const device = { id, uid, organizationId };
  const directory = await loadDeviceDirectory(store.db);
  const told: [string, string][] = [];
  const handle = telemetryHandler({
    telemetry: createTelemetryStore(store),
    directory,
    topics: createTopics(),
    announce: ({ topic, payload }) => void told.push([topic, String(payload)]),
  });
  async function report(ageMs: number, values: Record<string, number>): Promise<typeof told> {
    const ts = NOW - ageMs;
    const done = await inTransaction(store.db, (trx) =>
      handle(trx, [{ device, type: "telemetry", payload: { ts, values }, receivedAt: NOW }]),
    );
    done();
    return told.splice(0);
  }
  const state = (key: string, value: string): [string, string] => [`hexa/${uid}/sensor/${key}/state`, value];
  assert.deepEqual(await report(1_000, { t: 1, h: 50 }), [state("t", "1"), state("h", "50")]);
  assert.deepEqual(await report(2_000, { t: 2, p: 7 }), [state("p", "7")]);
  assert.deepEqual(await report(1_000, { t: 3 }), [state("t", "3")]);
  directory.remove(uid);
  assert.deepEqual(await report(0, { t: 4 }), []);
  directory.put(device);
  assert.deepEqual(await report(5_000, { t: 5, h: 51 }), [state("t", "5"), state("h", "51")]);
});
