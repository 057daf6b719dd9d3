import { once } from "node:events";
import { createRequire } from "node:module";
import type { SQLInputValue } from "node:sqlite";
import { Worker } from "node:worker_threads";
import { HubError } from "../core/errors.ts";
import { hubErrorOf, SqliteError } from "./database-errors.ts";
import type { Input, Place, Reply, Request } from "./sqlite-worker.ts";
import type { Durability } from "./transaction.ts";

/** What this file uses of knex's own classes, which have no type declarations. */
interface DialectBase {
  connectionSettings: { filename: string };
  query(connection: SqliteConnection, query: unknown): Promise<unknown>;
}
interface Query {
  sql: string;
  bindings?: readonly unknown[];
  /** JSON: the statement is run for each of them, and the response is the places of those that changed nothing. */
  rows?: string;
  /** Outside of a transaction: what it reads is not kept in the cache. */
  isScan?: boolean;
  response?: unknown;
  context?: { lastID: number; changes: number };
}

const require = createRequire(import.meta.url);
const BetterSqlite3Client = require("knex/lib/dialects/better-sqlite3/index.js") as new (config: object) => DialectBase;

const CLOSE_LIMIT_MS = 10_000;

/** knex's SQLite dialect over node:sqlite in a thread of its own. */
export class SqliteClient extends BetterSqlite3Client {
  _driver(): unknown {
    return SqliteConnection;
  }

  /** With the first statement: a busy loop is slow to fetch an answer, and that of BEGIN says nothing. */
  async begin(connection: SqliteConnection, durability: Durability): Promise<void> {
    connection.beginWithNext(durability === "relaxed" ? "relaxed" : "first");
  }

  async commit(connection: SqliteConnection): Promise<void> {
    await this.query(connection, "COMMIT;");
  }

  acquireRawConnection(): Promise<SqliteConnection> {
    return SqliteConnection.open(this.connectionSettings.filename);
  }

  async destroyRawConnection(connection: SqliteConnection): Promise<void> {
    await connection.close();
  }

  override async query(connection: SqliteConnection, query: unknown): Promise<unknown> {
    try {
      return await super.query(connection, query);
    } catch (error) {
      throw hubErrorOf(error) ?? error;
    }
  }

  async _query(connection: SqliteConnection, query: Query): Promise<Query> {
    const input = query.rows === undefined ? { bindings: (query.bindings ?? []).map(bindable) } : { rows: query.rows };
    const reply = await connection.query(query.sql, input, query.isScan === true);
    if ("unchanged" in reply) {
      query.response = reply.unchanged;
    } else if ("rows" in reply) {
      query.response = reply.rows.map((values) => rowOf(reply.columns, values));
    } else {
      query.response = { changes: reply.changes, lastInsertRowid: reply.lastId };
      query.context = { lastID: reply.lastId, changes: reply.changes };
    }
    return query;
  }
}
Object.assign(SqliteClient.prototype, { driverName: "node:sqlite" });

type Answer = Exclude<Reply, { error: unknown }>;

/** One database file in one thread. A statement fails with `unavailable` once the thread is gone. */
export class SqliteConnection {
  /** knex's own mark: the pool replaces a connection that has it. */
  __knex__disposed: Error | undefined;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, PromiseWithResolvers<Answer>>();
  #lastId = 0;
  #next: Place = "alone";

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  static async open(filename: string): Promise<SqliteConnection> {
    // A small young generation: rows pass through the thread, none stay.
    const worker = new Worker(new URL("./sqlite-worker.ts", import.meta.url), {
      workerData: { filename },
      resourceLimits: { maxYoungGenerationSizeMb: 2 },
    });
    const connection = new SqliteConnection(worker);
    const opened = Promise.withResolvers<Answer>();
    connection.#waiting.set(0, opened);
    worker.on("message", (reply: Reply) => connection.#settle(reply));
    worker.on("error", (error) => connection.#end(error));
    worker.on("exit", () => connection.#end(new Error("the database thread has ended")));
    await opened.promise;
    return connection;
  }

  /** The next statement is the first of a transaction. */
  beginWithNext(place: "first" | "relaxed"): void {
    this.#next = place;
  }

  query(sql: string, input: Input, isScan: boolean): Promise<Answer> {
    const place = isScan && this.#next === "alone" ? "scan" : this.#next;
    if (place === "first" || place === "relaxed") this.#next = "within";
    if (sql === "COMMIT;" || sql === "ROLLBACK") this.#next = "alone";
    if (this.__knex__disposed)
      return Promise.reject(new HubError("unavailable", "the database thread has ended", { cause: this.__knex__disposed }));
    const id = ++this.#lastId;
    const answer = Promise.withResolvers<Answer>();
    this.#waiting.set(id, answer);
    this.#worker.postMessage([id, sql, input, place] satisfies Request);
    return answer.promise;
  }

  /** Checkpoints, closes the file and ends the thread. */
  async close(): Promise<void> {
    if (this.__knex__disposed) return;
    const limit = AbortSignal.timeout(CLOSE_LIMIT_MS);
    const ended = once(this.#worker, "exit", { signal: limit });
    this.#worker.postMessage("close" satisfies Request);
    try {
      await ended;
    } catch (error) {
      if (!limit.aborted) throw error;
      await this.#worker.terminate();
    }
  }

  #settle(reply: Reply): void {
    const answer = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if ("error" in reply) answer?.reject(new SqliteError(reply.error));
    else answer?.resolve(reply);
  }

  #end(cause: Error): void {
    this.__knex__disposed ??= cause;
    for (const answer of this.#waiting.values()) answer.reject(new HubError("unavailable", "the database thread has ended", { cause }));
    this.#waiting.clear();
  }
}

function bindable(value: unknown): SQLInputValue {
  if (value === undefined || value === null) return null;
  if (typeof value === "boolean") return value ? 1 : 0;
  if (value instanceof Date) return value.toISOString();
  if (typeof value === "string" || typeof value === "number" || typeof value === "bigint" || ArrayBuffer.isView(value))
    return value as SQLInputValue;
  return JSON.stringify(value);
}

function rowOf(columns: readonly string[], values: readonly unknown[]): Record<string, unknown> {
  const row: Record<string, unknown> = {};
  columns.forEach((column, index) => {
    const value = values[index];
    row[column] = value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : value;
  });
  return row;
}
