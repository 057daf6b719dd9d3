/**
 * The thread that owns the SQLite file, so that the hub's main loop never waits for an fsync.
 * Messages are {@link Request}, answers are {@link Reply}; `close` checkpoints and ends the thread.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";

/**
 * Where a statement stands: by itself (`scan`: it reads much that nobody reads again), first in a transaction that begins with it (`relaxed`: which a
 * power cut may take back), or further in.
 */
export type Place = "alone" | "scan" | "first" | "relaxed" | "within";
/** What a statement is run with: once, or once for each row of this JSON, which crosses to the thread for less than rows do. */
export type Input = { readonly bindings: SQLInputValue[] } | { readonly rows: string };
export type Request = Statement | "close";
type Statement = readonly [id: number, sql: string, input: Input, place: Place];
export type Reply =
  | { readonly id: number; readonly columns: readonly string[]; readonly rows: readonly (readonly unknown[])[] }
  | { readonly id: number; readonly changes: number; readonly lastId: number }
  /** The places of the rows that changed nothing. */
  | { readonly id: number; readonly unchanged: readonly number[] }
  | { readonly id: number; readonly error: { readonly message: string; readonly errcode: number } };

interface Opened {
  readonly db: DatabaseSync;
  /** By their SQL, the least recent first. */
  readonly statements: Map<string, Prepared>;
}
interface Prepared {
  readonly statement: StatementSync;
  /** Names of the result's columns; empty for a statement that returns no rows. */
  readonly columns: readonly string[];
}

/** SQLITE_ABORT_ROLLBACK */
const ROLLED_BACK = { message: "the transaction was rolled back", errcode: 516 };
const MAX_STATEMENTS = 300;
const MAX_CACHED_SQL = 4_000;
const PRAGMAS = [
  "journal_mode = WAL",
  // A commit is the hub's promise to whoever gets the acknowledgement: it must survive a power cut.
  "synchronous = FULL",
  "foreign_keys = ON",
  "temp_store = MEMORY",
  "cache_size = -8000",
  "wal_autocheckpoint = 8000",
  "journal_size_limit = 33554432",
];
/** Of what is read once, whose pages would otherwise take the place of those that are written and asked for all the time. */
const SCAN_PRAGMAS = ["temp_store = MEMORY", "cache_size = -1000"];

if (parentPort) serve((workerData as { filename: string }).filename, parentPort);

function serve(filename: string, port: NonNullable<typeof parentPort>): void {
  const db = open(filename, (error) => port.postMessage({ id: 0, error } satisfies Reply));
  if (!db) return port.close();
  const main: Opened = { db, statements: new Map() };
  let scanned: Opened | undefined;
  port.postMessage({ id: 0, changes: 0, lastId: 0 } satisfies Reply);
  let isRelaxed = false;
  port.on("message", (request: Request) => {
    if (request !== "close") {
      isRelaxed ||= request[3] === "relaxed";
      const reply = request[3] === "scan" ? scan(() => (scanned ??= openForScans(filename)), request) : run(main, request);
      if (isRelaxed && !db.isTransaction) {
        db.exec("PRAGMA synchronous = FULL");
        isRelaxed = false;
      }
      return port.postMessage(reply);
    }
    // The last one checkpoints, and has to be one that may write.
    scanned?.db.close();
    db.close();
    port.close();
  });
}

function open(filename: string, fail: (error: { message: string; errcode: number }) => void): DatabaseSync | undefined {
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(filename, { timeout: 5_000, enableForeignKeyConstraints: true });
    for (const pragma of PRAGMAS) db.exec(`PRAGMA ${pragma}`);
    // SQLite's own knows the letters of ASCII only; migration 013 makes PostgreSQL's.
    db.function("hub_lower", { deterministic: true }, (text) => (typeof text === "string" ? text.toLowerCase() : text));
    return db;
  } catch (error) {
    db?.close();
    fail(describe(error));
    return undefined;
  }
}

function openForScans(filename: string): Opened {
  const db = new DatabaseSync(filename, { timeout: 5_000, readOnly: true });
  for (const pragma of SCAN_PRAGMAS) db.exec(`PRAGMA ${pragma}`);
  return { db, statements: new Map() };
}

function scan(opened: () => Opened, statement: Statement): Reply {
  try {
    return answer(opened(), statement);
  } catch (error) {
    return { id: statement[0], error: describe(error) };
  }
}

function run(opened: Opened, request: Statement): Reply {
  const { db } = opened;
  const [id, sql, , place] = request;
  // A full disk makes SQLite roll back by itself; the ROLLBACK that follows must not hide the first error.
  if (sql === "ROLLBACK" && !db.isTransaction) return { id, changes: 0, lastId: 0 };
  // What was sent behind the statement that failed must not be done without the rest.
  if (place === "within" && !db.isTransaction) return { id, error: ROLLED_BACK };
  try {
    // The write lock at once, so that a transaction never fails half-way for want of it.
    if (place === "relaxed") db.exec("PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE");
    if (place === "first") db.exec("BEGIN IMMEDIATE");
    return answer(opened, request);
  } catch (error) {
    // All or nothing, as with PostgreSQL, whoever looks at the error: what comes behind it was sent already, COMMIT maybe too.
    if (place !== "alone" && db.isTransaction) db.exec("ROLLBACK");
    return { id, error: describe(error) };
  }
}

function answer({ db, statements }: Opened, [id, sql, input]: Statement): Reply {
  const { statement, columns } = prepare(db, statements, sql);
  if ("rows" in input) return { id, unchanged: runEach(statement, JSON.parse(input.rows) as SQLInputValue[][]) };
  const { bindings } = input;
  if (columns.length > 0) return { id, columns, rows: statement.all(...bindings) as unknown as unknown[][] };
  const { changes, lastInsertRowid } = statement.run(...bindings);
  return { id, changes: Number(changes), lastId: Number(lastInsertRowid) };
}

function runEach(statement: StatementSync, rows: readonly SQLInputValue[][]): number[] {
  const unchanged: number[] = [];
  for (const [place, row] of rows.entries()) if (Number(statement.run(...row).changes) === 0) unchanged.push(place);
  return unchanged;
}

function prepare(db: DatabaseSync, statements: Map<string, Prepared>, sql: string): Prepared {
  const known = statements.get(sql);
  if (known) return known;
  // Another schema gives `select *` other columns.
  if (/^\s*(create|alter|drop)\b/i.test(sql)) statements.clear();
  const statement = db.prepare(sql);
  statement.setReturnArrays(true);
  const prepared = { statement, columns: statement.columns().map((column) => column.name) };
  if (sql.length <= MAX_CACHED_SQL) {
    const oldest = statements.keys().next().value;
    if (statements.size >= MAX_STATEMENTS && oldest !== undefined) statements.delete(oldest);
    statements.set(sql, prepared);
  }
  return prepared;
}

function describe(error: unknown): { message: string; errcode: number } {
  const message = error instanceof Error ? error.message : String(error);
  const errcode =
    typeof error === "object" && error !== null && "errcode" in error && typeof error.errcode === "number" ? error.errcode : -1;
  return { message, errcode };
}
