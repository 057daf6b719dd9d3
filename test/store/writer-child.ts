/** Commits one row after the other and prints each number once its commit has returned, until it is killed. */
import { openStore } from "../../store/open.ts";
import { inTransaction } from "../../store/transaction.ts";

const [dataDir] = process.argv.slice(2);
if (dataDir === undefined) throw new Error("usage: writer-child.ts <data folder>");
const store = await openStore({ dataDir });
for (let number = 1; ; number++) {
  await inTransaction(store.db, async (trx) => {
    const now = new Date().toISOString();
    await trx("entities").insert({
      id: `row-${number}`,
      entity_type: "project",
      name: String(number),
      properties: "{}",
      created_at: now,
      last_updated: now,
    });
  });
  process.stdout.write(`${number}\n`);
}
