import assert from "node:assert/strict";
import { before } from "node:test";
import { createDuties } from "../../broker/duties.ts";
import type { Scope } from "../../core/principal.ts";
import { openClickhouse } from "../../store/clickhouse.ts";
import type { Db } from "../../store/open.ts";
import { purgeReadings } from "../../store/reading-retention.ts";
import type { Aggregate } from "../../store/readings.ts";
import { rowsOf } from "../../store/sql.ts";
import { createTelemetryStore, queryReadings } from "../../store/telemetry.ts";
import { isShipped } from "../store/clickhouse-sink.ts";
import { forEachEngine } from "../store/engines.ts";
import { device, tenant } from "../store/fixtures.ts";
import { collectErrors } from "../support/collected-errors.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { installEngine, startEngine } from "./engine.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NOW = Date.parse("2026-06-30T12:00:00.000Z");
const COUNT = 20_000;
const AGGREGATES: readonly (Aggregate | undefined)[] = [undefined, "avg", "min", "max", "sum", "count", "first", "last"];
const PERIODS = [700, 45_000, 60_000, 7 * 60_000, HOUR, DAY];

interface Series {
  readonly scope: Scope;
  readonly deviceId: string;
}

type Answers = Record<string, readonly [ts: number, value: unknown][]>;

/** Pages of all kinds of queries over a range that begins and ends within a period. */
async function answers(db: Db, { scope, deviceId }: Series): Promise<Answers> {
  const range = { deviceId, key: "t", from: NOW - 9 * DAY + 12_345, to: NOW - 2 * DAY - 54_321, limit: 5_000 };
  const found: Answers = {};
  const ask = async (name: string, query: object): Promise<void> => {
    found[name] = (await queryReadings(db, scope, { ...range, ...query })).items.map(({ ts, value }) => [ts, value]);
  };
  await ask("readings", {});
  await ask("a page of readings", { limit: 7, from: NOW - 8 * DAY });
  await ask("first of 259200000", { bucketMs: 3 * DAY, agg: "first" });
  await ask("last of 259200000", { bucketMs: 3 * DAY, agg: "last" });
  for (const bucketMs of PERIODS) for (const agg of AGGREGATES) await ask(`${agg} of ${bucketMs}`, { bucketMs, agg });
  return found;
}

function assertSame(found: Answers, wanted: Answers): void {
  assert.deepEqual(Object.keys(found), Object.keys(wanted));
  for (const [name, items] of Object.entries(wanted)) {
    assert.ok(items.length > 0, name);
    assert.equal(found[name]?.length, items.length, name);
    for (const [index, [ts, value]] of items.entries()) {
      const given: Answers[string][number] | undefined = found[name]?.[index];
      const other: unknown = given?.[1];
      assert.equal(given?.[0], ts, name);
      // What comes of the order of additions is all that may differ.
      if (typeof value === "number" && typeof other === "number")
        assert.ok(Math.abs(value - other) <= 1e-9 * Math.max(1, Math.abs(value)), `${name}: ${other} for ${value}`);
      else assert.deepEqual(other, value, name);
    }
  }
}

before(installEngine, { timeout: 20 * 60_000 });

forEachEngine(({ test }) => {
  test("a query gives the same whether the readings are here, partly here or in ClickHouse", async (db, store) => {
    await using data = temporaryFolder();
    await using engine = await startEngine(data.path);
    const { log, errors } = collectErrors();
    const context = { db, log, metrics: { count() {}, observe() {}, gauge() {} }, clock: () => NOW, pace: { everyMs: 10 } };
    const retention = { readingDays: 0, eventDays: 0 };
    await using sink = await openClickhouse({ ...context, url: `${engine.url}/hexahub`, maxBytes: 2 ** 30, retention });
    const owner = await tenant(db, "a");
    const { id: deviceId } = await device(db, owner);
    const telemetry = createTelemetryStore(store, () => NOW);
    for (let n = 0; n < COUNT; n += 1_000) {
      const some = Array.from({ length: 1_000 }, (_, index) => n + index);
      await telemetry.insert(
        db,
        // Dense hours and sparse ones; some texts, some that come twice.
        some.map((one) => ({
          deviceId,
          organizationId: owner.organization.id,
          key: "t",
          ts: NOW - 10 * DAY + Math.floor((one % 997 === 1 ? one - 1 : one) ** 1.1 * 15_391),
          value: one % 50 === 0 ? `text ${one}` : Math.sin(one) * 1e6,
        })),
      );
    }
    await using _shipping = sink.startShipping({ duties: createDuties(undefined, log), events: { async emit() {} } });
    await until(() => isShipped(db), { what: "everything to arrive", timeoutMs: 60_000 });
    const series = { scope: owner.scope, deviceId };
    const wanted = await answers(db, series);
    for (const days of [6, 1]) {
      await purgeReadings(db, { days, now: NOW });
      assertSame(await answers(db, series), wanted);
    }
    assert.deepEqual(await rowsOf(db, "select 1 from telemetry_chunks where ts < ?", [NOW - 2 * DAY]), []);
    assert.deepEqual(errors, []);
  });
});
