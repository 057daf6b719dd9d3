import type { ErrorCode } from "../core/errors.ts";
import type { IrCode } from "../core/ir-signal.ts";
import type { ReadingColumns } from "../core/reading-columns.ts";
import type { ExportFormat } from "./readings/reading-writers.ts";

/** What the thread of files is asked: to begin the file of that number, to go on with it, to end or to forget it, or to read one of infrared codes. */
export type FileWork =
  | { readonly do: "begin"; readonly file: number; readonly format: ExportFormat }
  | { readonly do: "add"; readonly file: number; readonly page: ReadingColumns }
  | { readonly do: "end"; readonly file: number }
  | { readonly do: "forget"; readonly file: number }
  | { readonly do: "read_ir"; readonly bytes: Uint8Array };
export type FileRequest = { readonly id: number; readonly work: FileWork };

export type FileAnswer = Uint8Array<ArrayBuffer> | readonly IrCode[] | undefined;
export type FileReply = { readonly id: number } & (
  | { readonly answer: FileAnswer }
  /** A refusal, or a bug. */
  | { readonly refusal: { readonly code: ErrorCode; readonly message: string; readonly details: unknown } }
  | { readonly failure: unknown }
);
