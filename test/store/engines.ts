import { before, describe, test } from "node:test";
import { type Db, openStore, type Store, type StoreOptions } from "../../store/open.ts";
import { freshDatabase, postgresMissing } from "../support/services.ts";
import { layTables, sharedPostgres, tablesOn } from "../support/tables.ts";
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
  describe("on SQLite", () => declare(engineUnderTest("sqlite", emptyFolder, migratedFolder)));
  describe("on PostgreSQL", { skip: postgresMissing() ?? false }, () => {
    let server: { readonly url: string } | undefined;
    let withTables: (() => Promise<string>) | undefined;
    before(async () => {
      server = await sharedPostgres();
      withTables = tablesOn(server);
    });
    const emptyPlace = async (): Promise<Place> => placeAt(await freshDatabase(server ?? notRunning()));
    const migratedPlace = async (): Promise<Place> => placeAt(await (withTables ?? notRunning())());
    declare(engineUnderTest("postgres", emptyPlace, migratedPlace));
  });
}

function notRunning(): never {
  throw new Error("PostgreSQL is not running");
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

async function migratedFolder(): Promise<Place> {
  const place = await emptyFolder();
  await layTables(place.options.dataDir);
  return place;
}

function placeAt(databaseUrl: string | undefined): Place {
  const folder = temporaryFolder();
  return { options: { dataDir: folder.path, databaseUrl }, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}
