import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import type { SensorValue } from "../../core/payloads.ts";
import { type Readings, readingsIn } from "../../core/reading-columns.ts";
import type { ReadingWriter } from "./reading-writers.ts";

/**
 * Rows of a group at most, and characters of its texts. Smaller groups are less to hold at a time, and more to hold until the end: what
 * the file tells of each stands behind the last of them.
 */
const MOST_ROWS = 32_000;
const MOST_CHARS = 2_097_152;

type Schema = ConstructorParameters<typeof ParquetWriter>[0]["schema"];
type Columns = Parameters<ParquetWriter["write"]>[0]["columnData"];
/** Of the three values each row has one; the others are null. */
const SCHEMA: Schema = [
  { name: "readings", num_children: 6 },
  { name: "device", type: "BYTE_ARRAY", converted_type: "UTF8", logical_type: { type: "STRING" }, repetition_type: "REQUIRED" },
  { name: "key", type: "BYTE_ARRAY", converted_type: "UTF8", logical_type: { type: "STRING" }, repetition_type: "REQUIRED" },
  {
    name: "ts",
    type: "INT64",
    converted_type: "TIMESTAMP_MILLIS",
    logical_type: { type: "TIMESTAMP", isAdjustedToUTC: true, unit: "MILLIS" },
    repetition_type: "REQUIRED",
  },
  { name: "number", type: "DOUBLE", repetition_type: "OPTIONAL" },
  { name: "boolean", type: "BOOLEAN", repetition_type: "OPTIONAL" },
  { name: "text", type: "BYTE_ARRAY", converted_type: "UTF8", logical_type: { type: "STRING" }, repetition_type: "OPTIONAL" },
];

/** A Parquet file, one row group after the other. */
export function createParquetWriter(): ReadingWriter {
  const writer = new ByteWriter();
  const file = new ParquetWriter({ writer, schema: SCHEMA });
  const group = new RowGroup();
  // With a writer in memory nothing of it is a promise.
  const write = (): void => void file.write({ columnData: group.take(), rowGroupSize: MOST_ROWS });
  return {
    add(page) {
      const readings = readingsIn(page);
      for (let row = 0; row < readings.ts.length; row++) {
        group.add(readings, row);
        if (group.isFull) write();
      }
      return taken(writer);
    },
    end() {
      if (group.length > 0) write();
      void file.finish();
      return taken(writer);
    },
  };
}

/** Rows that are gathered where no object is made for each: what lives until a group is full would outlive the young generation. */
class RowGroup {
  readonly #ts = new Float64Array(MOST_ROWS);
  readonly #numbers = new Float64Array(MOST_ROWS);
  /** Rows with another value than a number. */
  readonly #others = new Map<number, string | boolean>();
  /** Series, with the row that each begins with. */
  readonly #series: { readonly from: number; readonly uid: string; readonly key: string }[] = [];
  #chars = 0;
  length = 0;

  get isFull(): boolean {
    return this.length === MOST_ROWS || this.#chars >= MOST_CHARS;
  }

  add({ uid, key, ts, values }: Readings, index: number): void {
    const row = this.length++;
    const last = this.#series.at(-1);
    if (last?.uid !== uid || last.key !== key) this.#series.push({ from: row, uid, key });
    this.#ts[row] = ts[index] as number;
    const value = values[index] as SensorValue;
    if (typeof value === "number") this.#numbers[row] = value;
    else this.#others.set(row, value);
    if (typeof value === "string") this.#chars += value.length;
  }

  /** Times are differences, and names numbers of a dictionary: nothing makes them smaller. */
  take(): Columns {
    const rows = this.length;
    const plain = { codec: "UNCOMPRESSED", statistics: false } as const;
    const columns: Columns = [
      { name: "device", data: this.#named(({ uid }) => uid), ...plain },
      { name: "key", data: this.#named(({ key }) => key), ...plain },
      {
        name: "ts",
        data: BigInt64Array.from({ length: rows }, (_, row) => BigInt(this.#ts[row] as number)),
        ...plain,
        statistics: true,
        encoding: "DELTA_BINARY_PACKED",
      },
      { name: "number", data: this.#others.size === 0 ? this.#numbers.slice(0, rows) : this.#valuesOf("number") },
      { name: "boolean", data: this.#valuesOf("boolean"), ...plain },
      { name: "text", data: this.#valuesOf("string"), statistics: false },
    ];
    this.#others.clear();
    this.#series.length = 0;
    this.#chars = 0;
    this.length = 0;
    return columns;
  }

  #named(nameOf: (series: { readonly uid: string; readonly key: string }) => string): string[] {
    const names = Array.from({ length: this.length }, () => "");
    for (const [index, series] of this.#series.entries())
      names.fill(nameOf(series), series.from, this.#series[index + 1]?.from ?? this.length);
    return names;
  }

  #valuesOf(type: "number" | "boolean" | "string"): (number | boolean | string | null)[] {
    const values = Array.from({ length: this.length }, (): number | boolean | string | null => null);
    if (type === "number")
      for (let row = 0; row < this.length; row++) values[row] = this.#others.has(row) ? null : (this.#numbers[row] as number);
    else for (const [row, value] of this.#others) if (typeof value === type) values[row] = value;
    return values;
  }
}

/** What was written since then. */
function taken(writer: ByteWriter): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(writer.getBytes());
  writer.index = 0;
  return bytes;
}
