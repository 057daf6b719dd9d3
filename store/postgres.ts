import { createRequire } from "node:module";
import knex, { type Knex } from "knex";
import pg from "pg";
import { hubErrorOf } from "./database-errors.ts";
import type { Durability } from "./transaction.ts";

/** What this file uses of knex's own class, which has no type declarations. */
interface DialectBase {
  query(connection: unknown, query: unknown): Promise<unknown>;
  acquireRawConnection(): Promise<unknown>;
}

const require = createRequire(import.meta.url);
const PgClient = require("knex/lib/dialects/postgres/index.js") as new (config: object) => DialectBase;

export function openPostgresPool(databaseUrl: string, common: Knex.Config): Knex {
  return knex({
    ...common,
    client: PostgresClient as unknown as typeof Knex.Client,
    connection: postgresSettings(databaseUrl, pg.types.getTypeParser),
    pool: { min: 0, max: 10 },
  });
}

/** knex's PostgreSQL dialect with the hub's errors. */
class PostgresClient extends PgClient {
  override async query(connection: unknown, query: unknown): Promise<unknown> {
    return await translated(() => super.query(connection, query));
  }

  async begin(connection: unknown, durability: Durability): Promise<void> {
    await this.query(connection, durability === "relaxed" ? "BEGIN; SET LOCAL synchronous_commit = off;" : "BEGIN;");
  }

  async commit(connection: unknown): Promise<void> {
    const { response } = (await this.query(connection, "COMMIT;")) as { response: { command: string } };
    if (response.command !== "COMMIT") throw new Error("a statement of the transaction had failed");
  }

  override async acquireRawConnection(): Promise<unknown> {
    return await translated(() => super.acquireRawConnection());
  }
}

async function translated<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw hubErrorOf(error) ?? error;
  }
}

type Parse = (text: string) => unknown;
const INT8 = 20;
const TIMESTAMPTZ = 1184;

/** Settings for every connection: bounded waits, UTC, and times as ISO 8601 text with milliseconds. */
function postgresSettings(url: string, standard: (oid: number, format?: "text" | "binary") => Parse): object {
  return {
    connectionString: url,
    application_name: "hexahub",
    connectionTimeoutMillis: 5_000,
    statement_timeout: 30_000,
    idle_in_transaction_session_timeout: 60_000,
    keepAlive: true,
    types: {
      getTypeParser: (oid: number, format?: "text" | "binary"): Parse => {
        if (format !== "binary" && oid === INT8) return Number;
        if (format !== "binary" && oid === TIMESTAMPTZ) return isoOfText;
        return standard(oid, format);
      },
    },
  };
}

/** PostgreSQL writes `2026-11-21 05:22:10.123+00`, with the session's offset. */
function isoOfText(text: string): string {
  return new Date(text.replace(" ", "T").replace(/([+-]\d\d)$/, "$1:00")).toISOString();
}
