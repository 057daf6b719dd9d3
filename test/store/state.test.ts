import assert from "node:assert/strict";
import { newId } from "../../core/id.ts";
import { createTopics } from "../../core/topics.ts";
import { releaseDevice } from "../../store/ownership.ts";
import { setConnectionStatus } from "../../store/presence.ts";
import { eachAvailability } from "../../store/retained-state.ts";
import { describeState, readSensorState, readState, writeState } from "../../store/state.ts";
import { createTelemetryStore } from "../../store/telemetry.ts";
import { forEachEngine } from "./engines.ts";
import { device, tenant } from "./fixtures.ts";

const NOW = Date.parse("2026-11-21T05:22:10.123Z");
const BY_USER = { now: NOW, actor: { kind: "user", id: "u-1" }, source: "rest", commandId: "c-1", correlationId: "k-1" } as const;
const BY_DEVICE = { now: NOW + 5, actor: { kind: "device", id: "d-1" }, source: "device", commandId: null, correlationId: null } as const;

forEachEngine(({ test }) => {
  test("the availability that is brought back is that of devices that were connected, and not given up since", async (db) => {
    const owner = await tenant(db, "owner");
    const [fresh, there, left] = [await device(db, owner), await device(db, owner), await device(db, owner)];
    const brought = async (): Promise<Record<string, string>> => {
      const all = await Array.fromAsync(eachAvailability(db, createTopics()));
      return Object.fromEntries(all.map(({ topic, payload }) => [topic, payload]));
    };
    const topicOf = ({ uid }: { uid: string }): string => createTopics().build({ kind: "availability", uid });
    assert.deepEqual(await brought(), {});
    for (const { id } of [there, left]) await setConnectionStatus(db, id, "online", Date.now() - 1_000);
    await setConnectionStatus(db, left.id, "offline", Date.now());
    assert.deepEqual(await brought(), { [topicOf(there)]: "online", [topicOf(left)]: "offline" });
    for (const { id } of [fresh, there, left]) await releaseDevice(db, owner.scope, id, newId());
    assert.deepEqual(await brought(), {});
    await setConnectionStatus(db, left.id, "online", Date.now() + 1_000);
    await setConnectionStatus(db, left.id, "offline", Date.now() + 1_000);
    assert.deepEqual(await brought(), { [topicOf(left)]: "offline" });
  });

  test("outputs keep what was not reported, and lie in order", async (db) => {
    const { id } = await device(db, null);
    assert.deepEqual(await readState(db, id), { relays: [], lights: [] });
    await writeState(
      db,
      id,
      {
        relays: [
          { index: 10, state: "ON" },
          { index: 2, state: "OFF" },
        ],
        lights: [{ index: 0, state: "ON", brightness: 40, color_temp: 2700 }],
      },
      BY_USER,
    );
    await writeState(
      db,
      id,
      {
        relays: [{ index: 2, state: "ON" }],
        lights: [
          { index: 0, state: "OFF" },
          { index: 1, state: "ON" },
        ],
      },
      BY_DEVICE,
    );
    assert.deepEqual(await readState(db, id), {
      relays: [
        { index: 2, state: "ON" },
        { index: 10, state: "ON" },
      ],
      lights: [
        { index: 0, state: "OFF", brightness: 40, color_temp: 2700 },
        { index: 1, state: "ON" },
      ],
    });
  });

  test("every output tells who changed it last, when and by which command", async (db) => {
    const { id } = await device(db, null);
    await writeState(
      db,
      id,
      {
        relays: [
          { index: 0, state: "ON" },
          { index: 1, state: "ON" },
        ],
        lights: [],
      },
      BY_USER,
    );
    await writeState(db, id, { relays: [{ index: 1, state: "OFF" }], lights: [] }, BY_DEVICE);
    const [first, second] = await describeState(db, id);
    assert.deepEqual(first, {
      kind: "relay",
      index: 0,
      state: "ON",
      brightness: null,
      colorTemp: null,
      changedAt: "2026-11-21T05:22:10.123Z",
      actor: { kind: "user", id: "u-1" },
      source: "rest",
      commandId: "c-1",
      correlationId: "k-1",
      ruleVersion: null,
    });
    assert.deepEqual(
      [second?.state, second?.changedAt, second?.actor, second?.commandId],
      ["OFF", "2026-11-21T05:22:10.128Z", { kind: "device", id: "d-1" }, null],
    );
  });

  test("a state for a device that is gone does not spoil the transaction it came in", async (db) => {
    await writeState(db, newId(), { relays: [{ index: 0, state: "ON" }], lights: [{ index: 0, state: "ON" }] }, BY_USER);
    assert.equal((await db("relay_states").count({ n: "*" }).first())?.["n"], 0);
  });

  test("sensor values come back with their type and their time", async (db, store) => {
    const a = await tenant(db, "a");
    const { id: deviceId } = await device(db, a);
    const values = { number: 21.5, zero: 0, yes: true, no: false, text: "open", tricky: 'null "quoted" \0 \ud800', empty: "" };
    await createTelemetryStore(store).insert(
      db,
      Object.entries(values).map(([key, value]) => ({ deviceId, organizationId: a.organization.id, key, ts: NOW, value })),
    );
    const read = await readSensorState(db, deviceId);
    assert.deepEqual(Object.fromEntries(read.map(({ key, value }) => [key, value])), { ...values, tricky: 'null "quoted" \uFFFD \uFFFD' });
    assert.deepEqual(
      read.map(({ key }) => key),
      Object.keys(values).toSorted(),
    );
    assert.deepEqual([...new Set(read.map(({ ts }) => ts))], [NOW]);
    assert.match(read[0]?.receivedAt ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });
});
