import assert from "node:assert/strict";
import { newId } from "../../core/id.ts";
import { PLATFORM } from "../../core/principal.ts";
import { deleteDevice } from "../../store/devices.ts";
import { inTransaction } from "../../store/transaction.ts";
import { readSensorState } from "../../store/state.ts";
import { createTelemetryStore, listSeries, queryReadings, type SeriesReading } from "../../store/telemetry.ts";
import { forEachEngine } from "./engines.ts";
import { device, tenant, type Tenant } from "./fixtures.ts";

const NOW = Date.parse("2026-11-21T05:22:10.123Z");
const DAY = 86_400_000;

forEachEngine(({ test, engine }) => {
  test("readings come back by time and page by page, whatever the order they came in", async (db, store) => {
    const a = await tenant(db, "a");
    const { id: deviceId } = await device(db, a);
    const telemetry = createTelemetryStore(store);
    const ages = [0, 1, 599_999, 600_000, 600_001, 3 * DAY, 40 * DAY, 366 * DAY, 7, 365 * DAY];
    for (const chunk of [ages.slice(0, 4), ages.slice(4)])
      await telemetry.insert(
        db,
        chunk.map((age) => ({ deviceId, organizationId: a.organization.id, key: "t", ts: NOW - age, value: age })),
      );
    const seen: number[] = [];
    let after: number | undefined;
    do {
      const page = await queryReadings(db, a.scope, { deviceId, key: "t", from: 0, to: NOW + 1, limit: 3, after });
      assert.ok(page.items.length <= 3);
      seen.push(...page.items.map(({ ts, value }) => (assert.equal(ts, NOW - Number(value)), Number(value))));
      after = page.next ?? undefined;
    } while (after !== undefined);
    assert.deepEqual(
      seen,
      ages.toSorted((x, y) => y - x),
    );
    const some = await queryReadings(db, a.scope, { deviceId, key: "t", from: NOW - 600_000, to: NOW, limit: 100 });
    assert.deepEqual(some, { items: [600_000, 599_999, 7, 1].map((age) => ({ ts: NOW - age, value: age })), next: null });
    assert.deepEqual(
      (await listSeries(db, a.scope, deviceId)).map(({ firstTs, lastTs }) => [firstTs, lastTs]),
      [[NOW - 366 * DAY, NOW]],
    );
  });

  test("a reading that arrives twice is there once, and the first value of a moment stays", async (db, store) => {
    const a = await tenant(db, "a");
    const { id: deviceId } = await device(db, a);
    const telemetry = createTelemetryStore(store);
    const reading: SeriesReading = { deviceId, organizationId: a.organization.id, key: "t", ts: NOW, value: 1 };
    await telemetry.insert(db, [reading, reading, { ...reading, value: 2 }]);
    await telemetry.insert(db, [reading, { ...reading, value: "three" }]);
    assert.deepEqual((await queryReadings(db, a.scope, { deviceId, key: "t", from: 0, to: NOW + 1, limit: 9 })).items, [
      { ts: NOW, value: 1 },
    ]);
    assert.deepEqual(
      (await readSensorState(db, deviceId)).map(({ value }) => value),
      [1],
    );
  });

  test("a late reading is stored and does not become the newest value", async (db, store) => {
    const a = await tenant(db, "a");
    const { id: deviceId } = await device(db, a);
    const telemetry = createTelemetryStore(store);
    const reading: SeriesReading = { deviceId, organizationId: a.organization.id, key: "t", ts: NOW, value: "now" };
    await telemetry.insert(db, [{ ...reading, ts: NOW - 5, value: false }, reading, { ...reading, ts: NOW - 9, value: 9 }]);
    await telemetry.insert(db, [{ ...reading, ts: NOW - DAY, value: "yesterday" }]);
    assert.deepEqual(
      (await readSensorState(db, deviceId)).map(({ value, ts }) => [value, ts]),
      [["now", NOW]],
    );
    assert.deepEqual(
      (await queryReadings(db, a.scope, { deviceId, key: "t", from: 0, to: NOW + 1, limit: 9 })).items.map(({ value }) => value),
      ["yesterday", 9, false, "now"],
    );
  });

  test("whoever inserts is told which readings became the newest of their sensors", async (db, store) => {
    const a = await tenant(db, "a");
    const { id: deviceId } = await device(db, a);
    let now = NOW;
    const telemetry = createTelemetryStore(store, () => now++);
    const of = (key: string, ts: number, value: SeriesReading["value"]): SeriesReading => ({
      deviceId,
      organizationId: a.organization.id,
      key,
      ts,
      value,
    });
    const insert = async (...readings: readonly SeriesReading[]) =>
      (await telemetry.insert(db, readings))().map(({ key, ts }) => [key, ts]);
    assert.deepEqual(await insert(of("a", 10, 1), of("b", 10, 'it\'s "so"'), of("a", 20, true)), [
      ["a", 20],
      ["b", 10],
    ]);
    // One of them again, one that is older, one that is newer and one that is the first of its kind.
    assert.deepEqual(await insert(of("a", 20, 5), of("b", 9, 0), of("c", 1, "x")), [["c", 1]]);
    assert.deepEqual(await insert(of("a", 19, 5), of("a", 21, "new"), of("b", 10, 0)), [["a", 21]]);
    assert.deepEqual(await insert(of("a", 1, 5)), []);
    assert.deepEqual(
      (await readSensorState(db, deviceId)).map(({ key, value, ts }) => [key, value, ts]),
      [
        ["a", "new", 21],
        ["b", 'it\'s "so"', 10],
        ["c", "x", 1],
      ],
    );
  });

  test("periods are aggregated, empty ones left out, and paged", async (db, store) => {
    const a = await tenant(db, "a");
    const { id: deviceId } = await device(db, a);
    const hour = 3_600_000;
    const start = Math.floor(NOW / DAY) * DAY;
    const rows = [
      [0, 1],
      [1, 3],
      [hour - 1, 8],
      [2 * hour, 5],
      [50 * hour, -1],
      [50 * hour + 1, "text"],
      [51 * hour, true],
    ] as const;
    await createTelemetryStore(store).insert(
      db,
      rows.map(([at, value]) => ({ deviceId, organizationId: a.organization.id, key: "t", ts: start + at, value })),
    );
    const query = { deviceId, key: "t", from: start, to: start + 3 * DAY, bucketMs: hour, limit: 100 } as const;
    const result = async (agg: "avg" | "min" | "max" | "sum" | "count" | "first" | "last" | undefined) =>
      (await queryReadings(db, a.scope, { ...query, agg })).items.map(({ ts, value }) => [(ts - start) / hour, value]);
    assert.deepEqual(await result("avg"), [
      [0, 4],
      [2, 5],
      [50, -1],
      [51, null],
    ]);
    assert.deepEqual(await result(undefined), await result("avg"));
    assert.deepEqual(await result("min"), [
      [0, 1],
      [2, 5],
      [50, -1],
      [51, null],
    ]);
    assert.deepEqual(await result("max"), [
      [0, 8],
      [2, 5],
      [50, -1],
      [51, null],
    ]);
    assert.deepEqual(await result("sum"), [
      [0, 12],
      [2, 5],
      [50, -1],
      [51, null],
    ]);
    assert.deepEqual(await result("count"), [
      [0, 3],
      [2, 1],
      [50, 2],
      [51, 1],
    ]);
    assert.deepEqual(await result("first"), [
      [0, 1],
      [2, 5],
      [50, -1],
      [51, true],
    ]);
    assert.deepEqual(await result("last"), [
      [0, 8],
      [2, 5],
      [50, "text"],
      [51, true],
    ]);
    const first = await queryReadings(db, a.scope, { ...query, agg: "max", limit: 2 });
    assert.deepEqual(first, {
      items: [
        { ts: start, value: 8 },
        { ts: start + 2 * hour, value: 5 },
      ],
      next: start + 2 * hour,
    });
    const second = await queryReadings(db, a.scope, { ...query, agg: "max", limit: 2, after: first.next ?? undefined });
    assert.deepEqual(second, {
      items: [
        { ts: start + 50 * hour, value: -1 },
        { ts: start + 51 * hour, value: null },
      ],
      next: null,
    });
    await assert.rejects(queryReadings(db, a.scope, { ...query, bucketMs: undefined, agg: "avg" }), { code: "validation_error" });
    const day = await queryReadings(db, a.scope, { ...query, from: start - 90 * DAY, bucketMs: 7 * DAY, agg: "count" });
    assert.equal(
      day.items.reduce((sum, { value }) => sum + Number(value), 0),
      rows.length,
    );
  });

  test("another organisation sees no reading and no series", async (db, store) => {
    const [a, b] = [await tenant(db, "a"), await tenant(db, "b")];
    const { id: deviceId } = await device(db, a);
    await createTelemetryStore(store).insert(db, [{ deviceId, organizationId: b.organization.id, key: "t", ts: NOW, value: 1 }]);
    const query = { deviceId, key: "t", from: 0, to: NOW + 1, limit: 9 };
    assert.deepEqual(await queryReadings(db, b.scope, query), { items: [], next: null });
    assert.deepEqual(await listSeries(db, b.scope, deviceId), []);
    assert.equal((await queryReadings(db, a.scope, query)).items.length, 1);
    assert.equal((await queryReadings(db, PLATFORM, query)).items.length, 1);
    assert.equal((await listSeries(db, PLATFORM, deviceId)).length, 1);
  });

  test("a device that has just changed hands, or is gone, gets no reading into the former owner's series", async (db, store) => {
    const [a, b] = [await tenant(db, "a"), await tenant(db, "b")];
    const [moved, gone, other] = [await device(db, a), await device(db, a), await device(db, a)];
    const telemetry = createTelemetryStore(store);
    type Reading = readonly [deviceId: string, ts: number];
    const insert = (...all: Reading[]): Promise<unknown> =>
      telemetry.insert(
        db,
        all.map(([deviceId, ts]) => ({ deviceId, organizationId: a.organization.id, key: "t", ts, value: ts - NOW })),
      );
    await insert([moved.id, NOW], [gone.id, NOW], [other.id, NOW]);
    // The store is not told of either.
    await db("devices").where({ id: moved.id }).update({ organization_id: b.organization.id });
    await insert([moved.id, NOW + 1], [other.id, NOW + 1]);
    await deleteDevice(db, PLATFORM, gone.id);
    await insert([gone.id, NOW + 2], [moved.id, NOW + 2], [other.id, NOW + 2]);
    const values = async ({ scope }: Tenant, deviceId: string) =>
      (await queryReadings(db, scope, { deviceId, key: "t", from: 0, to: NOW + 9, limit: 9 })).items.map(({ value }) => value);
    assert.deepEqual(await values(a, moved.id), []);
    assert.deepEqual(await values(b, moved.id), [1, 2]);
    assert.deepEqual(await values(a, other.id), [0, 1, 2]);
    assert.equal((await db("telemetry").count({ n: "*" }).first())?.["n"], 6);
  });

  test("what a rolled-back transaction made is forgotten", async (db, store) => {
    const a = await tenant(db, "a");
    const [one, two] = [await device(db, a), await device(db, a)];
    const telemetry = createTelemetryStore(store);
    const reading = (deviceId: string, ts: number): SeriesReading => ({
      deviceId,
      organizationId: a.organization.id,
      key: "t",
      ts,
      value: ts - NOW,
    });
    const failure = new Error("on purpose");
    const failed = inTransaction(db, async (trx) => {
      await telemetry.insert(trx, [reading(one.id, NOW + 1), reading(one.id, NOW - 40 * DAY)]);
      throw failure;
    });
    await assert.rejects(failed, failure);
    await telemetry.insert(db, [reading(two.id, NOW + 2), reading(two.id, NOW - 40 * DAY)]);
    await telemetry.insert(db, [reading(one.id, NOW + 3)]);
    const values = async (deviceId: string) =>
      (await queryReadings(db, a.scope, { deviceId, key: "t", from: 0, to: NOW + 9, limit: 9 })).items.map(({ value }) => value);
    assert.deepEqual(await values(one.id), [3]);
    assert.deepEqual(await values(two.id), [-40 * DAY, 2]);
  });

  test("readings of a device that is gone are dropped, the others of the batch are kept", async (db, store) => {
    const a = await tenant(db, "a");
    const { id } = await device(db, a);
    await createTelemetryStore(store).insert(
      db,
      [newId(), id].map((deviceId) => ({ deviceId, organizationId: a.organization.id, key: "t", ts: NOW, value: 1 })),
    );
    assert.equal((await db("telemetry").count({ n: "*" }).first())?.["n"], 1);
    assert.equal((await db("series").count({ n: "*" }).first())?.["n"], 1);
  });

  test("writers of the same new series at once neither lose a reading nor lock each other out", async (db, store) => {
    const a = await tenant(db, "a");
    const devices = await Promise.all(Array.from({ length: 10 }, () => device(db, a)));
    const writers = Array.from({ length: 6 }, () => createTelemetryStore(store));
    const rounds = 8;
    await Promise.all(
      writers.map(async (telemetry, writer) => {
        for (let round = 0; round < rounds; round++) {
          const rows = devices.flatMap(({ id: deviceId }) =>
            ["t", "h"].map((key) => ({
              deviceId,
              organizationId: null,
              key,
              ts: NOW - round * DAY - writer * 2 - (round % 2),
              value: writer,
            })),
          );
          // Each in its own order, and each batch partly a repetition of the others'.
          const batch = [...rows, ...rows.map((row) => ({ ...row, ts: NOW - round * DAY + 100, value: 7 }))];
          await telemetry.insert(db, [...batch.slice(writer * 6), ...batch.slice(0, writer * 6)]);
        }
      }),
    );
    assert.equal((await db("telemetry").count({ n: "*" }).first())?.["n"], devices.length * 2 * rounds * (writers.length + 1));
    assert.equal((await db("series").count({ n: "*" }).first())?.["n"], devices.length * 2);
    for (const { firstTs, lastTs, lastValue } of await listSeries(db, a.scope, devices[0]?.id ?? ""))
      assert.deepEqual([firstTs, lastTs, lastValue], [NOW - (rounds - 1) * DAY - (writers.length - 1) * 2 - 1, NOW + 100, 7]);
  });

  test("maintenance and late batches make the days they need, several nodes at once too", async (db, store) => {
    const stores = Array.from({ length: 4 }, () => createTelemetryStore(store));
    await Promise.all(stores.map((telemetry) => telemetry.maintain(NOW)));
    await Promise.all(stores.map((telemetry) => telemetry.ensurePartitions([NOW - 366 * DAY, NOW - 200 * DAY, NOW + DAY])));
    if (engine === "sqlite") return assert.equal((await db("telemetry").count({ n: "*" }).first())?.["n"], 0);
    const { rows } = await db.raw(
      "select inhrelid::regclass::text as name from pg_inherits where inhparent = 'telemetry'::regclass order by 1",
    );
    assert.deepEqual(
      (rows as { name: string }[]).map(({ name }) => name),
      ["20251120", "20260505", "20261120", "20261121", "20261122", "20261123", "20261124"].map((day) => `telemetry_${day}`),
    );
  });
});
