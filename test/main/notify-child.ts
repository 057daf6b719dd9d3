/** Commits a notification, and is killed before anything of it has gone out. */
import { loadMasterKey, loadSigningKeys } from "../../store/secrets.ts";
import { openStore } from "../../store/open.ts";
import { homeOrganization } from "../../store/organizations.ts";
import { afterCommit, inTransaction } from "../../store/transaction.ts";
import { listBus, openNotifyScene, wanted } from "../rules/notify-scene.ts";

const [dataDir, title, databaseUrl] = process.argv.slice(2);
if (dataDir === undefined || title === undefined) throw new Error("usage: notify-child.ts <data folder> <title> [database URL]");
const { db } = await openStore({ dataDir, databaseUrl });
const keys = await loadSigningKeys(db, await loadMasterKey(dataDir));
const { notifier } = await openNotifyScene(db, { keys, bus: listBus([]), mailer: { isOn: true, wake() {} } });
const { id } = await homeOrganization(db);
await inTransaction(db, async (trx) => {
  afterCommit(trx, () => process.kill(process.pid, "SIGKILL"));
  await notifier.notify(trx, wanted(id, { title, severity: "critical" }));
});
