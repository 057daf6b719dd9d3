import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import type { ExportedReading } from "../../store/readings-export.ts";

/** Rows of a group at most, and characters of its texts: what is in memory, and written within one turn of the loop. */
const MOST_ROWS = 10_000;
const MOST_CHARS = 1_048_576;

type Schema = ConstructorParameters<typeof ParquetWriter>[0]["schema"];
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
export async function* parquetOf(pages: AsyncIterable<readonly ExportedReading[]>): AsyncGenerator<Uint8Array> {
  const writer = new ByteWriter();
  const file = new ParquetWriter({ writer, schema: SCHEMA });
  let group = newGroup();
  for await (const page of pages)
    for (const reading of page) {
      add(group, reading);
      if (group.columns.ts.length < MOST_ROWS && group.chars < MOST_CHARS) continue;
      write(file, group);
      yield taken(writer);
      group = newGroup();
    }
  if (group.columns.ts.length > 0) write(file, group);
  await file.finish();
  yield taken(writer);
}

const newColumns = () => ({
  device: [] as string[],
  key: [] as string[],
  ts: [] as bigint[],
  number: [] as (number | null)[],
  boolean: [] as (boolean | null)[],
  text: [] as (string | null)[],
});
interface Group {
  chars: number;
  readonly columns: ReturnType<typeof newColumns>;
}
const newGroup = (): Group => ({ chars: 0, columns: newColumns() });

function add(group: Group, { uid, key, ts, value }: ExportedReading): void {
  const { columns } = group;
  columns.device.push(uid);
  columns.key.push(key);
  columns.ts.push(BigInt(ts));
  columns.number.push(typeof value === "number" ? value : null);
  columns.boolean.push(typeof value === "boolean" ? value : null);
  columns.text.push(typeof value === "string" ? value : null);
  if (typeof value === "string") group.chars += value.length;
}

function write(file: ParquetWriter, { columns }: Group): void {
  const columnData = Object.entries(columns).map(([name, data]) => ({ name, data }));
  void file.write({ columnData, rowGroupSize: columns.ts.length });
}

/** What was written since then. */
function taken(writer: ByteWriter): Uint8Array {
  const bytes = writer.getBytes().slice();
  writer.index = 0;
  return bytes;
}
