import { setTimeout as pause } from "node:timers/promises";
import type { Knex } from "knex";
import { isConflict } from "./database-errors.ts";
import type { Db } from "./open.ts";
import { engineOf, rowsOf } from "./sql.ts";

export interface Statement {
  readonly sql: string;
  readonly bindings: readonly unknown[];
  /** Gets what the statement returns, before anything that is done after the commit. */
  readonly onRows?: (rows: readonly Record<string, unknown>[]) => void;
}

/** One for each of the rows: on SQLite a third of the time of one that takes them all from JSON. */
export interface StatementOfEach {
  readonly sql: string;
  /** JSON: arrays of numbers, texts and nulls, as many as there are parameters. */
  readonly rows: string;
  /** Gets the places of the rows that changed nothing, before anything that is done after the commit. */
  readonly onUnchanged?: (places: readonly number[]) => void;
}

/** What a transaction needs of knex's client, whichever the dialect. */
interface Client {
  acquireConnection(): Promise<Connection>;
  releaseConnection(connection: Connection): Promise<void>;
  query(
    connection: Connection,
    query: string | Pick<Statement, "sql" | "bindings"> | Pick<StatementOfEach, "sql" | "rows">,
  ): Promise<{ response: unknown }>;
  begin(connection: Connection, durability: Durability): Promise<void>;
  /** Rejects when the database does not say that it has committed. */
  commit(connection: Connection): Promise<void>;
  raw(...args: unknown[]): Knex.Raw;
  queryBuilder(): { table(...args: unknown[]): Knex.QueryBuilder };
}
interface Connection {
  /** knex's own mark: the pool replaces a connection that has it. */
  __knex__disposed?: Error | undefined;
}

/** What the store's functions use of a knex, and what only this file knows of it. */
interface Held {
  readonly client: Client;
  readonly isTransaction: true;
  readonly raw: Client["raw"];
  /** Done after the commit. */
  readonly after: (() => void)[];
  /** What is taken for true without being asked, and how to forget it. */
  readonly beliefs: (() => void)[];
  /** Statements whose answers nobody waits for before the commit. */
  readonly unanswered: Promise<unknown>[];
}

/** Whether a commit is on the disk when it has been answered. */
export type Durability = "full" | "relaxed";

const ROLLBACK_LIMIT_MS = 5_000;

const MOST_CONFLICTS = 4;
/** Twice as long each time, at most, so that those who were in each other's way come one after the other. */
const FIRST_PAUSE_MS = 20;

/**
 * All of `work` or nothing of it. Inside a transaction `work` becomes part of it. A statement that fails ends the
 * transaction, whatever `work` makes of its error. Where PostgreSQL ends it for the sake of another one, or something that was
 * believed is not true, `work` is done again: what it changes outside of the database it does after the commit.
 *
 * knex's own transactions make a whole knex for each: 0.4 ms and 18 KB that outlive two young collections, with
 * what `work` holds (docs/decisions/0001).
 */
export async function inTransaction<T>(db: Db, work: (trx: Db) => Promise<T>): Promise<T> {
  return await transact(db, work, "full");
}

/**
 * As {@link inTransaction}, for what is done again if it is not there: nobody waits for the disk, neither this one nor those behind it. A power cut
 * may take it back, and with it what came behind; whatever is fully committed keeps all that came before.
 */
export async function inRelaxedTransaction<T>(db: Db, work: (trx: Db) => Promise<T>): Promise<T> {
  return await transact(db, work, "relaxed");
}

async function transact<T>(db: Db, work: (trx: Db) => Promise<T>, durability: Durability): Promise<T> {
  if (db.isTransaction) return await work(db);
  let hasDoubted = false;
  for (let conflicts = 0; ; ) {
    const beliefs: Held["beliefs"] = [];
    try {
      return await runTransaction(db, work, { beliefs, durability });
    } catch (error) {
      for (const forget of beliefs) forget();
      if (isConflict(error) && conflicts < MOST_CONFLICTS) await pause(Math.random() * FIRST_PAUSE_MS * 2 ** conflicts++);
      else if (!hasDoubted && beliefs.length > 0) hasDoubted = true;
      else throw error;
    }
  }
}

async function runTransaction<T>(
  db: Db,
  work: (trx: Db) => Promise<T>,
  { beliefs, durability }: Pick<Held, "beliefs"> & { readonly durability: Durability },
): Promise<T> {
  const client = db.client as Client;
  const connection = await client.acquireConnection();
  const state = { isOver: false };
  const held = hold(client, connection, { state, beliefs });
  let result: T;
  try {
    await client.begin(connection, durability);
    result = await work(held as unknown as Db);
    state.isOver = true;
    await Promise.all([...held.unanswered, client.commit(connection)]);
  } catch (error) {
    state.isOver = true;
    await rollBack(client, connection);
    throw error;
  } finally {
    await client.releaseConnection(connection);
  }
  for (const act of held.after) act();
  return result;
}

/** Runs `work`, which must not throw, when the transaction is committed, and not at all when it is rolled back. */
export function afterCommit(trx: Db, work: () => void): void {
  (trx as unknown as Held).after.push(work);
}

/**
 * The transaction takes something for true that was read before it began, and fails if it is not any more. Then it is
 * forgotten, and the work is done a second time.
 */
export function believe(trx: Db, forget: () => void): void {
  (trx as unknown as Held).beliefs.push(forget);
}

/**
 * Statements in this order whose answers are not needed before the commit: on SQLite they are only sent, and the commit
 * fails when one of them does. PostgreSQL's driver takes one at a time.
 */
export async function inOrder(trx: Db, statements: readonly (Statement | StatementOfEach)[]): Promise<void> {
  if (engineOf(trx) === "postgres") {
    for (const statement of statements) {
      if ("rows" in statement) throw new Error("one of each row is for SQLite");
      const rows = await rowsOf<Record<string, unknown>>(trx, statement.sql, statement.bindings);
      statement.onRows?.(rows);
    }
    return;
  }
  const { client, unanswered } = trx as unknown as Held;
  const connection = await client.acquireConnection();
  for (const statement of statements) {
    const { sql } = statement;
    const answer =
      "rows" in statement
        ? client.query(connection, { sql, rows: statement.rows }).then(({ response }) => statement.onUnchanged?.(response as number[]))
        : client
            .query(connection, { sql, bindings: statement.bindings })
            .then(({ response }) => statement.onRows?.(response as Record<string, unknown>[]));
    // Whoever ends the transaction hears of it.
    answer.catch(() => undefined);
    unanswered.push(answer);
  }
}

/** As {@link inOrder}, of one statement; outside of a transaction its end is waited for. */
export async function write(db: Db, sql: string, bindings: readonly unknown[]): Promise<void> {
  await (db.isTransaction ? inOrder(db, [{ sql, bindings }]) : rowsOf(db, sql, bindings));
}

/** A knex on one connection until the transaction is over. */
function hold(
  parent: Client,
  connection: Connection,
  { state, beliefs }: { readonly state: { readonly isOver: boolean } } & Pick<Held, "beliefs">,
): Held {
  const over = (): Promise<never> => Promise.reject(new Error("the transaction is over"));
  const client = Object.assign(Object.create(parent) as Client, {
    acquireConnection: () => (state.isOver ? over() : Promise.resolve(connection)),
    releaseConnection: () => Promise.resolve(),
    query: (used: Connection, query: Parameters<Client["query"]>[1]) => (state.isOver ? over() : parent.query(used, query)),
  });
  const from = (...args: unknown[]): Knex.QueryBuilder => client.queryBuilder().table(...args);
  const raw = (...args: unknown[]): Knex.Raw => client.raw(...args);
  return Object.assign(from, { client, raw, isTransaction: true as const, after: [], beliefs, unanswered: [] });
}

/** A connection that cannot roll back is not used again; its end is the transaction's. */
async function rollBack(client: Client, connection: Connection): Promise<void> {
  const limit = new AbortController();
  const late = pause(ROLLBACK_LIMIT_MS, undefined, limit).then(() => {
    throw new Error("the database does not answer ROLLBACK");
  });
  try {
    await Promise.race([client.query(connection, "ROLLBACK"), late]);
  } catch (error) {
    connection.__knex__disposed ??= error as Error;
  } finally {
    late.catch(() => undefined);
    limit.abort();
  }
}
