import { globSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";

/** A clock that a process reads instead of the machine's, and that may be set while it runs. */
export interface FakeClock {
  /** For the environment of the process. */
  readonly env: Readonly<Record<string, string>>;
  /** ms by which it is ahead of the machine's from now on. */
  setAhead(ms: number): void;
}

/** libfaketime's library, where Debian has it. */
const library = (): string | undefined => globSync("/usr/lib/*/faketime/libfaketime.so.1")[0];

export function faketimeMissing(): string | undefined {
  return library() === undefined ? "libfaketime is not installed (Debian: libfaketime)" : undefined;
}

/** Only what people set: the monotonic clock goes on as it does. */
export function fakeClockIn(folder: string): FakeClock {
  const file = path.join(folder, "clock");
  const setAhead = (ms: number): void => {
    // Whoever reads it finds the one or the other, and never half of it.
    writeFileSync(`${file}.new`, `${ms < 0 ? "-" : "+"}${Math.abs(ms) / 1_000}\n`);
    renameSync(`${file}.new`, file);
  };
  setAhead(0);
  return {
    env: {
      LD_PRELOAD: library() ?? "",
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
    },
    setAhead,
  };
}
