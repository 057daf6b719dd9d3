import Type from "typebox";
import { type ExportedReading, readingPages } from "../../store/readings-export.ts";
import { csvLine } from "../csv.ts";
import { deviceFor } from "../devices/device-for.ts";
import { DeviceReference, Instant } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { periodOf, SensorKey, Until } from "./readings.ts";

const NDJSON = "application/x-ndjson";
const CSV = "text/csv";
/** Rows that are in memory at a time, twice. */
const PAGE = 1_000;

export const exportReadings = defineRoute({
  method: "GET",
  path: "/api/v1/readings/export",
  tag: "Telemetry",
  summary: "Readings as a file: one series after the other, oldest first",
  description:
    "Of one device or of all that you may see. One JSON object a line, or CSV, in which a cell that a spreadsheet would take for a formula begins with an apostrophe. A connection that ends before the answer does: the file is not whole. The last 24 hours when nothing else is asked.",
  access: "device.read",
  query: Type.Object(
    {
      format: Type.Optional(Type.Enum(["ndjson", "csv"], { default: "ndjson" })),
      device: Type.Optional(DeviceReference),
      key: Type.Optional(SensorKey),
      from: Type.Optional(Instant),
      to: Until,
    },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "The rows", types: [NDJSON, CSV] } },
  errors: ["not_found"],
  async handler({ context, rights, scope, query }) {
    const { db } = context.store;
    const now = context.clock();
    const deviceId = query.device === undefined ? undefined : (await deviceFor(rights, "device.read", db, query.device)).id;
    const pages = readingPages(db, scope, { ...periodOf(query, now), deviceId, key: query.key }, PAGE);
    const isCsv = query.format === "csv";
    return {
      status: 200,
      stream: {
        type: isCsv ? `${CSV}; charset=utf-8; header=present` : NDJSON,
        fileName: `readings-${new Date(now).toISOString().slice(0, 10)}.${isCsv ? "csv" : "ndjson"}`,
        read: () => (isCsv ? csvOf(pages) : ndjsonOf(pages)),
      },
    };
  },
});

async function* ndjsonOf(pages: AsyncIterable<readonly ExportedReading[]>): AsyncGenerator<string> {
  for await (const page of pages)
    yield page.map(({ uid, key, ts, value }) => `${JSON.stringify({ device: uid, key, ts: timeOf(ts), value })}\n`).join("");
}

async function* csvOf(pages: AsyncIterable<readonly ExportedReading[]>): AsyncGenerator<string> {
  yield csvLine(["device", "key", "ts", "value"]);
  for await (const page of pages)
    yield page
      .map(({ uid, key, ts, value }) => csvLine([uid, key, timeOf(ts), typeof value === "boolean" ? String(value) : value]))
      .join("");
}

const timeOf = (ts: number): string => new Date(ts).toISOString();
