import { CsvReader } from "./csv-records.ts";
import { valueOfCell } from "./csv-value.ts";
import { HubError } from "./errors.ts";
import { isDeviceUid, isUuid } from "./id.ts";
import { SENSOR_KEY, type SensorValue } from "./payloads.ts";
import type { ImportFormat, LineRefusal } from "./reading-import.ts";
import { LineCutter, type TextLine } from "./text-lines.ts";

const MAX_LINE_BYTES = 65_536;
const MAX_VALUE_CHARS = 1_024;
const COLUMNS = ["device", "key", "ts", "value"] as const;
type Column = (typeof COLUMNS)[number];

/** A reading as a file says it. */
export interface FileReading {
  /** uid or UUID */
  readonly device: string;
  readonly key: string;
  /** ms since 1970 */
  readonly ts: number;
  readonly value: SensorValue;
}

/** What a line holds, or why it is refused. */
export type ReadingLine = { readonly line: number; readonly reading: FileReading } | { readonly line: number; readonly code: LineRefusal };

/** Reads a file of readings that comes in pieces; blank lines are left out. */
export interface ReadingFile {
  /** CSV has a header, which stands before everything else. */
  readonly hasBegun: boolean;
  /** Lazy: nothing is read that nobody asks for, and the piece has to be read to its end. Throws `validation_error` for a header without the columns. */
  push(piece: Buffer): Generator<ReadingLine>;
  end(): Generator<ReadingLine>;
}

export function createReadingFile(format: ImportFormat): ReadingFile {
  const lines = new LineCutter(MAX_LINE_BYTES);
  return format === "csv" ? csvFile(lines) : ndjsonFile(lines);
}

function ndjsonFile(lines: LineCutter): ReadingFile {
  function* each(cut: Iterable<TextLine>): Generator<ReadingLine> {
    for (const line of cut) {
      if ("fault" in line) yield { line: line.number, code: line.fault };
      else if (line.text.trim() !== "") yield lineOf(line.number, fieldsOfJson(withoutMark(line)));
    }
  }
  return { hasBegun: true, push: (piece) => each(lines.push(piece)), end: () => each(lines.end()) };
}

function csvFile(lines: LineCutter): ReadingFile {
  const records = new CsvReader(MAX_LINE_BYTES);
  let columns: CsvColumns | undefined;
  function* each(cut: Iterable<TextLine>, isEnd: boolean): Generator<ReadingLine> {
    for (const line of cut)
      for (const record of records.push("text" in line ? { ...line, text: withoutMark(line) } : line)) yield* take(record);
    if (isEnd) for (const record of records.end()) yield* take(record);
  }
  function* take(record: Parameters<typeof fieldsOfCells>[0]): Generator<ReadingLine> {
    if ("cells" in record && record.cells.length === 1 && record.cells[0] === "") return;
    if (columns) yield lineOf(record.number, fieldsOfCells(record, columns));
    else columns = columnsOf(record);
  }
  return {
    get hasBegun() {
      return columns !== undefined;
    },
    push: (piece) => each(lines.push(piece), false),
    *end() {
      yield* each(lines.end(), true);
      if (!columns) columnsOf({ fault: "bad_csv" });
    },
  };
}

/** A byte order mark is no part of the first line. */
const withoutMark = ({ number, text }: { readonly number: number; readonly text: string }): string =>
  number === 1 && text.startsWith("\uFEFF") ? text.slice(1) : text;

type Fields = Readonly<Record<Column, unknown>>;

function fieldsOfJson(text: string): Fields | LineRefusal {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === "object" && parsed !== null && !Array.isArray(parsed) ? (parsed as Fields) : "bad_json";
  } catch {
    return "bad_json";
  }
}

interface CsvColumns {
  readonly count: number;
  readonly at: Readonly<Record<Column, number>>;
}

function columnsOf(record: { readonly cells: readonly string[] } | { readonly fault: string }): CsvColumns {
  const names = "cells" in record ? record.cells.map((name) => name.trim().toLowerCase()) : [];
  const missing = COLUMNS.filter((name) => names.indexOf(name) < 0 || names.indexOf(name) !== names.lastIndexOf(name));
  if (missing.length > 0)
    throw new HubError("validation_error", `the first line names no column, or two, for ${missing.join(", ")}`, {
      details: [{ path: "/", message: `the first line has to name ${COLUMNS.join(", ")}` }],
    });
  return { count: names.length, at: Object.fromEntries(COLUMNS.map((name) => [name, names.indexOf(name)])) as CsvColumns["at"] };
}

function fieldsOfCells(
  record: { readonly number: number; readonly cells: readonly string[] } | { readonly number: number; readonly fault: LineRefusal },
  { count, at }: CsvColumns,
): Fields | LineRefusal {
  if ("fault" in record) return record.fault;
  const { cells } = record;
  if (cells.length !== count) return "bad_csv";
  const ts = cells[at.ts] as string;
  return {
    device: cells[at.device],
    key: cells[at.key],
    ts: /^\d{1,16}$/.test(ts) ? Number(ts) : ts,
    value: valueOfCell(cells[at.value] as string),
  };
}

function lineOf(line: number, fields: Fields | LineRefusal): ReadingLine {
  if (typeof fields === "string") return { line, code: fields };
  const { device, key, ts: stamp, value } = fields;
  if (typeof device !== "string" || !(isDeviceUid(device) || isUuid(device))) return { line, code: "invalid_device" };
  if (typeof key !== "string" || !SENSOR_KEY.test(key)) return { line, code: "invalid_key" };
  const ts = timeOf(stamp);
  if (ts === undefined) return { line, code: "invalid_ts" };
  if (!isSensorValue(value)) return { line, code: "invalid_value" };
  return { line, reading: { device: isUuid(device) ? device.toLowerCase() : device, key, ts, value } };
}

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/;
const LATEST_MS = 8_640_000_000_000_000;

function timeOf(stamp: unknown): number | undefined {
  const ms = typeof stamp === "string" && stamp.length <= 40 && ISO.test(stamp) ? Date.parse(stamp) : stamp;
  return typeof ms === "number" && Number.isInteger(ms) && ms >= 0 && ms <= LATEST_MS ? ms : undefined;
}

function isSensorValue(value: unknown): value is SensorValue {
  // As JSON Schema counts: a character may be two units.
  if (typeof value === "string")
    return value.length <= MAX_VALUE_CHARS || (value.length <= 2 * MAX_VALUE_CHARS && Array.from(value).length <= MAX_VALUE_CHARS);
  return typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value));
}
