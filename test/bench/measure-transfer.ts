import { setTimeout as pause } from "node:timers/promises";
import { openStore } from "../../store/open.ts";
import { engineOf, rowsOf } from "../../store/sql.ts";
import { createTelemetryStore } from "../../store/telemetry.ts";
import { freshDatabase, postgresMissing, startPostgres } from "../support/services.ts";
import { temporaryFolder } from "../support/wait.ts";
import { generate } from "./child.ts";
import type { DurableResult } from "./durable.ts";
import { type HubProcess, startHubProcess } from "./hub-process.ts";
import type { Row } from "./report.ts";
import type { Plan } from "./stage.ts";

const DEVICES = 10;
const KEYS = ["temperature", "humidity", "co2", "power", "voltage", "current", "light", "noise", "pressure", "battery"];
const EVERY_MS = 10_000;
const DAY_MS = 86_400_000;
const FORMATS = ["ndjson", "csv", "parquet"] as const;
const SAMPLE_MS = 50;
const MOST_MIB = 200;
/** What a slow reader takes, for so long. */
const SLOW_BYTES_PER_S = 1_048_576;
const SLOW_MS = 20_000;
const IMPORTED = 400_000;
const LIVE_PER_S = 500;
/** How much longer a device may wait for its acknowledgement beside a file that is taken in. */
const MOST_SLOWER = 3;

/** What readings cost in memory while they are sent as a file, and what devices notice of a file that is taken in. Two minutes on SQLite. */
export async function measureTransfer({ span }: Plan): Promise<Row[]> {
  return await transfersOf({ name: "SQLite", databaseUrl: undefined, readings: 100_000 }, span);
}

/** Fewer of them: that memory is the same for two and for ten millions is SQLite's to show. */
export async function measurePostgresTransfer({ span }: Plan): Promise<Row[]> {
  const missing = postgresMissing();
  if (missing !== undefined) throw new Error(missing);
  await using server = await startPostgres();
  return await transfersOf({ name: "PostgreSQL", databaseUrl: await freshDatabase(server), readings: 20_000 }, span);
}

interface Engine {
  readonly name: string;
  readonly databaseUrl: string | undefined;
  /** Of each series. */
  readonly readings: number;
}

async function transfersOf({ name, databaseUrl, readings }: Engine, span: Plan["span"]): Promise<Row[]> {
  await using folder = temporaryFolder("hexahub-bench");
  const settings: Record<string, string> = databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl };
  let token: string;
  let uids: string[];
  {
    await using hub = await startHubProcess(folder.path, settings);
    uids = (await hub.addDevices("sensor_hub", DEVICES)).map(({ clientId }) => clientId);
    token = (await hub.addService("bench-transfer")).password;
    // A build's first file of each kind strips types, as its first start does.
    for (const format of FORMATS) await readFile(hub, { format, token }, Number.POSITIVE_INFINITY);
  }
  await fill({ dataDir: folder.path, databaseUrl }, uids, readings);
  await using hub = await startHubProcess(folder.path, settings);
  const rows: Row[] = [];
  for (const format of FORMATS) rows.push(...(await exported(hub, { name, format, token, readings })));
  return [...rows, ...(await imported(hub, { name, token, span }))];
}

/** By the database itself: a reading every ten seconds of each series. */
async function fill(options: Parameters<typeof openStore>[0], uids: readonly string[], readings: number): Promise<void> {
  await using store = await openStore(options);
  const { db } = store;
  const telemetry = createTelemetryStore(store);
  const from = Math.floor((Date.now() - readings * EVERY_MS) / 3_600_000) * 3_600_000;
  const devices = await rowsOf<{ id: string; organization_id: string }>(
    db,
    `select id, organization_id from devices where uid in (${uids.map(() => "?").join(", ")})`,
    uids,
  );
  const days = Array.from({ length: Math.ceil((readings * EVERY_MS) / DAY_MS) + 1 }, (_, day) => from + day * DAY_MS);
  await telemetry.ensurePartitions(days);
  await telemetry.insert(
    db,
    devices.flatMap(({ id, organization_id }) =>
      KEYS.map((key) => ({ deviceId: id, organizationId: organization_id, key, ts: from, value: 1 })),
    ),
  );
  for (let at = 1; at < readings; at += 10_000) {
    const to = Math.min(readings, at + 10_000) - 1;
    if (engineOf(db) === "postgres")
      await rowsOf(
        db,
        `insert into telemetry (series_id, ts, v) select s.id, to_timestamp((?::float8 + i * ?::float8) / 1000), i % 1000 / 10.0
         from series s cross join generate_series(?::int, ?::int) as i order by 1, 2`,
        [from, EVERY_MS, at, to],
      );
    else
      await rowsOf(
        db,
        `with recursive t(i, ts) as (select cast(? as integer), cast(? as integer) union all select i + 1, ts + ${EVERY_MS} from t where i < ?)
         insert into telemetry select ts / 600000, s.id, ts, i % 1000 / 10.0, null from t cross join series s`,
        [at, from + at * EVERY_MS, to],
      );
  }
}

interface Asked {
  readonly format: (typeof FORMATS)[number];
  readonly token: string;
}

async function exported(hub: HubProcess, asked: Asked & Pick<Engine, "name" | "readings">): Promise<Row[]> {
  const about = `the hub's memory while ${(DEVICES * KEYS.length * asked.readings).toLocaleString("en")} readings are sent as ${asked.format} (${asked.name})`;
  const idle = hub.rssBytes() / 1_048_576;
  const quick = await readFile(hub, asked, Number.POSITIVE_INFINITY);
  const slow = await readFile(hub, asked, SLOW_BYTES_PER_S);
  return [
    { name: about, unit: "MiB", hub: quick.peakMib, other: idle, goal: { atMost: MOST_MIB } },
    { name: "  to a reader of 1 MiB/s", unit: "MiB", hub: slow.peakMib, goal: { atMost: MOST_MIB } },
    { name: "  sent", unit: "MiB/s", hub: quick.bytes / 1_048_576 / quick.seconds },
  ];
}

/** A slow reader goes before the end. */
async function readFile(hub: HubProcess, { format, token }: Asked, bytesPerS: number) {
  const closing = new AbortController();
  const path = `/api/v1/readings/export?format=${format}&from=0`;
  const response = await fetch(hub.http + path, { headers: { authorization: `Bearer ${token}` }, signal: closing.signal });
  if (!response.ok || !response.body) throw new Error(`${path}: ${response.status}`);
  let peak = 0;
  const timer = setInterval(() => (peak = Math.max(peak, hub.rssBytes())), SAMPLE_MS);
  const began = performance.now();
  let bytes = 0;
  try {
    for await (const chunk of response.body as ReadableStream<Uint8Array>) {
      bytes += chunk.length;
      const aheadMs = (bytes / bytesPerS) * 1_000 - (performance.now() - began);
      if (aheadMs > 0) await pause(aheadMs);
      if (Number.isFinite(bytesPerS) && performance.now() - began > SLOW_MS) break;
    }
  } finally {
    clearInterval(timer);
    closing.abort();
  }
  return { peakMib: peak / 1_048_576, bytes, seconds: (performance.now() - began) / 1_000 };
}

/** PUBACKs of devices that send at a rate, without a file and beside one. */
async function imported(
  hub: HubProcess,
  { name, token, span }: { readonly name: string; readonly token: string; readonly span: Plan["span"] },
): Promise<Row[]> {
  const devices = await hub.addDevices("sensor_hub", 20);
  const publishers = devices.map((device) => ({ ...device, topic: `hexa/${device.clientId}/up/telemetry` }));
  const measureMs = Math.max(5_000, span.measureMs);
  const measure = (firstTs: number): Promise<DurableResult> =>
    generate<DurableResult>({
      kind: "durable",
      ...span,
      measureMs,
      inFlight: 100,
      ratePerS: LIVE_PER_S,
      firstTs,
      ...hub.targets.tcp,
      publishers,
    });
  const hour = Math.floor(Date.now() / 3_600_000) * 3_600_000;
  const quiet = await measure(hour - 7_200_000);
  const [target] = await hub.addDevices("sensor_hub", 1);
  const from = hour - 100 * DAY_MS;
  let peak = 0;
  const timer = setInterval(() => (peak = Math.max(peak, hub.rssBytes())), SAMPLE_MS);
  const began = performance.now();
  const sending = fetch(`${hub.http}/api/v1/readings/import`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/x-ndjson" },
    body: linesOf(target?.clientId ?? "", from) as never,
    duplex: "half",
  }).then(async (response) => {
    const seconds = (performance.now() - began) / 1_000;
    const body = (await response.json()) as { import: { stored: number } };
    return { stored: body.import.stored, seconds };
  });
  // It has to be under way.
  await pause(500);
  const beside = await measure(hour - 14_400_000);
  const { stored, seconds } = await sending;
  clearInterval(timer);
  if (stored !== IMPORTED) throw new Error(`${stored} of ${IMPORTED} readings were stored`);
  return [
    { name: `readings of a file that is taken in (${name})`, unit: "rows/s", hub: stored / seconds },
    { name: "  the hub's memory meanwhile", unit: "MiB", hub: peak / 1_048_576, goal: { atMost: MOST_MIB } },
    {
      name: `  PUBACK p99 of ${LIVE_PER_S} msg/s beside it (the other: without it)`,
      unit: "ms",
      hub: beside.latency.p99Ms,
      other: quiet.latency.p99Ms,
      goal: { atMostRatio: MOST_SLOWER },
    },
    { name: "    p50", unit: "ms", hub: beside.latency.p50Ms, other: quiet.latency.p50Ms },
  ];
}

function linesOf(uid: string, from: number): ReadableStream<Uint8Array> {
  let count = 0;
  return new ReadableStream({
    pull(controller) {
      const lines: string[] = [];
      const end = Math.min(IMPORTED, count + 500);
      for (; count < end; count++)
        lines.push(
          `${JSON.stringify({ device: uid, key: `k${count % 20}`, ts: from + Math.floor(count / 20) * EVERY_MS, value: count % 97 })}\n`,
        );
      controller.enqueue(Buffer.from(lines.join("")));
      if (count >= IMPORTED) controller.close();
    },
  });
}
