import assert from "node:assert/strict";
import { createFlappingAlarm } from "../../broker/flapping-alarm.ts";
import { PLATFORM } from "../../core/principal.ts";
import { loadDeviceDirectory } from "../../store/device-directory.ts";
import { listEvents } from "../../store/events.ts";
import { forEachEngine } from "../store/engines.ts";
import { device, tenant } from "../store/fixtures.ts";
import { until } from "../support/wait.ts";

forEachEngine(({ test }) => {
  test("a link that several nodes refuse at once is one alarm, and another one much later", async (db, store) => {
    const { id, uid, organizationId } = await device(db, await tenant(db, "acme"));
    const directory = await loadDeviceDirectory(db);
    const emitted: string[] = [];
    let now = Date.now();
    let asked = 0;
    const context = {
      store: { ...store, db },
      directory,
      events: { emit: async (events: readonly { organizationId: string | null }[]) => void emitted.push(`${events[0]?.organizationId}`) },
      log: { debug() {}, info() {}, warn() {}, error: (data: object) => assert.fail(JSON.stringify(data)) },
      clock: () => {
        asked++;
        return now;
      },
    };
    const principal = { kind: "device", id, uid, credentialId: "one" } as const;
    const tellAll = (): void => {
      for (let node = 0; node < 8; node++) createFlappingAlarm(context)(uid, principal);
    };
    const stored = async (): Promise<number> => (await listEvents(db, PLATFORM, { limit: 10, entityId: id })).items.length;
    tellAll();
    await until(async () => (await stored()) === 1 && asked === 8, { what: "the alarm" });
    now += 3_600_000;
    tellAll();
    await until(async () => (await stored()) === 2, { what: "the alarm of the next hour" });
    await until(() => emitted.length === 2, { what: "its announcement" });
    assert.deepEqual(emitted, [organizationId, organizationId]);
  });
});
