import Type from "typebox";
import { valueToCell } from "../../core/csv-value.ts";
import { type ExportedReading, readingPages } from "../../store/readings-export.ts";
import { csvLine, csvText } from "../csv.ts";
import { deviceFor } from "../devices/device-for.ts";
import { DeviceReference, Instant } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { periodOf, SensorKey, Until } from "./terms.ts";

const NDJSON = "application/x-ndjson";
const CSV = "text/csv";
const PARQUET = "application/vnd.apache.parquet";
/** Rows that are in memory at a time, twice. */
const PAGE = 1_000;

export const exportReadings = defineRoute({
  method: "GET",
  path: "/api/v1/readings/export",
  tag: "Telemetry",
  summary: "Readings as a file: one series after the other, oldest first",
  description:
    "Of one device or of all that you may see. One JSON object a line, CSV, in which a text that a spreadsheet would take for something else begins with an apostrophe, or Parquet. See docs/readings.md. A connection that ends before the answer does: the file is not whole. The last 24 hours when nothing else is asked.",
  access: "device.read",
  query: Type.Object(
    {
      format: Type.Optional(Type.Enum(["ndjson", "csv", "parquet"], { default: "ndjson" })),
      device: Type.Optional(DeviceReference),
      key: Type.Optional(SensorKey),
      from: Type.Optional(Instant),
      to: Until,
    },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "The rows", types: [NDJSON, CSV, PARQUET] } },
  errors: ["not_found"],
  async handler({ context, rights, scope, query }) {
    const { db } = context.store;
    const now = context.clock();
    const deviceId = query.device === undefined ? undefined : (await deviceFor(rights, "device.read", db, query.device)).id;
    const pages = readingPages(db, scope, { ...periodOf(query, now), deviceId, key: query.key }, PAGE);
    const { format = "ndjson" } = query;
    const { type, read } = await FORMATS[format]();
    const fileName = `readings-${new Date(now).toISOString().slice(0, 10)}.${format}`;
    return { status: 200, stream: { type, fileName, read: () => read(pages) } };
  },
});

type Pages = AsyncIterable<readonly ExportedReading[]>;
interface Format {
  readonly type: string;
  readonly read: (pages: Pages) => AsyncIterable<string | Uint8Array>;
}

const FORMATS: Readonly<Record<"ndjson" | "csv" | "parquet", () => Promise<Format>>> = {
  ndjson: async () => ({ type: NDJSON, read: ndjsonOf }),
  csv: async () => ({ type: `${CSV}; charset=utf-8; header=present`, read: csvOf }),
  // Its library is nobody's memory before somebody asks.
  parquet: async () => ({ type: PARQUET, read: (await import("./parquet.ts")).parquetOf }),
};

async function* ndjsonOf(pages: Pages): AsyncGenerator<string> {
  for await (const page of pages)
    yield page.map(({ uid, key, ts, value }) => `${JSON.stringify({ device: uid, key, ts: timeOf(ts), value })}\n`).join("");
}

async function* csvOf(pages: Pages): AsyncGenerator<string> {
  yield csvLine(["device", "key", "ts", "value"]);
  for await (const page of pages)
    yield page.map(({ uid, key, ts, value }) => `${uid},${key},${timeOf(ts)},${csvText(valueToCell(value))}\r\n`).join("");
}

const timeOf = (ts: number): string => new Date(ts).toISOString();
