import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { postgresMissing } from "./services.ts";
import { sharedPostgres, tablesOn } from "./tables.ts";
import { until } from "./wait.ts";

/** A database for one hub, with its tables: `url` is undefined for the embedded one, which the hub has in its folder. */
export interface TestDatabase extends AsyncDisposable {
  readonly url: string | undefined;
}

/** Both engines, for suites that every store must pass: `for (const { name, skip, open } of databases()) test(…, { skip }, …)`. */
export function databases(): readonly { name: string; skip: string | undefined; open: () => Promise<TestDatabase> }[] {
  let making: Promise<() => Promise<string>> | undefined;
  return [
    { name: "SQLite", skip: undefined, open: async () => ({ url: undefined, async [Symbol.asyncDispose]() {} }) },
    {
      name: "PostgreSQL",
      skip: postgresMissing(),
      open: async () => {
        making ??= sharedPostgres().then(tablesOn);
        return { url: await (await making)(), async [Symbol.asyncDispose]() {} };
      },
    },
  ];
}

/** Nothing is committed to a hub's embedded database, so that nothing is acknowledged, until the block ends; the hub's own patience is 5 s. */
export async function blockCommits(dataDir: string): Promise<Disposable> {
  const db = new DatabaseSync(join(dataDir, "hexahub.db"), { timeout: 0 });
  // A wait inside SQLite would stop this thread, and with it the hub, whose open transaction could then never end.
  await until(() => db.exec("BEGIN IMMEDIATE") ?? true, { what: "the write lock" });
  return { [Symbol.dispose]: () => db.close() };
}
