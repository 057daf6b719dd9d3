import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import pg from "pg";
import { type Db, openStore, type Store, type StoreOptions } from "../../store/open.ts";
import { freshDatabase, postgresMissing, type Service, startPostgres } from "../support/services.ts";
import { temporaryFolder } from "../support/wait.ts";

/** A place for one test's data: an empty folder, and an empty database on PostgreSQL. */
export interface Place extends AsyncDisposable {
  readonly options: StoreOptions;
}

export interface EngineUnderTest {
  readonly engine: Store["engine"];
  /** An empty place without a schema. */
  readonly emptyPlace: () => Promise<Place>;
  /** A test with a migrated store of its own. */
  readonly test: (name: string, work: (db: Db, store: Store) => Promise<void>) => void;
}

/** Declares the same tests for both engines; PostgreSQL's share one server and are skipped where it is not installed. */
export function forEachEngine(declare: (under: EngineUnderTest) => void): void {
  describe("on SQLite", () => declare(engineUnderTest("sqlite", emptyFolder, emptyFolder)));
  describe("on PostgreSQL", { skip: postgresMissing() ?? false }, () => {
    let server: Service | undefined;
    let template: string | undefined;
    const running = (): Service => {
      if (!server) throw new Error("PostgreSQL is not running");
      return server;
    };
    before(async () => {
      server = await startPostgres();
    });
    after(async () => {
      await server?.[Symbol.asyncDispose]();
    });
    const emptyPlace = async (): Promise<Place> => placeAt(await freshDatabase(running()));
    /** A copy of a migrated database takes a quarter of the time of a migration. */
    const migratedPlace = async (): Promise<Place> => {
      if (template === undefined) {
        const place = await emptyPlace();
        await (await openStore(place.options))[Symbol.asyncDispose]();
        await place[Symbol.asyncDispose]();
        template = new URL(place.options.databaseUrl ?? "").pathname.slice(1);
      }
      return placeAt(await copyOf(running(), template));
    };
    declare(engineUnderTest("postgres", emptyPlace, migratedPlace));
  });
}

function engineUnderTest(engine: Store["engine"], emptyPlace: () => Promise<Place>, migratedPlace: () => Promise<Place>): EngineUnderTest {
  return {
    engine,
    emptyPlace,
    test: (name, work) =>
      void test(name, async () => {
        await using place = await migratedPlace();
        await using store = await openStore(place.options);
        await work(store.db, store);
      }),
  };
}

async function emptyFolder(): Promise<Place> {
  return placeAt(undefined);
}

function placeAt(databaseUrl: string | undefined): Place {
  const folder = temporaryFolder();
  return { options: { dataDir: folder.path, databaseUrl }, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

async function copyOf(server: Service, template: string): Promise<string> {
  const name = `hexahub_${randomBytes(8).toString("hex")}`;
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    await client.query(`create database ${name} template ${template}`);
  } finally {
    await client.end();
  }
  const url = new URL(server.url);
  url.pathname = `/${name}`;
  return url.href;
}
