import { setTimeout as pause } from "node:timers/promises";
import { createDevice } from "../../store/devices.ts";
import { type Db, openStore, type Store } from "../../store/open.ts";
import { createOrganization } from "../../store/organizations.ts";
import { purgeReadings } from "../../store/reading-retention.ts";
import { rollUp } from "../../store/rollups.ts";
import { setSeriesRetention } from "../../store/series-retentions.ts";
import { createTelemetryStore, type SeriesReading, type TelemetryStore } from "../../store/telemetry.ts";
import { DURABLE_POSTGRES, freshDatabase, postgresMissing, startPostgres } from "../support/services.ts";
import { temporaryFolder } from "../support/wait.ts";
import { createHistogram, type Histogram } from "./histogram.ts";
import type { Row } from "./report.ts";
import type { Plan } from "./stage.ts";

const SERIES = 50;
const HISTORY_DAYS = 14;
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** A batch of one reading of each series, a hundred times a second. */
const EVERY_MS = 10;
const WARM_UP_MS = 1_000;
/** A quiet one. Of a shorter one a single stall of the disk would be the p99. */
const TURN_MS = 15_000;
const GOAL_RATIO = 1.5;

/** The hub's store in this process: how long a batch takes to be committed, without and with readings being removed meanwhile. */
export async function measureRetention({ runs }: Plan): Promise<Row[]> {
  const rows: Row[] = [];
  {
    await using folder = temporaryFolder();
    await using sqlite = await openStore({ dataDir: folder.path });
    rows.push(await measured("SQLite", sqlite, runs));
  }
  const missing = postgresMissing();
  if (missing !== undefined) {
    process.stderr.write(`${missing}: SQLite alone\n`);
    return rows;
  }
  await using server = await startPostgres(DURABLE_POSTGRES);
  await using own = temporaryFolder();
  await using postgres = await openStore({ dataDir: own.path, databaseUrl: await freshDatabase(server) });
  return [...rows, await measured("PostgreSQL", postgres, runs)];
}

async function measured(name: string, store: Store, runs: number): Promise<Row> {
  const { db } = store;
  const now = Date.now();
  const telemetry = createTelemetryStore(store, () => now);
  const series = await addSeries(db);
  await writeHistory(telemetry, db, { series, now });
  // Of half of them day by day; of all by whole days at the end.
  for (const one of series.slice(0, SERIES / 2)) await setSeriesRetention(db, one, { days: 1, now });
  // Of all turns together: of one alone it would be the second worst of some hundred.
  const quiet = createHistogram();
  const busy = createHistogram();
  let ts = now;
  const ingest = (into: Histogram, isOver: () => boolean) =>
    addLatencies(into, isOver, () => {
      ts++;
      return telemetry.insert(
        db,
        series.map((one) => ({ ...one, ts, value: ts % 100 })),
      );
    });
  await ingest(createHistogram(), after(WARM_UP_MS));
  for (let run = 0; run < runs; run++) {
    await ingest(quiet, after(TURN_MS));
    let isDone = false;
    // Each turn removes as much as the one before.
    const days = HISTORY_DAYS - 2 - run * 3;
    const removing = purgeReadings(db, { days, now }).finally(() => (isDone = true));
    await ingest(busy, () => isDone);
    await removing;
  }
  return {
    name: `p99 of a commit of ${SERIES} readings while others are removed; the other: quiet (${name})`,
    unit: "ms",
    hub: busy.summary().p99Ms,
    other: quiet.summary().p99Ms,
    goal: { atMostRatio: GOAL_RATIO },
  };
}

const after = (ms: number): (() => boolean) => {
  const end = performance.now() + ms;
  return () => performance.now() >= end;
};

/** From when a batch is due until it is committed, whether or not those before it are. */
async function addLatencies(histogram: Histogram, isOver: () => boolean, commit: () => Promise<unknown>): Promise<void> {
  const running: Promise<void>[] = [];
  for (let due = performance.now(); !isOver() || running.length < 100; due += EVERY_MS) {
    await pause(Math.max(0, due - performance.now()));
    const from = due;
    running.push(commit().then(() => histogram.add(performance.now() - from)));
  }
  await Promise.all(running);
}

type Series = Pick<SeriesReading, "deviceId" | "key"> & { readonly organizationId: string };

async function addSeries(db: Db): Promise<Series[]> {
  const { id: organizationId } = await createOrganization(db, { name: "bench" });
  const { id: deviceId } = await createDevice(db, { name: "bench", deviceClass: "sensor_hub", organizationId, ownerId: null });
  return Array.from({ length: SERIES }, (_, index) => ({ deviceId, organizationId, key: `s${index}` }));
}

/** A reading a minute, summed up as far as it is over. */
async function writeHistory(
  telemetry: TelemetryStore,
  db: Db,
  { series, now }: { readonly series: readonly Series[]; readonly now: number },
): Promise<void> {
  for (let from = now - HISTORY_DAYS * DAY_MS; from < now; from += 100 * MINUTE_MS) {
    const minutes = Array.from({ length: 100 }, (_, minute) => from + minute * MINUTE_MS).filter((ts) => ts < now);
    await telemetry.ensurePartitions(minutes);
    await telemetry.insert(
      db,
      minutes.flatMap((ts) => series.map((one) => ({ ...one, ts, value: (ts / MINUTE_MS) % 60 }))),
    );
  }
  while ((await rollUp(db, now)) > 0);
}
