import { freshDatabase, postgresMissing, startPostgres } from "./services.ts";

/** A database for one hub: `url` is undefined for the embedded one. */
export interface TestDatabase extends AsyncDisposable {
  readonly url: string | undefined;
}

/** Both engines, for suites that every store must pass: `for (const { name, skip, open } of databases()) test(…, { skip }, …)`. */
export function databases(): readonly { name: string; skip: string | undefined; open: () => Promise<TestDatabase> }[] {
  let server: ReturnType<typeof startPostgres> | undefined;
  return [
    { name: "SQLite", skip: undefined, open: async () => ({ url: undefined, async [Symbol.asyncDispose]() {} }) },
    {
      name: "PostgreSQL",
      skip: postgresMissing(),
      open: async () => {
        // One server a test file; it ends with the process.
        server ??= startPostgres();
        return { url: await freshDatabase(await server), async [Symbol.asyncDispose]() {} };
      },
    },
  ];
}
