import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import type { Knex } from "knex";
import { HOUR_MS } from "../../core/durations.ts";
import { createDevice } from "../../store/devices.ts";
import { type Db, openStore, type Store } from "../../store/open.ts";
import { createOrganization } from "../../store/organizations.ts";
import { rollUp } from "../../store/rollups.ts";
import { rowsOf } from "../../store/sql.ts";
import { createTelemetryStore } from "../../store/telemetry.ts";
import { freshDatabase, postgresMissing, startPostgres } from "../support/services.ts";
import { temporaryFolder } from "../support/wait.ts";
import { createPlainReadings, openPlainSqlite, PLAIN, type PlainReading, openPlainPostgres, plainRow } from "./plain.ts";
import type { Row } from "./report.ts";

const DEVICES = 20;
const KEYS = ["temperature", "humidity", "co2", "power", "pressure"] as const;
const HOURS = 12;
const STEP_MS = 10_000;
const READINGS = (DEVICES * KEYS.length * HOURS * HOUR_MS) / STEP_MS;

/** Bytes. */
interface Sizes {
  readonly tables: number;
  readonly indexes: number;
  readonly rollUps: number;
}

/** What a reading takes on disk when its hour is worked out, beside a table that somebody would make with knex, filled with the same. */
export async function measureDisk(): Promise<Row[]> {
  const rows = await onSqlite();
  const missing = postgresMissing();
  if (missing === undefined) return [...rows, ...(await onPostgres())];
  process.stderr.write(`${missing}: SQLite alone\n`);
  return rows;
}

async function onSqlite(): Promise<Row[]> {
  await using folder = temporaryFolder();
  {
    await using store = await openStore({ dataDir: folder.path });
    await fill(store);
  }
  const file = join(folder.path, "plain.db");
  await fillPlain(openPlainSqlite(file));
  return rowsFor("SQLite", sqliteSizes(join(folder.path, "hexahub.db")), sqliteSizes(file));
}

async function onPostgres(): Promise<Row[]> {
  await using server = await startPostgres();
  await using folder = temporaryFolder();
  await using store = await openStore({ dataDir: folder.path, databaseUrl: await freshDatabase(server) });
  await fill(store);
  const sizes = await postgresSizes(store.db);
  const plain = openPlainPostgres(await freshDatabase(server));
  return rowsFor("PostgreSQL", sizes, await fillPlain(plain, () => postgresSizes(plain)));
}

function rowsFor(name: string, hub: Sizes, plain: Sizes | undefined): Row[] {
  const row = (text: string, pick: (sizes: Sizes) => number): Row => ({
    name: text,
    unit: "bytes",
    hub: pick(hub) / READINGS,
    other: plain && pick(plain) / READINGS,
  });
  return [
    row(
      `a reading on disk, ${name} (the other: a table with id and index, by knex)`,
      ({ tables, indexes, rollUps }) => tables + indexes + rollUps,
    ),
    row("  without roll-ups", ({ tables, indexes }) => tables + indexes),
    row("  without roll-ups and indexes", ({ tables }) => tables),
  ];
}

/** Of sensors whose values move a little, with one decimal. */
function* readings(devices: readonly string[], from: number): Generator<readonly PlainReading[]> {
  const values = new Map(devices.flatMap((device) => KEYS.map((key, index) => [`${device} ${key}`, 200 * (index + 1)])));
  for (let ts = from; ts < from + HOURS * HOUR_MS; ts += STEP_MS)
    yield devices.flatMap((device) =>
      KEYS.map((key) => {
        const tenths = (values.get(`${device} ${key}`) ?? 0) + Math.floor(Math.random() * 3) - 1;
        values.set(`${device} ${key}`, tenths);
        return { device, key, ts, value: tenths / 10 };
      }),
    );
}

const firstTs = (): number => Math.floor(Date.now() / HOUR_MS - HOURS - 1) * HOUR_MS;

async function fill(store: Store): Promise<void> {
  const { db } = store;
  const telemetry = createTelemetryStore(store);
  const { id: organizationId } = await createOrganization(db, { name: "bench" });
  const devices: string[] = [];
  for (let count = 0; count < DEVICES; count++)
    devices.push((await createDevice(db, { name: `bench ${count}`, deviceClass: "sensor_hub", organizationId, ownerId: null })).id);
  for (const some of readings(devices, firstTs())) {
    await telemetry.ensurePartitions(some.slice(0, 1).map(({ ts }) => ts));
    await telemetry.insert(
      db,
      some.map(({ device: deviceId, ...reading }) => ({ deviceId, organizationId, ...reading })),
    );
  }
  while ((await rollUp(db, Date.now())) > 0);
}

async function fillPlain<T>(db: Knex, measure?: () => Promise<T>): Promise<T | undefined> {
  try {
    await createPlainReadings(db);
    const devices = Array.from({ length: DEVICES }, () => crypto.randomUUID());
    for (const some of readings(devices, firstTs())) await db(PLAIN).insert(some.map((one) => plainRow(db, one)));
    return await measure?.();
  } finally {
    await db.destroy();
  }
}

/** The table of readings, its partitions, and the names of series. */
const RAW = /^(?:telemetry(?:_\d+)?|series|readings)$/;
const ROLL_UPS = /^telemetry_\D/;

function sizesOf(parts: readonly { readonly name: string; readonly table: number; readonly indexes: number }[]): Sizes {
  const sum = (values: readonly number[]): number => values.reduce((all, one) => all + one, 0);
  const raw = parts.filter(({ name }) => RAW.test(name));
  return {
    tables: sum(raw.map(({ table }) => table)),
    indexes: sum(raw.map(({ indexes }) => indexes)),
    rollUps: sum(parts.filter(({ name }) => ROLL_UPS.test(name)).map(({ table, indexes }) => table + indexes)),
  };
}

function sqliteSizes(file: string): Sizes {
  using db = new DatabaseSync(file, { readOnly: true });
  const rows = db
    .prepare(
      `select m.tbl_name as name, sum(case when m.type = 'table' then s.pgsize else 0 end) as "table",
         sum(case when m.type = 'index' then s.pgsize else 0 end) as indexes
       from (select name, sum(pgsize) as pgsize from dbstat group by name) as s join sqlite_schema as m on m.name = s.name group by m.tbl_name`,
    )
    .all();
  return sizesOf(rows as { name: string; table: number; indexes: number }[]);
}

async function postgresSizes(db: Db): Promise<Sizes> {
  await db.raw("checkpoint");
  return sizesOf(
    await rowsOf<{ name: string; table: number; indexes: number }>(
      db,
      `select relname as name, pg_table_size(oid)::float8 as "table", pg_indexes_size(oid)::float8 as indexes
       from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace`,
    ),
  );
}
