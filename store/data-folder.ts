import { accessSync, closeSync, constants, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { SetupError } from "../core/errors.ts";

const SQLITE_BUSY = 5;

/** Creates the folder for its owner alone. Throws {@link SetupError} when the hub cannot write there. */
export function prepareDataFolder(dir: string): void {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    accessSync(dir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw notWritable(dir, cause);
  }
}

/**
 * Takes the folder for this process. The lock is one of SQLite's own on `hub.lock`, so it dies with the process, kill -9 included.
 * Throws {@link SetupError} with the holder's process id when another hub has it.
 */
export function lockDataFolder(dir: string): Disposable {
  let db: DatabaseSync | undefined;
  try {
    const file = join(dir, "hub.lock");
    ownerOnly(file);
    db = new DatabaseSync(file, { timeout: 250 });
    db.exec("BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS owner (pid integer NOT NULL); DELETE FROM owner");
    db.prepare("INSERT INTO owner VALUES (?)").run(process.pid);
    // The committed row names the holder; the transaction that stays open is the lock, and lets others read the row.
    db.exec("COMMIT; BEGIN IMMEDIATE");
  } catch (cause) {
    const holder = db && isBusy(cause) ? holderOf(db) : undefined;
    db?.close();
    if (!isBusy(cause)) throw notWritable(dir, cause);
    throw new SetupError(
      `the data folder is in use by another hub${holder === undefined ? "" : ` (process ${holder})`}`,
      dir,
      "stop that hub first, or choose another folder with HEXA_DATA_DIR",
      { cause },
    );
  }
  const held = db;
  return { [Symbol.dispose]: () => held.close() };
}

/** Makes an absent file with no rights for others: SQLite gives its companions the same, in a folder that others may read too. */
export function ownerOnly(file: string): void {
  closeSync(openSync(file, "a", 0o600));
}

function holderOf(db: DatabaseSync): number | undefined {
  try {
    const row = db.prepare("SELECT pid FROM owner").get();
    return typeof row?.["pid"] === "number" ? row["pid"] : undefined;
  } catch {
    // The holder is just writing its row: the refusal stands without its number.
    return undefined;
  }
}

function isBusy(error: unknown): boolean {
  return (
    typeof error === "object" &&
    error !== null &&
    "errcode" in error &&
    typeof error.errcode === "number" &&
    (error.errcode & 0xff) === SQLITE_BUSY
  );
}

function notWritable(dir: string, cause: unknown): SetupError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new SetupError(
    `the data folder cannot be written: ${reason}`,
    dir,
    "give the hub's user a folder that it owns, for example with HEXA_DATA_DIR",
    { cause },
  );
}
