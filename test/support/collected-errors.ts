import type { Log } from "../../core/bus.ts";

/** A log that keeps what is reported as an error, and nothing else. */
export function collectErrors(): { readonly errors: string[]; readonly log: Log } {
  const errors: string[] = [];
  const log: Log = {
    debug() {},
    info() {},
    warn() {},
    error: (data, message) => void errors.push(`${message} ${String((data as { err?: unknown }).err)}`),
  };
  return { errors, log };
}
