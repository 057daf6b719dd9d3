import type { Clickhouse } from "./clickhouse-client.ts";

/** Days that rows are kept; 0 is for ever. */
export interface ClickhouseRetention {
  readonly readingDays: number;
  readonly eventDays: number;
}

export interface Table {
  readonly name: string;
  /** A line for each. */
  readonly columns: string;
  readonly engine: string;
  /** What its age is told by, and its partitions. */
  readonly time: string;
  readonly orderBy: string;
  readonly days: (retention: ClickhouseRetention) => number;
}

const TIME = "DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1))";

/**
 * Of rows that are sent twice one is left: at once within `non_replicated_deduplication_window` segments, and by the order of the table
 * whenever that was. Whoever asks before the parts are merged writes FINAL.
 */
export const TABLES: readonly Table[] = [
  {
    name: "telemetry",
    columns: `
      organization_id LowCardinality(String),
      device_id LowCardinality(String),
      sensor_key LowCardinality(String),
      series_id UInt32 CODEC(T64, ZSTD(1)),
      ts ${TIME},
      v Nullable(Float64) CODEC(ZSTD(1)),
      json Nullable(String) CODEC(ZSTD(3)),
      version UInt64 CODEC(Delta(8), ZSTD(1))`,
    engine: "ReplacingMergeTree(version)",
    time: "ts",
    orderBy: "(device_id, sensor_key, series_id, ts)",
    days: ({ readingDays }) => readingDays,
  },
  {
    name: "events",
    columns: `
      id String CODEC(ZSTD(1)),
      type LowCardinality(String),
      source LowCardinality(String),
      organization_id LowCardinality(String),
      entity_id String CODEC(ZSTD(1)),
      actor_kind LowCardinality(String),
      actor_id String CODEC(ZSTD(1)),
      data String CODEC(ZSTD(3)),
      timestamp ${TIME},
      correlation_id String CODEC(ZSTD(1)),
      causation_id String CODEC(ZSTD(1))`,
    engine: "ReplacingMergeTree",
    time: "timestamp",
    orderBy: "(organization_id, timestamp, id)",
    days: ({ eventDays }) => eventDays,
  },
  {
    name: "audit",
    columns: `
      id String CODEC(ZSTD(1)),
      organization_id LowCardinality(String),
      actor_kind LowCardinality(String),
      actor_id String CODEC(ZSTD(1)),
      action LowCardinality(String),
      resource_type LowCardinality(String),
      resource_id String CODEC(ZSTD(1)),
      details String CODEC(ZSTD(3)),
      request_id String CODEC(ZSTD(1)),
      correlation_id String CODEC(ZSTD(1)),
      before_hash String CODEC(ZSTD(1)),
      after_hash String CODEC(ZSTD(1)),
      created_at ${TIME},
      chain_seq UInt64 CODEC(DoubleDelta, ZSTD(1)),
      chain_hash String CODEC(ZSTD(1))`,
    engine: "ReplacingMergeTree",
    time: "created_at",
    orderBy: "(organization_id, chain_seq)",
    days: () => 0,
  },
];

/** Type by name. */
export const columnsOf = ({ columns }: Table): ReadonlyMap<string, string> =>
  new Map([...columns.matchAll(/^\s*(\w+) (.+?)(?: CODEC\(.*\))?,?$/gm)].map(([, name = "", type = ""]) => [name, type]));

/** Repetitions of that many segments are known, however soon they were merged. */
const WINDOW = 10_000;

/** What is known to be there. */
export interface PreparedTables {
  /** Makes the database and the table where they are not there, and lets rows be kept as long as the settings say. */
  ready(table: string, signal: AbortSignal): Promise<void>;
  /** Somebody has taken them away. */
  forget(): void;
}

/** What is done is not done again, however often the answer to the next step is lost. */
export function createPreparedTables(clickhouse: Clickhouse, retention: ClickhouseRetention): PreparedTables {
  const prepared = new Set<string>();
  const once = async (name: string, prepare: () => Promise<void>): Promise<void> => {
    if (prepared.has(name)) return;
    await prepare();
    prepared.add(name);
  };
  return {
    async ready(name, signal) {
      await once("", () => prepareDatabase(clickhouse, signal));
      const table = TABLES.find((one) => one.name === name);
      if (table) await once(name, () => prepareTable(clickhouse, table, { days: table.days(retention), signal }));
    },
    forget: () => prepared.clear(),
  };
}

async function prepareDatabase(clickhouse: Clickhouse, signal: AbortSignal): Promise<void> {
  const name = clickhouse.database.slice(1, -1);
  const known = await clickhouse.rows("select 1 from system.databases where name = {name: String}", { params: { name }, signal });
  // Only who has to make it needs the right to.
  if (known.length === 0) await clickhouse.run(`create database if not exists ${clickhouse.database}`, { signal });
}

async function prepareTable(
  clickhouse: Clickhouse,
  { name, columns, engine, time, orderBy }: Table,
  { days, signal }: { readonly days: number; readonly signal: AbortSignal },
): Promise<void> {
  const table = `${clickhouse.database}.${name}`;
  const ttl = `toDateTime(${time}) + toIntervalDay(${days})`;
  await clickhouse.run(
    `create table if not exists ${table} (${columns}
     ) engine = ${engine} partition by toYYYYMM(${time}) order by ${orderBy} ${days === 0 ? "" : `ttl ${ttl}`}
     settings non_replicated_deduplication_window = ${WINDOW}, fsync_after_insert = 1, fsync_part_directory = 1`,
    { signal },
  );
  const [found] = await clickhouse.rows<{ engine_full: string }>(
    "select engine_full from system.tables where database = {database: String} and name = {name: String}",
    { params: { database: clickhouse.database.slice(1, -1), name }, signal },
  );
  const kept = Number(/toIntervalDay\((\d+)\)/.exec(found?.engine_full ?? "")?.[1] ?? 0);
  if (kept === days) return;
  await clickhouse.run(
    `alter table ${table} ${days === 0 ? "remove ttl" : `modify ttl ${ttl} settings materialize_ttl_after_modify = 0`}`,
    {
      signal,
    },
  );
}
