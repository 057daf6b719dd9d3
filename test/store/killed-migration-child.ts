/** Starts to migrate and kills itself before the given statement. */
import { migrate } from "../../store/migrate.ts";
import { openStoreForMigration } from "../../store/open.ts";

const [dataDir, statement, databaseUrl] = process.argv.slice(2);
if (dataDir === undefined || statement === undefined)
  throw new Error("usage: killed-migration-child.ts <data folder> <statement number> [database URL]");
const store = await openStoreForMigration({ dataDir, databaseUrl });
let count = 0;
store.db.on("query", () => {
  if (++count === Number(statement)) process.kill(process.pid, "SIGKILL");
});
await migrate(store.db, store.engine);
