/** Writes audit rows and seals them at the same time, and prints a line for each group that is sealed, until it is killed. */
import { sealAudit } from "../../store/audit-sealing.ts";
import { openStore } from "../../store/open.ts";
import { loadMasterKey } from "../../store/secrets.ts";
import { testChainKey, writeAudit } from "./audit-rows.ts";

const [dataDir, databaseUrl] = process.argv.slice(2);
if (dataDir === undefined) throw new Error("usage: sealing-child.ts <data folder> [database URL]");
const { db } = await openStore({ dataDir, databaseUrl });
const key = await testChainKey(db, await loadMasterKey(dataDir));

for (;;) {
  const writing = ["org-a", "org-b", null].map((organizationId) => writeAudit(db, organizationId, 20));
  if ((await sealAudit(db, key)) > 0) process.stdout.write("sealed\n");
  await Promise.all(writing);
}
