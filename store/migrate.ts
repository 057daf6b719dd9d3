import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Knex } from "knex";
import { SetupError } from "../core/errors.ts";
import type { Engine } from "./sql.ts";

const FOLDER = join(import.meta.dirname, "../migrations");
const TABLE = "hub_migrations";
/** Any constant of the product's own: whoever migrates holds the advisory lock of this number. */
const LOCK = 0x4845_5841;
const LOCK_LIMIT = "10min";

class MigrationFiles implements Knex.MigrationSource<string> {
  async getMigrations(): Promise<string[]> {
    return (await readdir(FOLDER)).filter((file) => /^\d{3}_[a-z0-9_]+\.ts$/.test(file)).toSorted();
  }
  getMigrationName(file: string): string {
    return file.replace(/\.ts$/, "");
  }
  async getMigration(file: string): Promise<Knex.Migration> {
    return (await import(pathToFileURL(join(FOLDER, file)).href)) as Knex.Migration;
  }
}

/**
 * Applies what is pending, all of it in one transaction, one process at a time.
 * Throws {@link SetupError} when the database was written by a newer build.
 */
export async function migrate(db: Knex, engine: Engine): Promise<void> {
  if ((await checkedStatus(db)).pending.length === 0) return;
  const config = { migrationSource: new MigrationFiles(), tableName: TABLE };
  // Our own lock is held, so a row in knex's lock table can only be that of a process that was killed.
  const run = async (): Promise<void> => {
    await db.migrate.forceFreeMigrationsLock(config);
    if ((await checkedStatus(db)).pending.length > 0) await db.migrate.latest(config);
  };
  // The data folder's lock makes a SQLite hub alone with its file.
  if (engine === "sqlite") return await run();
  await withAdvisoryLock(db, run);
}

/** Names of the migrations in the order they run. `done` holds what the database says, also what this build does not know. */
export async function migrationStatus(db: Knex): Promise<{ done: string[]; pending: string[] }> {
  const source = new MigrationFiles();
  const known = (await source.getMigrations()).map((file) => source.getMigrationName(file));
  const done = (await db.schema.hasTable(TABLE)) ? ((await db(TABLE).orderBy("id").pluck("name")) as string[]) : [];
  return { done, pending: known.filter((name) => !done.includes(name)) };
}

async function checkedStatus(db: Knex): Promise<{ done: string[]; pending: string[] }> {
  const status = await migrationStatus(db);
  const source = new MigrationFiles();
  const known = new Set((await source.getMigrations()).map((file) => source.getMigrationName(file)));
  const strangers = status.done.filter((name) => !known.has(name));
  if (strangers.length > 0) {
    throw new SetupError(
      "the database's schema is newer than this build",
      strangers.join(", "),
      "start the build that wrote it, or restore the backup from before the upgrade",
    );
  }
  return status;
}

/** On a connection of its own, which the server closes, and the lock with it, when this process dies. */
async function withAdvisoryLock(db: Knex, work: () => Promise<void>): Promise<void> {
  const client = db.client as { acquireRawConnection(): Promise<{ query(sql: string): Promise<unknown>; end(): Promise<void> }> };
  const connection = await client.acquireRawConnection();
  try {
    await connection.query(`set statement_timeout = '${LOCK_LIMIT}'`);
    await connection.query(`select pg_advisory_lock(${LOCK})`);
    await work();
  } finally {
    await connection.end();
  }
}
