import { valueToCell } from "../../core/csv-value.ts";
import { type ReadingColumns, readingsIn } from "../../core/reading-columns.ts";
import type { SensorValue } from "../../core/payloads.ts";
import { csvLine, csvText } from "../csv.ts";

export const EXPORT_FORMATS = ["ndjson", "csv", "parquet"] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** A file in the making. */
export interface ReadingWriter {
  /** What is to be sent now; maybe nothing. */
  add(page: ReadingColumns): Uint8Array<ArrayBuffer>;
  end(): Uint8Array<ArrayBuffer>;
}

export const READING_WRITERS: Readonly<Record<ExportFormat, () => Promise<ReadingWriter>>> = {
  ndjson: async () => ({ add: (page) => encoded(ndjsonOf(page)), end: () => encoded("") }),
  csv: async () => csvWriter(),
  // Its library is nobody's memory before somebody asks.
  parquet: async () => (await import("./parquet.ts")).createParquetWriter(),
};

function csvWriter(): ReadingWriter {
  let head = csvLine(["device", "key", "ts", "value"]);
  const withHead = (text: string): Uint8Array<ArrayBuffer> => {
    const whole = head + text;
    head = "";
    return encoded(whole);
  };
  return { add: (page) => withHead(csvOf(page)), end: () => withHead("") };
}

function ndjsonOf(page: ReadingColumns): string {
  const { uid, key, ts, values } = readingsIn(page);
  const head = `{"device":${JSON.stringify(uid)},"key":${JSON.stringify(key)},"ts":"`;
  return ts.map((at, index) => `${head}${timeOf(at)}","value":${JSON.stringify(values[index])}}\n`).join("");
}

function csvOf(page: ReadingColumns): string {
  const { uid, key, ts, values } = readingsIn(page);
  return ts.map((at, index) => `${uid},${key},${timeOf(at)},${csvText(valueToCell(values[index] as SensorValue))}\r\n`).join("");
}

const timeOf = (ts: number): string => new Date(ts).toISOString();
const ENCODER = new TextEncoder();
/** With memory of its own, which can be handed to another thread. */
const encoded = (text: string): Uint8Array<ArrayBuffer> => ENCODER.encode(text);
