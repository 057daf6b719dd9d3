import { isFlipperFile, parseFlipper } from "./ir-flipper.ts";
import type { IrCode } from "./ir-signal.ts";
import { parseSmartIr } from "./ir-smartir.ts";
import { lineFault } from "./line-fault.ts";

/** Larger than the largest file of the public collections. */
export const MAX_IR_FILE_BYTES = 1_048_576;

/** A Flipper file, or one of SmartIR, which is JSON. Throws `validation_error` with the line; a file without codes is refused too. */
export function parseIrFile(bytes: Uint8Array): IrCode[] {
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  const codes = isJson(text) ? parseSmartIr(text) : parseFlipper(text);
  if (codes.length === 0) throw lineFault(1, "the file has no codes");
  return codes;
}

const isJson = (text: string): boolean => !isFlipperFile(text) && /^[\s\uFEFF]*[[{]/.test(text);
