import assert from "node:assert/strict";
import fc from "fast-check";
import type { SensorValue } from "../../core/payloads.ts";
import { type ChartQuery, chartReadings } from "../../store/chart-readings.ts";
import type { Db, Store } from "../../store/open.ts";
import type { Aggregate } from "../../store/readings.ts";
import { rollUp } from "../../store/rollups.ts";
import { createTelemetryStore, queryReadings } from "../../store/telemetry.ts";
import { forEachEngine } from "./engines.ts";
import { device, type Tenant, tenant } from "./fixtures.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const START = Date.parse("2026-03-28T00:00:00Z");
const NOW = START + 30 * 24 * HOUR;
const KEYS = ["a", "b", "c"];

interface Scene {
  readonly db: Db;
  readonly a: Tenant;
  readonly devices: readonly { readonly id: string; readonly uid: string }[];
  readonly insert: (deviceId: string, key: string, readings: readonly (readonly [number, SensorValue])[]) => Promise<void>;
  readonly chart: (query: Partial<ChartQuery> & Pick<ChartQuery, "series">) => ReturnType<typeof chartReadings>;
}

async function sceneOf(db: Db, store: Store): Promise<Scene> {
  const a = await tenant(db, "a");
  const telemetry = createTelemetryStore(store, () => NOW);
  return {
    db,
    a,
    devices: [await device(db, a), await device(db, a)],
    async insert(deviceId, key, readings) {
      for (let from = 0; from < readings.length; from += 5_000) {
        const some = readings
          .slice(from, from + 5_000)
          .map(([ts, value]) => ({ deviceId, organizationId: a.organization.id, key, ts, value }));
        await telemetry.ensurePartitions(some.map(({ ts }) => ts));
        await telemetry.insert(db, some);
      }
    },
    chart: (query) => chartReadings(db, a.scope, { from: START, to: NOW, agg: "avg", points: 100, ...query }),
  };
}

async function rollAll(db: Db): Promise<void> {
  while ((await rollUp(db, NOW)) > 0);
}

/** Of each series some hours, dense or sparse. */
const histories = fc.array(
  fc.record({ device: fc.nat({ max: 1 }), key: fc.constantFrom(...KEYS), hour: fc.nat({ max: 50 }), count: fc.constantFrom(1, 3, 130) }),
  { minLength: 1, maxLength: 8 },
);

forEachEngine(({ test }) => {
  test("several series at once are the same as one after the other, whatever is summed up", async (db, store) => {
    const { devices, insert, chart, a } = await sceneOf(db, store);
    await fc.assert(
      fc.asyncProperty(
        histories,
        fc.constantFrom<Aggregate>("avg", "min", "max", "sum", "count", "first", "last"),
        fc.constantFrom(7 * MINUTE, HOUR, 24 * HOUR),
        fc.boolean(),
        async (hours, agg, bucketMs, isRolled) => {
          for (const { device: index, key, hour, count } of hours) {
            const spread = Array.from({ length: count }, (_, at) => [START + hour * HOUR + at * 20_000, (at * 7) % 11] as const);
            await insert(devices[index]?.id as string, key, spread);
            if (isRolled) await rollAll(db);
          }
          const [from, to] = [START + 90_000, START + 2 * 24 * HOUR + 3 * MINUTE];
          const asked = devices.flatMap(({ uid }) => KEYS.map((key) => ({ device: uid, key })));
          const lines = await chart({ series: asked, from, to, bucketMs, agg });
          assert.deepEqual(
            lines.map(({ uid, key }) => ({ device: uid, key })),
            asked,
          );
          for (const { deviceId, key, points } of lines) {
            const page = await queryReadings(db, a.scope, { deviceId, key, from, to, bucketMs, agg, limit: 10_000 });
            assert.deepEqual(
              points,
              page.items.map(({ ts, value }) => [ts, value]),
            );
          }
        },
      ),
      { numRuns: 25 },
    );
  });

  test("few readings are given as they are, more are thinned, and of very many the extremes of periods", async (db, store) => {
    const { devices, insert, chart } = await sceneOf(db, store);
    const [{ id, uid }] = devices as [Scene["devices"][number]];
    const wave = (count: number, everyMs: number) =>
      Array.from({ length: count }, (_, at) => [START + at * everyMs, at === 777 ? 1_000 : Math.sin(at / 50)] as const);
    await insert(id, "few", wave(50, MINUTE));
    await insert(id, "more", wave(5_000, MINUTE));
    await insert(id, "many", wave(25_000, 10_000));
    await insert(
      id,
      "words",
      [...wave(25_000, 10_000)].map(([ts], at) => [ts, at < 9_000 ? "idle" : "busy"] as const),
    );
    for (const when of ["before", "after"]) {
      const lines = await chart({ series: ["few", "more", "many", "words"].map((key) => ({ device: uid, key })) });
      const [few, more, many, words] = lines as [(typeof lines)[0], (typeof lines)[0], (typeof lines)[0], (typeof lines)[0]];
      assert.deepEqual([few.bucketMs, few.points.length], [null, 50], when);
      assert.deepEqual(few.points, wave(50, MINUTE), when);
      assert.deepEqual([more.bucketMs, more.points.length], [null, 100], when);
      assert.ok(more.points.some(([, value]) => value === 1_000));
      assert.ok((many.bucketMs ?? 0) > 0 && many.points.length <= 100 && many.points.length > 50, when);
      assert.ok(many.points.some(([, value]) => value === 1_000));
      assert.deepEqual(
        words.points.map(([, value]) => value),
        ["idle", "busy"],
        when,
      );
      const changed = words.points[1]?.[0] as number;
      const edge = START + 9_000 * 10_000;
      assert.ok(changed <= edge && changed + (words.bucketMs as number) > edge, when);
      await rollAll(db);
    }
  });

  test("another organisation's device is not there, and what a former owner's recorded is not shown", async (db, store) => {
    const { devices, insert, chart, a } = await sceneOf(db, store);
    const [mine, other] = devices as [Scene["devices"][number], Scene["devices"][number]];
    await insert(mine.id, "t", [[START, 1]]);
    const b = await tenant(db, "b");
    const query = { series: [{ device: mine.uid, key: "t" }], from: START, to: NOW, agg: "avg", points: 10 } as const;
    await assert.rejects(chartReadings(db, b.scope, query), { code: "not_found" });
    await assert.rejects(
      chart({
        series: [
          { device: mine.uid, key: "t" },
          { device: "nobody-1", key: "t" },
        ],
      }),
      { code: "not_found" },
    );
    const granted = { kind: "devices", organizationId: a.organization.id, deviceIds: [other.id] } as const;
    await assert.rejects(chartReadings(db, granted, query), { code: "not_found" });
    assert.deepEqual(
      (
        await chart({
          series: [
            { device: mine.id, key: "t" },
            { device: mine.uid, key: "none" },
          ],
        })
      ).map(({ points }) => points),
      [[[START, 1]], []],
    );
    await db("devices").where({ id: mine.id }).update({ organization_id: b.organization.id });
    assert.deepEqual(
      (await chartReadings(db, b.scope, query)).map(({ points }) => points),
      [[]],
    );
  });

  test("more points than are given at once are refused before anything is read", async (db, store) => {
    const { devices, chart } = await sceneOf(db, store);
    const series = Array.from({ length: 20 }, (_, index) => ({ device: devices[0]?.uid as string, key: `k${index}` }));
    await assert.rejects(chart({ series, points: 2_501 }), { code: "validation_error" });
    await assert.rejects(chart({ series, bucketMs: 1_000 }), { code: "validation_error" });
    assert.equal((await chart({ series, points: 2_500 })).length, 20);
  });
});
