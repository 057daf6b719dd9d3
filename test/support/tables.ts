import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { openStore } from "../../store/open.ts";
import { freshDatabase, startPostgres } from "./services.ts";
import { temporaryFolder } from "./wait.ts";

/*
 * Databases whose tables are there already: they are made once, by the migrations, and then copied, which takes a
 * tenth of the time. What the migrations do is the subject of test/store/open.test.ts.
 */

/** What test/run.ts has made for all files of a run; a file that is run by itself makes its own. */
export const RUN_TABLES = { server: "TEST_POSTGRES", model: "TEST_POSTGRES_MODEL", embedded: "TEST_SQLITE_MODEL" } as const;
const ofRun = (name: keyof typeof RUN_TABLES): string | undefined => process.env[RUN_TABLES[name]];

let embedded: Promise<string> | undefined;
let postgres: Promise<{ readonly url: string }> | undefined;

/** The server of the run, or of this file, which ends with the process. Nobody stops it or is alone with it. */
export async function sharedPostgres(): Promise<{ readonly url: string }> {
  const url = ofRun("server");
  return url === undefined ? await (postgres ??= startPostgres()) : { url };
}

/** Lays the embedded database into a data folder that has none. */
export async function layTables(dataDir: string): Promise<void> {
  const file = ofRun("embedded") ?? (await (embedded ??= makeEmbedded()));
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  copyFileSync(file, path.join(dataDir, path.basename(file)));
}

export async function makeEmbedded(): Promise<string> {
  const dataDir = mkdtempSync(path.join(tmpdir(), "hexahub-tables-"));
  process.once("exit", () => rmSync(dataDir, { recursive: true, force: true }));
  await (await openStore({ dataDir }))[Symbol.asyncDispose]();
  return path.join(dataDir, "hexahub.db");
}

/** Makes databases on the server, the first of which is the others' model; resolves to their URLs. */
export function tablesOn(server: { readonly url: string }): () => Promise<string> {
  let model: Promise<string> | undefined;
  return async () => {
    if (server.url === ofRun("server")) return await freshDatabase(server, ofRun("model"));
    return await freshDatabase(server, await (model ??= makeModel(server)));
  };
}

/** The name of a database that nobody is connected to. */
export async function makeModel(server: { readonly url: string }): Promise<string> {
  await using folder = temporaryFolder();
  const databaseUrl = await freshDatabase(server);
  await (await openStore({ dataDir: folder.path, databaseUrl }))[Symbol.asyncDispose]();
  return new URL(databaseUrl).pathname.slice(1);
}
