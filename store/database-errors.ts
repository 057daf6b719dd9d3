import { HubError } from "../core/errors.ts";

/** What SQLite answers; `errcode` is its extended result code, -1 for an error of the driver itself. */
export class SqliteError extends Error {
  override readonly name = "SqliteError";
  readonly errcode: number;

  constructor(error: { message: string; errcode: number }) {
    super(error.message);
    this.errcode = error.errcode;
  }
}

// SQLITE_CONSTRAINT_PRIMARYKEY, _UNIQUE and _ROWID
const SQLITE_UNIQUE = new Set([1555, 2067, 2579]);
// SQLITE_READONLY, SQLITE_FULL, and the I/O errors of write, fsync and truncate, which quotas and failing disks give
const SQLITE_CANNOT_WRITE = new Set([8, 13, 778, 1034, 1290, 1546]);
const SQLITE_BUSY = 5;
const SQLITE_FOREIGN_KEY = 787;

/** Whether a row with the same unique key exists already, on both engines. */
export function isUniqueViolation(error: unknown): boolean {
  if (error instanceof SqliteError) return SQLITE_UNIQUE.has(error.errcode);
  return codeOf(error) === "23505";
}

/** Whether a row refers to another one that is not there, on both engines. */
export function isForeignKeyViolation(error: unknown): boolean {
  return error instanceof SqliteError ? error.errcode === SQLITE_FOREIGN_KEY : codeOf(error) === "23503";
}

/** Whether PostgreSQL has ended a transaction for the sake of another one, with which it could not go on: done again, it can. */
export function isConflict(error: unknown): boolean {
  if (error instanceof HubError) return isConflict(error.cause);
  // deadlock_detected, serialization_failure
  return ["40P01", "40001"].includes(codeOf(error));
}

/** The contract's error for what the database answers when it cannot work; undefined for everything else. */
export function hubErrorOf(error: unknown): HubError | undefined {
  if (error instanceof HubError) return error;
  if (error instanceof SqliteError) {
    if (SQLITE_CANNOT_WRITE.has(error.errcode))
      return new HubError("storage_full", "the database cannot write to its disk", { cause: error });
    if ((error.errcode & 0xff) === SQLITE_BUSY) return new HubError("unavailable", "the database is busy", { cause: error });
    return undefined;
  }
  const code = codeOf(error);
  if (code === "53100") return new HubError("storage_full", "the database server's disk is full", { cause: error });
  if (code === "22021" || code === "22P05")
    return new HubError("validation_error", "text holds a character that the database cannot store", { cause: error });
  if (isConflict(error)) return new HubError("unavailable", "others were changing the same", { cause: error });
  if (isConnectionFailure(code, error)) return new HubError("unavailable", "the database does not answer", { cause: error });
  return undefined;
}

/** Classes 08 (connection), 53 (resources) and 57P (shutdown) of PostgreSQL, the socket's own codes, and pg's messages without a code. */
function isConnectionFailure(code: string, error: unknown): boolean {
  if (/^(08...|53...|57P..|57014|ECONN.*|EPIPE|ETIMEDOUT|EHOST.*|ENOTFOUND|EAI_AGAIN)$/.test(code)) return true;
  return (
    code === "" &&
    error instanceof Error &&
    /Connection terminated|timeout expired|Timeout acquiring a connection|not queryable/.test(error.message)
  );
}

function codeOf(error: unknown): string {
  return typeof error === "object" && error !== null && "code" in error && typeof error.code === "string" ? error.code : "";
}
