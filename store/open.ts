import { join } from "node:path";
import knex, { type Knex } from "knex";
import { SetupError } from "../core/errors.ts";
import { lockDataFolder, ownerOnly, prepareDataFolder } from "./data-folder.ts";
import { migrate, migrationStatus } from "./migrate.ts";
import type { Engine } from "./sql.ts";
import { SqliteClient } from "./sqlite.ts";

/** The database or a transaction on it. */
export type Db = Knex;

export interface Store extends AsyncDisposable {
  readonly db: Db;
  readonly engine: Engine;
}

export interface StoreOptions {
  readonly dataDir: string;
  readonly databaseUrl?: string | undefined;
}

/** What both pools share. */
const POOL = {
  acquireConnectionTimeout: 15_000,
  // Without the bindings, which hold secrets.
  compileSqlOnError: false,
  // knex would write to stderr what it also throws: whoever catches it says it in the hub's own log.
  log: { warn: () => undefined, error: () => undefined, deprecate: () => undefined, debug: () => undefined },
} satisfies Knex.Config;

/**
 * Opens the database and brings its schema up to date. With SQLite the data folder belongs to this process until it ends.
 * Throws {@link SetupError}: folder not writable or in use, database unreachable or damaged, schema newer than this build.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const store = await openStoreForMigration(options);
  try {
    await migrate(store.db, store.engine);
  } catch (error) {
    await store[Symbol.asyncDispose]();
    throw error;
  }
  return store;
}

/** The same without touching the schema. */
export async function openStoreForMigration({ dataDir, databaseUrl }: StoreOptions): Promise<Store> {
  prepareDataFolder(dataDir);
  return databaseUrl === undefined ? await openSqlite(dataDir) : await openPostgres(databaseUrl);
}

/** The migrations that are done and those that are not, once they were applied if that is asked. */
export async function migrationsOf(options: StoreOptions, { isToMigrate }: { readonly isToMigrate: boolean }) {
  await using store = await openStoreForMigration(options);
  if (isToMigrate) await migrate(store.db, store.engine);
  return await migrationStatus(store.db);
}

async function openSqlite(dataDir: string): Promise<Store> {
  await using resources = new AsyncDisposableStack();
  resources.use(lockDataFolder(dataDir));
  const filename = join(dataDir, "hexahub.db");
  ownerOnly(filename);
  const db = knex({
    client: SqliteClient as unknown as typeof Knex.Client,
    connection: { filename },
    useNullAsDefault: true,
    ...POOL,
  });
  resources.defer(() => db.destroy());
  try {
    await db.raw("select count(*) from sqlite_master");
  } catch (cause) {
    throw new SetupError(
      `the database cannot be opened: ${messageOf(cause)}`,
      filename,
      "check the disk and the file's owner, or restore the file from a backup",
      { cause },
    );
  }
  return storeOf(db, "sqlite", resources.move());
}

async function openPostgres(databaseUrl: string): Promise<Store> {
  // A hub on SQLite never loads it.
  const { openPostgresPool } = await import("./postgres.ts");
  await using resources = new AsyncDisposableStack();
  const where = withoutPassword(databaseUrl);
  const db = openPostgresPool(databaseUrl, POOL);
  resources.defer(() => db.destroy());
  try {
    await db.raw("select 1");
  } catch (cause) {
    throw new SetupError(
      `the database cannot be reached: ${messageOf(cause)}`,
      where,
      "check that PostgreSQL runs and that DATABASE_URL names it, with a user that may log in",
      { cause },
    );
  }
  return storeOf(db, "postgres", resources.move());
}

function storeOf(db: Db, engine: Engine, resources: AsyncDisposableStack): Store {
  return { db, engine, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message;
}

function withoutPassword(url: string): string {
  if (!URL.canParse(url)) return "the configured database URL";
  const parsed = new URL(url);
  parsed.password = "";
  return parsed.href;
}
