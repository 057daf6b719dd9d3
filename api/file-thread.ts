import { Worker } from "node:worker_threads";
import { HubError } from "../core/errors.ts";
import type { IrCode } from "../core/ir-signal.ts";
import type { ReadingColumns } from "../core/reading-columns.ts";
import type { FileAnswer, FileReply, FileRequest, FileWork } from "./file-messages.ts";
import type { ExportFormat } from "./readings/reading-writers.ts";

/** Files of infrared codes that wait. Those of readings have places of their own. */
const MOST_READ = 16;
/** Rows pass through it, few stay. */
const MEMORY = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 96 };

/** A thread for the work that files are, from the first to the last of those that are under way: its memory is nobody's before and after. */
export class FileThread implements AsyncDisposable {
  readonly #waiting = new Map<number, PromiseWithResolvers<FileAnswer>>();
  #worker: Worker | undefined;
  /** Files under way. */
  #open = 0;
  #reading = 0;
  #lastId = 0;
  #isOver = false;

  /** The pieces of a file with these readings. */
  async *write(format: ExportFormat, pages: AsyncIterable<ReadingColumns>): AsyncGenerator<Uint8Array> {
    const file = ++this.#lastId;
    using _open = this.#hold();
    await this.#ask({ do: "begin", file, format });
    try {
      for await (const page of pages) yield (await this.#ask({ do: "add", file, page })) as Uint8Array;
      yield (await this.#ask({ do: "end", file })) as Uint8Array;
    } finally {
      await this.#ask({ do: "forget", file }).catch(() => undefined);
    }
  }

  /** Throws as `parseIrFile` does, and `rate_limited` when too many wait. */
  async readIr(bytes: Uint8Array): Promise<readonly IrCode[]> {
    if (this.#reading >= MOST_READ) throw new HubError("rate_limited", "too many files are being read at once");
    this.#reading++;
    try {
      using _open = this.#hold();
      return (await this.#ask({ do: "read_ir", bytes })) as readonly IrCode[];
    } finally {
      this.#reading--;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.#worker?.terminate();
  }

  #hold(): Disposable {
    this.#open++;
    return {
      [Symbol.dispose]: () => {
        if (--this.#open > 0) return;
        const worker = this.#worker;
        this.#worker = undefined;
        void worker?.terminate();
      },
    };
  }

  async #ask(work: FileWork): Promise<FileAnswer> {
    if (this.#isOver) throw unavailable();
    const id = ++this.#lastId;
    const answer = Promise.withResolvers<FileAnswer>();
    this.#waiting.set(id, answer);
    this.#worker ??= this.#start();
    this.#worker.postMessage({ id, work } satisfies FileRequest);
    return await answer.promise;
  }

  #start(): Worker {
    const worker = new Worker(new URL("./file-worker.ts", import.meta.url), { resourceLimits: MEMORY });
    worker.on("message", (reply: FileReply) => {
      const answer = this.#waiting.get(reply.id);
      this.#waiting.delete(reply.id);
      if ("answer" in reply) answer?.resolve(reply.answer);
      else answer?.reject(errorOf(reply));
    });
    worker.on("error", (error) => this.#fail(worker, error));
    worker.on("exit", () => this.#fail(worker, new Error("the thread of files has ended")));
    return worker;
  }

  #fail(worker: Worker, cause: Error): void {
    // Nobody waits for one that ended with its last file.
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    for (const answer of this.#waiting.values()) answer.reject(unavailable(cause));
    this.#waiting.clear();
  }
}

function errorOf(reply: Exclude<FileReply, { answer: unknown }>): Error {
  if ("refusal" in reply) return new HubError(reply.refusal.code, reply.refusal.message, { details: reply.refusal.details });
  return reply.failure instanceof Error ? reply.failure : new Error("the thread of files failed", { cause: reply.failure });
}

const unavailable = (cause?: Error): HubError => new HubError("unavailable", "files cannot be written or read now", { cause });
