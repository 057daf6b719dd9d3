/** What the process ends with; scripts rely on the numbers. */
export const EXIT = { ok: 0, failed: 1, usage: 2, configuration: 3, notFound: 4, notAllowed: 5, unavailable: 69 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Ends a command with a message for its user and no stack. `code` is one of core's error codes or a word of the command line's own. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: ExitCode;
  readonly code: string;
  /** How to mend it; empty when the message says so itself. */
  readonly mend: string;

  constructor(exitCode: ExitCode, code: string, message: string, options: { mend?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.exitCode = exitCode;
    this.code = code;
    this.mend = options.mend ?? "";
  }
}
