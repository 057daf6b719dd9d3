import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { csvLine } from "../../api/csv.ts";
import { valueToCell } from "../../core/csv-value.ts";
import { createReadingFile, type ReadingLine } from "../../core/reading-file.ts";
import type { ImportFormat } from "../../core/reading-import.ts";
import { readingValues } from "./reading-values.ts";

const UID = "sensor-abcdefghij";
const TS = "2026-11-21T05:00:00.000Z";
const AT = Date.parse(TS);

/** Cut into pieces of so many bytes. */
function read(format: ImportFormat, file: string | Buffer, pieceBytes = 7): ReadingLine[] {
  const reader = createReadingFile(format);
  const bytes = Buffer.from(file as string);
  const lines: ReadingLine[] = [];
  for (let from = 0; from < bytes.length; from += pieceBytes) lines.push(...reader.push(bytes.subarray(from, from + pieceBytes)));
  return [...lines, ...reader.end()];
}
const brief = (lines: readonly ReadingLine[]): unknown[] => lines.map((one) => [one.line, "code" in one ? one.code : one.reading.value]);
const HEADER = "device,key,ts,value\r\n";

describe("a file of readings", () => {
  test("says the same in either form, in whatever pieces it comes", () => {
    fc.assert(
      fc.property(fc.array(readingValues, { maxLength: 12 }), fc.integer({ min: 1, max: 90 }), (all, pieceBytes) => {
        const csv = HEADER + all.map((value) => csvLine([UID, "t", TS, typeof value === "number" ? value : valueToCell(value)])).join("");
        const ndjson = all.map((value) => `${JSON.stringify({ device: UID, key: "t", ts: TS, value })}\n`).join("");
        const plain = all.map((value) => (Object.is(value, -0) ? 0 : value));
        for (const [format, file] of [
          ["csv", csv],
          ["ndjson", ndjson],
        ] as const)
          assert.deepEqual(
            read(format, file, pieceBytes).map((one) => ("reading" in one ? one.reading : one)),
            plain.map((value) => ({ device: UID, key: "t", ts: AT, value })),
          );
      }),
    );
  });

  const line = (field: object): string => JSON.stringify({ device: UID, key: "t", ts: AT, value: 1, ...field });
  for (const [text, expected] of [
    ["not json", "bad_json"],
    ["[1]", "bad_json"],
    ["null", "bad_json"],
    [line({ device: "No" }), "invalid_device"],
    [line({ device: 5 }), "invalid_device"],
    [line({ device: undefined }), "invalid_device"],
    [line({ key: "T" }), "invalid_key"],
    [line({ key: "a".repeat(65) }), "invalid_key"],
    [line({ ts: "2026-11-21 05:00" }), "invalid_ts"],
    [line({ ts: "2026-13-21T05:00:00Z" }), "invalid_ts"],
    [line({ ts: 1.5 }), "invalid_ts"],
    [line({ ts: -1 }), "invalid_ts"],
    [line({ ts: null }), "invalid_ts"],
    [line({ value: null }), "invalid_value"],
    [line({ value: [1] }), "invalid_value"],
    [line({ value: "x".repeat(1_025) }), "invalid_value"],
    [line({ value: "😀".repeat(1_024) }), "😀".repeat(1_024)],
    ['{"device":"sensor-abcdefghij","key":"t","ts":1,"value":1e999}', "invalid_value"],
    [line({ value: "x".repeat(70_000) }), "line_too_long"],
    [line({ other: 1 }), 1],
  ] as const)
    test(`of NDJSON: ${text.slice(0, 60)} is ${String(expected).slice(0, 20)}, and hinders no other`, () => {
      assert.deepEqual(brief(read("ndjson", `${line({ value: "a" })}\n${text}\n\n${line({ value: "b" })}`, 1_000)), [
        [1, "a"],
        [2, expected],
        [4, "b"],
      ]);
    });

  for (const [text, expected] of [
    [`${UID},t,${TS}`, [[3, "bad_csv"]]],
    [`${UID},t,${TS},1,2`, [[3, "bad_csv"]]],
    [`${UID},t,${TS},`, [[3, "invalid_value"]]],
    [`${UID},t,yesterday,1`, [[3, "invalid_ts"]]],
    [`${UID},t,${AT},"1"`, [[3, 1]]],
    [`${UID},t,${TS},5" pipe`, [[3, "bad_csv"]]],
    [`${UID},t,${TS},"5"x`, [[3, "bad_csv"]]],
    [`${UID},t,${TS},"never ends`, [[3, "bad_csv"]]],
    [`"${UID}","t","${TS}","a ""b""\r\nc"`, [[3, 'a "b"\r\nc']]],
    [
      `${UID},t,${TS},"one\n${UID},t,${TS},2`,
      [
        [3, "bad_csv"],
        [4, 2],
      ],
    ],
  ] as const)
    test(`of CSV: ${JSON.stringify(text).slice(0, 70)} hinders no other line`, () => {
      const after = text.split("\n").length + 3;
      const good = (value: string): string => `${UID},t,${TS},${value}\r\n`;
      assert.deepEqual(brief(read("csv", `\uFEFF${HEADER}${good("a")}${text}\r\n${good("b")}`, 50)), [[2, "a"], ...expected, [after, "b"]]);
    });

  test("of CSV: a quote that does not end costs its line, however much comes behind it", () => {
    const rows = Array.from({ length: 3_000 }, (_, index) => `${UID},t,${TS},${index}\n`).join("");
    const lines = brief(read("csv", `${HEADER}${UID},t,${TS},"open\n${rows}`, 65_536));
    assert.deepEqual(lines, [[2, "bad_csv"], ...Array.from({ length: 3_000 }, (_, index) => [index + 3, index])]);
  });

  test("of lines that are no UTF-8: they are refused, and no other is", () => {
    const file = Buffer.concat([Buffer.from(`${line({})}\n"`), Buffer.from([0xff, 0xfe]), Buffer.from(`"\n${line({ value: 2 })}`)]);
    assert.deepEqual(brief(read("ndjson", file)), [
      [1, 1],
      [2, "bad_utf8"],
      [3, 2],
    ]);
  });

  for (const header of ["", "device,key,ts\r\n", "device,key,ts,value,value\r\n", `${UID},t,${TS},1\r\n`, '"device,key,ts,value\r\n'])
    test(`of CSV that begins with ${JSON.stringify(header)} is none`, () => {
      assert.throws(() => read("csv", header), { code: "validation_error" });
    });

  test("of CSV may have its columns in another order, and others beside them", () => {
    const file = `Value, note ,TS,key,device\n1,x,${TS},t,${UID}\n`;
    assert.deepEqual(read("csv", file), [{ line: 2, reading: { device: UID, key: "t", ts: AT, value: 1 } }]);
  });
});
