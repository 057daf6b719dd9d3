/** Why a line of a file of readings is refused. The code is the contract. */
export const LINE_REFUSALS = {
  line_too_long: "the line is longer than 64 KiB",
  bad_utf8: "the line is not UTF-8",
  bad_json: "the line is no JSON object",
  bad_csv: "the line is no CSV of as many cells as the header, or a quote in it does not end",
  invalid_device: "device is no uid and no UUID",
  invalid_key: "key is no name of a sensor",
  invalid_ts: "ts is no ISO 8601 time with a zone and no number of milliseconds",
  invalid_value: "value is no number, no true or false, and no text of at most 1,024 characters",
  unknown_device: "your organisation has no such device",
  forbidden: "this takes the permission device.manage on the device",
  clock_out_of_range: "ts is more than 366 days ago, or ahead of the hub's clock",
  past_retention: "readings of that day are not kept any more",
  too_many_series: "the file has more than 10,000 series",
} as const;
export type LineRefusal = keyof typeof LINE_REFUSALS;

export interface RefusedLine {
  /** Counted from 1. */
  readonly line: number;
  readonly code: LineRefusal;
}

export const IMPORT_STATES = ["running", "completed", "interrupted"] as const;
export type ImportState = (typeof IMPORT_STATES)[number];

export const IMPORT_FORMATS = ["ndjson", "csv"] as const;
export type ImportFormat = (typeof IMPORT_FORMATS)[number];

/** Of the lines that were refused, so many are told. */
export const MOST_REFUSED_TOLD = 1_000;
/** Of one file: each is a row for ever, and a name in memory meanwhile. */
export const MOST_IMPORT_SERIES = 10_000;

/** What has become of the lines so far: `lines` = `stored` + `known` + `refused`. */
export interface ImportTotals {
  /** Without the header, and lines with nothing in them. */
  readonly lines: number;
  readonly stored: number;
  /** That were there already. */
  readonly known: number;
  readonly refused: number;
  /** The first {@link MOST_REFUSED_TOLD} of them. */
  readonly refusals: readonly RefusedLine[];
}

export const NO_TOTALS: ImportTotals = { lines: 0, stored: 0, known: 0, refused: 0, refusals: [] };

/** `before`, and a few lines more. */
export function addTotals(
  before: ImportTotals,
  { lines, stored, refusals }: Pick<ImportTotals, "lines" | "stored" | "refusals">,
): ImportTotals {
  const refused = refusals.length;
  const room = MOST_REFUSED_TOLD - before.refusals.length;
  return {
    lines: before.lines + lines,
    stored: before.stored + stored,
    known: before.known + lines - stored - refused,
    refused: before.refused + refused,
    refusals: room > 0 && refused > 0 ? [...before.refusals, ...refusals.slice(0, room)] : before.refusals,
  };
}
