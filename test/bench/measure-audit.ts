import { randomBytes } from "node:crypto";
import { newAudit } from "../../core/event.ts";
import { insertAudit, rowOf } from "../../store/audit.ts";
import { type ChainKey, headSeal, LINK_COLUMNS, linkHash, loadChainKey } from "../../store/audit-chain.ts";
import { signChains } from "../../store/audit-checkpoints.ts";
import { createAuditKeys } from "../../store/audit-keys.ts";
import { sealAudit } from "../../store/audit-sealing.ts";
import { createAuditChains } from "../../store/audit-verification.ts";
import { type Db, openStore } from "../../store/open.ts";
import { rowSource, rowsOf, toJson } from "../../store/sql.ts";
import { inTransaction } from "../../store/transaction.ts";
import { freshDatabase, postgresMissing, startPostgres } from "../support/services.ts";
import { temporaryFolder } from "../support/wait.ts";
import { median, type Row } from "./report.ts";
import type { Plan } from "./stage.ts";

const ROWS = 1_000_000;
const BATCH = 5_000;
const GOAL_S = 10;
const ORGANIZATION = "bench";

/** The hub's store in this process: how long it takes to verify an organisation's chain, and to sign it. */
export async function measureAudit({ runs }: Plan): Promise<Row[]> {
  await using folder = temporaryFolder();
  const rows: Row[] = [];
  {
    await using sqlite = await openStore({ dataDir: folder.path });
    rows.push(...(await measured("SQLite", sqlite.db, runs)));
  }
  const missing = postgresMissing();
  if (missing !== undefined) {
    process.stderr.write(`${missing}: SQLite alone\n`);
    return rows;
  }
  await using server = await startPostgres();
  await using own = temporaryFolder();
  await using postgres = await openStore({ dataDir: own.path, databaseUrl: await freshDatabase(server) });
  return [...rows, ...(await measured("PostgreSQL", postgres.db, runs))];
}

async function measured(name: string, db: Db, runs: number): Promise<Row[]> {
  const masterKey = randomBytes(32);
  const key = await loadChainKey(db, masterKey, Date.now());
  const keys = createAuditKeys(db, masterKey);
  await keys.ensure(Date.now());
  await writeChain(db, key);
  const signing = await timed(() => signChains({ db, chainKey: key, keys, clock: Date.now }, 0));
  const times: number[] = [];
  for (let run = 0; run < runs; run++)
    times.push(
      await timed(async () => {
        const scope = { kind: "organization", organizationId: ORGANIZATION } as const;
        const [chain] = await createAuditChains(db, key, keys).verify(scope);
        if (chain?.checked !== ROWS || chain.fault !== null || chain.checkpoint?.seq !== ROWS) throw new Error(JSON.stringify(chain));
      }),
    );
  return [
    {
      name: `the audit's chain of ${ROWS.toLocaleString("en")} rows, verified (${name})`,
      unit: "s",
      hub: median(times),
      goal: { atMost: GOAL_S },
    },
    { name: `  the same, signed for the first time (${name})`, unit: "s", hub: signing },
  ];
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1_000;
}

/** As the hub seals them, in larger transactions. */
async function writeChain(db: Db, key: ChainKey): Promise<void> {
  await insertAudit(db, entries(1));
  while ((await sealAudit(db, key)) > 0);
  const [first] = await rowsOf<{ chain_hash: string }>(db, "select chain_hash from audit_outbox where organization_id = ?", [ORGANIZATION]);
  let [seq, hash] = [1, first?.chain_hash ?? ""];
  for (let left = ROWS - 1; left > 0; left -= BATCH) {
    const rows = entries(Math.min(BATCH, left)).map((entry) => {
      const row = rowOf(entry);
      hash = linkHash(key, hash, ++seq, row);
      return { ...row, chain_seq: seq, chain_hash: hash };
    });
    await inTransaction(db, (trx) =>
      rowsOf(trx, `insert into audit_outbox (${ALL}) select ${ALL} from ${rowSource(trx, COLUMNS)} where true`, [toJson(rows)]),
    );
  }
  const head = { chain: ORGANIZATION, last_seq: seq, last_hash: hash, broken_seq: null };
  await db("audit_chains")
    .where({ chain: ORGANIZATION })
    .update({ ...head, seal: headSeal(key, head) });
  await db.raw("analyze");
}

const ALL = `${LINK_COLUMNS}, chain_seq, chain_hash`;
const COLUMNS = {
  ...(Object.fromEntries(LINK_COLUMNS.split(", ").map((name) => [name, "text"])) as Record<string, "text">),
  details: "json",
  created_at: "time",
  chain_seq: "int",
  chain_hash: "text",
} as const;

const entries = (count: number) =>
  Array.from({ length: count }, (_, index) =>
    newAudit({
      organizationId: ORGANIZATION,
      actor: { kind: "user", id: `user-${index % 20}` },
      action: "device.update",
      resourceType: "device",
      resourceId: `device-${index % 500}`,
      details: { uid: `relay-${index % 500}`, changed: ["name", "settings"] },
      requestId: `req-${index}`,
      before: { index },
      after: { index: index + 1 },
      now: Date.now(),
    }),
  );
