import { setTimeout as pause } from "node:timers/promises";
import { createDevice } from "../../store/devices.ts";
import { type Db, openStore, type Store } from "../../store/open.ts";
import { createOrganization } from "../../store/organizations.ts";
import { purgeReadings } from "../../store/reading-retention.ts";
import { rollUp } from "../../store/rollups.ts";
import { setSeriesRetention } from "../../store/series-retentions.ts";
import { createTelemetryStore, type SeriesReading, type TelemetryStore } from "../../store/telemetry.ts";
import { freshDatabase, postgresMissing, startPostgres } from "../support/services.ts";
import { temporaryFolder } from "../support/wait.ts";
import { createHistogram } from "./histogram.ts";
import { median, type Row } from "./report.ts";
import type { Plan } from "./stage.ts";

const SERIES = 50;
const HISTORY_DAYS = 14;
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** A batch of one reading of each series, a hundred times a second. */
const EVERY_MS = 10;
const WARM_UP_MS = 1_000;
const GOAL_RATIO = 1.5;

/** The hub's store in this process: how long a batch takes to be committed, without and with readings being removed meanwhile. */
export async function measureRetention({ runs, span: { measureMs } }: Plan): Promise<Row[]> {
  const rows: Row[] = [];
  {
    await using folder = temporaryFolder();
    await using sqlite = await openStore({ dataDir: folder.path });
    rows.push(await measured("SQLite", sqlite, { runs, measureMs }));
  }
  const missing = postgresMissing();
  if (missing !== undefined) {
    process.stderr.write(`${missing}: SQLite alone\n`);
    return rows;
  }
  await using server = await startPostgres();
  await using own = temporaryFolder();
  await using postgres = await openStore({ dataDir: own.path, databaseUrl: await freshDatabase(server) });
  return [...rows, await measured("PostgreSQL", postgres, { runs, measureMs })];
}

interface Terms {
  readonly runs: number;
  readonly measureMs: number;
}

async function measured(name: string, store: Store, { runs, measureMs }: Terms): Promise<Row> {
  const { db } = store;
  const now = Date.now();
  const telemetry = createTelemetryStore(store, () => now);
  const series = await addSeries(db);
  await writeHistory(telemetry, db, { series, now });
  // Of half of them day by day; of all by whole days at the end.
  for (const one of series.slice(0, SERIES / 2)) await setSeriesRetention(db, one, { days: 1, now });
  const quiet: number[] = [];
  const busy: number[] = [];
  let ts = now;
  const ingest = (isOver: () => boolean) =>
    latencyOf(isOver, () => {
      ts++;
      return telemetry.insert(
        db,
        series.map((one) => ({ ...one, ts, value: ts % 100 })),
      );
    });
  await ingest(after(WARM_UP_MS));
  for (let run = 0; run < runs; run++) {
    quiet.push(await ingest(after(measureMs)));
    let isDone = false;
    // Each turn removes as much as the one before.
    const days = HISTORY_DAYS - 2 - run * 3;
    const removing = purgeReadings(db, { days, now }).finally(() => (isDone = true));
    busy.push(await ingest(() => isDone));
    await removing;
  }
  return {
    name: `p99 of a commit of ${SERIES} readings while others are removed; the other: quiet (${name})`,
    unit: "ms",
    hub: median(busy),
    other: median(quiet),
    goal: { atMostRatio: GOAL_RATIO },
  };
}

const after = (ms: number): (() => boolean) => {
  const end = performance.now() + ms;
  return () => performance.now() >= end;
};

/** From when a batch is due until it is committed, whether or not those before it are: p99. */
async function latencyOf(isOver: () => boolean, commit: () => Promise<unknown>): Promise<number> {
  const histogram = createHistogram();
  const running: Promise<void>[] = [];
  for (let due = performance.now(); !isOver() || running.length < 100; due += EVERY_MS) {
    await pause(Math.max(0, due - performance.now()));
    const from = due;
    running.push(commit().then(() => histogram.add(performance.now() - from)));
  }
  await Promise.all(running);
  return histogram.summary().p99Ms;
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
