import knex from "knex";
import { newId } from "../../core/id.ts";
import { chartReadings } from "../../store/chart-readings.ts";
import { createDevice } from "../../store/devices.ts";
import { type Db, openStore, type Store } from "../../store/open.ts";
import { createOrganization } from "../../store/organizations.ts";
import { rollUp } from "../../store/rollups.ts";
import { createTelemetryStore, type TelemetryStore } from "../../store/telemetry.ts";
import { freshDatabase, postgresMissing, startPostgres } from "../support/services.ts";
import { temporaryFolder } from "../support/wait.ts";
import { createHistogram } from "./histogram.ts";
import { median, type Row } from "./report.ts";
import type { Plan } from "./stage.ts";

const DEVICES = 50;
const KEYS = ["temperature", "humidity", "co2", "power", "voltage", "current", "light", "noise", "pressure", "battery"] as const;
const SERIES = DEVICES * KEYS.length;
/** One reading of each series, and two: as many as the hub commits at once of devices that send one in a message. */
const BATCHES = [SERIES, 2 * SERIES] as const;
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const HISTORY_DAYS = 30;
const SQLITE_GOAL = 100_000;
const POSTGRES_GOAL = 60_000;
const CHART_GOAL_MS = 50;
const CHARTS = 100;

/** The hub's store in this process: readings a second in batches, beside what somebody would write with knex, and charts of what is there. */
export async function measureReadings({ runs, span: { measureMs } }: Plan): Promise<Row[]> {
  await using folder = temporaryFolder();
  await using sqlite = await openStore({ dataDir: folder.path });
  const rows = await measured("SQLite", sqlite, { runs, measureMs, goal: SQLITE_GOAL });
  const missing = postgresMissing();
  if (missing !== undefined) {
    process.stderr.write(`${missing}: SQLite alone\n`);
    return rows;
  }
  await using server = await startPostgres();
  await using own = temporaryFolder();
  await using postgres = await openStore({ dataDir: own.path, databaseUrl: await freshDatabase(server) });
  const plain = await measurePlain(await freshDatabase(server), { runs, measureMs });
  return [...rows, ...(await measured("PostgreSQL", postgres, { runs, measureMs, goal: POSTGRES_GOAL, plain }))];
}

interface Terms {
  readonly runs: number;
  readonly measureMs: number;
  readonly goal: number;
  /** Rows a second of plain inserts. */
  readonly plain?: number | undefined;
}

async function measured(name: string, store: Store, { runs, measureMs, goal, plain }: Terms): Promise<Row[]> {
  const { db } = store;
  const now = Date.now();
  const telemetry = createTelemetryStore(store, () => now);
  const { id: organizationId } = await createOrganization(db, { name: "bench" });
  const devices: string[] = [];
  for (let count = 0; count < DEVICES; count++)
    devices.push((await createDevice(db, { name: `bench ${count}`, deviceClass: "sensor_hub", organizationId, ownerId: null })).id);
  const at = batches(devices, organizationId);
  const rates = new Map<number, number[]>(BATCHES.map((size) => [size, []]));
  let ts = now;
  const next = (size: number) => Array.from({ length: size / SERIES }, () => at((ts += 1_000))).flat();
  await insertAt(telemetry, db, next(SERIES));
  for (let run = 0; run < runs; run++)
    for (const [size, those] of rates) {
      const began = performance.now();
      let count = 0;
      for (; performance.now() - began < measureMs; count += size) await insertAt(telemetry, db, next(size));
      those.push((count * 1_000) / (performance.now() - began));
    }
  const charts = await chartsOf(db, telemetry, { organizationId, devices, now });
  return [
    ...[...rates].map(([size, those]) => ({
      name: `readings in batches of ${size}, ${SERIES} series, ${name}${plain === undefined ? "" : " (the other: plain knex inserts, 500 each)"}`,
      unit: "rows/s",
      hub: median(those),
      other: plain,
      goal: { atLeast: goal },
    })),
    { name: `  chart of 1 series over 30 days, p99 (${name})`, unit: "ms", hub: charts.long, goal: { atMost: CHART_GOAL_MS } },
    { name: `  chart of 50 series over 24 hours, p99 (${name})`, unit: "ms", hub: charts.wide, goal: { atMost: CHART_GOAL_MS } },
    { name: `  the same, 500 points of each that keep its shape, p99 (${name})`, unit: "ms", hub: charts.thinned },
  ];
}

const batches =
  (devices: readonly string[], organizationId: string) =>
  (ts: number): Parameters<TelemetryStore["insert"]>[1] =>
    devices.flatMap((deviceId) => KEYS.map((key, index) => ({ deviceId, organizationId, key, ts, value: ((ts / 1_000) % 100) + index })));

async function insertAt(telemetry: TelemetryStore, db: Db, readings: Parameters<TelemetryStore["insert"]>[1]): Promise<void> {
  await telemetry.ensurePartitions(readings.slice(0, 1).map(({ ts }) => ts));
  await telemetry.insert(db, readings);
}

/** A reading a minute of each device's first series, summed up as far as it is over. */
async function chartsOf(
  db: Db,
  telemetry: TelemetryStore,
  { organizationId, devices, now }: { readonly organizationId: string; readonly devices: readonly string[]; readonly now: number },
): Promise<{ readonly long: number; readonly wide: number; readonly thinned: number }> {
  const [first = ""] = devices;
  const of = (deviceId: string, days: number) =>
    Array.from({ length: days * 1_440 }, (_, minute) => ({
      deviceId,
      organizationId,
      key: "chart",
      ts: now - minute * MINUTE_MS,
      value: minute % 60,
    }));
  for (const deviceId of devices) {
    const readings = of(deviceId, deviceId === first ? HISTORY_DAYS : 1);
    await telemetry.ensurePartitions(readings.map(({ ts }) => ts));
    for (let from = 0; from < readings.length; from += 5_000) await telemetry.insert(db, readings.slice(from, from + 5_000));
  }
  while ((await rollUp(db, now)) > 0);
  const scope = { kind: "organization", organizationId } as const;
  const series = devices.map((device) => ({ device, key: "chart" }));
  const chart = (lines: typeof series, days: number, bucketMs?: number) =>
    chartReadings(db, scope, { series: lines, from: now - days * DAY_MS, to: now, bucketMs, agg: "avg", points: 500 });
  const timed = async (work: () => Promise<unknown>): Promise<number> => {
    const histogram = createHistogram();
    await work();
    for (let count = 0; count < CHARTS; count++) {
      const began = performance.now();
      await work();
      histogram.add(performance.now() - began);
    }
    return histogram.summary().p99Ms;
  };
  return {
    long: await timed(() => chart(series.slice(0, 1), HISTORY_DAYS, 3_600_000)),
    wide: await timed(() => chart(series, 1, 300_000)),
    thinned: await timed(() => chart(series, 1)),
  };
}

/** What somebody would write: a table of readings with its natural key, and knex. */
async function measurePlain(connection: string, { runs, measureMs }: Pick<Terms, "runs" | "measureMs">): Promise<number | undefined> {
  const db = knex({ client: "pg", connection, pool: { min: 0, max: 10 } });
  try {
    await db.schema.createTable("readings", (table) => {
      table.uuid("device_id").notNullable();
      table.string("key", 64).notNullable();
      table.timestamp("ts", { useTz: true }).notNullable();
      table.double("value");
      table.primary(["device_id", "key", "ts"]);
    });
    const devices = Array.from({ length: DEVICES }, () => newId());
    const rates: number[] = [];
    let ts = Date.now();
    for (let run = 0; run < runs; run++) {
      const began = performance.now();
      let count = 0;
      for (; performance.now() - began < measureMs; count += SERIES) {
        ts += 1_000;
        const moment = new Date(ts);
        await db("readings").insert(
          devices.flatMap((device_id) => KEYS.map((key, index) => ({ device_id, key, ts: moment, value: index }))),
        );
      }
      rates.push((count * 1_000) / (performance.now() - began));
    }
    return median(rates);
  } finally {
    await db.destroy();
  }
}
