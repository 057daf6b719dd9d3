import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createMetrics } from "../../api/metrics.ts";
import { telemetryHandler } from "../../broker/telemetry.ts";
import type { DeviceReading, DeviceRef } from "../../core/bus.ts";
import type { HubEvent } from "../../core/event.ts";
import type { SensorValue } from "../../core/payloads.ts";
import type { SensorSettings } from "../../core/sensor.ts";
import { createTopics } from "../../core/topics.ts";
import type { VirtualSensorText } from "../../core/virtual-sensor.ts";
import { loadDeviceDirectory } from "../../store/device-directory.ts";
import { type Db, openStore, type Store } from "../../store/open.ts";
import { claimDevice, releaseDevice } from "../../store/ownership.ts";
import { loadSensorDirectory } from "../../store/sensor-directory.ts";
import { lockSensorSettings, putSensorSettings } from "../../store/sensor-settings.ts";
import { readSensorState } from "../../store/state.ts";
import { createTelemetryStore, queryReadings } from "../../store/telemetry.ts";
import { inTransaction } from "../../store/transaction.ts";
import { insertVirtualSensor } from "../../store/virtual-sensors.ts";
import { device as addDevice, tenant, type Tenant } from "../store/fixtures.ts";
import { databases } from "../support/databases.ts";
import { temporaryFolder } from "../support/wait.ts";

const NOW = Date.UTC(2026, 5, 1);
const LOG = { debug() {}, info() {}, warn() {}, error: (data: object) => assert.fail(JSON.stringify(data)) };
type Samples = { ts?: number; values: Record<string, SensorValue> }[];

/** What a node does with what devices say, with its own memory. */
async function startNode(store: Store) {
  const told: [string, string][] = [];
  const emitted: HubEvent[] = [];
  const seen: DeviceReading[] = [];
  const directory = await loadDeviceDirectory(store.db);
  const sensors = await loadSensorDirectory(store.db, LOG);
  const handle = telemetryHandler({
    telemetry: createTelemetryStore(store),
    directory,
    sensors,
    events: { emit: async (events) => void emitted.push(...events) },
    metrics: createMetrics(),
    topics: createTopics(),
    announce: ({ topic, payload }) => void told.push([topic.split("/").at(-2) as string, String(payload)]),
    readingWitnesses: [async (_trx, readings) => void seen.push(...readings)],
  });
  async function report(
    device: DeviceRef,
    samples: Samples,
    { receivedAt = NOW, before = async () => undefined }: { receivedAt?: number; before?: () => Promise<void> } = {},
  ): Promise<[string, string][]> {
    const done = await inTransaction(store.db, async (trx) => {
      const after = await handle(trx, [{ device, type: "telemetry", payload: samples, receivedAt }]);
      await before();
      return after;
    });
    done();
    return told.splice(0).toSorted(([a], [b]) => (a < b ? -1 : 1));
  }
  return { directory, sensors, report, emitted, seen, [Symbol.asyncDispose]: () => sensors[Symbol.asyncDispose]() };
}

interface Scene {
  readonly store: Store;
  readonly db: Db;
  readonly acme: Tenant;
  readonly device: DeviceRef;
  readonly node: Awaited<ReturnType<typeof startNode>>;
  readonly say: (device: DeviceRef, key: string, settings: SensorSettings) => Promise<void>;
  readonly virtual: (
    target: DeviceRef,
    key: string,
    inputs: Record<string, [DeviceRef, string]>,
    text: Partial<VirtualSensorText>,
  ) => Promise<void>;
  readonly add: () => Promise<DeviceRef>;
  /** Of one series, oldest first. */
  readonly stored: (device: DeviceRef, key: string) => Promise<[number, SensorValue | null][]>;
}

async function inScene(open: (typeof DATABASES)[number]["open"], work: (scene: Scene) => Promise<void>): Promise<void> {
  await using folder = temporaryFolder();
  await using database = await open();
  await using store = await openStore({ dataDir: folder.path, databaseUrl: database.url });
  const { db } = store;
  const acme = await tenant(db, "acme");
  const organizationId = acme.organization.id;
  const devices = async (): Promise<DeviceRef> => {
    const { id, uid } = await addDevice(db, acme);
    return { id, uid, organizationId };
  };
  const device = await devices();
  await using node = await startNode(store);
  await work({
    store,
    db,
    acme,
    device,
    node,
    async add() {
      const added = await devices();
      node.directory.put(added);
      return added;
    },
    async say({ id }, key, settings) {
      await inTransaction(db, async (trx) => {
        const owner = { id, organizationId };
        await putSensorSettings(trx, owner, await lockSensorSettings(trx, owner, key), { settings, now: NOW });
      });
      await node.sensors.calibrationsChanged([id]);
    },
    async virtual(target, key, inputs, text) {
      const series = ({ id: deviceId, uid }: DeviceRef, of: string) => ({ deviceId, uid, key: of });
      await insertVirtualSensor(
        db,
        {
          organizationId,
          target: series(target, key),
          inputs: Object.entries(inputs).map(([name, [of, input]]) => ({ name, ...series(of, input) })),
          text: { name: key, expression: "a + b", ...text },
        },
        NOW,
      );
      await node.sensors.virtualSensorsChanged(organizationId);
    },
    async stored({ id: deviceId }, key) {
      const page = await queryReadings(db, acme.scope, { deviceId, key, from: 0, to: NOW + 1_000_000, limit: 100 });
      return page.items.map(({ ts, value }) => [ts - NOW, value]);
    },
  });
}

const at = (ageMs: number, values: Record<string, SensorValue>) => ({ ts: NOW - ageMs, values });

const DATABASES = databases();
for (const { name, skip, open } of DATABASES) {
  describe(`what sensors say, on ${name}`, { skip }, () => {
    test("is stored, told and judged as it is calibrated, and stays when the calibration changes", async () => {
      await inScene(open, async ({ device, node, say, stored }) => {
        await say(device, "t", { calibration: { kind: "linear", offset: -1 } });
        const samples = [at(20, { t: 21, h: 50, door: true, note: "x" })];
        assert.deepEqual(await node.report(device, samples), [
          ["door", "ON"],
          ["h", "50"],
          ["note", "x"],
          ["t", "20"],
        ]);
        assert.deepEqual(
          node.seen.map(({ key, value }) => [key, value]),
          [
            ["t", 20],
            ["h", 50],
            ["door", true],
            ["note", "x"],
          ],
        );
        await say(device, "t", {
          calibration: {
            kind: "points",
            points: [
              [0, 100],
              [10, 110],
            ],
          },
        });
        assert.deepEqual(await node.report(device, samples), [], "the same again");
        assert.deepEqual(await stored(device, "t"), [[-20, 20]]);
        assert.deepEqual(await node.report(device, [at(10, { t: 21 })]), [["t", "121"]]);
        await say(device, "t", {});
        await node.report(device, [at(0, { t: 21 })]);
        assert.deepEqual(await stored(device, "t"), [
          [-20, 20],
          [-10, 121],
          [0, 21],
        ]);
      });
    });

    test("outside of what its calibration allows is no reading, and is told every ten minutes with how often", async () => {
      await inScene(open, async ({ device, db, node, say, stored }) => {
        await say(device, "t", { calibration: { kind: "linear", scale: 10, min: 0, max: 100 } });
        await say(device, "c", { calibration: { kind: "linear", min: 0, max: 100, outside: "clamp" } });
        const events = () => node.emitted.splice(0).map(({ type, entityId, data }) => [type, entityId, data]);
        const told = (value: number, count: number) => ["sensor.out_of_range", device.id, { uid: device.uid, key: "t", value, count }];
        assert.deepEqual(await node.report(device, [at(9, { t: 11, c: 200 }), at(8, { t: -1 }), at(7, { t: 5 })]), [
          ["c", "100"],
          ["t", "50"],
        ]);
        assert.deepEqual(events(), [told(-1, 2)]);
        assert.deepEqual(await node.report(device, [at(6, { t: 12 })], { receivedAt: NOW + 599_999 }), []);
        assert.deepEqual(events(), []);
        await node.report(device, [at(5, { t: 13 })], { receivedAt: NOW + 600_000 });
        assert.deepEqual(events(), [told(13, 2)]);
        assert.deepEqual(await stored(device, "t"), [[-7, 50]]);
        assert.equal((await db("events").where({ type: "sensor.out_of_range" })).length, 2);
      });
    });

    test("makes virtual sensors say what they are worked out of, over others too, in the transaction that stores it", async () => {
      await inScene(open, async ({ device, node, add, virtual, say, stored, db }) => {
        const other = await add();
        await virtual(device, "twice", { s: [device, "sum"] }, { expression: "s * 2" });
        await virtual(device, "sum", { a: [device, "t"], b: [other, "t"] }, {});
        await virtual(other, "warm", { s: [device, "sum"] }, { expression: "s > 30", device_class: "heat" });
        await say(device, "t", { calibration: { kind: "linear", offset: 1 } });
        assert.deepEqual(await node.report(device, [at(30, { t: 9 })]), [["t", "10"]]);
        node.seen.splice(0);
        assert.deepEqual(await node.report(other, [at(20, { t: 5 })]), [
          ["sum", "15"],
          ["t", "5"],
          ["twice", "30"],
          ["warm", "OFF"],
        ]);
        assert.deepEqual(
          node.seen.map(({ device: { uid }, key, value }) => [uid, key, value]),
          [
            [other.uid, "t", 5],
            [device.uid, "sum", 15],
            [device.uid, "twice", 30],
            [other.uid, "warm", false],
          ],
        );
        const failed = node.report(device, [at(10, { t: 99 })], { before: () => Promise.reject(new Error("the disk is gone")) });
        await assert.rejects(failed, /the disk is gone/);
        assert.deepEqual(await stored(device, "sum"), [[-20, 15]]);
        assert.deepEqual(await node.report(device, [at(10, { t: 29 })]), [
          ["sum", "35"],
          ["t", "30"],
          ["twice", "70"],
          ["warm", "ON"],
        ]);
        assert.deepEqual(await node.report(device, [at(15, { t: 1 })]), [], "what comes late is a reading alone");
        assert.deepEqual(await node.report(device, [at(10, { t: 29 })]), [], "what comes again is there already");
        await using again = await startNode({ db, engine: "sqlite" } as Store);
        assert.ok(again.sensors.virtualSensorsAround(device), "after a restart they are there again");
      });
    });

    test("counts what a file has brought of the other inputs, as far as it is not too old", async () => {
      await inScene(open, async ({ store, acme, device, node, virtual, stored }) => {
        const brought = (key: string, ageMs: number, value: number) =>
          createTelemetryStore(store).insert(store.db, [
            { deviceId: device.id, organizationId: acme.organization.id, key, ts: NOW - ageMs, value },
          ]);
        await virtual(device, "sum", { a: [device, "t"], b: [device, "u"] }, { max_age_s: 60 });
        await brought("u", 90_000, 1);
        assert.deepEqual(await node.report(device, [at(20_000, { t: 10 })]), [["t", "10"]]);
        await brought("u", 30_000, 2);
        assert.deepEqual(await stored(device, "sum"), []);
        assert.deepEqual(await node.report(device, [at(10_000, { t: 11 })]), [
          ["sum", "13"],
          ["t", "11"],
        ]);
      });
    });

    test("of a virtual sensor's own key is not taken from the device", async () => {
      await inScene(open, async ({ device, node, virtual, stored }) => {
        await virtual(device, "v", { a: [device, "t"] }, { expression: "a" });
        assert.deepEqual(await node.report(device, [at(5, { v: 7, t: 3 })]), [
          ["t", "3"],
          ["v", "3"],
        ]);
        assert.deepEqual(await stored(device, "v"), [[-5, 3]]);
      });
    });

    test("on two nodes at once comes to a value that holds both, and at the same moment to one a millisecond later", async () => {
      await inScene(open, async ({ store, device, node, add, virtual, stored }) => {
        const other = await add();
        await virtual(device, "sum", { a: [device, "t"], b: [other, "t"] }, {});
        await using second = await startNode(store);
        await node.report(device, [at(100, { t: 1 })]);
        await node.report(other, [at(100, { t: 1 })]);
        for (let round = 1; round <= 10; round++) {
          const value = round * 10;
          await Promise.all([
            node.report(device, [at(100 - round * 5, { t: value })]),
            second.report(other, [at(100 - round * 5, { t: value })]),
          ]);
          assert.deepEqual((await stored(device, "sum")).at(-1), [-100 + round * 5 + 1, value * 2], `round ${round}`);
        }
      });
    });

    test("of a device that has gone to others is neither calibrated nor anybody's input, whoever has not heard of it", async () => {
      await inScene(open, async ({ db, acme, device, node, add, virtual, say, stored }) => {
        const other = await add();
        await virtual(device, "sum", { a: [device, "t"], b: [other, "t"] }, {});
        await virtual(other, "mine", { a: [other, "t"], b: [other, "t"] }, {});
        await say(other, "t", { calibration: { kind: "linear", offset: 1_000 } });
        await node.report(device, [at(100, { t: 1 })]);
        await node.report(other, [at(90, { t: 1 })]);
        assert.deepEqual(await stored(device, "sum"), [[-90, 1_002]]);
        await releaseDevice(db, acme.scope, other.id, "NEWCODE1");
        const next = await tenant(db, "next");
        await claimDevice(db, { claimCode: "NEWCODE1", organizationId: next.organization.id, userId: next.user.id, now: NOW });
        assert.deepEqual(
          await Promise.all(
            ["sensor_settings", "virtual_sensors"].map(async (table) => (await db(table).where({ device_id: other.id })).length),
          ),
          [0, 0],
        );
        // This node still takes it for the former organisation's.
        const told = await node.report(other, [at(50, { t: 2 })]);
        assert.deepEqual(
          told.map(([key]) => key),
          ["t"],
        );
        assert.deepEqual(await stored(device, "sum"), [[-90, 1_002]], "nothing of another organisation");
        node.directory.put({ ...other, organizationId: next.organization.id });
        assert.deepEqual(await node.report(other, [at(40, { t: 3 })]), [["t", "3"]]);
        assert.deepEqual(
          await node.report(device, [at(30, { t: 4 })]),
          [["t", "4"]],
          "an input that is not the organisation's is not known",
        );
        assert.deepEqual(
          (await readSensorState(db, other.id)).map(({ key }) => key),
          ["t"],
        );
      });
    });
  });
}
