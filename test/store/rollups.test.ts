import assert from "node:assert/strict";
import fc from "fast-check";
import { type Period, unpackChunk } from "../../core/chunk.ts";
import { deleteDevice } from "../../store/devices.ts";
import type { Db } from "../../store/open.ts";
import { PLATFORM } from "../../core/principal.ts";
import { rollUp } from "../../store/rollups.ts";
import { rowsOf } from "../../store/sql.ts";
import { inTransaction } from "../../store/transaction.ts";
import type { Aggregate } from "../../store/readings.ts";
import { createTelemetryStore, queryReadings } from "../../store/telemetry.ts";
import { forEachEngine } from "./engines.ts";
import { device, tenant } from "./fixtures.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const START = Date.parse("2026-03-28T00:00:00Z");
/** Everything is over by then. */
const NOW = START + 30 * DAY;
const AGGREGATES: readonly Aggregate[] = ["avg", "min", "max", "sum", "count", "first", "last"];
const PERIODS = [7 * MINUTE, 90_000, HOUR, 5 * HOUR, DAY, 3 * DAY];
const LEVELS = ["telemetry_hours", "telemetry_days"];

interface Given {
  readonly ts: number;
  readonly value: number | string;
}

/** Worked out by another way than the hub's. */
function aggregated(readings: readonly Given[], periodMs: number, agg: Aggregate): [number, number | string | null][] {
  const sorted = readings.toSorted((a, b) => a.ts - b.ts);
  return [...Map.groupBy(sorted, ({ ts }) => Math.floor(ts / periodMs) * periodMs)].map(
    ([period, group]): [number, number | string | null] => {
      const numbers = group.map(({ value }) => value).filter((value) => typeof value === "number");
      const sum = numbers.reduce((total, value) => total + value, 0);
      const none = numbers.length === 0;
      const values: Record<Aggregate, number | string | null> = {
        count: group.length,
        sum: none ? null : sum,
        avg: none ? null : sum / numbers.length,
        min: none ? null : Math.min(...numbers),
        max: none ? null : Math.max(...numbers),
        first: group[0]?.value ?? null,
        last: group.at(-1)?.value ?? null,
      };
      return [period, values[agg]];
    },
  );
}

/** What comes of the order of additions is all that may differ. */
function assertSame(actual: readonly (readonly [number, unknown])[], expected: readonly [number, unknown][], what: string): void {
  assert.deepEqual(
    actual.map(([period]) => period),
    expected.map(([period]) => period),
    what,
  );
  for (const [index, [, value]] of actual.entries()) {
    const wanted = expected[index]?.[1];
    if (typeof value === "number" && typeof wanted === "number")
      assert.ok(Math.abs(value - wanted) <= 1e-9 * Math.max(1, Math.abs(wanted)), `${what}: ${value} for ${wanted}`);
    else assert.deepEqual(value, wanted, what);
  }
}

async function rollAll(db: Db, now = NOW): Promise<void> {
  while ((await rollUp(db, now)) > 0);
}

/** What is in chunks, and hours and days. */
const rolled = async (db: Db): Promise<unknown[][]> => [
  await chunked(db),
  ...(await Promise.all(
    LEVELS.map(
      async (table) =>
        await rowsOf<object>(
          db,
          `select ts, n, v_n, v_min, v_max, round(cast(v_sum as numeric), 6) as v_sum, first_v, first_json, last_v, last_json from ${table} order by series_id, ts`,
        ),
    ),
  )),
];

async function chunked(db: Db): Promise<Period[]> {
  const chunks = await rowsOf<{ ts: number; body: Uint8Array }>(db, "select ts, body from telemetry_chunks order by series_id, ts");
  const periods = chunks.flatMap(({ ts, body }) => unpackChunk(body, ts));
  return periods.map((one) => ({ ...one, v_sum: one.v_sum === null ? null : Number(one.v_sum.toFixed(6)) }));
}

/** Dense and sparse hours, and days without any; the same moment always with the same value. */
const history = fc
  .array(
    fc.record({
      hour: fc.integer({ min: 0, max: 60 }),
      count: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.constant(150)),
      seed: fc.integer({ min: 1, max: 1_000 }),
    }),
    { minLength: 1, maxLength: 8 },
  )
  .map((hours): Given[] => {
    const byTs = new Map<number, Given>();
    for (const { hour, count, seed } of hours)
      for (let index = 0; index < count; index++) {
        const ts = START + hour * HOUR + ((index * seed * 7_919) % HOUR);
        byTs.set(ts, { ts, value: (seed + index) % 11 === 0 ? `t${index % 3}` : ((ts / 1_000) % 97) / 8 });
      }
    return [...byTs.values()];
  });

forEachEngine(({ test, engine }) => {
  test("whatever the order, the repetitions and the moments of summing up, every aggregate is that of the readings, and the roll-ups are the same", async (db, store) => {
    const a = await tenant(db, "a");
    await fc.assert(
      fc.asyncProperty(history, fc.integer({ min: 1, max: 5 }), fc.infiniteStream(fc.nat()), async (readings, batches, random) => {
        const next = (below: number): number => (random.next().value as number) % below;
        const { id: deviceId } = await device(db, a);
        const telemetry = createTelemetryStore(store, () => NOW);
        const repeated = [...readings, ...readings.filter(() => next(5) === 0)];
        const shuffled = repeated.map((one) => [next(1_000_000), one] as const).toSorted(([x], [y]) => x - y);
        for (let batch = 0; batch < batches; batch++) {
          const some = shuffled.filter((_, index) => index % batches === batch).map(([, one]) => one);
          await telemetry.insert(
            db,
            some.map((one) => ({ deviceId, organizationId: a.organization.id, key: "t", ...one })),
          );
          if (next(2) === 0) await rollUp(db, NOW);
        }
        const check = async (when: string): Promise<void> => {
          for (const bucketMs of PERIODS)
            for (const agg of AGGREGATES) {
              const [from, to] = [START + next(2) * next(5 * HOUR), START + 4 * DAY - next(2) * next(3 * DAY)];
              const page = await queryReadings(db, a.scope, { deviceId, key: "t", from, to, bucketMs, agg, limit: 100_000 });
              const within = readings.filter(({ ts }) => ts >= from && ts < to);
              assertSame(
                page.items.map(({ ts, value }) => [ts, value]),
                aggregated(within, bucketMs, agg),
                `${when}: ${agg} of ${bucketMs} ms from ${from - START} to ${to - START}`,
              );
            }
        };
        await check("before");
        await rollAll(db);
        await check("after");
        const levels = await rolled(db);
        await db.raw("insert into telemetry_dirty select distinct series_id, ts / 3600000 from telemetry_hours");
        await rollAll(db);
        assert.deepEqual(await rolled(db), levels);
        await deleteDevice(db, PLATFORM, deviceId);
        assert.deepEqual(await rolled(db), [[], [], []]);
      }),
      { numRuns: 12 },
    );
  });

  test("an hour is summed up when it is over, its minutes where they are fewer than its readings, and again for what comes late", async (db, store) => {
    const a = await tenant(db, "a");
    const { id: deviceId } = await device(db, a);
    let now = START + 2 * HOUR;
    const telemetry = createTelemetryStore(store, () => now);
    const insert = (ts: number, value: number) =>
      telemetry.insert(db, [{ deviceId, organizationId: a.organization.id, key: "t", ts, value }]);
    const dirty = async (): Promise<number> => (await rowsOf(db, "select 1 from telemetry_dirty")).length;
    for (let second = 0; second < 200; second++) await insert(START + HOUR + second * 10_000, second);
    await insert(now, 1);
    assert.deepEqual([await dirty(), await rollUp(db, now), await dirty()], [2, 0, 2]);
    now += 5 * MINUTE;
    assert.deepEqual([await rollUp(db, now), await dirty()], [1, 1]);
    const [minutes, hours, days] = (await rolled(db)) as { ts: number; n: number; v_max: number }[][];
    assert.deepEqual([minutes?.length, hours?.map(({ n, v_max: max }) => [n, max]), days?.map(({ n }) => n)], [34, [[200, 199]], [200]]);
    // One more of an hour that was done, and one of the next, while that goes on.
    await insert(START + HOUR + 1, 1_000);
    await insert(now, 2);
    assert.equal(await rollUp(db, now), 1);
    now += HOUR;
    assert.equal(await rollUp(db, now), 1);
    const again = (await rolled(db)) as { n: number; v_max: number }[][];
    assert.deepEqual(
      again.slice(1).map((level) => level.map(({ n, v_max: max }) => [n, max])),
      [
        [
          [201, 1_000],
          [2, 2],
        ],
        [[203, 1_000]],
      ],
    );
    assert.equal(await dirty(), 0);
  });

  test("a range of thousands of hours is read in parts, which change nothing", async (db, store) => {
    const a = await tenant(db, "a");
    const { id: deviceId } = await device(db, a);
    const telemetry = createTelemetryStore(store, () => START + 200 * DAY);
    const given = Array.from({ length: 4_100 }, (_, hour): Given => ({ ts: START + hour * HOUR + (hour % 50) * MINUTE, value: hour % 97 }));
    const readings = given.map((one) => ({ deviceId, organizationId: a.organization.id, key: "t", ...one }));
    for (let at = 0; at < readings.length; at += 500) await telemetry.insert(db, readings.slice(at, at + 500));
    await rollAll(db, START + 200 * DAY);
    for (const agg of AGGREGATES) {
      const [from, to, bucketMs] = [START + 1, START + 4_000 * HOUR + 7 * MINUTE, 150 * MINUTE];
      const page = await queryReadings(db, a.scope, { deviceId, key: "t", from, to, bucketMs, agg, limit: 5_000 });
      assertSame(
        page.items.map(({ ts, value }) => [ts, value]),
        aggregated(
          given.filter(({ ts }) => ts >= from && ts < to),
          bucketMs,
          agg,
        ),
        agg,
      );
    }
  });

  test("minutes of hours that were summed up before there were chunks are read as they were then", async (db, store) => {
    const a = await tenant(db, "a");
    const { id: deviceId } = await device(db, a);
    const telemetry = createTelemetryStore(store, () => NOW);
    const [dense, sparse, whole] = [
      [0, 400],
      [1, 50],
      [2, 400],
    ].map(([hour = 0, count = 0]) =>
      Array.from({ length: count }, (_, index) => ({
        ts: START + hour * HOUR + index * 8_000,
        value: index % 7 === 3 ? "off" : index / 4,
      })),
    ) as [Given[], Given[], Given[]];
    const given = [...dense, ...sparse, ...whole];
    await telemetry.insert(
      db,
      given.map((one) => ({ deviceId, organizationId: a.organization.id, key: "t", ...one })),
    );
    await rollAll(db);
    const [series] = await rowsOf<{ id: number }>(db, "select id from series");
    for (const { v_n, v_min, v_max, v_sum, ...one } of (await chunked(db)).filter(({ ts }) => ts < START + HOUR))
      await db("telemetry_minutes").insert({ series_id: series?.id, ...one, v_n, v_min, v_max, v_sum });
    await db("telemetry_chunks")
      .where("ts", "<", START + 2 * HOUR)
      .delete();
    await db("telemetry_hours")
      .where("ts", "<", START + 2 * HOUR)
      .update({ has_chunk: false });
    await db("telemetry_hours").where({ ts: START }).update({ has_minutes: true });
    const [from, to] = [START + 3 * MINUTE + 1, START + 3 * HOUR - 5 * MINUTE - 1];
    const within = given.filter(({ ts }) => ts >= from && ts < to);
    for (const bucketMs of [5 * MINUTE, 7 * MINUTE, 90 * MINUTE])
      for (const agg of AGGREGATES) {
        const page = await queryReadings(db, a.scope, { deviceId, key: "t", from, to, bucketMs, agg, limit: 1_000 });
        assertSame(
          page.items.map(({ ts, value }) => [ts, value]),
          aggregated(within, bucketMs, agg),
          `${agg} of ${bucketMs} ms`,
        );
      }
    // Of an hour that is worked out anew there are no minutes left.
    await db("telemetry_dirty").insert({ series_id: series?.id, hour: START / HOUR });
    await rollAll(db);
    assert.deepEqual(
      [await rowsOf(db, "select 1 from telemetry_minutes"), (await chunked(db)).filter(({ ts }) => ts < START + HOUR).length],
      [[], 54],
    );
  });

  test("of an hour that readings come for while it is summed up nothing is forgotten", async (db, store) => {
    const a = await tenant(db, "a");
    const { id: deviceId } = await device(db, a);
    const telemetry = createTelemetryStore(store, () => NOW);
    const writing = (async () => {
      for (let count = 0; count < 150; count++)
        await telemetry.insert(db, [{ deviceId, organizationId: a.organization.id, key: "t", ts: START + count * 1_000, value: 1 }]);
    })();
    const over = new AbortController();
    const summing = (async () => {
      while (!over.signal.aborted) await rollUp(db, NOW);
    })();
    await writing;
    over.abort();
    await summing;
    await rollAll(db);
    const { items } = await queryReadings(db, a.scope, {
      deviceId,
      key: "t",
      from: START,
      to: NOW,
      bucketMs: HOUR,
      agg: "count",
      limit: 9,
    });
    assert.deepEqual(items, [{ ts: START, value: 150 }]);
  });

  if (engine === "postgres")
    test("what is being committed while its hour is summed up is not forgotten", async (db, store) => {
      const a = await tenant(db, "a");
      const { id: deviceId } = await device(db, a);
      const telemetry = createTelemetryStore(store, () => NOW);
      const reading = { deviceId, organizationId: a.organization.id, key: "t", value: 1 };
      await telemetry.insert(db, [{ ...reading, ts: START }]);
      await inTransaction(db, async (trx) => {
        await telemetry.insert(trx, [{ ...reading, ts: START + 1 }]);
        await rollUp(db, NOW);
      });
      await rollAll(db);
      assert.deepEqual(await rowsOf(db, "select n from telemetry_hours"), [{ n: 2 }]);
    });
});
