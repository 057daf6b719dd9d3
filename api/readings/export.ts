import Type from "typebox";
import { readingPages } from "../../store/readings-export.ts";
import { deviceFor } from "../devices/device-for.ts";
import { DeviceReference, Instant } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { EXPORT_FORMATS, type ExportFormat } from "./reading-writers.ts";
import { periodOf, SensorKey, Until } from "./terms.ts";

const TYPES: Readonly<Record<ExportFormat, string>> = {
  ndjson: "application/x-ndjson",
  csv: "text/csv",
  parquet: "application/vnd.apache.parquet",
};
/** Rows that are in memory at a time. */
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
      format: Type.Optional(Type.Enum(EXPORT_FORMATS, { default: "ndjson" })),
      device: Type.Optional(DeviceReference),
      key: Type.Optional(SensorKey),
      from: Type.Optional(Instant),
      to: Until,
    },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "The rows", types: Object.values(TYPES) } },
  errors: ["not_found"],
  async handler({ context, rights, scope, query }) {
    const { db } = context.store;
    const now = context.clock();
    const deviceId = query.device === undefined ? undefined : (await deviceFor(rights, "device.read", db, query.device)).id;
    const pages = readingPages(db, scope, { ...periodOf(query, now), deviceId, key: query.key }, PAGE);
    const { format = "ndjson" } = query;
    const type = format === "csv" ? `${TYPES.csv}; charset=utf-8; header=present` : TYPES[format];
    const fileName = `readings-${new Date(now).toISOString().slice(0, 10)}.${format}`;
    return { status: 200, stream: { type, fileName, read: () => context.files.write(format, pages) } };
  },
});
