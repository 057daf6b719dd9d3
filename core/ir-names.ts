import { lineFault } from "./line-fault.ts";

/** Of one device. */
export const MOST_IR_CODES = 2_000;
export const MAX_IR_NAME = 120;

/** The name in a file's line, as codes have them. Throws `validation_error`. */
export function nameAt(line: number, text: string): string {
  const name = text.trim();
  const isText = !/\p{Cc}/u.test(name) && name.isWellFormed();
  if (name === "" || name.length > MAX_IR_NAME || !isText)
    throw lineFault(line, `a name has 1 to ${MAX_IR_NAME} characters, and no control characters`);
  return name;
}

/** Throws `validation_error` where a file begins one code more than a device can have. */
export function checkCount(line: number, count: number): void {
  if (count > MOST_IR_CODES) throw lineFault(line, `begins code ${count}, and a device has at most ${MOST_IR_CODES}`);
}
