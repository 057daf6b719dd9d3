/** Writes files of readings and reads files of infrared codes: each takes the processor for longer than devices should wait. */
import { parentPort } from "node:worker_threads";
import { HubError } from "../core/errors.ts";
import type { FileAnswer, FileReply, FileRequest, FileWork } from "./file-messages.ts";
import { READING_WRITERS, type ReadingWriter } from "./readings/reading-writers.ts";

const writers = new Map<number, ReadingWriter>();

parentPort?.on("message", ({ id, work }: FileRequest) => void reply(id, work));

async function reply(id: number, work: FileWork): Promise<void> {
  try {
    const answer = await done(work);
    parentPort?.postMessage({ id, answer } satisfies FileReply, answer instanceof Uint8Array ? [answer.buffer] : []);
  } catch (error) {
    if (!(error instanceof HubError)) parentPort?.postMessage({ id, failure: error } satisfies FileReply);
    else {
      const { code, message, details } = error;
      parentPort?.postMessage({ id, refusal: { code, message, details } } satisfies FileReply);
    }
  }
}

async function done(work: FileWork): Promise<FileAnswer> {
  switch (work.do) {
    case "begin":
      writers.set(work.file, await READING_WRITERS[work.format]());
      return undefined;
    case "add":
      return writerOf(work.file).add(work.page);
    case "end":
      return writerOf(work.file).end();
    case "forget":
      writers.delete(work.file);
      return undefined;
    case "read_ir":
      return (await import("../core/ir-file.ts")).parseIrFile(work.bytes);
  }
}

/** A thread that was started anew has none of them. */
function writerOf(file: number): ReadingWriter {
  const writer = writers.get(file);
  if (!writer) throw new HubError("unavailable", "what was written of the file is lost");
  return writer;
}
