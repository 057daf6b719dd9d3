import assert from "node:assert/strict";
import { before, test } from "node:test";
import { openClickhouseClient } from "../../store/clickhouse-client.ts";
import { inspectClickhouse } from "../../store/clickhouse-inspection.ts";
import { createPreparedTables, TABLES } from "../../store/clickhouse-tables.ts";
import { temporaryFolder } from "../support/wait.ts";
import { installEngine, startEngine } from "./engine.ts";

before(installEngine, { timeout: 20 * 60_000 });

test("tables that the hub has made are found as they should be, and what is changed in them is named", async () => {
  await using data = temporaryFolder();
  await using engine = await startEngine(data.path);
  const url = `${engine.url}/hexahub`;
  const empty = await inspectClickhouse(url, 30_000);
  assert.equal(empty.fault, undefined);
  assert.deepEqual([empty.hasDatabase, empty.missingRights, empty.tables.some(({ isThere }) => isThere)], [false, [], false]);
  assert.ok(Math.abs(empty.skewMs) < 5_000);
  await using clickhouse = openClickhouseClient(url);
  const tables = createPreparedTables(clickhouse, { readingDays: 30, eventDays: 0 });
  for (const { name } of TABLES) await tables.ready(name, AbortSignal.timeout(60_000));
  const made = await inspectClickhouse(url, 30_000);
  assert.equal(made.fault, undefined);
  assert.deepEqual(
    made.tables,
    TABLES.map(({ name }) => ({ name, isThere: true, differences: [] })),
  );
  assert.deepEqual([made.hasDatabase, made.missingRights], [true, []]);
  await clickhouse.run(`alter table ${clickhouse.database}.telemetry drop column json`, {});
  await clickhouse.run(`alter table ${clickhouse.database}.events modify column data LowCardinality(String)`, {});
  await clickhouse.run(`drop table ${clickhouse.database}.audit`, {});
  await clickhouse.run(`create table ${clickhouse.database}.audit (id String) engine = MergeTree order by id`, {});
  const changed = await inspectClickhouse(url, 30_000);
  assert.equal(changed.fault, undefined);
  const differences = changed.tables.flatMap((table) => table.differences);
  assert.deepEqual(differences.slice(0, 4), [
    "telemetry.json is missing",
    "events.data is LowCardinality(String)",
    "audit is a MergeTree",
    "audit is in the order of (id)",
  ]);
});
