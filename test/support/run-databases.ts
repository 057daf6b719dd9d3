import { randomBytes } from "node:crypto";
import { DATABASE_PREFIX, dropDatabases, postgresMissing, startPostgres } from "./services.ts";
import { makeEmbedded, makeModel, RUN_TABLES } from "./tables.ts";

/** What all test files of a run share, so that each need not make its own. */
export interface RunDatabases extends AsyncDisposable {
  /** Runs the work of one file with the environment that names it, and removes what the file has left there. */
  use<T>(work: (env: NodeJS.ProcessEnv) => Promise<T>): Promise<T>;
}

/** Several files at a time have hubs with ten connections each. */
const CONNECTIONS = 500;

/** A PostgreSQL server, where it is installed, and databases with their tables to copy from. */
export async function openRunDatabases(): Promise<RunDatabases> {
  await using stack = new AsyncDisposableStack();
  const embedded = await makeEmbedded();
  const server = postgresMissing() === undefined ? stack.use(await startPostgres([`max_connections=${CONNECTIONS}`])) : undefined;
  const shared = {
    [RUN_TABLES.embedded]: embedded,
    ...(server ? { [RUN_TABLES.server]: server.url, [RUN_TABLES.model]: await makeModel(server) } : {}),
  };
  const running = stack.move();
  return {
    async use(work) {
      const prefix = `hexahub_${randomBytes(4).toString("hex")}_`;
      try {
        return await work({ ...shared, [DATABASE_PREFIX]: prefix });
      } finally {
        if (server) await dropDatabases(server, prefix);
      }
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
