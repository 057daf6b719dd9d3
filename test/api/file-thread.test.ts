import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FileThread } from "../../api/file-thread.ts";
import { HubError } from "../../core/errors.ts";
import type { ReadingColumns } from "../../core/reading-columns.ts";

async function* pagesOf(uid: string, count: number): AsyncGenerator<ReadingColumns> {
  for (let index = 0; index < count; index++)
    yield { uid, key: "t", ts: `[${index}]`, numbers: index === 1 ? null : `[${index}.5]`, others: index === 1 ? '["\\"é\\""]' : null };
}

async function textOf(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all).toString();
}

const isRefusedWith = (code: string) => (error: unknown) => error instanceof HubError && error.code === code;
const IR = Buffer.from(
  "Filetype: IR signals file\nVersion: 1\n#\nname: On\ntype: parsed\nprotocol: NEC\naddress: 04 00 00 00\ncommand: 08 00 00 00\n",
);

describe("the thread of files", () => {
  test("writes several files at once, each with its own readings, and goes on with a new thread when all were over", async () => {
    await using files = new FileThread();
    for (let round = 0; round < 2; round++) {
      const [csv, ndjson] = await Promise.all([
        textOf(files.write("csv", pagesOf("one", 3))),
        textOf(files.write("ndjson", pagesOf("two", 3))),
      ]);
      assert.equal(
        csv,
        "device,key,ts,value\r\none,t,1970-01-01T00:00:00.000Z,0.5\r\none,t,1970-01-01T00:00:00.001Z,é\r\none,t,1970-01-01T00:00:00.002Z,2.5\r\n",
      );
      assert.deepEqual(
        ndjson
          .trimEnd()
          .split("\n")
          .map((line) => (JSON.parse(line) as { value: unknown }).value),
        [0.5, "é", 2.5],
      );
    }
  });

  test("reads so many files of infrared codes at a time, and refuses what is beyond", async () => {
    await using files = new FileThread();
    const asked = Array.from({ length: 17 }, () => files.readIr(IR));
    await assert.rejects(asked[16] as Promise<unknown>, isRefusedWith("rate_limited"));
    const read = await Promise.all(asked.slice(0, 16));
    assert.ok(read.every((codes) => codes.length === 1 && codes[0]?.name === "On"));
    await assert.rejects(files.readIr(Buffer.from("x")), isRefusedWith("validation_error"));
  });

  test("a file that is under way when it ends fails, and so does every later one", async () => {
    const files = new FileThread();
    const file = files.write("ndjson", pagesOf("one", 100));
    await file.next();
    await files[Symbol.asyncDispose]();
    await assert.rejects(file.next(), isRefusedWith("unavailable"));
    await assert.rejects(files.readIr(IR), isRefusedWith("unavailable"));
  });
});
