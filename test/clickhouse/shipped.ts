import assert from "node:assert/strict";
import { createDuties } from "../../broker/duties.ts";
import { openClickhouse } from "../../store/clickhouse.ts";
import { type Clickhouse, openClickhouseClient } from "../../store/clickhouse-client.ts";
import { measureLag } from "../../store/clickhouse-lag.ts";
import { type ClickhouseOutbox, outboxOf } from "../../store/clickhouse-outbox.ts";
import { type Db, openStore, type StoreOptions } from "../../store/open.ts";
import { engineOf, rowsOf } from "../../store/sql.ts";
import { collectErrors } from "../support/collected-errors.ts";
import { until } from "../support/wait.ts";

const silent = { count() {}, observe() {}, gauge() {} };

/** Where a hub that has stopped was to ship, and the engine itself, for whoever looks what has arrived. */
export interface Shipped {
  readonly url: string;
  readonly engineUrl: string;
}

/** Ships what is left, and then asserts that ClickHouse has each row of the database, and no other. Gives how many there are. */
export async function assertAllShipped(options: StoreOptions, { url, engineUrl }: Shipped): Promise<Record<string, number>> {
  await using store = await openStore(options);
  const { db } = store;
  const { log, errors } = collectErrors();
  const retention = { readingDays: 0, eventDays: 0 };
  const context = { db, url, maxBytes: 2 ** 30, retention, log, metrics: silent, clock: Date.now, pace: { everyMs: 50 } };
  await using sink = await openClickhouse(context);
  await using _shipping = sink.startShipping({ duties: createDuties(undefined, log), events: { async emit() {} } });
  await until(() => isEmpty(db), { what: "an empty outbox", timeoutMs: 180_000 });
  assert.deepEqual(errors, []);
  await using clickhouse = openClickhouseClient(engineUrl);
  const counts: Record<string, number> = {};
  for (const { table, local, remote } of comparisons(db, clickhouse)) {
    const [wanted, found] = [await local(), await remote()];
    assert.ok(wanted.length > 0, `no ${table} at all`);
    assert.deepEqual(found.toSorted(), wanted.toSorted(), table);
    counts[table] = wanted.length;
  }
  return counts;
}

async function isEmpty(db: Db): Promise<boolean> {
  const { lanes, missingHours, refusedSegments } = await measureLag(db, outboxOf(db) as ClickhouseOutbox);
  assert.equal(refusedSegments, 0);
  const open = await rowsOf(db, "select id from clickhouse_segments");
  return open.length === 0 && missingHours === 0 && Object.values(lanes).every(({ n }) => n === 0);
}

interface Comparison {
  readonly table: string;
  /** A text for each row. */
  readonly local: () => Promise<string[]>;
  readonly remote: () => Promise<string[]>;
}

function comparisons(db: Db, clickhouse: Clickhouse): Comparison[] {
  const { signal } = new AbortController();
  const textsOf = (rows: readonly object[]): string[] => rows.map((row) => JSON.stringify(Object.values(row)));
  const remote = (table: string, columns: string) => async () =>
    textsOf(await clickhouse.rows<object>(`select ${columns} from ${clickhouse.database}.${table} final`, { signal }));
  const local = (sql: string) => async () => textsOf(await rowsOf<object>(db, sql));
  const ms = engineOf(db) === "postgres" ? "round(extract(epoch from t.ts) * 1000)::bigint" : "t.ts";
  return [
    {
      table: "telemetry",
      local: local(
        `select s.device_id, s.sensor_key, ${ms} as ts, t.v, cast(t.json as text) as json from telemetry t join series s on s.id = t.series_id`,
      ),
      remote: remote("telemetry", "device_id, sensor_key, toUnixTimestamp64Milli(ts) as at, v, json"),
    },
    {
      table: "events",
      local: local("select id, type, actor_id, correlation_id from events"),
      remote: remote("events", "id, type, actor_id, correlation_id"),
    },
    {
      table: "audit",
      local: local("select id, action, chain_seq, chain_hash from audit_outbox where chain_seq is not null"),
      remote: remote("audit", "id, action, chain_seq, chain_hash"),
    },
  ];
}
