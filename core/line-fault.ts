import { HubError } from "./errors.ts";

/** `validation_error` with the line of a file, from 1 on, where the fault is. */
export function lineFault(line: number, message: string): HubError {
  return new HubError("validation_error", `line ${line}: ${message}`, { details: [{ path: `/lines/${line}`, message }] });
}

/** What `parse` refuses is told with the line that it was about. */
export function atLine<T>(line: number, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof HubError) || error.code !== "validation_error") throw error;
    throw lineFault(line, error.message.replace(/^\//, ""));
  }
}
